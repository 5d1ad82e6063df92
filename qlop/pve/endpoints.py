"""Choose which endpoint to ask, and remember which did not answer.

A state machine without I/O: it is told how each exchange went and what time it is. An
endpoint that failed rests for a while, longer each time. When all of them have failed
repeatedly the circuit is open: nothing is tried until the first rest is over, and then by
one call alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

REST_FIRST_S = 1.0
"""pveproxy needs about a second to restart."""
REST_MAX_S = 30.0
"""A node that boots is not asked more often than this, and found again within it."""
FAILURES_OPEN = 3
"""So many failures in a row are no accident any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How an endpoint fares; ``rest_s`` is how long it will be left alone, 0 if it is not."""

    authority: str
    healthy: bool
    failures: int
    rest_s: float
    error: str
    """What was wrong the last time it failed, empty if it never did since it last answered."""


@dataclass(slots=True)
class _Endpoint:
    authority: str
    failures: int = 0
    rests_until: float = 0.0
    error: str = ""


class Endpoints:
    """The endpoints in the order of preference. Times are of one monotonic clock."""

    def __init__(self, authorities: Iterable[str]) -> None:
        """Know these endpoints, ``host:port`` each, the preferred one first."""
        self._all = [_Endpoint(authority) for authority in dict.fromkeys(authorities)]
        assert self._all, "settings ask for at least one endpoint"
        self._current = self._all[0]

    def candidates(self, now: float) -> tuple[str, ...]:
        """Return whom to ask, in this order; empty while the circuit is open.

        The one that answered last comes first, so that the reads of a cycle show one
        node's view. Those that rest come last, unless they have failed too often.
        """
        awake = [one for one in self._all if one.rests_until <= now]
        awake.sort(key=lambda one: (one.failures > 0, one is not self._current))
        resting = [
            one for one in self._all if one.rests_until > now and one.failures < FAILURES_OPEN
        ]
        resting.sort(key=lambda one: one.rests_until)
        return tuple(one.authority for one in (*awake, *resting))

    def claim(self, authority: str, now: float, patience_s: float) -> None:
        """Note that a call goes to ``authority``: if it is doubtful, no other need try."""
        endpoint = self._find(authority)
        if endpoint.failures >= FAILURES_OPEN:
            endpoint.rests_until = now + patience_s

    def answered(self, authority: str) -> bool:
        """Note an answer, whatever it says; return whether the circuit closes by it."""
        endpoint = self._find(authority)
        was_open = all(one.failures >= FAILURES_OPEN for one in self._all)
        endpoint.failures, endpoint.rests_until, endpoint.error = 0, 0.0, ""
        self._current = endpoint
        return was_open

    def failed(self, authority: str, error: str, now: float) -> bool:
        """Note that there was no answer; return whether the circuit opens by it."""
        endpoint = self._find(authority)
        was_open = all(one.failures >= FAILURES_OPEN for one in self._all)
        endpoint.failures += 1
        endpoint.error = error
        endpoint.rests_until = now + min(
            REST_MAX_S, REST_FIRST_S * 2 ** min(endpoint.failures - 1, 10)
        )
        return not was_open and all(one.failures >= FAILURES_OPEN for one in self._all)

    def reopens_in_s(self, now: float) -> float:
        """Return when, at the earliest, an open circuit lets a call through."""
        return max(0.0, min(one.rests_until for one in self._all) - now)

    def errors(self) -> str:
        """Return what is wrong with each endpoint that did not answer, for people."""
        return "; ".join(one.error for one in self._all if one.error)

    def health(self, now: float) -> tuple[EndpointHealth, ...]:
        """Return how each endpoint fares, in the order of preference."""
        return tuple(
            EndpointHealth(
                authority=one.authority,
                healthy=one.failures == 0,
                failures=one.failures,
                rest_s=max(0.0, one.rests_until - now),
                error=one.error,
            )
            for one in self._all
        )

    def _find(self, authority: str) -> _Endpoint:
        return next(one for one in self._all if one.authority == authority)
