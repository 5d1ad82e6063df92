"""Remember each guest's last row and readings, and notice what makes them old.

The listing is compared row by row with the one before: a guest whose row is the same in
all that matters costs one comparison and keeps its very object. Everything that says
"this configuration changed" ends in ``due``.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from qlop.model.guest import Power
from qlop.model.ids import VmId
from qlop.model.observed import GuestConfig, ObservedGuest, ObservedSnapshot
from qlop.model.reading import Reading, Unknown
from qlop.observer.assemble import Override
from qlop.ports import Json
from qlop.pve.parse_resources import (
    GUEST_FIELDS,
    GuestRow,
    RowKey,
    guest_key,
    is_guest,
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

    ``pick`` takes the values that matter out of a row of the shape it had, which is
    ``width`` columns wide; ``picked`` is what it took. ``applied`` and ``issued`` number the readings, so that a slow answer never replaces
    a later one. ``pending_known``: the reading includes what is pending.
    """

    key: RowKey
    row: GuestRow
    width: int = 0
    pick: Callable[[Row], tuple[Json, ...]] = guest_key
    picked: tuple[Json, ...] = ()
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
    _shapes: dict[tuple[str, ...], Callable[[Row], tuple[Json, ...]]] = field(default_factory=dict)

    def take(self, rows: Sequence[Row]) -> list[Row]:
        """Compare a listing with the one before; return the rows that are no guests."""
        guests = self.guests
        before, hits = len(guests), 0
        changed: list[Row] = []
        others: list[Row] = []
        for row in rows:
            seen = guests.get(row.get("vmid"))
            # This is most of an idle cycle's work, hence no function call a row.
            if seen is not None and seen.width == len(row):
                try:
                    if seen.pick(row) == seen.picked:
                        hits += 1
                        continue
                except KeyError:
                    pass  # Another column came instead of one that matters.
            if is_guest(row):
                changed.append(row)
            else:
                others.append(row)
        gaps: list[str] = []
        hits += sum(self._change(row, gaps) for row in changed)
        if hits < before:
            self._forget({row.get("vmid") for row in rows})
        self.gaps = tuple(gaps)
        return others

    def _change(self, row: Row, gaps: list[str]) -> bool:
        """Take in a row that is new or different; return whether the guest was known."""
        key = guest_key(row)
        seen = self.guests.get(key[_VMID])
        if seen is not None and seen.key == key:
            self._remember(seen, row)
            return True
        reading = parse_guest_row(row)
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
            self.guests[key[_VMID]] = seen = Seen(key=key, row=reading.value)
            self._remember(seen, row)
            self.by_age[vmid] = None
            self.by_age.move_to_end(vmid, last=False)
            self.due.add(vmid)
            return False
        moved = [index for index, value in enumerate(key) if value != seen.key[index]]
        seen.key, seen.row = key, reading.value
        self._remember(seen, row)
        if moved != [_HA_STATE]:
            self.mark_due(vmid)
        return True

    def _remember(self, seen: Seen, row: Row) -> None:
        """Keep what tells quickly that a row is the same as this one."""
        shape = tuple(name for name in GUEST_FIELDS if name in row)
        pick = self._shapes.setdefault(shape, itemgetter(*shape))
        seen.pick, seen.width = pick, len(row)
        # Equal texts of all guests are one object: comparing with it finds it in the cache.
        seen.picked = tuple(
            sys.intern(value) if isinstance(value, str) else value for value in pick(row)
        )

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
