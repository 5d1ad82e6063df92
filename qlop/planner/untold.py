"""Make no guest while a task of ours may be making it already, of which the journal is silent.

While PVE clones a VM, the new one shows its lock and nothing else: no name, no notes, no
mark. A VM that is created has its mark when all of its disks are there. Meanwhile only the
task ties it to us, and the journal that wrote the task down. If the journal is lost, what is
left is that the task runs under our own token: until it ends and the mark shows, whatever it
may be making is not made a second time.
"""

from collections import Counter
from collections.abc import Mapping

from qlop.model.action import Verb
from qlop.model.desired import CloneSource, DesiredGuest
from qlop.model.guest import GuestKind
from qlop.model.observed import ObservedTask
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft

_MAKERS: Mapping[str, tuple[GuestKind, Verb]] = {
    "qmclone": (GuestKind.VM, Verb.CLONE),
    "qmcreate": (GuestKind.VM, Verb.CREATE),
    "vzclone": (GuestKind.CONTAINER, Verb.CLONE),
    "vzcreate": (GuestKind.CONTAINER, Verb.CREATE),
}
"""What PVE calls the tasks that make guests: a clone's names its template, a creation's the
guest (``PVE/API2/Qemu.pm``, ``PVE/API2/LXC.pm``)."""


def hold(draft: Draft, want: DesiredGuest) -> Held | None:
    """Return why a guest may be under way already, None if nothing says so."""
    for task in _untold(draft):
        if _may_make(draft, task, want):
            of = f" of template {task.vmid}" if "clone" in task.verb else f" of {task.vmid}"
            return Held(
                reason=Hold.TASK_RUNNING,
                message=f"{task.user} runs {task.verb}{of} since {task.started_at:%H:%M:%S} UTC,"
                f" and the journal does not know of it: {want.name} may be what it makes",
                remedy="wait for the task: what it made has its mark then",
            )
    return None


def _untold(draft: Draft) -> list[ObservedTask]:
    """Return the tasks of ours that make guests and that no action in flight explains.

    Of an action whose answer is still on its way, or got lost, the task is not known yet.
    """
    source = draft.source
    making = [
        (task, task.vmid)
        for task in source.observed.tasks
        if not task.exit_status and task.user == source.caller and task.verb in _MAKERS
    ]
    if not making:
        return []
    flying = source.history.inflight.values()
    told = {one.upid for one in flying if one.upid is not None}
    unanswered = Counter(
        (one.intended.kind, one.intended.verb, one.intended.source or one.intended.vmid)
        for one in flying
        if one.upid is None
    )
    found: list[ObservedTask] = []
    for task, vmid in making:
        if task.upid in told or vmid is None:
            continue
        which = (*_MAKERS[task.verb], vmid)
        if unanswered[which]:
            unanswered[which] -= 1
        else:
            found.append(task)
    return found


def _may_make(draft: Draft, task: ObservedTask, want: DesiredGuest) -> bool:
    kind, verb = _MAKERS[task.verb]
    if kind is not want.kind or task.vmid is None:
        return False
    low, high = want.vmid_range
    if verb is Verb.CREATE:
        return not isinstance(want.source, CloneSource) and (
            task.vmid == want.vmid if want.vmid is not None else low <= task.vmid <= high
        )
    if not isinstance(want.source, CloneSource):
        return False
    name = next((one.name for one in draft.templates if one.vmid == task.vmid), None)
    return want.source.template in {task.vmid, name}
