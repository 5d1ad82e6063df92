"""Map each action, and each thing worth reading, to one call of the PVE API.

Pure: what a call looks like depends on the action alone. Paths, parameter names and
types hold for PVE 8.2 to 9.2 (``docs/compatibility.md``).
"""

import re
from collections.abc import Mapping
from typing import assert_never

from qlop.model.action import (
    Action,
    AssignPool,
    CloneGuest,
    ConfigureGuest,
    CreateGuest,
    CreateSnapshot,
    DeleteSnapshot,
    DestroyGuest,
    HandOverDisk,
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    RegenerateCloudInit,
    ReplaceGuest,
    ResizeDisk,
    ResumeGuest,
    RollbackSnapshot,
    ShutdownGuest,
    StartGuest,
)
from qlop.model.device import pve_size
from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, StorageId, Upid, VmId
from qlop.ports import Method, PveCall, Scalar

LOG_LINES = 200
"""How much of the cluster's log one read asks for; its ring holds a few thousand entries."""

_ALLOCATION = re.compile(r"(?:file=)?[^/:\s]+:(?:\d+(?:\.\d+)?|cloudinit)(?:,|$)")
"""``STORAGE:GIB``: a volume yet to be made (``$NEW_DISK_RE``, PVE/QemuServer/Drive.pm)."""

_DISK_KEY = re.compile(r"(?:scsi|virtio|sata|ide|efidisk|tpmstate)\d+")


def call_for(action: Action) -> PveCall:
    """Return the one call that carries ``action`` out."""
    match action:
        case CreateGuest() | CloneGuest() | DestroyGuest():
            return _existence(action)
        case ConfigureGuest() | ResizeDisk() | RegenerateCloudInit() | AssignPool():
            return _configuration(action)
        case ReplaceGuest():
            written = {**action.writes, **_digest(action.digest)}
            return _on_guest(action, Method.PUT, "/config", written)
        case HandOverDisk():
            return _hand_over(action)
        case StartGuest() | ResumeGuest() | ShutdownGuest() | RebootGuest():
            return _power(action)
        case MigrateGuest():
            return _on_guest(action, Method.POST, "/migrate", _migration(action))
        case CreateSnapshot() | DeleteSnapshot() | RollbackSnapshot():
            return _snapshot(action)
        case _ as never:
            assert_never(never)


def _on_guest(
    action: Action, method: Method, suffix: str, params: Mapping[str, Scalar]
) -> PveCall:
    return PveCall(
        method=method,
        route=f"/nodes/{{node}}/{action.kind.value}/{{vmid}}{suffix}",
        at={"node": action.node, "vmid": action.vmid},
        params=dict(params),
    )


def _existence(action: CreateGuest | CloneGuest | DestroyGuest) -> PveCall:
    match action:
        case CreateGuest():
            return PveCall(
                method=Method.POST,
                route=f"/nodes/{{node}}/{action.kind.value}",
                at={"node": action.node},
                params={"vmid": action.vmid, **action.params},
            )
        case CloneGuest():
            return _clone(action)
        case DestroyGuest():
            # `destroy-unreferenced-disks` would also take volumes that merely carry this
            # VMID on any storage: what a person kept on purpose, or what a storage shared
            # with another cluster holds of that cluster's guest. Only what the guest's own
            # configuration names is ours to destroy. `purge` clears backup, replication
            # and HA entries, which would otherwise act on the next guest of this VMID.
            destroy = {"purge": 1, "destroy-unreferenced-disks": 0}
            return _on_guest(action, Method.DELETE, "", destroy)
        case _ as never:
            assert_never(never)


def _clone(action: CloneGuest) -> PveCall:
    name = "name" if action.kind is GuestKind.VM else "hostname"
    params: dict[str, Scalar] = {
        "newid": action.vmid,
        "full": int(action.full),
        name: action.name,
        "description": action.description,
    }
    if action.target != action.node:
        params["target"] = action.target
    if action.storage is not None:
        params["storage"] = action.storage
    if action.pool is not None:
        params["pool"] = action.pool
    return PveCall(
        method=Method.POST,
        route=f"/nodes/{{node}}/{action.kind.value}/{{vmid}}/clone",
        at={"node": action.node, "vmid": action.source},
        params=params,
    )


