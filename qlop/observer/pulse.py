"""Fold the replies to one check into what it amounts to. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from qlop.model.health import Answer, Check, CheckState, Condition, Reply, check_text

STARTING = "it has not answered since it was started or changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """One check of one guest: how it stands, and what counts towards a change of that.

    ``began_at`` is when the guest was started or changed, or first looked at; ``heard_at``
    when it last could be asked at all.
    """

    condition: Condition
    since: datetime
    message: str
    began_at: datetime
    heard_at: datetime
    good: int = 0
    bad: int = 0


def begin(now: datetime, before: Pulse | None = None, acted_at: datetime | None = None) -> Pulse:
    """Return the pulse of a check that nobody has asked yet, or not since a change.

    What was healthy before may be anything now; what was not is unhealthy until it shows
    that it is not. ``acted_at`` is when the action that ended now was begun: what failed
    only since then was down because of it, as in a reboot, and may take its time to start.
    """
    was_sick = before is not None and before.condition is Condition.UNHEALTHY
    if before is not None and was_sick and (acted_at is None or before.since < acted_at):
        return replace(before, began_at=now, heard_at=now, good=0, bad=0)
    return Pulse(
        condition=Condition.UNKNOWN,
        since=now,
        message=STARTING,
        began_at=now,
        heard_at=now,
    )


def fold(check: Check, pulse: Pulse, answer: Answer, now: datetime) -> Pulse:
    """Return the pulse after one more answer."""
    if answer.reply is Reply.UNASKED:
        # As long as it takes to fail, the last thing heard is believed.
        believed = check.failures * (check.interval + check.timeout)
        stale = now - pulse.heard_at > believed
        unheard = pulse.condition is Condition.UNKNOWN
        return _turned(pulse, Condition.UNKNOWN, answer.text, now) if stale or unheard else pulse
    if answer.reply is Reply.GOOD:
        heard = replace(pulse, heard_at=now, good=pulse.good + 1, bad=0)
        return (
            _turned(heard, Condition.HEALTHY, "", now) if heard.good >= check.successes else heard
        )
    heard = replace(pulse, heard_at=now, good=0, bad=pulse.bad + 1)
    if _is_starting(check, pulse, now):
        return _turned(heard, Condition.UNKNOWN, f"starting: {answer.text}", now)
    if heard.bad < check.failures:
        return heard
    return _turned(heard, Condition.UNHEALTHY, answer.text, now)


def state_of(check: Check, pulse: Pulse) -> CheckState:
    """Return how a check stands, for whoever looks at it."""
    return CheckState(
        check=check_text(check),
        condition=pulse.condition,
        since=pulse.since,
        message=pulse.message,
    )


def _is_starting(check: Check, pulse: Pulse, now: datetime) -> bool:
    """Return whether a failure may still be that of a guest that is coming up."""
    unheard = pulse.condition is Condition.UNKNOWN
    return unheard and now - pulse.began_at < check.start_period


def _turned(pulse: Pulse, condition: Condition, message: str, now: datetime) -> Pulse:
    """Return the pulse with another condition; of the same one the beginning stands."""
    if pulse.condition is condition:
        # The first reason stays, so that what is shown does not flicker.
        first = message if pulse.message == STARTING else pulse.message
        return replace(pulse, message=first)
    return replace(pulse, condition=condition, message=message, since=now)
