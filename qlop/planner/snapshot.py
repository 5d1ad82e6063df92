"""Take the snapshots that a manifest names, and delete ours that it no longer names."""

from qlop.model.action import CreateSnapshot, DeleteSnapshot
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest, ObservedSnapshot
from qlop.model.owner import mark_text
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner.step import Step, Steps, premise_of


def plan_snapshots(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    """Return the snapshots to take and to delete; never one that somebody else made."""
    wished = want.snapshots
    if not wished.keep and not wished.prune:
        return Steps()
    if not isinstance(guest.snapshots, Known):
        return Steps(
            held=Held(
                reason=Hold.OBSERVATION_INCOMPLETE,
                message="its snapshots could not be listed",
                remedy="see that the token may VM.Audit the guest and that its node answers",
            )
        )
    existing = {snapshot.name: snapshot for snapshot in guest.snapshots.value}
    broken = next((existing[name] for name in wished.keep if _is_broken(existing.get(name))), None)
    if broken is not None:
        return Steps(held=_broken_hold(guest, broken))
    premise = premise_of(have)
    mark = have.mark
    assert mark is not None
    steps: list[Step] = []
    for name in wished.keep:
        if name in existing:
            continue
        memory = wished.memory and guest.kind is GuestKind.VM and guest.power is Power.RUNNING
        create = CreateSnapshot(
            subject=want.name,
            vmid=guest.vmid,
            kind=want.kind,
            node=guest.node,
            snapshot=name,
            description=mark_text(mark),
            memory=memory,
        )
        steps.append(
            Step(
                action=create,
                reason=f"snapshot {name} is wanted and does not exist",
                impact=Impact.HOT,
                premise=premise,
                takes=(f"node:{guest.node}",),
            )
        )
    if wished.prune:
        for name in sorted(set(existing) - set(wished.keep)):
            if not existing[name].ours:
                continue
            delete = DeleteSnapshot(
                subject=want.name,
                vmid=guest.vmid,
                kind=want.kind,
                node=guest.node,
                snapshot=name,
            )
            steps.append(
                Step(
                    action=delete,
                    reason=f"qlop made snapshot {name} and no manifest names it any more",
                    impact=Impact.DATA_LOSS,
                    premise=premise,
                    takes=(f"node:{guest.node}",),
                )
            )
    return Steps(steps=tuple(steps))


def _is_broken(snapshot: ObservedSnapshot | None) -> bool:
    return snapshot is not None and bool(snapshot.stage)


def _broken_hold(guest: ObservedGuest, snapshot: ObservedSnapshot) -> Held:
    tool = "qm" if guest.kind is GuestKind.VM else "pct"
    return Held(
        reason=Hold.UNSUPPORTED_CHANGE,
        message=f"snapshot {snapshot.name} was begun and never finished ({snapshot.stage}):"
        " nothing can be rolled back to it",
        remedy=f"delete it on {guest.node}: {tool} delsnapshot {guest.vmid} {snapshot.name}"
        " --force; it is then taken anew",
    )
