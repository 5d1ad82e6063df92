"""The health of a guest is the worst of its checks."""

from datetime import UTC, datetime, timedelta

import pytest

from qlop.model.health import (
    AgentCheck,
    Check,
    CheckState,
    Condition,
    HttpCheck,
    RunningCheck,
    TcpCheck,
    check_text,
    health_of,
)

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def state(condition: Condition, minutes: int, message: str = "") -> CheckState:
    since = NOW + timedelta(minutes=minutes)
    return CheckState(check=f"c{minutes}", condition=condition, since=since, message=message)


GOOD, OLD_GOOD = state(Condition.HEALTHY, 5), state(Condition.HEALTHY, 1)
BAD, OLD_BAD = state(Condition.UNHEALTHY, 4, "500"), state(Condition.UNHEALTHY, 2, "gone")
UNKNOWN = state(Condition.UNKNOWN, 3, "not asked")


@pytest.mark.parametrize(
    ("checks", "condition", "minutes", "message"),
    [
        pytest.param((GOOD, OLD_GOOD), Condition.HEALTHY, 5, "", id="since-the-last-one-is"),
        pytest.param((GOOD, UNKNOWN), Condition.UNKNOWN, 3, "c3: not asked", id="unknown"),
        pytest.param(
            (GOOD, BAD, OLD_BAD, UNKNOWN),
            Condition.UNHEALTHY,
            2,
            "c4: 500; c2: gone",
            id="unhealthy-since-the-first-one-is",
        ),
    ],
)
def test_health(
    checks: tuple[CheckState, ...], condition: Condition, minutes: int, message: str
) -> None:
    found = health_of(checks)

    assert (found.condition, found.since, found.message, found.checks) == (
        condition,
        NOW + timedelta(minutes=minutes),
        message,
        checks,
    )


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (RunningCheck(), "running"),
        (AgentCheck(), "agent"),
        (TcpCheck(port=22), "tcp :22"),
        (HttpCheck(port=443, path="/up", scheme="https"), "https :443/up"),
    ],
)
def test_a_check_in_words(check: Check, text: str) -> None:
    assert check_text(check) == text