def _configuration(
    action: ConfigureGuest | ResizeDisk | RegenerateCloudInit | AssignPool,
) -> PveCall:
    match action:
        case ConfigureGuest():
            return _configure(action)
        case ResizeDisk():
            size: dict[str, Scalar] = {
                "disk": action.slot,
                "size": pve_size(action.size_bytes),
                **_digest(action.digest),
            }
            return _on_guest(action, Method.PUT, "/resize", size)
        case RegenerateCloudInit():
            assert action.kind is GuestKind.VM, "containers have no cloud-init drive"
            return _on_guest(action, Method.PUT, "/cloudinit", {})
        case AssignPool():
            # The form with the pool in the path knows no nested pools (PVE/API2/Pool.pm).
            move: dict[str, Scalar] = {
                "poolid": action.pool,
                "vms": str(action.vmid),
                "allow-move": 1,
            }
            return PveCall(method=Method.PUT, route="/pools", params=move)
        case _ as never:
            assert_never(never)


def _hand_over(action: HandOverDisk) -> PveCall:
    """Return the reassignment of a volume, into the slot of the same name.

    PVE renames the volume, takes it from the one configuration and puts it into the other
    (``move_vm_disk`` in PVE/API2/Qemu.pm, ``move_volume`` in PVE/API2/LXC.pm). It refuses
    if the giver runs, if either is locked, or if the slot of the taker is not free.
    """
    what, path = ("disk", "/move_disk")
    if action.kind is GuestKind.CONTAINER:
        what, path = ("volume", "/move_volume")
    params: dict[str, Scalar] = {
        what: action.slot,
        "target-vmid": action.heir,
        f"target-{what}": action.slot,
        **_digest(action.digest),
    }
    return _on_guest(action, Method.POST, path, params)


def _configure(action: ConfigureGuest) -> PveCall:
    """Return the write of a configuration, synchronous wherever that can be quick.

    PUT answers when it is done and says at once what was wrong; it is all that containers
    have. For VMs there is POST as well, which makes a task (``update_vm_async``,
    PVE/API2/Qemu.pm). That is taken where a volume must be allocated or an image imported:
    pveproxy gives a PUT 30 s, an import takes minutes, and its answer would be lost.
    """
    params: dict[str, Scalar] = dict(action.set)
    if action.delete:
        params["delete"] = ",".join(action.delete)
    params |= _digest(action.digest)
    allocates = action.kind is GuestKind.VM and any(
        _DISK_KEY.fullmatch(key) and (_ALLOCATION.match(value) or "import-from=" in value)
        for key, value in action.set.items()
    )
    return _on_guest(action, Method.POST if allocates else Method.PUT, "/config", params)


def _digest(digest: str) -> Mapping[str, Scalar]:
    """Return the optimistic lock, if there is one: an empty digest locks nothing."""
    return {"digest": digest} if digest else {}


def _power(action: StartGuest | ResumeGuest | ShutdownGuest | RebootGuest) -> PveCall:
    match action:
        case StartGuest():
            return _on_guest(action, Method.POST, "/status/start", {})
        case ResumeGuest():
            return _on_guest(action, Method.POST, "/status/resume", {})
        case ShutdownGuest():
            shutdown = {"timeout": action.grace_s, "forceStop": int(action.force_stop)}
            return _on_guest(action, Method.POST, "/status/shutdown", shutdown)
        case RebootGuest():
            grace = {"timeout": action.grace_s}
            return _on_guest(action, Method.POST, "/status/reboot", grace)
        case _ as never:
            assert_never(never)


def _migration(action: MigrateGuest) -> Mapping[str, Scalar]:
    params: dict[str, Scalar] = {"target": action.target}
    match action.mode:
        case MigrationMode.ONLINE:
            params["online"] = 1
        case MigrationMode.RESTART:
            params |= {"restart": 1, "timeout": action.grace_s}
        case MigrationMode.OFFLINE:
            pass
    # Only a running VM needs the word (`scan_local_volumes`, PVE/QemuMigrate.pm): a stopped
    # one and a container take local disks along unasked. Without `targetstorage` each volume
    # goes to the storage of the same name.
    if action.with_local_disks and action.mode is MigrationMode.ONLINE:
        params["with-local-disks"] = 1
    return params


def _snapshot(action: CreateSnapshot | DeleteSnapshot | RollbackSnapshot) -> PveCall:
    match action:
        case CreateSnapshot():
            params: dict[str, Scalar] = {
                "snapname": action.snapshot,
                "description": action.description,
            }
            if action.memory and action.kind is GuestKind.VM:
                params["vmstate"] = 1
            return _on_guest(action, Method.POST, "/snapshot", params)
        case DeleteSnapshot():
            return PveCall(
                method=Method.DELETE,
                route=f"/nodes/{{node}}/{action.kind.value}/{{vmid}}/snapshot/{{snapname}}",
                at={"node": action.node, "vmid": action.vmid, "snapname": action.snapshot},
            )
        case RollbackSnapshot():
            kind = action.kind.value
            return PveCall(
                method=Method.POST,
                route=f"/nodes/{{node}}/{kind}/{{vmid}}/snapshot/{{snapname}}/rollback",
                at={"node": action.node, "vmid": action.vmid, "snapname": action.snapshot},
                params={"start": int(action.start)},
            )
        case _ as never:
            assert_never(never)


