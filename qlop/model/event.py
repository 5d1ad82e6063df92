"""Say that something happened that a person watching would want to see."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from qlop.model.ids import ActionId, CycleId


class EventKind(Enum):
    """What happened."""

    REVISION_LOADED = "revision-loaded"
    REVISION_REFUSED = "revision-refused"
    ACTION_STARTED = "action-started"
    ACTION_FINISHED = "action-finished"
    ACTION_FAILED = "action-failed"
    SUBJECT_HELD = "subject-held"
    SUBJECT_CONVERGED = "subject-converged"
    DRIFT_SEEN = "drift-seen"
    NODE_LOST = "node-lost"
    NODE_BACK = "node-back"
    STALLED = "stalled"
    RESUMED = "resumed"
    ORDER_GIVEN = "order-given"
    ORDER_ENDED = "order-ended"
    """By itself, taken back, or made use of."""
    GLASS_BROKEN = "glass-broken"
    """Somebody declared an emergency: nothing waits for windows, approvals or fuses."""
    APPROVAL_WANTED = "approval-wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One happening: ``subject`` is a guest, a node or ``cluster``."""

    at: datetime
    cycle: CycleId
    kind: EventKind
    subject: str
    message: str
    action: ActionId | None = None
