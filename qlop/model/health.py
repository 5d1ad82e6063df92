"""Say how it is seen whether a guest does its work, and what was seen.

A guest that runs may still be of no use to anybody. What its manifest calls *checks* are
questions asked again and again; what they amount to is its *health*. What could not be
asked is unknown, and unknown is not unhealthy.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """What every check says. Not a type to be used: a list of fields.

    ``failures`` in a row make it fail, ``successes`` in a row make it pass again.
    During ``start_period`` after a start or change failures don't count.
    """

    interval: timedelta = timedelta(seconds=10)
    timeout: timedelta = timedelta(seconds=5)
    failures: int = 3
    successes: int = 1
    start_period: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCheck(_Check):
    """It runs, as the cluster's listing says: seen in every cycle, asked of nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCheck(_Check):
    """Its guest agent answers. Costs a call of PVE's API, three seconds if it is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck(_Check):
    """Something takes a connection on ``port``."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck(_Check):
    """A GET of ``path`` is answered with a status from ``lowest`` to ``highest``.

    Redirections are not followed: they are an answer. ``host`` is the name asked for, and
    that a certificate must be for; empty: the address. ``verify`` the certificate.
    """

    port: int
    path: str = "/"
    scheme: str = "http"
    lowest: int = 200
    highest: int = 399
    host: str = ""
    verify: bool = True


NetworkCheck = TcpCheck | HttpCheck
Check = RunningCheck | AgentCheck | TcpCheck | HttpCheck


def check_text(check: Check) -> str:
    """Return a check for people: ``http :8080/healthz``."""
    match check:
        case RunningCheck():
            return "running"
        case AgentCheck():
            return "agent"
        case TcpCheck(port=port):
            return f"tcp :{port}"
        case HttpCheck(port=port, path=path, scheme=scheme):
            return f"{scheme} :{port}{path}"
        case _ as never:
            assert_never(never)


class Reply(Enum):
    """What asking once came to."""

    GOOD = "good"
    WRONG = "wrong"
    """It answered, and not as it should."""
    SILENT = "silent"
    """It did not answer."""
    UNASKED = "unasked"
    """It could not be asked: nothing may be concluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One reply, and for people what was said."""

    reply: Reply
    text: str = ""


GOOD = Answer(reply=Reply.GOOD)


class Condition(Enum):
    """What the checks of a guest amount to."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    """Not asked yet, still starting, or it could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckState:
    """How one check stands, since when, and why it does not pass."""

    check: str
    condition: Condition
    since: datetime
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a guest is. ``since`` is when its ``condition`` began, ``message`` says why."""

    condition: Condition
    since: datetime
    message: str = ""
    checks: tuple[CheckState, ...] = ()


def health_of(checks: tuple[CheckState, ...]) -> Health:
    """Return what the checks of one guest, at least one, amount to: the worst of them."""
    for condition in (Condition.UNHEALTHY, Condition.UNKNOWN):
        found = [state for state in checks if state.condition is condition]
        if found:
            first = min(found, key=lambda state: state.since)
            text = "; ".join(f"{state.check}: {state.message}" for state in found)
            return Health(condition=condition, since=first.since, message=text, checks=checks)
    since = max(state.since for state in checks)
    return Health(condition=Condition.HEALTHY, since=since, checks=checks)
