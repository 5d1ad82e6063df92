"""Show an event: when, about whom, what."""

from collections.abc import Mapping

from qlop.model.event import Event, EventKind
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plain_value import Document, plain_value
from qlop.render.plan import short

_TONES: Mapping[EventKind, Tone] = {
    EventKind.REVISION_LOADED: Tone.GOOD,
    EventKind.REVISION_REFUSED: Tone.BAD,
    EventKind.ACTION_STARTED: Tone.CHANGE,
    EventKind.ACTION_FINISHED: Tone.GOOD,
    EventKind.ACTION_FAILED: Tone.BAD,
    EventKind.SUBJECT_HELD: Tone.WARN,
    EventKind.SUBJECT_CONVERGED: Tone.GOOD,
    EventKind.DRIFT_SEEN: Tone.WARN,
    EventKind.NODE_LOST: Tone.BAD,
    EventKind.NODE_BACK: Tone.GOOD,
    EventKind.STALLED: Tone.BAD,
    EventKind.RESUMED: Tone.GOOD,
    EventKind.ORDER_GIVEN: Tone.STRONG,
    EventKind.ORDER_ENDED: Tone.STRONG,
    EventKind.GLASS_BROKEN: Tone.BAD,
    EventKind.APPROVAL_WANTED: Tone.WARN,
}


MESSAGE_LENGTH_MAX = 90
"""What is done is shown by its two ends if it is longer; what went wrong is shown whole."""
_DOINGS = frozenset({EventKind.ACTION_STARTED, EventKind.ACTION_FINISHED})


def event_line(event: Event) -> Line:
    """Return ``08:00:00 action-started  web-1  clone …``."""
    is_doing = event.kind in _DOINGS
    message = short(event.message, MESSAGE_LENGTH_MAX) if is_doing else event.message
    return line(
        Span(f"{event.at:%H:%M:%S}  ", Tone.DIM),
        Span(f"{event.kind.value:<17}  ", _TONES[event.kind]),
        Span(f"{event.subject}  ", Tone.STRONG),
        message,
    )


def event_document(event: Event) -> Document:
    """Return the event for JSON."""
    return {
        "at": plain_value(event.at),
        "cycle": event.cycle,
        "kind": event.kind.value,
        "subject": event.subject,
        "message": event.message,
        "action": event.action,
    }
