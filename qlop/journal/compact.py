"""Choose the records that may be forgotten without changing what they amount to.

What counts is the fold: a journal without the forgotten records gives the same
``History``, but for how often actions were tried, kept from being sent and repeated long
ago, and for ends that matter only to an observation under way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import (
    EXPECTS_CLOUD_INIT,
    EXPECTS_COMPLETION,
    EXPECTS_OWNER,
    EXPECTS_SEAL,
    EXPECTS_SNAPSHOT,
    Dispatched,
    Ending,
    Finished,
    History,
    Intended,
    JournalRecord,
    Reprieve,
    Tombstone,
)
from qlop.model.ids import ActionId
from qlop.model.trial import Judged, Part, is_visible


@dataclass(slots=True)
class _Unit:
    """One attempt of one action: where its records stand, and how it ended."""

    intended: Intended
    places: list[int]
    newest: datetime
    ending: Ending | None = None
    began: bool = False
    """PVE took it, or may have."""
    key: tuple[ActionId, int] = field(init=False)

    def __post_init__(self) -> None:
        self.key = (self.intended.action, self.intended.attempt)


def forgettable(records: Sequence[JournalRecord], keep_after: datetime) -> frozenset[int]:
    """Return the indexes of ``records`` that may go: ended, and older than ``keep_after``.

    Whatever is in flight, failing, reserved, sealed or owed stays. Should the rest not
    fold to the same history (a journal that no qlop writes), nothing may go.
    """
    units = _units(records)
    needed = {id(unit) for unit in _needed(units)}
    gone = frozenset(
        place
        for unit in units
        if id(unit) not in needed and unit.newest < keep_after
        for place in unit.places
    ) | _past_notices(records, keep_after)
    kept = [record for place, record in enumerate(records) if place not in gone]
    same = _without_counts(fold(kept)) == _without_counts(fold(records))
    return gone if same else frozenset()


def _past_notices(records: Sequence[JournalRecord], keep_after: datetime) -> frozenset[int]:
    """Return where the old notices are that say nothing of what stands now."""
    standing = fold(records).tombstones
    return frozenset(
        place
        for place, record in enumerate(records)
        if isinstance(record, Tombstone | Reprieve)
        and record.at < keep_after
        and standing.get(record.vmid) is not record
    )


def _units(records: Sequence[JournalRecord]) -> list[_Unit]:
    units: list[_Unit] = []
    latest: dict[tuple[ActionId, int], _Unit] = {}
    for place, record in enumerate(records):
        match record:
            case Intended():
                unit = _Unit(intended=record, places=[place], newest=record.at)
                units.append(unit)
                latest[unit.key] = unit
            case Dispatched() | Finished():
                known = latest.get((record.action, record.attempt))
                if known is None:
                    continue
                known.places.append(place)
                known.newest = max(known.newest, record.at)
                known.began |= isinstance(record, Dispatched) or record.ending is Ending.UNKNOWN
                if isinstance(record, Finished) and known.ending in {None, Ending.UNKNOWN}:
                    known.ending = record.ending
            case Tombstone() | Reprieve() | Judged():
                pass
    return units


def _needed(units: Sequence[_Unit]) -> Iterator[_Unit]:
    """Return the attempts whose effect on the history still stands."""
    last: dict[tuple[object, ...], _Unit] = {}
    failing: dict[tuple[object, ...], list[_Unit]] = {}
    for unit in units:
        for role in _roles(unit):
            last[role] = unit
        run = failing.setdefault((unit.intended.subject, unit.intended.verb), [])
        if unit.ending is Ending.FAILED:
            if run and run[-1].intended.action != unit.intended.action:
                run.clear()
            run.append(unit)
        elif unit.ending is Ending.SUCCEEDED:
            run.clear()
    yield from last.values()
    for run in failing.values():
        yield from run


def _roles(unit: _Unit) -> Iterator[tuple[object, ...]]:
    """Return what the attempt may be the last of, in its own subject or place."""
    intended = unit.intended
    place = (intended.service, intended.index)
    if unit.ending is None or unit.ending is Ending.UNKNOWN:
        yield ("in flight", intended.subject)
    if intended.verb in {Verb.CREATE, Verb.CLONE}:
        yield ("made", place)
        if unit.ending is Ending.FAILED and unit.began:
            yield ("made under", intended.vmid)
    if intended.part is not Part.NONE:
        yield ("trial", place, intended.part, intended.verb)
    if unit.ending is not Ending.SUCCEEDED:
        return
    yield from _written_roles(intended)
    if intended.verb in {Verb.CREATE, Verb.CLONE}:
        yield ("made well", place)
        yield ("made under", intended.vmid)
        yield ("belongs", intended.vmid)
    if intended.verb in {Verb.REGENERATE, Verb.START, Verb.REBOOT, Verb.DESTROY}:
        yield ("paid", intended.subject)
    if intended.verb is Verb.START:
        yield ("ran", place)
    if intended.verb is Verb.DESTROY:
        yield ("destroyed", place)
        yield ("made under", intended.vmid)
        yield ("belongs", intended.vmid)


def _written_roles(intended: Intended) -> Iterator[tuple[object, ...]]:
    """Return the roles that come of what was written, not of the verb alone."""
    place = (intended.service, intended.index)
    if EXPECTS_SEAL in intended.expects:
        yield ("sealed", place)
    if EXPECTS_OWNER in intended.expects:
        yield ("belongs", intended.vmid)
    if EXPECTS_CLOUD_INIT in intended.expects:
        yield ("owing", intended.subject)
    if is_visible(intended.verb, intended.impact) or EXPECTS_COMPLETION in intended.expects:
        yield ("changed", place)
    if intended.part is Part.SNAPSHOT or intended.verb is Verb.DELETE_SNAPSHOT:
        yield ("left over", place, intended.expects.get(EXPECTS_SNAPSHOT, ""))


def _without_counts(history: History) -> History:
    return replace(history, attempts={}, unsent={}, repetitions={}, ended={})
