"""Answer for a node: list, status, network, time, notes, services."""

import hashlib

from qlop.ports import Json
from qlop.sim import node_guests_api, power, resources, startall, volumes
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Kind, Task, Worker
from qlop.sim.wire import Row


def nodes(call: Call) -> Json:
    """Answer ``GET /nodes``."""
    return [
        resources.node_row(call.world, name, full=call.may(f"/nodes/{name}", "Sys.Audit"))
        for name in call.world.nodes
    ]


def node_status(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/status``."""
    world = call.world
    node = world.nodes[call.node]
    cpu, memory = resources.node_load(world, call.node)
    used = node.rootfs_bytes // 20
    return {
        "uptime": int(world.now - node.boot_at),
        "cpu": cpu,
        "wait": 0,
        "idle": 0,
        "loadavg": ["0.17", "0.44", "0.94"],
        "kversion": "Linux 6.17.2-1-pve #1 SMP PREEMPT_DYNAMIC PMX 6.17.2-1",
        "pveversion": f"pve-manager/{node.version}/80cf92a64bef6889",
        "current-kernel": {
            "sysname": "Linux",
            "release": "6.17.2-1-pve",
            "version": "#1 SMP PREEMPT_DYNAMIC PMX 6.17.2-1",
            "machine": "x86_64",
        },
        "boot-info": {"mode": "efi", "secureboot": 0},
        "ksm": {"shared": 0},
        "memory": {
            "total": node.memory_bytes,
            "used": memory,
            "free": node.memory_bytes - memory,
            "available": node.memory_bytes - memory,
        },
        "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": {
            "total": node.rootfs_bytes,
            "used": used,
            "avail": node.rootfs_bytes - used,
            "free": node.rootfs_bytes - used,
        },
        "cpuinfo": {
            "cpus": node.cores,
            "cores": node.cores,
            "sockets": 1,
            "model": "Intel(R) Xeon(R) E-2378 CPU @ 2.60GHz",
            "vendor": "GenuineIntel",
            "mhz": "2600.000",
            "user_hz": 100,
            "hvm": "1",
            "family": "6",
            "flags": "fpu vme de pse msr pae",
        },
    }


def network(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/network``."""
    wanted = call.get("type")
    rows: list[Json] = []
    for index, bridge in enumerate(call.world.nodes[call.node].bridges):
        rows.append(
            {
                "iface": bridge,
                "type": "bridge",
                "method": "static" if index == 0 else "manual",
                "method6": "manual",
                "families": ["inet"],
                "active": 1,
                "autostart": 1,
                "priority": index + 3,
                "bridge_ports": f"eno{index + 1}",
                "bridge_stp": "off",
                "bridge_fd": "0",
            }
        )
    if wanted in {None, "eth"}:
        rows.append(
            {
                "iface": "eno1",
                "type": "eth",
                "method": "manual",
                "method6": "manual",
                "families": ["inet"],
                "active": 1,
                "exists": 1,
                "priority": 9,
            }
        )
    if wanted not in {None, "bridge", "any_bridge", "any_local_bridge", "eth"}:
        return []
    if wanted == "eth":
        return rows[-1:]
    return rows


def time(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/time``."""
    now = call.world.stamp()
    return {"time": now, "localtime": now, "timezone": "Etc/UTC"}


def config(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/config``."""
    stored = call.world.nodes[call.node].config
    digest = hashlib.sha1(str(sorted(stored.items())).encode(), usedforsecurity=False).hexdigest()
    row: Row = {**stored, "digest": digest}
    if "description" in stored:
        row["description"] = stored["description"] + "\n"
    return row


def set_config(call: Call) -> Json:
    """Answer ``PUT /nodes/{node}/config``."""
    stored = call.world.nodes[call.node].config
    for name in split_list(call.text("delete")):
        stored.pop(name, None)
    ours = {"node", "delete", "digest"}
    stored.update({key: value for key, value in call.params.items() if key not in ours})
    return None


def start_all(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/startall``."""
    node_guests_api.check(call, "VM.PowerMgmt")
    named = [int(item) for item in split_list(call.text("vms"))]
    force = call.flag("force")
    return call.fork(
        "startall",
        "",
        lambda task: startall.start_all(call.world, task, call.node, named=named, force=force),
    )


def _chosen(call: Call) -> list[int]:
    named = [int(item) for item in split_list(call.text("vms"))]
    return [
        vmid
        for vmid, guest in sorted(call.world.guests.items())
        if guest.node == call.node and (not named or vmid in named)
    ]


def stop_all(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/stopall``."""
    node_guests_api.check(call, "VM.PowerMgmt")
    return call.fork("stopall", "", lambda task: _stop_all(call, task))


def _stop_all(call: Call, task: Task) -> Worker:
    for vmid in _chosen(call):
        guest = call.world.guests.get(vmid)
        if guest is None or guest.run is None:
            continue
        name = "VM" if guest.kind is Kind.QEMU else "CT"
        task.say(f"Stopping {name} {vmid} (timeout = {call.text('timeout', '180')} seconds)")
        yield call.world.spec.timing.guest_shutdown_s
        power.stopped(call.world, guest)


def storage_scan(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/scan``."""
    del call
    return [{"method": name} for name in ("cifs", "iscsi", "lvm", "nfs", "pbs", "zfs")]


def disks(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/disks/list``."""
    total = sum(
        storage.total_bytes
        for storage in call.world.storages.values()
        if not storage.shared and volumes.is_on_node(storage, call.node)
    )
    return [
        {
            "devpath": "/dev/sda",
            "type": "ssd",
            "size": total,
            "used": "LVM",
            "health": "PASSED",
            "gpt": 1,
            "model": "SIMULATED",
            "serial": call.node,
            "vendor": "ATA",
        }
    ]


HANDLERS: Handlers = {
    "GET /nodes": nodes,
    "GET /nodes/{node}/status": node_status,
    "GET /nodes/{node}/network": network,
    "GET /nodes/{node}/time": time,
    "GET /nodes/{node}/config": config,
    "PUT /nodes/{node}/config": set_config,
    "POST /nodes/{node}/startall": start_all,
    "POST /nodes/{node}/stopall": stop_all,
    "GET /nodes/{node}/scan": storage_scan,
    "GET /nodes/{node}/disks/list": disks,
}
