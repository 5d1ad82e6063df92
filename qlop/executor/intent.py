"""Write down what is about to be done, with what is needed to recognize it afterwards.

After a crash the intent is all that is known of an action. It holds no parameters: some
of them are secrets.
"""

from collections.abc import Mapping
from datetime import datetime

from qlop.model.action import (
    Action,
    CloneGuest,
    CreateSnapshot,
    DeleteSnapshot,
    HandOverDisk,
    MigrateGuest,
    ResizeDisk,
    RollbackSnapshot,
    verb_of,
)
from qlop.model.history import EXPECTS_HEIR, EXPECTS_SLOT, EXPECTS_SNAPSHOT, Intended
from qlop.model.ids import CycleId, NodeName
from qlop.model.plan import PlannedAction
from qlop.render.action import action_text

EXPECTS_SIZE = "size-bytes"
"""A key of ``Intended.expects`` by which the arrival is recognized."""


def intended_for(
    planned: PlannedAction, *, cycle: CycleId, attempt: int, at: datetime
) -> Intended:
    """Return the record that is written before ``planned`` is sent."""
    action = planned.action
    return Intended(
        at=at,
        cycle=cycle,
        action=planned.id,
        attempt=attempt,
        verb=verb_of(action),
        subject=action.subject,
        service=planned.service,
        index=planned.index,
        vmid=action.vmid,
        kind=action.kind,
        node=action.node,
        target=_target(action),
        reason=planned.reason,
        summary=action_text(action),
        witness=planned.witness,
        source=action.source if isinstance(action, CloneGuest) else None,
        expects={**_arrival(action), **planned.expects},
        takes=planned.takes,
        impact=planned.impact,
        fingerprint=planned.fingerprint,
        part=planned.part,
        before=dict(planned.before),
    )


def _target(action: Action) -> NodeName:
    match action:
        case CloneGuest() | MigrateGuest():
            return action.target
        case _:
            return action.node


def _arrival(action: Action) -> Mapping[str, str]:
    match action:
        case ResizeDisk():
            return {EXPECTS_SLOT: action.slot, EXPECTS_SIZE: str(action.size_bytes)}
        case HandOverDisk():
            return {EXPECTS_SLOT: action.slot, EXPECTS_HEIR: str(action.heir)}
        case CreateSnapshot() | DeleteSnapshot() | RollbackSnapshot():
            return {EXPECTS_SNAPSHOT: action.snapshot}
        case _:
            return {}
