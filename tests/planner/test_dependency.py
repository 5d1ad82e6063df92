"""Services start after what they need, stop before it, and are changed when it is well."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.desired import Desired, DesiredGuest
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.history import Ending, Finished, JournalRecord
from qlop.model.ids import ActionId, ServiceName, VmId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.rollout import Update
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look, trio

DEPENDENCY = Hold.DEPENDENCY
RUNNING, STOPPED = Power.RUNNING, Power.STOPPED
START = ActionId("db/start/1")
DB, APP = ServiceName("db"), ServiceName("app")


def town(*, db: Power = RUNNING, app: Power = RUNNING, replicas: int = 1) -> Desired:
    """``app`` needs ``db``, which has checks."""
    many = replicas > 1
    wants: list[DesiredGuest] = [
        b.desired_guest("app", power=app, options={"cores": "4"}, consents=b.WILLING)
    ]
    wants += [
        b.desired_guest(
            "db",
            number,
            name=f"db-{number}" if many else "db",
            power=db,
            options={"cores": "4"},
            consents=b.WILLING,
        )
        for number in range(1, replicas + 1)
    ]
    found = b.desired(*wants, policy=trio.LOOSE)
    services = {
        APP: replace(found.services[APP], depends_on=frozenset([DB])),
        DB: replace(found.services[DB], checks=(trio.CHECK,), update=Update(batch_size=9)),
    }
    return replace(found, services=services)


def one(service: str, index: int, vmid: int, power: Power, cores: str = "4") -> ObservedGuest:
    config = b.config(b.mark(service, index, vmid), options={"cores": cores})
    return b.guest(vmid, power=power, config=config, name=service)


def app(power: Power = RUNNING, cores: str = "4") -> ObservedGuest:
    return one("app", 1, 10100, power, cores)


def db(power: Power = RUNNING, cores: str = "4", index: int = 1) -> ObservedGuest:
    return one("db", index, 10200 + index, power, cores)


def seen(*guests: ObservedGuest, **conditions: Condition) -> Observed:
    health = {VmId(10200 + n): trio.health(Condition.HEALTHY) for n in (1, 2, 3)}
    health |= {VmId(10200 + int(key[-1])): trio.health(one) for key, one in conditions.items()}
    return replace(b.observed(*guests), health=health)


def answers(want: Desired, have: Observed) -> tuple[look.Answer, ...]:
    plan = look.plan_of(want, have)
    return tuple(look.answer(plan, name) for name in sorted(want.guests))


@pytest.mark.parametrize(
    ("have", "expected"),
    [
        pytest.param(seen(app(STOPPED), db()), (("start",), None), id="starts-when-it-is-well"),
        pytest.param(
            seen(app(STOPPED), db(STOPPED)), (DEPENDENCY, ("start",)), id="waits-for-its-start"
        ),
        pytest.param(
            seen(app(STOPPED), db(), db1=Condition.UNHEALTHY),
            (DEPENDENCY, None),
            id="waits-for-its-health",
        ),
        pytest.param(
            seen(app(STOPPED), db(), db1=Condition.UNKNOWN),
            (DEPENDENCY, None),
            id="unknown-is-not-healthy",
        ),
        pytest.param(seen(app(), db(STOPPED)), (None, ("start",)), id="what-runs-is-left-alone"),
        pytest.param(
            seen(app(cores="2"), db(cores="2")),
            (DEPENDENCY, ("configure", "reboot")),
            id="a-change-waits-for-its-change",
        ),
        pytest.param(
            seen(app(cores="2"), db(), db1=Condition.UNHEALTHY),
            (DEPENDENCY, None),
            id="a-change-waits-for-its-health",
        ),
        pytest.param(
            seen(app(cores="2"), db()), (("configure", "reboot"), None), id="a-change-has-its-turn"
        ),
    ],
)
def test_what_needs_something_waits_for_it(
    have: Observed, expected: tuple[look.Answer, ...]
) -> None:
    assert answers(town(), have) == expected


def test_a_start_needs_no_more_than_its_budget_calls_available() -> None:
    have = seen(app(STOPPED), db(index=1), db(index=2), db(STOPPED, index=3))

    assert answers(town(replicas=3), have)[0] == ("start",)


def test_one_that_needs_what_is_kept_stopped_is_told_so() -> None:
    plan = look.plan_of(town(db=STOPPED), seen(app(STOPPED), db(STOPPED)))

    assert look.held(plan, "app").message == "it needs db, which its manifest keeps stopped"


@pytest.mark.parametrize(
    ("have", "expected"),
    [
        pytest.param(seen(app(), db()), (("shutdown",), DEPENDENCY), id="who-needs-it-first"),
        pytest.param(seen(app(STOPPED), db()), (None, ("shutdown",)), id="then-what-was-needed"),
    ],
)
def test_stops_go_the_other_way(have: Observed, expected: tuple[look.Answer, ...]) -> None:
    assert answers(town(db=STOPPED, app=STOPPED), have) == expected


def test_a_stop_does_not_wait_for_what_is_to_go_on_running() -> None:
    assert answers(town(db=STOPPED), seen(app(), db())) == (None, ("shutdown",))


def test_a_guest_is_made_and_its_start_alone_waits() -> None:
    plan = look.plan_of(town(), seen(db(STOPPED)))

    assert look.verbs(plan, "app")[0] == "clone"
    assert "start" not in look.verbs(plan, "app")
    assert look.held(plan, "app").reason is DEPENDENCY


def test_what_has_no_checks_is_needed_for_a_while_before_it_counts_as_up() -> None:
    found = town()
    unasked = replace(found.services[DB], checks=())
    wanted = replace(found, services={**found.services, DB: unasked})
    started: list[JournalRecord] = [
        b.intended(Verb.START, service="db", vmid=10201, action=START, at=b.NOW),
        Finished(at=b.NOW, action=START, attempt=1, ending=Ending.SUCCEEDED),
    ]

    plan = look.plan_of(wanted, b.observed(app(STOPPED), db()), started)

    assert look.held(plan, "app").message == (
        "it needs db, and db is not healthy: it was started at 08:00:00 UTC, has no checks, and"
        " is taken for ready at 08:01:00"
    )
    assert plan.reconsider_at == b.NOW + timedelta(seconds=60)
    ready = replace(unasked, update=Update(ready_after=timedelta(0)))
    at_once = replace(found, services={**found.services, DB: ready})
    plan = look.plan_of(at_once, b.observed(app(STOPPED), db()), started)
    assert "start" in look.verbs(plan, "app")
