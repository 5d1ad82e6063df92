"""Treat an action that ended after the observation began as one whose effect nobody has seen.

An observation takes a while, and its parts are asked for one after the other. An action
that ends meanwhile is in the history at once, but what was read may be from before its
end: to hold the one against the other would find drift, a strange identity or a start that
did not last where there is none. Until a look that began after the end, such an action
counts as in flight. One mutation, one journal entry, one look afterwards.
"""

from dataclasses import replace
from datetime import datetime

from qlop.model.history import LONGEST_LOOK, History


def as_seen(history: History, asked_at: datetime) -> History:
    """Return the history for an observation nothing of which was asked for before ``asked_at``.

    It is ``history`` itself if nothing ended since. Both instants are by the clock of
    whoever observed and acted. An end that is further off than any observation lasts was
    dated by a clock that has been set back since, and hides nothing.
    """
    late = {
        subject: ended
        for subject, ended in history.ended.items()
        if ended.ended_at is not None
        and asked_at < ended.ended_at <= asked_at + LONGEST_LOOK
        and subject not in history.inflight
    }
    if not late:
        return history
    return replace(history, inflight={**history.inflight, **late})