def _read(route: str, at: Mapping[str, str | int] | None = None, **params: Scalar) -> PveCall:
    return PveCall(method=Method.GET, route=route, at=at or {}, params=params)


def version() -> PveCall:
    """Read the version of the node that answers."""
    return _read("/version")


def permissions() -> PveCall:
    """Read what the caller's own token may do, by path."""
    return _read("/access/permissions")


def resources() -> PveCall:
    """Read the list of all guests, nodes and storages."""
    return _read("/cluster/resources")


def cluster_status() -> PveCall:
    """Read whether the cluster is quorate, and which nodes are online."""
    return _read("/cluster/status")


def cluster_tasks() -> PveCall:
    """Read the recent tasks of all nodes."""
    return _read("/cluster/tasks")


def cluster_log(lines: int = LOG_LINES) -> PveCall:
    """Read the newest ``lines`` of the cluster's log."""
    return _read("/cluster/log", max=lines)


def guest_config(kind: GuestKind, node: NodeName, vmid: VmId) -> PveCall:
    """Read a guest's configuration with what is pending merged in."""
    return _guest_read(kind, node, vmid, "config")


def guest_pending(kind: GuestKind, node: NodeName, vmid: VmId) -> PveCall:
    """Read a guest's configuration option by option: running and pending values."""
    return _guest_read(kind, node, vmid, "pending")


def guest_status(kind: GuestKind, node: NodeName, vmid: VmId) -> PveCall:
    """Read what a guest is doing, from its node and not from the cluster's memory."""
    return _guest_read(kind, node, vmid, "status/current")


def guest_snapshots(kind: GuestKind, node: NodeName, vmid: VmId) -> PveCall:
    """Read a guest's snapshots."""
    return _guest_read(kind, node, vmid, "snapshot")


def _guest_read(kind: GuestKind, node: NodeName, vmid: VmId, what: str) -> PveCall:
    return _read(f"/nodes/{{node}}/{kind.value}/{{vmid}}/{what}", {"node": node, "vmid": vmid})


def agent_info(node: NodeName, vmid: VmId) -> PveCall:
    """Ask a VM's guest agent what it can do: a read that it answers even while frozen.

    ``ping`` would be a POST, and any other question is refused during a backup's freeze.
    """
    return _guest_read(GuestKind.VM, node, vmid, "agent/info")


def guest_interfaces(kind: GuestKind, node: NodeName, vmid: VmId) -> PveCall:
    """Read a running guest's interfaces and addresses, of a VM through its agent."""
    what = "agent/network-get-interfaces" if kind is GuestKind.VM else "interfaces"
    return _guest_read(kind, node, vmid, what)


def task_status(node: NodeName, upid: Upid) -> PveCall:
    """Read whether a task runs, and how it ended."""
    return _read("/nodes/{node}/tasks/{upid}/status", {"node": node, "upid": upid})


def task_log(node: NodeName, upid: Upid, *, start: int = 0, limit: int = 500) -> PveCall:
    """Read ``limit`` lines of a task's log from line ``start``, counted from 0."""
    return _read(
        "/nodes/{node}/tasks/{upid}/log", {"node": node, "upid": upid}, start=start, limit=limit
    )


def node_tasks(node: NodeName, vmid: VmId, *, limit: int = 50) -> PveCall:
    """Read a guest's newest tasks on one node, running ones included."""
    return _read("/nodes/{node}/tasks", {"node": node}, vmid=vmid, limit=limit, source="all")


def guest_backups(node: NodeName, storage: StorageId, vmid: VmId) -> PveCall:
    """Read which backups of a guest a storage holds."""
    return _read(
        "/nodes/{node}/storage/{storage}/content",
        {"node": node, "storage": storage},
        content="backup",
        vmid=vmid,
    )


def storage_content(node: NodeName, storage: StorageId, content: str) -> PveCall:
    """Read the volumes of a kind (``vztmpl``, ``iso``, ``import``) that a storage holds."""
    return _read(
        "/nodes/{node}/storage/{storage}/content",
        {"node": node, "storage": storage},
        content=content,
    )
