"""Leave the guests of a node to PVE while a task of PVE's is at work on all of them.

A node that boots starts its guests with one task (``startall``), in their order; one that
is shut down stops them with another (``stopall``); people run both, and ``migrateall``, by
hand (``PVE/API2/Nodes.pm``). None of them names its guests. What qlop did beside them
would undo their work, or overtake their order.
"""

from datetime import datetime, timedelta

from qlop.model.guest import Power
from qlop.model.ids import NodeName
from qlop.model.observed import Observed, ObservedGuest, ObservedTask
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft

STARTALL = "startall"
LEAVING = frozenset({"stopall", "suspendall", "migrateall"})
"""Tasks that take the guests of their node away."""
EVERYWHERE = frozenset({"bulk-start", "bulk-shutdown", "bulk-suspend", "bulk-migrate"})
"""Tasks on guests of any node (``PVE/API2/Cluster/BulkAction/Guest.pm``)."""

BOOTING = timedelta(minutes=6)
"""So long after a node's boot its ``startall`` is waited for: it can be set to begin up to
300 s late (``startall-onboot-delay``, ``PVE/NodeConfig.pm``)."""

STARTALL_MAX = timedelta(minutes=30)
"""A ``startall`` that takes longer hangs, and what it was to start is started beside it."""

AFTERMATH = timedelta(minutes=2)
"""So long after a ``stopall`` its node may be about to go down: a guest started there in
that time would be killed with it."""


REPORT_AGE_MAX = timedelta(seconds=30)
"""A node's uptime is that of its last report, so that its boot seems later than it was."""


def hold(draft: Draft, guest: ObservedGuest) -> Held | None:
    """Return why a guest is left to a task at work on its whole node, None if there is none."""
    for task in draft.node_tasks:
        if task.exit_status:
            continue
        here = task.verb in LEAVING and task.node == guest.node
        if here or task.verb in EVERYWHERE:
            return _left_to(task, guest.node if here else None)
    if guest.power is not Power.STOPPED:
        return None
    return _after_stopall(draft, guest.node) or _until_started(draft, guest)


def leaving(observed: Observed, now: datetime) -> frozenset[NodeName]:
    """Return the nodes that their guests are being taken from: nothing is brought there."""
    return frozenset(
        task.node
        for task in observed.tasks
        if task.verb in LEAVING and (not task.exit_status or _is_fresh(task, now))
    )


def _left_to(task: ObservedTask, node: NodeName | None) -> Held:
    where, whose = (f" on {node}", "its guests") if node else ("", "guests")
    return Held(
        reason=Hold.TASK_RUNNING,
        message=f"{_said(task)}{where}: {whose} are left to that until it has ended",
        remedy="wait for the task"
        + (f"; to keep them as it leaves them: `qlop suspend --node {node}`" if node else ""),
    )


def _is_fresh(task: ObservedTask, now: datetime) -> bool:
    is_over = task.verb == "stopall" and task.ended_at is not None
    return is_over and task.ended_at is not None and now < task.ended_at + AFTERMATH


def _after_stopall(draft: Draft, node: NodeName) -> Held | None:
    now = draft.source.now
    for task in draft.node_tasks:
        if task.node != node or task.ended_at is None or not _is_fresh(task, now):
            continue
        until = task.ended_at + AFTERMATH
        draft.wake(until)
        return Held(
            reason=Hold.TASK_RUNNING,
            message=f"{task.user} ran {task.verb} on {node} until {task.ended_at:%H:%M:%S} UTC:"
            " the node may be about to go down",
            remedy="it is started after two minutes, if the node stays up; to keep its guests"
            f" down: `qlop suspend --node {node}`",
            until=until,
        )
    return None


def _until_started(draft: Draft, guest: ObservedGuest) -> Held | None:
    """Return the hold of a guest that the boot of its node is to start, or is starting."""
    config = guest.config
    if not isinstance(config, Known) or config.value.options.get("onboot") != "1":
        return None
    now, observed = draft.source.now, draft.source.observed
    startalls = [
        task for task in draft.node_tasks if task.verb == STARTALL and task.node == guest.node
    ]
    for task in startalls:
        if not task.exit_status and now < task.started_at + STARTALL_MAX:
            draft.wake(task.started_at + STARTALL_MAX)
            return Held(
                reason=Hold.TASK_RUNNING,
                message=f"{_said(task)} on {guest.node}, which starts it when it is its turn",
                remedy="wait for the task; after half an hour it is started beside it",
            )
    node = observed.nodes.get(guest.node)
    if node is None or node.uptime_s <= 0:
        return None
    up = timedelta(seconds=node.uptime_s)
    booted = observed.taken_at - up - REPORT_AGE_MAX
    if up >= BOOTING or any(task.started_at >= booted for task in startalls):
        return None
    draft.wake(now + BOOTING - up)
    return Held(
        reason=Hold.TASK_RUNNING,
        message=f"{guest.node} has just booted, and PVE is to start its guests in their order"
        " (startall) and has not begun yet",
        remedy="wait: six minutes after the boot it is started all the same",
    )


def _said(task: ObservedTask) -> str:
    return f"{task.user} runs {task.verb} since {task.started_at:%H:%M:%S} UTC"
