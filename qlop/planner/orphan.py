"""Decide about guests of ours that no manifest names any more."""

from qlop.model.action import DestroyGuest, ShutdownGuest
from qlop.model.guest import Power
from qlop.model.ids import GuestName, ServiceName
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.policy import Prune
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import ownership, power, unsettled
from qlop.planner.draft import Draft
from qlop.planner.ownership import needs_seal
from qlop.planner.step import Step, Steps, orphan_name, premise_of

ORPHAN_SHUTDOWN_GRACE_S = 180
"""Its manifest is gone, and with it the time-out it had: PVE's own default serves."""


def plan_orphans(draft: Draft) -> None:
    """Note what happens to each orphan, as far as the cluster's policy allows it."""
    wanted = {(guest.service, guest.index) for guest in draft.source.desired.guests.values()}
    for place in sorted(set(draft.ownership.owned) - wanted):
        guest = draft.ownership.owned[place]
        name = _name(draft, guest, *place)
        draft.orphans.add(name)
        if unsettled.hold(draft, name, place):
            continue
        held = _hold(draft, guest)
        if held is not None:
            draft.conclude(name, guest.vmid, held)
            continue
        assert isinstance(guest.config, Known)
        draft.decide(name, guest.vmid, place, _steps(draft, name, guest, guest.config.value))


def _steps(draft: Draft, name: GuestName, guest: ObservedGuest, have: GuestConfig) -> Steps:
    prune = draft.source.desired.cluster.policy.prune
    if prune is Prune.NEVER or (prune is Prune.STOP and guest.power is Power.STOPPED):
        return Steps(held=_orphaned())
    unread = ownership.unread_hold(draft.ownership, "no orphan is touched before they are known")
    if unread is not None:
        return Steps(held=unread)
    steps: list[Step] = []
    if guest.power is not Power.STOPPED:
        shutdown = ShutdownGuest(
            subject=name,
            vmid=guest.vmid,
            kind=guest.kind,
            node=guest.node,
            grace_s=ORPHAN_SHUTDOWN_GRACE_S,
            force_stop=False,
        )
        steps.append(
            Step(
                action=shutdown,
                reason="no manifest names it any more",
                impact=Impact.DOWNTIME,
                premise=premise_of(have, guest.power),
                takes=(f"node:{guest.node}",),
            )
        )
    if prune is Prune.DESTROY:
        destroy = DestroyGuest(subject=name, vmid=guest.vmid, kind=guest.kind, node=guest.node)
        steps.append(
            Step(
                action=destroy,
                reason="no manifest names it any more, and the policy is prune: destroy",
                impact=Impact.DATA_LOSS,
                premise=premise_of(have, Power.STOPPED),
                takes=(f"node:{guest.node}",),
            )
        )
    return Steps(steps=tuple(steps))


def _hold(draft: Draft, guest: ObservedGuest) -> Held | None:
    node = draft.source.observed.nodes.get(guest.node)
    if node is None or not node.online:
        return Held(
            reason=Hold.NODE_OFFLINE,
            message=f"no manifest names it any more, and its node {guest.node} is offline",
        )
    if guest.template:
        return Held(reason=Hold.IS_TEMPLATE, message="somebody made it a template")
    if guest.lock:
        return Held(
            reason=Hold.LOCKED,
            message=f"no manifest names it any more; it is locked ({guest.lock})",
        )
    task = draft.tasks.get(guest.vmid)
    if task is not None:
        return Held(
            reason=Hold.TASK_RUNNING,
            message=f"no manifest names it any more; {task.user} runs {task.verb} on it",
        )
    if power.is_ha_managed(guest):
        return Held(
            reason=Hold.HA_MANAGED,
            message="no manifest names it any more, and the HA manager owns it",
            remedy="take it out of HA",
        )
    if guest.power not in {Power.RUNNING, Power.STOPPED}:
        return Held(
            reason=Hold.POWER_UNKNOWN,
            message=f"no manifest names it any more; it is {guest.power.value}",
        )
    assert isinstance(guest.config, Known)
    if needs_seal(guest.config.value):
        return Held(
            reason=Hold.IDENTITY_MISMATCH,
            message="no manifest names it any more, and its identity was never sealed",
            remedy="destroy it by hand",
        )
    if guest.config.value.options.get("protection") == "1":
        return Held(
            reason=Hold.PROTECTED,
            message="no manifest names it any more, and its protection flag is set",
            remedy="clear the flag in PVE if it really is to go",
        )
    return None


def _orphaned() -> Held:
    return Held(
        reason=Hold.ORPHANED,
        message="no manifest names it any more; the policy keeps it",
        remedy="put its manifest back, destroy it by hand, or set policy.prune",
    )


def _name(draft: Draft, guest: ObservedGuest, service: ServiceName, index: int) -> GuestName:
    name = orphan_name(service, index)
    if name in draft.source.desired.guests or name in draft.verdicts:
        return GuestName(f"{name}@{guest.vmid}")
    return name
