"""Tell which guests' rows differ from those of the last listing, at C's speed.

An idle cycle is cheap if no code of ours runs per guest. The values that matter are taken
out of each row and compared by ``map`` and ``operator`` alone; only where a guest is new,
or a column is gone, a listing is looked at row by row.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import call, itemgetter, ne

from qlop.ports import Json
from qlop.pve.parse_resources import GUEST_FIELDS, is_guest
from qlop.pve.payload import Row

_Pick = Callable[[Row], tuple[Json, ...]]
_vmid_of = itemgetter("vmid")
_COLUMNS = tuple(name for name in GUEST_FIELDS if name != "vmid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a listing differs from the last: rows of guests, and VMIDs that are ``gone``.

    ``others`` are the rows that are no guests.
    """

    changed: Sequence[Row]
    gone: set[Json]
    others: Sequence[Row]


@dataclass(slots=True)
class RowPattern:
    """What the guests' rows of the last listing looked like, by VMID.

    A pick takes those values out of a row that matter; ``picked`` is what it took,
    ``widths`` how many columns there were.
    """

    picks: dict[Json, _Pick] = field(default_factory=dict)
    picked: dict[Json, tuple[Json, ...]] = field(default_factory=dict)
    widths: dict[Json, int] = field(default_factory=dict)
    _shapes: dict[tuple[str, ...], _Pick] = field(default_factory=dict)

    def compare(self, rows: Sequence[Row]) -> Difference:
        """Return how a listing differs from the last, and remember it."""
        guests, others = _halves(rows)
        try:
            changed = self._differing(guests)
        except KeyError:  # A guest is new, a column is gone, or not all of these are guests.
            guests = [row for row in rows if is_guest(row)]
            others = [row for row in rows if not is_guest(row)]
            changed = [row for row in guests if not self._is_same(row)]
        gone: set[Json] = set()
        for row in changed:
            self._remember(row)
        if len(guests) != len(self.picked):
            gone = self.picked.keys() - {row.get("vmid") for row in guests}
            for vmid in gone:
                self.forget(vmid)
        return Difference(changed=changed, gone=gone, others=others)

    def forget(self, vmid: Json) -> None:
        """Have the guest's row count as changed the next time."""
        for kept in (self.picks, self.picked, self.widths):
            kept.pop(vmid, None)

    def _differing(self, guests: Sequence[Row]) -> list[Row]:
        """Return the rows that differ.

        Raises:
            KeyError: if a row is of no known guest, or lacks a column that it had.
        """
        vmids = list(map(_vmid_of, guests))
        picks = map(self.picks.__getitem__, vmids)
        picked = map(self.picked.__getitem__, vmids)
        widths = map(self.widths.__getitem__, vmids)
        places = range(len(guests))
        changed = {
            *compress(places, map(ne, map(call, picks, guests), picked)),
            *compress(places, map(ne, map(len, guests), widths)),
        }
        return [guests[place] for place in sorted(changed)]

    def _is_same(self, row: Row) -> bool:
        vmid = row.get("vmid")
        pick = self.picks.get(vmid)
        if pick is None or self.widths[vmid] != len(row):
            return False
        try:
            return pick(row) == self.picked[vmid]
        except KeyError:
            return False

    def _remember(self, row: Row) -> None:
        vmid = row.get("vmid")
        shape = tuple(name for name in _COLUMNS if name in row)
        pick = self._shapes.setdefault(shape, itemgetter(*shape))
        self.picks[vmid], self.widths[vmid] = pick, len(row)
        # Equal texts of all guests are one object; there are few of them.
        self.picked[vmid] = tuple(
            sys.intern(value) if isinstance(value, str) else value for value in pick(row)
        )


def _halves(rows: Sequence[Row]) -> tuple[Sequence[Row], list[Row]]:
    """Return the rows from the first guest to the last, and the others around them.

    PVE lists guests in one piece (``resources``, PVE/API2/Cluster.pm).
    """
    start = next((place for place, row in enumerate(rows) if is_guest(row)), len(rows))
    end = len(rows)
    while end > start and not is_guest(rows[end - 1]):
        end -= 1
    return rows[start:end], [*rows[:start], *rows[end:]]
