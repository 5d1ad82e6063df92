"""Make and keep the way back from a risky change: the snapshot that is taken before it."""

from dataclasses import replace
from datetime import timedelta

from qlop.model.action import CreateSnapshot, DeleteSnapshot
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest, ObservedSnapshot
from qlop.model.owner import mark_text
from qlop.model.reading import Known
from qlop.model.rollout import RollbackMode
from qlop.model.trial import Part, Trial
from qlop.model.verdict import Held, Hold
from qlop.planner import snapshotable
from qlop.planner.draft import Draft
from qlop.planner.step import Step, place_of, premise_of

FRESH = timedelta(hours=1)
"""An older snapshot of an earlier attempt is taken anew: disks rolled back to it would
lose more than they have to."""


def snapshot_name(fingerprint: str) -> str:
    """Return what the snapshot before a revision's trial is called."""
    return f"qlop-{fingerprint}"


def prepare(
    draft: Draft,
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    trial: Trial | None,
) -> tuple[Step, ...] | Held:
    """Return what makes the snapshot be there; why it can't be."""
    service = draft.source.desired.services[want.service]
    listed = guest.snapshots.value if isinstance(guest.snapshots, Known) else ()
    there = {one.name: one for one in listed}
    if trial is not None and trial.snapshot in there:
        return ()  # Of how it was before the trial that is on: the one to go back to.
    name = snapshot_name(service.fingerprint)
    known = there.get(name)
    memory = service.rollback.memory and guest.kind is GuestKind.VM
    if known is not None and not known.ours:
        return _no_snapshot(f"there is one called {name} that is not ours")
    if known is not None and _is_fresh(draft, want, known):
        return ()
    why = snapshotable.refusal(guest, have, draft.source.observed, draft.capacity, memory=memory)
    if why:
        return _no_snapshot(why)
    steps: list[Step] = []
    if known is not None:
        steps.append(_deletion(want, guest, have, name, "it is of an earlier attempt"))
    assert have.mark is not None, "only owned guests are planned"
    action = CreateSnapshot(
        subject=want.name,
        vmid=guest.vmid,
        kind=want.kind,
        node=guest.node,
        snapshot=name,
        description=mark_text(have.mark),
        memory=memory,
    )
    create = Step(
        action=action,
        reason="so that there is a way back from the change that follows",
        impact=Impact.HOT,
        premise=premise_of(have),
        takes=(f"node:{guest.node}",),
        part=Part.SNAPSHOT,
        prepares=True,
    )
    return (*(replace(step, prepares=True) for step in steps), create)


def _is_fresh(draft: Draft, want: DesiredGuest, known: ObservedSnapshot) -> bool:
    """Return whether an earlier attempt's snapshot serves: ours by the journal, and new."""
    taken = draft.source.history.leftovers.get(place_of(want), frozenset())
    return (
        known.name in taken
        and not known.stage
        and known.taken_at is not None
        and draft.source.now - known.taken_at <= FRESH
    )


def _deletion(
    want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, name: str, why: str
) -> Step:
    action = DeleteSnapshot(
        subject=want.name, vmid=guest.vmid, kind=want.kind, node=guest.node, snapshot=name
    )
    return Step(
        action=action,
        reason=f"qlop took snapshot {name} for a change: {why}",
        impact=Impact.NONE,
        premise=premise_of(have),
        takes=(f"node:{guest.node}",),
    )


def cleanup(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> tuple[Step, ...]:
    """Return the deletion of snapshots that were taken for trials which are over.

    Only of those that the journal says we took and that carry our mark; those of a guest
    whose undoing did not help are kept, for a person to look at.
    """
    place, history = place_of(want), draft.source.history
    names = history.leftovers.get(place, frozenset())
    if not names or draft.trial(want, guest) is not None or place in history.lost:
        return ()
    if not isinstance(guest.snapshots, Known):
        return ()
    return tuple(
        _deletion(want, guest, have, one.name, "its change is over and done")
        for one in guest.snapshots.value
        if one.ours and one.name in names and one.name not in want.snapshots.keep
    )


def note(draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> str:
    """Return what a person should know before a change is due; empty if nothing."""
    rollback = draft.source.desired.services[want.service].rollback
    if rollback.mode is RollbackMode.NONE or not isinstance(guest.snapshots, Known):
        return ""
    parts = []
    why = snapshotable.refusal(
        guest, have, draft.source.observed, draft.capacity, memory=rollback.memory
    )
    if why:
        parts.append(f"a risky change will have to wait, since no snapshot is possible: {why}")
    if old := snapshotable.old_ones(guest, draft.source.observed):
        parts.append(f"old snapshots: {', '.join(old)}")
    return "; ".join(parts)


def _no_snapshot(why: str) -> Held:
    return Held(
        reason=Hold.NO_SNAPSHOT,
        message=f"before the change that is due a snapshot is wanted and not possible: {why}",
        remedy="make it possible, or say rollback: {mode: none}",
    )
