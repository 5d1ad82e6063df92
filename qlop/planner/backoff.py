"""Wait after failures and futile repetitions, longer each time, and never by sleeping."""

from datetime import datetime, timedelta

from qlop.model.history import Failure, History, Repetition
from qlop.model.ids import ActionId
from qlop.model.policy import Policy
from qlop.model.verdict import Held, Hold
from qlop.planner import denied

MAX_DOUBLINGS = 16
"""Beyond this the maximum has long been reached; it keeps the arithmetic small."""

UNSENT_MAX = timedelta(minutes=1)
"""What could not even be sent is tried again at least so often: it goes on soon after
whatever kept it is over."""

FREE_REPEATS = 3
"""So often something may be undone before qlop begins to wait: people do things twice."""


def hold(
    action: ActionId, history: History, policy: Policy, caller: str = ""
) -> tuple[Held, datetime] | None:
    """Return why an action must wait and until when, None if nothing ever went wrong.

    ``caller`` is the user or token that asks PVE.
    """
    verb = action.split("/")[1]
    waits: list[tuple[datetime, str]] = []
    failure, unsent = history.failures.get(action), history.unsent.get(action)
    if failure is not None:
        at = failure.at + denied.PAUSE
        refused = denied.hold(verb, failure, caller, f"it is tried again at {_text(at)}")
        if refused is not None:
            return refused, at
        message = f"{verb} failed {_times(failure)}, last with: {failure.message}"
        waits.append((retry_at(failure, policy), message))
    if unsent is not None:
        message = f"{verb} could not be sent, {_times(unsent)}: {unsent.message}"
        waits.append((resend_at(unsent, policy), message))
    if waits:
        at, message = max(waits)
        return _held(message, f"it is tried again at {_text(at)}"), at
    repetition = history.repetitions.get(action)
    if repetition is None:
        return None
    at = repeat_at(repetition, policy)
    message = (
        f"{verb} succeeded {times_text(repetition.count)} and never lasted: something undoes it"
    )
    return _held(message, f"find out what; it is done again at {_text(at)}"), at


def _held(message: str, remedy: str) -> Held:
    return Held(reason=Hold.BACKOFF, message=message, remedy=remedy)


def _times(failure: Failure) -> str:
    return times_text(failure.count) + (" in a row" if failure.count > 1 else "")


def times_text(count: int) -> str:
    """Return how often, in words: once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def retry_at(failure: Failure, policy: Policy) -> datetime:
    """Return the instant from which an action that failed may be tried again."""
    return failure.at + _wait(failure.count, policy)


def resend_at(unsent: Failure, policy: Policy) -> datetime:
    """Return the instant from which an action that could not be sent may be tried again."""
    return unsent.at + min(_wait(unsent.count, policy), UNSENT_MAX)


def repeat_at(repetition: Repetition, policy: Policy) -> datetime:
    """Return the instant from which an action that did not last may be done again.

    A guest that switches itself off as soon as it runs, or an option that something keeps
    resetting, must not keep the cluster busy for ever.
    """
    if repetition.count < FREE_REPEATS:
        return repetition.at
    return repetition.at + _wait(repetition.count - FREE_REPEATS + 1, policy)


def _wait(count: int, policy: Policy) -> timedelta:
    doublings = min(count - 1, MAX_DOUBLINGS)
    return min(policy.backoff_first * float(2**doublings), policy.backoff_max)
