"""Wait after failures: longer with each one in a row, and never by sleeping."""

from datetime import datetime

from qlop.model.history import Failure
from qlop.model.policy import Policy

MAX_DOUBLINGS = 16
"""Beyond this the maximum has long been reached; it keeps the arithmetic small."""


def retry_at(failure: Failure, policy: Policy) -> datetime:
    """Return the instant from which an action that failed may be tried again."""
    doublings = min(failure.count - 1, MAX_DOUBLINGS)
    wait = policy.backoff_first * float(2**doublings)
    return failure.at + min(wait, policy.backoff_max)
