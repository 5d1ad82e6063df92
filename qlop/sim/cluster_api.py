"""Answer for the cluster as a whole: version, membership, log, backup jobs."""

from qlop.ports import Json
from qlop.sim import calendar_event, qemu_options
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.wire import ApiError, Row

RELEASE = "9.1"
_REPOID = "80cf92a64bef6889"


def version(call: Call) -> Json:
    """Answer ``GET /version`` and ``GET /nodes/{node}/version``."""
    number = call.world.nodes[call.node].version
    return {"version": number, "release": number.rpartition(".")[0], "repoid": _REPOID}


def cluster_status(call: Call) -> Json:
    """Answer ``GET /cluster/status``; a node without a cluster has no cluster entry."""
    world = call.world
    rows: list[Json] = []
    if len(world.nodes) > 1:
        rows.append(
            {
                "type": "cluster",
                "id": "cluster",
                "name": world.spec.name,
                "version": len(world.nodes),
                "nodes": len(world.nodes),
                "quorate": 1 if world.is_quorate() else 0,
            }
        )
    rows += [
        {
            "type": "node",
            "id": f"node/{node.name}",
            "name": node.name,
            "nodeid": node.node_id if len(world.nodes) > 1 else 0,
            "ip": node.ip,
            "online": 1 if world.is_online(node.name) else 0,
            "local": 1 if node.name == call.contacted else 0,
            "level": "",
        }
        for node in world.nodes.values()
    ]
    return rows


def log(call: Call) -> Json:
    """Answer ``GET /cluster/log``: newest first."""
    world = call.world
    sees_all = call.may("/", "Sys.Syslog")
    rows: list[Json] = []
    for entry in reversed(world.log):
        if not sees_all and entry.user.partition("!")[0] != call.who.user:
            continue
        rows.append(
            {
                "uid": str(entry.uid),
                "id": f"{entry.uid}:{entry.node}",
                "time": int(entry.at + world.clock_offset_s),
                "node": entry.node,
                "pid": entry.pid,
                "user": entry.user,
                "tag": entry.tag,
                "pri": entry.priority,
                "msg": entry.text,
            }
        )
        if len(rows) >= call.number("max", 500):
            break
    return rows


def config_nodes(call: Call) -> Json:
    """Answer ``GET /cluster/config/nodes``."""
    world = call.world
    if len(world.nodes) == 1:
        return []
    return [
        {
            "node": node.name,
            "name": node.name,
            "nodeid": str(node.node_id),
            "quorum_votes": "1",
            "ring0_addr": node.ip,
        }
        for node in world.nodes.values()
    ]


def _job_row(call: Call, job_id: str, *, with_next: bool) -> Row:
    job = call.world.jobs[job_id]
    row: Row = {"id": job_id, "type": "vzdump", **job, "enabled": int(job.get("enabled", "1"))}
    if "all" in job:
        row["all"] = int(job["all"])
    if with_next and job.get("schedule"):
        due = calendar_event.parse(job["schedule"]).after(call.world.stamp())
        if due is not None:
            row["next-run"] = int(due)
    return row


def jobs(call: Call) -> Json:
    """Answer ``GET /cluster/backup``."""
    return [_job_row(call, job_id, with_next=True) for job_id in sorted(call.world.jobs)]


def job(call: Call) -> Json:
    """Answer ``GET /cluster/backup/{id}``."""
    return _job_row(call, _job_id(call), with_next=False)


def _job_id(call: Call) -> str:
    job_id = call.params["id"]
    if job_id not in call.world.jobs:
        raise ApiError(f"No such job '{job_id}'")
    return job_id


def create_job(call: Call) -> Json:
    """Answer ``POST /cluster/backup``."""
    world = call.world
    calendar_event.check(call.get("schedule"))
    world.need_quorum("file-jobs_cfg")
    if not any(name in call.params for name in ("vmid", "all", "pool")):
        raise ApiError("400 Parameter verification failed.\nvmid: property is missing")
    job_id = call.text("id") or qemu_options.new_uuid(world)
    if job_id in world.jobs:
        raise ApiError(f"Job '{job_id}' already exists")
    world.jobs[job_id] = {key: value for key, value in call.params.items() if key != "id"}
    world.wrote_file("jobs.cfg")
    return None


def update_job(call: Call) -> Json:
    """Answer ``PUT /cluster/backup/{id}``."""
    world = call.world
    calendar_event.check(call.get("schedule"))
    world.need_quorum("file-jobs_cfg")
    stored = world.jobs[_job_id(call)]
    for name in split_list(call.text("delete")):
        stored.pop(name, None)
    stored.update({k: v for k, v in call.params.items() if k not in {"id", "delete"}})
    world.wrote_file("jobs.cfg")
    return None


def delete_job(call: Call) -> Json:
    """Answer ``DELETE /cluster/backup/{id}``."""
    call.world.need_quorum("file-jobs_cfg")
    del call.world.jobs[_job_id(call)]
    call.world.wrote_file("jobs.cfg")
    return None


HANDLERS: Handlers = {
    "GET /version": version,
    "GET /nodes/{node}/version": version,
    "GET /cluster/status": cluster_status,
    "GET /cluster/log": log,
    "GET /cluster/config/nodes": config_nodes,
    "GET /cluster/backup": jobs,
    "POST /cluster/backup": create_job,
    "GET /cluster/backup/{id}": job,
    "PUT /cluster/backup/{id}": update_job,
    "DELETE /cluster/backup/{id}": delete_job,
}
