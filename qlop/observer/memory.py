"""Remember each guest's last row and readings, and notice what makes them old.

A guest whose row is the same in all that matters as it was in the last listing keeps its
very object. Everything that says "this configuration changed" ends in ``due``.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from qlop.model.guest import Power
from qlop.model.ids import VmId
from qlop.model.observed import GuestConfig, ObservedGuest, ObservedSnapshot
from qlop.model.reading import Reading, Unknown
from qlop.observer.assemble import Override
from qlop.observer.pattern import RowPattern
from qlop.ports import Json
from qlop.pve.parse_resources import (
    GUEST_FIELDS,
    GuestRow,
    RowKey,
    guest_key,
    parse_guest_row,
)
from qlop.pve.payload import Row

NOT_READ = Unknown("not read yet")
NOT_ASKED = Unknown("not asked for")
_VMID = GUEST_FIELDS.index("vmid")
_HA_STATE = GUEST_FIELDS.index("hastate")


@dataclass(slots=True, eq=False)
class Seen:
    """One guest: its row, what was read of it, and what of that is old.

    ``applied`` is the number of the reading, so that a slow answer never replaces a
    later one. ``pending_known``: the reading includes what is pending. ``underway``: it is
    being read, since something says that it changed.
    """

    key: RowKey
    row: GuestRow
    config: Reading[GuestConfig] = NOT_READ
    config_due: bool = True
    pending_known: bool = False
    applied: int = 0
    snapshots: Reading[tuple[ObservedSnapshot, ...]] = NOT_ASKED
    snapshots_due: bool = False
    underway: bool = False
    override: Override | None = None
    guest: ObservedGuest | None = None


@dataclass(slots=True, eq=False)
class Doubt:
    """That the listing may tell of a guest what was before our last action on it ended.

    It is over ``until``, if its node was heard. ``turn`` rises with every action that ends,
    so that an answer to an earlier question is known for what it is; ``asking`` while the
    latest question is under way.
    """

    until: datetime | None = None
    turn: int = 0
    heard: bool = False
    asking: bool = False

    def renew(self) -> None:
        """Note that another action has ended."""
        self.turn += 1
        self.until, self.heard, self.asking = None, False, False

    def begin(self) -> int:
        """Note that its node is being asked; return which turn it is."""
        self.asking = True
        return self.turn


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
    _pattern: RowPattern = field(default_factory=RowPattern)

    def take(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Compare a listing with the one before; return the rows that are no guests."""
        difference = self._pattern.compare(rows)
        self.gaps = ()
        for row in difference.changed:
            self._change(row)
        for vmid in difference.gone:
            self._forget(vmid)
        return difference.others

    def _change(self, row: Row) -> None:
        """Take in a row that is new or different, if only in what does not matter."""
        key = guest_key(row)
        seen = self.guests.get(key[_VMID])
        if seen is not None and seen.key == key:
            return
        reading = parse_guest_row(row)
        if isinstance(reading, Unknown):
            self._pattern.forget(key[_VMID])  # It must be said every time.
            self.gaps = (*self.gaps, reading.reason)
            return
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
            return
        moved = [index for index, value in enumerate(key) if value != seen.key[index]]
        seen.key, seen.row = key, reading.value
        if moved != [_HA_STATE]:
            self.mark_due(vmid)

    def _forget(self, listed: Json) -> None:
        seen = self.guests.pop(listed, None)
        if seen is None:
            return
        self.by_age.pop(seen.row.vmid, None)
        for noted in (self.due, self.dirty, self.unreported):
            noted.discard(seen.row.vmid)
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
