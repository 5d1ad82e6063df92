"""List tasks, and show how one stands and what it said."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from qlop.ports import Json
from qlop.sim import workers
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Task
from qlop.sim.wire import ApiError, Row, SimResponse, bad_parameters

_UPID = re.compile(
    r"UPID:([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):"
    r"([0-9A-Fa-f]{8}):([^:\s]+):([^:\s]*):([^:\s]+):"
)

_RECENT = 25
"""How many finished tasks of each node the cluster-wide list shows."""

_LOG_LINES = 50


def _task(call: Call) -> Task:
    upid = call.params["upid"]
    if _UPID.fullmatch(upid) is None:
        raise bad_parameters({"upid": "unable to parse worker upid"})
    task = _here(call, upid)
    if task is None:
        raise bad_parameters({"upid": "no such task"})
    return task


def _here(call: Call, upid: str) -> Task | None:
    """Return a task of the node that is asked: of another's it has no file."""
    task = call.world.tasks.get(upid)
    return task if task is not None and task.node == call.node else None


def _is_own(call: Call, task: Task) -> bool:
    """Return whether the caller began a task: a user began its tokens', not the reverse."""
    return call.who.full in {task.user, task.user.partition("!")[0]}


def _may_see(call: Call, task: Task) -> bool:
    return _is_own(call, task) or call.may(f"/nodes/{call.node}", "Sys.Audit")


def _demand_sight(call: Call, task: Task) -> None:
    if not _is_own(call, task):
        call.demand(f"/nodes/{call.node}", "Sys.Audit")


def _who(task: Task) -> Row:
    user, _, token = task.user.partition("!")
    return {"user": user, "tokenid": token} if token else {"user": user}


def index(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/tasks/{upid}``."""
    del call
    return [{"name": "log"}, {"name": "status"}]


def task_status(call: Call) -> Json:
    """Answer ``GET …/tasks/{upid}/status``."""
    task = _task(call)
    _demand_sight(call, task)
    row: Row = {
        "upid": task.upid,
        "node": task.node,
        "pid": task.pid,
        "pstart": task.pstart,
        "starttime": int(task.start_at),
        "type": task.type,
        "id": task.id,
        "status": "running" if task.end_at is None else "stopped",
        **_who(task),
    }
    if task.end_at is not None:
        row["exitstatus"] = task.exit
    return row


def log(call: Call) -> Json | SimResponse:
    """Answer ``GET …/tasks/{upid}/log``: 50 lines unless asked for more."""
    upid = call.params["upid"]
    if _UPID.fullmatch(upid) is None:
        raise bad_parameters({"upid": "unable to parse worker upid"})
    task = _here(call, upid)
    if task is None:
        if call.who.full not in {upid.split(":")[7], upid.split(":")[7].partition("!")[0]}:
            call.demand(f"/nodes/{call.node}", "Sys.Audit")
        call.extra["total"] = 1
        return [{"n": 1, "t": "unable to open file - No such file or directory"}]
    _demand_sight(call, task)
    if call.flag("download"):
        return _download(call, task)
    start, limit = call.number("start"), call.number("limit", _LOG_LINES)
    lines = task.log[start : start + limit] if limit else task.log[start:]
    call.extra["total"] = len(task.log)
    return [{"n": start + offset + 1, "t": line} for offset, line in enumerate(lines)]


def _download(call: Call, task: Task) -> SimResponse:
    if "start" in call.params or "limit" in call.params:
        raise ApiError("'download' cannot be used together with 'start' or 'limit' parameters")
    began = datetime.fromtimestamp(task.start_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return SimResponse(
        file=f"task-{task.node}-{task.type}-{began}.log",
        content="".join(f"{line}\n" for line in task.log).encode(),
    )


def stop(call: Call) -> Json:
    """Answer ``DELETE …/tasks/{upid}``."""
    task = _task(call)
    if not _is_own(call, task):
        call.demand(f"/nodes/{task.node}", "Sys.Modify")
    workers.kill(call.world, task, "received interrupt")
    return None


def _state(task: Task) -> str:
    if task.exit is None:
        return "unknown"
    if task.exit == "OK":
        return "ok"
    if task.exit.startswith("WARNINGS: "):
        return "warning"
    return "unknown" if task.exit == "unexpected status" else "error"


def node_list(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/tasks``: newest first, 50 unless asked for more."""
    source = call.text("source", "archive")
    tasks: Iterable[Task] = reversed(call.world.tasks.values())
    tasks = [task for task in tasks if task.node == call.node and _may_see(call, task)]
    active = [task for task in tasks if task.end_at is None]
    finished = [task for task in tasks if task.end_at is not None]
    chosen = {"active": active, "all": active + finished}.get(source, finished)
    chosen = [task for task in chosen if _matches(call, task)]
    start, limit = call.number("start"), call.number("limit", 50)
    call.extra["total"] = len(chosen)
    page = chosen[start : start + limit] if limit else chosen[start:]
    return [_list_row(task, with_pid=True) for task in page]


def _matches(call: Call, task: Task) -> bool:
    if (vmid := call.get("vmid")) is not None and task.id != vmid:
        return False
    if (user := call.get("userfilter")) and user not in task.user:
        return False
    if (kind := call.get("typefilter")) and not task.type.startswith(kind):
        return False
    if call.flag("errors") and _state(task) != "error":
        return False
    if (wanted := call.get("statusfilter")) and _state(task) not in split_list(wanted):
        return False
    if (since := call.get("since")) and task.start_at < int(since):
        return False
    until = call.get("until")
    return until is None or task.start_at <= int(until)


def _list_row(task: Task, *, with_pid: bool) -> Row:
    row: Row = {
        "upid": task.upid,
        "node": task.node,
        "starttime": int(task.start_at),
        "type": task.type,
        "id": task.id,
        **_who(task),
    }
    if with_pid:
        row["pid"] = task.pid
        row["pstart"] = task.pstart
    if task.end_at is not None:
        row["endtime"] = int(task.end_at)
        row["status"] = task.exit
    return row


def cluster_list(call: Call) -> Json:
    """Answer ``GET /cluster/tasks``: what runs, and each node's latest."""
    world = call.world
    count = dict.fromkeys(world.nodes, 0)
    rows: list[Row] = []
    sees_all = call.may("/", "Sys.Audit")
    for task in reversed(world.tasks.values()):
        # A token is nobody's name here, not even its own: `tasks` in PVE/API2/Cluster.pm.
        if not sees_all and task.user.partition("!")[0] != call.who.full:
            continue
        if task.end_at is not None:
            count[task.node] += 1
            if count[task.node] > _RECENT:
                continue
        row = _list_row(task, with_pid=False)
        if task.end_at is None:
            row["pid"] = task.pid
            row["pstart"] = task.pstart
        else:
            row["saved"] = "1"
        rows.append(row)
    return list[Json](rows)


HANDLERS: Handlers = {
    "GET /nodes/{node}/tasks": node_list,
    "GET /nodes/{node}/tasks/{upid}": index,
    "DELETE /nodes/{node}/tasks/{upid}": stop,
    "GET /nodes/{node}/tasks/{upid}/status": task_status,
    "GET /nodes/{node}/tasks/{upid}/log": log,
    "GET /cluster/tasks": cluster_list,
}
