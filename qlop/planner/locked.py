"""Say why a guest that PVE works on, or has locked, is left alone."""

from collections.abc import Mapping

from qlop.model.action import Verb
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.observed import ObservedGuest
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft

HIBERNATED = "suspended"
"""The lock of a VM whose memory is on disk: it is no task's, and taken away it loses that."""

_VERBS: Mapping[str, Verb] = {
    "migrate": Verb.MIGRATE,
    "rollback": Verb.ROLLBACK,
    "snapshot": Verb.SNAPSHOT,
    "snapshot-delete": Verb.DELETE_SNAPSHOT,
}
"""What PVE locks a guest with while it does these, and may leave if they break off."""


def hold(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> Held | None:
    """Return why a guest of ours is left alone, None if nothing works on it."""
    task = draft.tasks.get(guest.vmid)
    if guest.lock and guest.power is not Power.SUSPENDED:
        message = f"PVE holds it locked ({guest.lock})"
        if task is not None:
            message = f"{message}: {task.user} runs {task.verb} on it"
            return Held(reason=Hold.LOCKED, message=message, remedy="wait for the task")
        return Held(
            reason=Hold.LOCKED,
            message=f"{message}{_left_by(draft, want, guest.lock)}",
            remedy=_way_out(guest),
        )
    if task is None:
        return None
    return Held(
        reason=Hold.TASK_RUNNING,
        message=f"{task.user} runs {task.verb} on it since {task.started_at:%H:%M:%S} UTC",
    )


def _left_by(draft: Draft, want: DesiredGuest, lock: str) -> str:
    """Return for people who may have left a lock that no task is seen to hold."""
    if lock == HIBERNATED:
        return ": it is hibernated, and its node does not say whether it runs"
    verb = _VERBS.get(lock)
    for action, failure in sorted(draft.source.history.failures.items()):
        if verb is not None and action.startswith(f"{want.name}/{verb.value}/"):
            at = f"{failure.at:%Y-%m-%d %H:%M:%S} UTC"
            return f", left behind by qlop's own {verb.value} at {at}: {failure.message}"
    return ", and no task that works on it is to be seen"


def _way_out(guest: ObservedGuest) -> str:
    if guest.lock == HIBERNATED:
        return f"wait for {guest.node}"
    unlock = f"{'qm' if guest.kind is GuestKind.VM else 'pct'} unlock {guest.vmid}"
    return f"if nothing works on it any more: `{unlock}` on {guest.node}"
