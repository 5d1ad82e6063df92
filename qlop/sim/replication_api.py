"""Configure replication jobs, and tell how they fare.

After ``PVE/API2/ReplicationConfig.pm`` and ``PVE/API2/Replication.pm``.
"""

import hashlib

from qlop.ports import Json
from qlop.sim import calendar_event, replication, replication_run
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Replication
from qlop.sim.wire import ApiError, Row, bad_parameters

_OPTIONAL = {"disable", "comment", "rate", "schedule", "remove_job", "source"}


def _row(job: Replication) -> Row:
    guest, _, number = job.id.partition("-")
    row: Row = {"id": job.id, "type": "local", "guest": int(guest), "jobnum": int(number)}
    for name, value in job.options.items():
        row[name] = int(value) if name == "disable" else value
    return row


def _digest(call: Call) -> str:
    jobs = sorted(call.world.replications.items())
    text = "".join(f"{name} {sorted(job.options.items())}\n" for name, job in jobs)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _job(call: Call, missing: str) -> Replication:
    found = call.world.replications.get(call.params["id"])
    if found is None:
        raise ApiError(f"{missing} '{call.params['id']}'")
    return found


def listing(call: Call) -> Json:
    """Answer ``GET /cluster/replication``."""
    return [
        _row(job)
        for _, job in sorted(call.world.replications.items())
        if call.may(f"/vms/{job.vmid}", "VM.Audit")
    ]


def read(call: Call) -> Json:
    """Answer ``GET /cluster/replication/{id}``."""
    job = _job(call, "no such replication job")
    call.demand(f"/vms/{job.vmid}", "VM.Audit")
    return {**_row(job), "digest": _digest(call)}


def create(call: Call) -> Json:
    """Answer ``POST /cluster/replication``."""
    world, target = call.world, call.params["target"]
    name = call.params["id"]
    vmid = int(name.partition("-")[0])
    calendar_event.check(call.get("schedule"))
    call.demand(f"/vms/{vmid}", "VM.Replicate")
    guest = world.guests.get(vmid)
    if guest is None:
        raise ApiError(f"Guest '{vmid}' does not exist.")
    if target not in world.nodes:
        raise ApiError(f"Target '{target}' does not exist.")
    if call.text("source", guest.node) != guest.node:
        raise ApiError(
            f"Source '{call.text('source')}' does not match current node of guest '{vmid}' "
            f"({guest.node})"
        )
    if target == guest.node:
        raise ApiError("Source and target must not be identical")
    if not replication.replicatable(world, guest):
        raise ApiError("No replicatable volumes found")
    world.need_quorum("file-replication_cfg")
    if name in world.replications:
        raise ApiError(f"replication job '{name}' already exists")
    if any(job.target == target for job in replication.of_guest(world, vmid)):
        raise ApiError(
            f"replication job for guest '{vmid}' to target 'local/{target}' already exists"
        )
    given = {key: value for key, value in call.params.items() if key not in {"id", "type"}}
    job = Replication(id=name, options={**given, "source": guest.node})
    replication_run.begin(world, job)
    world.wrote_file("replication.cfg")
    return None


def update(call: Call) -> Json:
    """Answer ``PUT /cluster/replication/{id}``."""
    calendar_event.check(call.get("schedule"))
    call.demand(f"/vms/{call.params['id'].partition('-')[0]}", "VM.Replicate")
    call.world.need_quorum("file-replication_cfg")
    if (digest := call.get("digest")) and digest != _digest(call):
        raise ApiError("detected modified configuration - file changed by other user? Try again.")
    job = _job(call, "no such job")
    unset = split_list(call.text("delete"))
    for name in unset:
        if name == "target":
            raise ApiError(f"unable to delete required option '{name}'")
        if name not in _OPTIONAL:
            raise ApiError(f"no such option '{name}'")
    job.options |= {
        name: value
        for name, value in call.params.items()
        if name not in {"id", "digest", "delete"}
    }
    for name in unset:
        job.options.pop(name, None)
    call.world.wrote_file("replication.cfg")
    return None


def delete(call: Call) -> Json:
    """Answer ``DELETE /cluster/replication/{id}``: the job removes itself at its next run."""
    call.demand(f"/vms/{call.params['id'].partition('-')[0]}", "VM.Replicate")
    call.world.need_quorum("file-replication_cfg")
    if call.flag("force"):
        if call.flag("keep"):
            raise bad_parameters({"keep": "conflicts with parameter 'force'"})
        call.world.replications.pop(call.params["id"], None)
    else:
        job = _job(call, "no such job")
        job.options["remove_job"] = "local" if call.flag("keep") else "full"
    call.world.wrote_file("replication.cfg")
    return None


def _status(call: Call, job: Replication) -> Row:
    row = _row(job)
    guest = call.world.guests[job.vmid]
    row |= {
        "vmtype": guest.kind.value,
        "next_sync": replication.next_sync(call.world, job),
        "last_sync": job.last_sync,
        "last_try": job.last_try,
        "fail_count": job.fail_count,
    }
    if job.pid:
        row["pid"] = job.pid
    if job.error:
        row["error"] = job.error
    if job.duration:
        row["duration"] = job.duration
    return row


def _here(call: Call, *, disabled: bool) -> list[Replication]:
    return [
        job
        for _, job in sorted(call.world.replications.items())
        if job.vmid in call.world.guests
        and call.world.guests[job.vmid].node == call.node
        and (disabled or job.options.get("disable") != "1")
        and (job.target != call.node or job.removal)
    ]


def node_listing(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/replication``."""
    return [
        _status(call, job)
        for job in _here(call, disabled=True)
        if call.number("guest", job.vmid) == job.vmid and call.may(f"/vms/{job.vmid}", "VM.Audit")
    ]


def node_index(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/replication/{id}``."""
    del call
    return [{"name": name} for name in ("schedule_now", "log", "status")]


def job_status(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/replication/{id}/status``."""
    for job in _here(call, disabled=False):
        if job.id == call.params["id"]:
            call.demand(f"/vms/{job.vmid}", "VM.Audit")
            return _status(call, job)
    raise ApiError(f"no such replication job '{call.params['id']}'")


def log(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/replication/{id}/log``: 50 lines unless asked for more."""
    job = _job(call, "no such replication job")
    if not call.may(f"/vms/{job.vmid}", "VM.Audit"):
        call.demand(f"/nodes/{call.node}", "Sys.Audit")
    start, limit = call.number("start"), call.number("limit", 50)
    lines = job.log[start : start + limit] if limit else job.log[start:]
    call.extra["total"] = len(job.log)
    return [{"n": start + number + 1, "t": text} for number, text in enumerate(lines)]


def schedule_now(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/replication/{id}/schedule_now``."""
    job = _job(call, "no such replication job")
    call.demand(f"/vms/{job.vmid}", "VM.Replicate")
    if job.last_try:  # Without a state there is nothing to change.
        job.last_try = 0
    return None


HANDLERS: Handlers = {
    "GET /cluster/replication": listing,
    "POST /cluster/replication": create,
    "GET /cluster/replication/{id}": read,
    "PUT /cluster/replication/{id}": update,
    "DELETE /cluster/replication/{id}": delete,
    "GET /nodes/{node}/replication": node_listing,
    "GET /nodes/{node}/replication/{id}": node_index,
    "GET /nodes/{node}/replication/{id}/status": job_status,
    "GET /nodes/{node}/replication/{id}/log": log,
    "POST /nodes/{node}/replication/{id}/schedule_now": schedule_now,
}
