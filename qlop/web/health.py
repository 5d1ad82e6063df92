"""Decide whether the daemon is alive and whether it does its work."""

from datetime import datetime, timedelta

from qlop.model.units import format_span
from qlop.web.view import View

PATIENCE = 3
"""Intervals without a (successful) cycle before the daemon is not alive (not ready)."""
PATIENCE_MIN = timedelta(seconds=45)
"""However short the interval: one observation may take its deadlines."""


def stale_after(view: View) -> timedelta:
    """Return how old a cycle may be before it says nothing any more."""
    return max(PATIENCE * view.interval(), PATIENCE_MIN)


def why_dead(view: View) -> str:
    """Return why the daemon should be restarted; empty if it goes round.

    It goes round as long as cycles end, whatever they find: a cluster that can't be
    reached is no reason for a restart. Nor is a lease that another one holds.
    """
    status = view.status()
    last = status.at if status is not None else view.started_at()
    age = view.now() - last
    if age > stale_after(view):
        return f"no cycle ended for {_age(age)}"
    return ""


def why_not_ready(view: View) -> str:
    """Return why the daemon does not do its work; empty if it does."""
    dead = why_dead(view)
    if dead:
        return dead
    status = view.status()
    if status is None:
        waiting = view.waits_for()
        return f"standing by: waits for {waiting}" if waiting else "starting: no cycle ended yet"
    error = view.journal_error()
    if error:
        return f"the journal can't be written: {error}"
    if status.revision is None:
        return status.stalled or "no good manifests were ever read"
    return _why_old("observed the cluster", status.observed_at, view) or _why_old(
        "reconciled", status.reconciled_at, view
    )


def _why_old(what: str, at: datetime | None, view: View) -> str:
    status = view.status()
    reason = f": {status.stalled}" if status is not None and status.stalled else ""
    if at is None:
        return f"never {what}{reason}"
    age = view.now() - at
    return f"last {what} {_age(age)} ago{reason}" if age > stale_after(view) else ""


def _age(age: timedelta) -> str:
    return format_span(timedelta(seconds=int(age.total_seconds())))
