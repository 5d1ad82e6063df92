"""Remember each guest's last row and readings, and notice what makes them old.

The listing is compared row by row with the one before: a guest whose row is the same in
all that matters costs one comparison and keeps its very object. Everything that says
"this configuration changed" ends in ``due``.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from qlop.model.guest import Power
from qlop.model.ids import VmId
from qlop.model.observed import GuestConfig, ObservedGuest, ObservedSnapshot
from qlop.model.reading import Reading, Unknown
from qlop.observer.assemble import Override
from qlop.ports import Json
from qlop.pve import parse_resources
from qlop.pve.parse_resources import GUEST_FIELDS, GuestRow, RowKey
from qlop.pve.payload import Row

NOT_READ = Unknown("not read yet")
NOT_ASKED = Unknown("not asked for")
_VMID = GUEST_FIELDS.index("vmid")
_HA_STATE = GUEST_FIELDS.index("hastate")


@dataclass(slots=True, eq=False)
class Seen:
    """One guest: its row, what was read of it, and what of that is old.

    ``applied`` and ``issued`` number the readings, so that a slow answer never replaces
    a later one. ``pending_known``: the reading includes what is pending.
    """

    key: RowKey
    row: GuestRow
    config: Reading[GuestConfig] = NOT_READ
    config_due: bool = True
    pending_known: bool = False
    issued: int = 0
    applied: int = 0
    snapshots: Reading[tuple[ObservedSnapshot, ...]] = NOT_ASKED
    snapshots_due: bool = False
    override: Override | None = None
    guest: ObservedGuest | None = None


@dataclass(slots=True)
class GuestMemory:
    """All guests of the last listing.

    ``dirty`` are those whose ``ObservedGuest`` must be made anew; ``due`` those of whom
    something must be read; ``unreported`` those of whom no node has said what they do.
    ``by_age`` holds every guest, the one whose configuration was read longest ago first.
    """

    guests: dict[Json, Seen] = field(default_factory=dict)
    dirty: set[VmId] = field(default_factory=set)
    due: set[VmId] = field(default_factory=set)
    unreported: set[VmId] = field(default_factory=set)
    removed: bool = False
    by_age: OrderedDict[VmId, None] = field(default_factory=OrderedDict)
    gaps: tuple[str, ...] = ()

    def take(self, rows: Sequence[Row]) -> list[Row]:
        """Compare a listing with the one before; return the rows that are no guests."""
        guests = self.guests
        keep = parse_resources.guest_key
        before, hits = len(guests), 0
        changed: list[tuple[RowKey, Row]] = []
        others: list[Row] = []
        for row in rows:
            key = keep(row)
            seen = guests.get(key[_VMID])
            if seen is not None and seen.key == key:
                hits += 1
            elif parse_resources.is_guest(row):
                changed.append((key, row))
            else:
                others.append(row)
        gaps: list[str] = []
        hits += sum(self._change(key, row, gaps) for key, row in changed)
        if hits < before:
            self._forget({row.get("vmid") for row in rows})
        self.gaps = tuple(gaps)
        return others

    def _change(self, key: RowKey, row: Row, gaps: list[str]) -> bool:
        """Take in a row that is new or different; return whether the guest was known."""
        reading = parse_resources.parse_guest_row(row)
        seen = self.guests.get(key[_VMID])
        if isinstance(reading, Unknown):
            gaps.append(reading.reason)
            return seen is not None
        vmid = reading.value.vmid
        self.dirty.add(vmid)
        if reading.value.power is Power.UNKNOWN:
            self.unreported.add(vmid)
        else:
            self.unreported.discard(vmid)
        if seen is None:
            self.guests[key[_VMID]] = Seen(key=key, row=reading.value)
            self.by_age[vmid] = None
            self.by_age.move_to_end(vmid, last=False)
            self.due.add(vmid)
            return False
        moved = [index for index, value in enumerate(key) if value != seen.key[index]]
        seen.key, seen.row = key, reading.value
        if moved != [_HA_STATE]:
            self.mark_due(vmid)
        return True

    def _forget(self, listed: set[Json]) -> None:
        for gone in [key for key in self.guests if key not in listed]:
            vmid = self.guests.pop(gone).row.vmid
            self.by_age.pop(vmid, None)
            for noted in (self.due, self.dirty, self.unreported):
                noted.discard(vmid)
            self.removed = True

    def find(self, vmid: VmId) -> Seen | None:
        """Return a guest by VMID; PVE has been seen to list VMIDs as text, too."""
        return self.guests.get(vmid) or self.guests.get(str(vmid))

    def mark_due(self, vmid: VmId) -> None:
        """Note that a guest's configuration may have changed."""
        seen = self.find(vmid)
        if seen is not None:
            seen.config_due = True
            self.due.add(vmid)
            self.dirty.add(vmid)

    def mark_snapshots_due(self, vmid: VmId) -> None:
        """Note that a guest's snapshots may have changed."""
        seen = self.find(vmid)
        if seen is not None and seen.snapshots is not NOT_ASKED:
            seen.snapshots_due = True
            self.due.add(vmid)
            self.dirty.add(vmid)

    def __iter__(self) -> Iterator[Seen]:
        return iter(self.guests.values())
