"""A change goes through the guests of a service step by step, whoever forgets what."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.observed import ObservedGuest
from qlop.model.rollout import Update
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look, trio
from tests.planner.trio import desired, guest, observed, plan

DONE = "4"
CANARY = Update(canary=1, pause_after_canary=timedelta(hours=1), batch_size=2, max_unavailable=3)
ROLLOUT, STALLED = Hold.ROLLOUT, Hold.ROLLOUT_STALLED
CHANGE = ("configure", "reboot")


def answers(*args: object, **kwargs: object) -> list[look.Answer]:
    found = plan(*args, **kwargs)  # type: ignore[arg-type]  # those of plan
    return [look.answer(found, f"web-{n}") for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("guests", "sick", "expected"),
    [
        pytest.param(
            [guest(1), guest(2), guest(3)], {}, [CHANGE, ROLLOUT, ROLLOUT], id="first-one"
        ),
        pytest.param(
            [guest(1, DONE), guest(2), guest(3)], {}, [None, CHANGE, ROLLOUT], id="then-the-next"
        ),
        pytest.param(
            [guest(1, DONE), guest(2, DONE), guest(3)],
            {},
            [None, None, CHANGE],
            id="then-the-last",
        ),
        pytest.param(
            [guest(1, DONE, pending=("cores",)), guest(2), guest(3)],
            {},
            [("reboot",), ROLLOUT, ROLLOUT],
            id="written-is-not-done",
        ),
        pytest.param(
            [guest(1, DONE), guest(2), guest(3)],
            {"web1": Condition.UNHEALTHY},
            [None, ROLLOUT, ROLLOUT],
            id="unhealthy-is-not-done",
        ),
        pytest.param(
            [guest(1, DONE), guest(2), guest(3)],
            {"web1": Condition.UNKNOWN},
            [None, ROLLOUT, ROLLOUT],
            id="unknown-is-not-done",
        ),
        pytest.param(
            [replace(guest(1), lock="backup"), guest(2), guest(3)],
            {},
            [Hold.LOCKED, ROLLOUT, ROLLOUT],
            id="held-is-not-done",
        ),
        pytest.param(
            [guest(1, DONE, power=Power.STOPPED), guest(2), guest(3)],
            {},
            [("start",), ROLLOUT, ROLLOUT],
            id="stopped-is-not-done-and-may-start",
        ),
        pytest.param(
            [guest(1), guest(2), guest(3)],
            {"web3": Condition.UNHEALTHY},
            [("configure",), ROLLOUT, CHANGE],
            id="a-sick-one-need-not-wait",
        ),
        pytest.param(
            [guest(1), guest(2), guest(3)],
            {"web2": Condition.UNHEALTHY, "web3": Condition.UNHEALTHY},
            [("configure",), CHANGE, ROLLOUT],
            id="but-only-one-of-them",
        ),
    ],
)
def test_one_after_the_other(
    guests: list[ObservedGuest], sick: dict[str, Condition], expected: list[look.Answer]
) -> None:
    assert answers(desired(), observed(*guests, **sick)) == expected


def test_without_checks_who_runs_is_healthy() -> None:
    have = replace(observed(guest(1, DONE), guest(2), guest(3)), health={})

    assert answers(desired(checks=()), have) == [None, CHANGE, ROLLOUT]


def test_the_hold_says_who_is_waited_for_and_why() -> None:
    have = observed(guest(1, DONE), guest(2), guest(3), web1=Condition.UNHEALTHY)

    held = look.held(plan(desired(), have), "web-3")

    assert held.message == "its turn comes when web-1 is as wanted and healthy: it is unhealthy"
    assert "qlop explain web-1" in held.remedy


def test_what_nobody_notices_reaches_all_at_once() -> None:
    wants = [trio.want(n, options={"cores": "2", "onboot": "1"}) for n in (1, 2, 3)]
    have = observed(guest(1), guest(2), guest(3), web1=Condition.UNHEALTHY)

    assert answers(desired(*wants), have) == [("configure",)] * 3


def test_stopped_guests_are_changed_at_once_since_nobody_notices() -> None:
    wants = [trio.want(n, power=Power.STOPPED) for n in (1, 2, 3)]
    have = observed(*(trio.stopped(n) for n in (1, 2, 3)))

    assert answers(desired(*wants), have) == [("configure",)] * 3


def test_a_batch_goes_at_once_as_far_as_the_budget_lets_it() -> None:
    update = Update(batch_size=2, max_unavailable=2)

    found = answers(desired(update=update), observed(guest(1), guest(2), guest(3)))

    assert found == [CHANGE, CHANGE, ROLLOUT]


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        pytest.param(59, [None, ROLLOUT, ROLLOUT], id="pause"),
        pytest.param(60, [None, CHANGE, CHANGE], id="over"),
    ],
)
def test_after_the_canary_there_is_a_pause(minutes: int, expected: list[look.Answer]) -> None:
    journal = trio.ended(Verb.REBOOT)
    have = observed(guest(1, DONE), guest(2), guest(3))
    now = b.NOW + timedelta(minutes=minutes)

    assert answers(desired(update=CANARY), have, journal, now) == expected


def test_the_end_of_the_pause_is_not_slept_through() -> None:
    have = observed(guest(1, DONE), guest(2), guest(3))

    found = plan(desired(update=CANARY), have, trio.ended(Verb.REBOOT))

    assert found.reconsider_at == b.NOW + timedelta(hours=1)


def test_a_canary_that_was_as_wanted_already_needs_no_pause() -> None:
    have = observed(guest(1, DONE), guest(2), guest(3))
    older = trio.ended(Verb.REBOOT, fingerprint="another")

    assert answers(desired(update=CANARY), have, older) == [None, CHANGE, CHANGE]


@pytest.mark.parametrize(
    ("minutes", "hold"),
    [pytest.param(14, ROLLOUT, id="in-time"), pytest.param(15, STALLED, id="past-the-deadline")],
)
def test_a_step_that_does_not_get_on_stalls_the_rollout(minutes: int, hold: Hold) -> None:
    have = observed(guest(1, DONE), guest(2), guest(3), web1=Condition.UNHEALTHY)
    now = b.NOW + timedelta(minutes=minutes)

    assert answers(desired(), have, trio.ended(Verb.REBOOT), now) == [None, hold, hold]


def test_waiting_for_what_people_decide_is_no_stall() -> None:
    wants = [trio.want(n, consents=b.UNASKED) for n in (1, 2, 3)]
    have = observed(guest(1, DONE, pending=("cores",)), guest(2), guest(3))
    now = b.NOW + timedelta(days=3)

    found = answers(desired(*wants), have, trio.ended(Verb.CONFIGURE), now)

    assert found == [Hold.APPROVAL, ROLLOUT, ROLLOUT]


def test_a_missing_replica_is_made_whatever_the_rollout_waits_for() -> None:
    found = plan(desired(), observed(guest(1, DONE), guest(2), web1=Condition.UNHEALTHY))

    assert look.verbs(found, "web-3")[0] == "clone"
    assert look.answer(found, "web-2") is ROLLOUT
