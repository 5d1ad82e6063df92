"""Tell whether a guest that should run does its work, as far as is known."""

from datetime import datetime

from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.health import Condition, RunningCheck
from qlop.planner.draft import Draft
from qlop.planner.step import place_of

Wellness = tuple[Condition, str]
"""How it is, and why if it is not healthy."""

HEALTHY: Wellness = (Condition.HEALTHY, "")


def wellness_of(draft: Draft, want: DesiredGuest) -> Wellness:
    """Return how a guest is. One whose service has no checks is healthy if it runs."""
    guest = draft.ownership.owned.get(place_of(want))
    if guest is None:
        return Condition.UNHEALTHY, "it does not exist"
    if guest.power is Power.UNKNOWN:
        return Condition.UNKNOWN, "whether it runs is not known"
    if guest.power is not Power.RUNNING:
        return Condition.UNHEALTHY, f"it is {guest.power.value}"
    if not draft.source.desired.services[want.service].checks:
        return HEALTHY
    health = draft.source.observed.health.get(guest.vmid)
    if health is None:
        return Condition.UNKNOWN, "nobody has asked it yet how it is"
    return health.condition, health.message


def readiness_of(draft: Draft, want: DesiredGuest) -> Wellness:
    """Return how a guest is for those who wait for it to be of use.

    Where nothing is asked of it nothing tells that it has come up: that is not known for so
    long after we started it as its service says (``readyAfter``).
    """
    found = wellness_of(draft, want)
    until = _ready_at(draft, want)
    if found[0] is not Condition.HEALTHY or until is None:
        return found
    draft.wake(until)
    started = draft.raised[want.name]
    return Condition.UNKNOWN, (
        f"it was started at {started:%H:%M:%S} UTC, has no checks, and is taken for ready at"
        f" {until:%H:%M:%S}"
    )


def _ready_at(draft: Draft, want: DesiredGuest) -> datetime | None:
    """Return when a guest without checks is taken for ready, None if it is."""
    service = draft.source.desired.services[want.service]
    started = draft.raised.get(want.name)
    if started is None or not all(isinstance(one, RunningCheck) for one in service.checks):
        return None
    until = started + service.update.ready_after
    return until if draft.source.now < until else None


def is_down(draft: Draft, want: DesiredGuest) -> bool:
    """Return whether a guest that should run is of no use, or soon may be.

    One that has an action in flight counts, whatever that is; one of which it is not known
    how it is does not, as long as it runs (see ``is_uncertain``).
    """
    guest = draft.ownership.owned.get(place_of(want))
    if guest is None or guest.power is not Power.RUNNING or place_of(want) in draft.flying:
        return True
    return wellness_of(draft, want)[0] is Condition.UNHEALTHY


def is_uncertain(draft: Draft, want: DesiredGuest) -> bool:
    """Return whether it runs and was asked, and how it is is not known."""
    guest = draft.ownership.owned.get(place_of(want))
    if guest is None or guest.vmid not in draft.source.observed.health:
        return False
    return wellness_of(draft, want)[0] is Condition.UNKNOWN


def is_coming_up(draft: Draft, want: DesiredGuest) -> bool:
    """Return whether it runs, nothing is asked of it, and we started it a short time ago."""
    guest = draft.ownership.owned.get(place_of(want))
    runs = guest is not None and guest.power is Power.RUNNING
    return runs and readiness_of(draft, want)[0] is not wellness_of(draft, want)[0]
