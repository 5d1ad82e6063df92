"""Replies to one check are folded into what it amounts to."""

from datetime import UTC, datetime, timedelta

import pytest

from qlop.model.health import GOOD, Answer, Condition, Reply, TcpCheck
from qlop.observer import pulse

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CHECK = TcpCheck(
    port=80,
    interval=timedelta(seconds=10),
    timeout=timedelta(seconds=5),
    failures=3,
    successes=2,
    start_period=timedelta(seconds=60),
)
WRONG = Answer(reply=Reply.WRONG, text="500")
SILENT = Answer(reply=Reply.SILENT, text="refused")
UNASKED = Answer(reply=Reply.UNASKED, text="PVE does not answer")


def after(*said: tuple[float, Answer]) -> pulse.Pulse:
    beat = pulse.begin(NOW)
    for second, answer in said:
        beat = pulse.fold(CHECK, beat, answer, NOW + timedelta(seconds=second))
    return beat


@pytest.mark.parametrize(
    ("said", "condition", "message"),
    [
        pytest.param([], Condition.UNKNOWN, pulse.STARTING, id="nobody-asked"),
        pytest.param([(0, GOOD)], Condition.UNKNOWN, pulse.STARTING, id="one-success-of-two"),
        pytest.param([(0, GOOD), (10, GOOD)], Condition.HEALTHY, "", id="two-successes"),
        pytest.param(
            [(0, GOOD), (10, WRONG), (20, GOOD)],
            Condition.UNKNOWN,
            "starting: 500",
            id="not-in-a-row",
        ),
        pytest.param(
            [(n * 10, SILENT) for n in range(6)],
            Condition.UNKNOWN,
            "starting: refused",
            id="failures-while-it-starts-don't-count",
        ),
        pytest.param(
            [(n * 10, SILENT) for n in range(7)],
            Condition.UNHEALTHY,
            "refused",
            id="after-the-start-period-they-do",
        ),
        pytest.param(
            [(0, GOOD), (10, GOOD), (20, WRONG), (30, WRONG)],
            Condition.HEALTHY,
            "",
            id="two-failures-of-three",
        ),
        pytest.param(
            [(0, GOOD), (10, GOOD), (20, WRONG), (30, WRONG), (40, SILENT)],
            Condition.UNHEALTHY,
            "refused",
            id="three-failures-although-it-started-lately",
        ),
        pytest.param(
            [(0, GOOD), (10, GOOD), (20, UNASKED), (50, UNASKED)],
            Condition.HEALTHY,
            "",
            id="what-was-heard-last-is-believed-for-a-while",
        ),
        pytest.param(
            [(0, GOOD), (10, GOOD), (20, UNASKED), (60, UNASKED)],
            Condition.UNKNOWN,
            "PVE does not answer",
            id="and-then-no-longer",
        ),
        pytest.param(
            [(n * 10, UNASKED) for n in range(20)],
            Condition.UNKNOWN,
            "PVE does not answer",
            id="unknown-is-never-unhealthy",
        ),
    ],
)
def test_a_check_amounts_to(
    said: list[tuple[float, Answer]], condition: Condition, message: str
) -> None:
    beat = after(*said)

    assert (beat.condition, beat.message) == (condition, message)


def test_since_is_when_the_condition_began_not_when_it_was_last_seen() -> None:
    beat = after((0, GOOD), (10, GOOD), (20, GOOD), (30, GOOD))

    assert pulse.state_of(CHECK, beat).since == NOW + timedelta(seconds=10)


@pytest.mark.parametrize(
    ("acted_at_s", "condition"),
    [
        pytest.param(None, Condition.UNHEALTHY, id="nobody-did-anything"),
        pytest.param(25, Condition.UNHEALTHY, id="sick-before-that"),
        pytest.param(15, Condition.UNKNOWN, id="only-down-because-of-it"),
    ],
)
def test_what_an_action_took_down_may_take_its_time_to_start(
    acted_at_s: float | None, condition: Condition
) -> None:
    gone = after((0, GOOD), (1, GOOD), (3, SILENT), (12, SILENT), (22, SILENT))
    acted_at = None if acted_at_s is None else NOW + timedelta(seconds=acted_at_s)

    again = pulse.begin(NOW + timedelta(seconds=40), gone, acted_at)

    assert gone.condition is Condition.UNHEALTHY
    assert pulse.fold(CHECK, again, SILENT, NOW + timedelta(seconds=50)).condition is condition
