"""Start after what is needed, stop before it, and change nothing while it is not well."""

from collections.abc import Iterable, Mapping

from qlop.model.action import ResumeGuest, ShutdownGuest, StartGuest
from qlop.model.desired import DesiredGuest, DesiredService
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.ids import ServiceName
from qlop.model.plan import PlannedAction
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.rollout import is_visible, not_done
from qlop.planner.step import place_of
from qlop.planner.wellness import readiness_of


def keep_dependencies(draft: Draft) -> None:
    """Hold back starts, changes and stops whose turn has not come.

    A start waits until so many guests of each service needed are healthy that its own
    budget calls it available; a change until all of them are as wanted and healthy; a
    stop until nobody who needs the guest and is to be stopped runs any more.
    """
    desired = draft.source.desired
    if not any(service.depends_on for service in desired.services.values()):
        return
    needing = _needing(desired.services)
    for subject in sorted(draft.actions):
        want = desired.guests.get(subject)
        if want is None:
            continue
        for planned in draft.actions[subject]:
            held = _hold(draft, want, planned, needing)
            if held is not None:
                draft.withhold_from(subject, planned.id, held)
                break


def _needing(
    services: Mapping[ServiceName, DesiredService],
) -> Mapping[ServiceName, frozenset[ServiceName]]:
    """Return who needs each service directly."""
    found: dict[ServiceName, set[ServiceName]] = {}
    for service in services.values():
        for needed in service.depends_on:
            found.setdefault(needed, set()).add(service.name)
    return {name: frozenset(others) for name, others in found.items()}


def _hold(
    draft: Draft,
    want: DesiredGuest,
    planned: PlannedAction,
    needing: Mapping[ServiceName, frozenset[ServiceName]],
) -> Held | None:
    if isinstance(planned.action, ShutdownGuest):
        return _stop_hold(draft, needing.get(want.service, frozenset()))
    needed = draft.source.desired.services[want.service].depends_on
    if isinstance(planned.action, StartGuest | ResumeGuest):
        return _first(_start_hold(draft, name) for name in sorted(needed))
    if is_visible(planned):
        return _first(_change_hold(draft, name) for name in sorted(needed))
    return None


def _first(holds: Iterable[Held | None]) -> Held | None:
    return next((held for held in holds if held is not None), None)


def _start_hold(draft: Draft, needed: ServiceName) -> Held | None:
    service = draft.source.desired.services[needed]
    wants = [draft.source.desired.guests[name] for name in service.guests]
    running = [want for want in wants if want.power is Power.RUNNING]
    if not running:
        return Held(
            reason=Hold.DEPENDENCY,
            message=f"it needs {needed}, which its manifest keeps stopped",
            remedy=f"say power: running of {needed}, or take it out of dependsOn",
        )
    unwell = {
        want.name: message
        for want in running
        for condition, message in (readiness_of(draft, want),)
        if condition is not Condition.HEALTHY
    }
    if len(unwell) < len(running) and len(unwell) <= service.update.max_unavailable:
        return None
    name, why = next(iter(unwell.items()))
    return Held(
        reason=Hold.DEPENDENCY,
        message=f"it needs {needed}, and {name} is not healthy: {why}",
        remedy=f"it starts when {needed} is up; see `qlop explain {name}`",
    )


def _change_hold(draft: Draft, needed: ServiceName) -> Held | None:
    service = draft.source.desired.services[needed]
    for name in service.guests:
        why = not_done(draft, draft.source.desired.guests[name])
        if why:
            return Held(
                reason=Hold.DEPENDENCY,
                message=f"its change waits for {needed}, which it needs: {name}: {why}",
                remedy=f"it goes on when {needed} is as wanted and healthy; see"
                f" `qlop explain {name}`",
            )
    return None


def _stop_hold(draft: Draft, needing: frozenset[ServiceName]) -> Held | None:
    owned = draft.ownership.owned
    for service in sorted(needing):
        for name in draft.source.desired.services[service].guests:
            want = draft.source.desired.guests[name]
            guest = owned.get(place_of(want))
            runs = guest is not None and guest.power is not Power.STOPPED
            if want.power is Power.STOPPED and runs:
                return Held(
                    reason=Hold.DEPENDENCY,
                    message=f"{name}, which needs it, is to be stopped first",
                    remedy=f"it goes on when {name} is down",
                )
    return None
