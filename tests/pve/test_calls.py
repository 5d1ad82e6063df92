"""Each action is exactly one call, and it says exactly this."""

import pytest

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
from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName, NodeName, PoolId, StorageId, VmId
from qlop.ports import Scalar
from qlop.pve.calls import call_for

GIB = 1024**3
VM = GuestKind.VM
CT = GuestKind.CONTAINER
NAME = GuestName("web-1")
VMID = VmId(110)
ARCHIVE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
NODE = NodeName("pve1")


def create(kind: GuestKind, params: dict[str, str]) -> Action:
    return CreateGuest(
        subject=NAME, vmid=VMID, kind=kind, node=NODE, params=params, storages=frozenset()
    )


def configure(
    kind: GuestKind, change: dict[str, str], delete: tuple[str, ...] = (), digest: str = ""
) -> Action:
    return ConfigureGuest(
        subject=NAME, vmid=VMID, kind=kind, node=NODE, digest=digest, set=change, delete=delete
    )


def clone(kind: GuestKind, *, full: bool, target: str = "pve1") -> Action:
    return CloneGuest(
        subject=NAME,
        vmid=VMID,
        kind=kind,
        node=NODE,
        source=VmId(900),
        target=NodeName(target),
        full=full,
        name="web-1",
        description="mark",
        storage=StorageId("nas") if full else None,
        pool=PoolId("team/web") if full else None,
    )


def migrate(kind: GuestKind, mode: MigrationMode, *, disks: bool = False) -> Action:
    return MigrateGuest(
        subject=NAME,
        vmid=VMID,
        kind=kind,
        node=NODE,
        target=NodeName("pve2"),
        mode=mode,
        with_local_disks=disks,
        grace_s=90,
    )


def snapshot(kind: GuestKind, *, memory: bool) -> Action:
    return CreateSnapshot(
        subject=NAME,
        vmid=VMID,
        kind=kind,
        node=NODE,
        snapshot="before",
        description="mark",
        memory=memory,
    )


def resize(kind: GuestKind, slot: str, size_bytes: int) -> Action:
    return ResizeDisk(
        subject=NAME,
        vmid=VMID,
        kind=kind,
        node=NODE,
        slot=slot,
        size_bytes=size_bytes,
        digest="ab",
    )


ACTIONS: list[tuple[str, Action, str, str, dict[str, Scalar]]] = [
    ("create-vm", create(VM, {"name": "web-1", "scsi0": "local-lvm:8"}), "POST",
     "/nodes/pve1/qemu", {"vmid": 110, "name": "web-1", "scsi0": "local-lvm:8"}),
    ("create-container", create(CT, {"hostname": "web-1", "ostemplate": ARCHIVE}), "POST", "/nodes/pve1/lxc",
     {"vmid": 110, "hostname": "web-1", "ostemplate": ARCHIVE}),
    ("clone-full", clone(VM, full=True, target="pve2"), "POST", "/nodes/pve1/qemu/900/clone",
     {"newid": 110, "full": 1, "name": "web-1", "description": "mark", "target": "pve2",
      "storage": "nas", "pool": "team/web"}),
    ("clone-linked-container", clone(CT, full=False), "POST", "/nodes/pve1/lxc/900/clone",
     {"newid": 110, "full": 0, "hostname": "web-1", "description": "mark"}),
    ("configure-vm", configure(VM, {"memory": "2048"}, ("balloon", "net1"), "ab"), "PUT",
     "/nodes/pve1/qemu/110/config", {"memory": "2048", "delete": "balloon,net1", "digest": "ab"}),
    ("configure-without-digest", configure(VM, {"memory": "2048"}), "PUT",
     "/nodes/pve1/qemu/110/config", {"memory": "2048"}),
    ("configure-existing-disk",
     configure(VM, {"scsi0": "nas:110/vm-110-disk-0.raw,ssd=1,size=8G"}), "PUT",
     "/nodes/pve1/qemu/110/config", {"scsi0": "nas:110/vm-110-disk-0.raw,ssd=1,size=8G"}),
    ("allocate-a-disk-as-a-task", configure(VM, {"scsi1": "local-lvm:8.5,ssd=1"}), "POST",
     "/nodes/pve1/qemu/110/config", {"scsi1": "local-lvm:8.5,ssd=1"}),
    ("allocate-cloud-init", configure(VM, {"ide2": "local-lvm:cloudinit"}), "POST",
     "/nodes/pve1/qemu/110/config", {"ide2": "local-lvm:cloudinit"}),
    ("import-a-disk-as-a-task", configure(VM, {"scsi1": "nas:0,import-from=nas:import/a.qcow2"}),
     "POST", "/nodes/pve1/qemu/110/config", {"scsi1": "nas:0,import-from=nas:import/a.qcow2"}),
    ("a-name-that-looks-like-a-disk", configure(VM, {"description": "see: nas:8"}), "PUT",
     "/nodes/pve1/qemu/110/config", {"description": "see: nas:8"}),
    ("containers-know-no-post", configure(CT, {"mp0": "local-lvm:8,mp=/srv"}), "PUT",
     "/nodes/pve1/lxc/110/config", {"mp0": "local-lvm:8,mp=/srv"}),
    ("resize", resize(VM, "scsi0", 32 * GIB), "PUT", "/nodes/pve1/qemu/110/resize",
     {"disk": "scsi0", "size": "32G", "digest": "ab"}),
    ("resize-to-odd-bytes", resize(CT, "rootfs", GIB + 1), "PUT", "/nodes/pve1/lxc/110/resize",
     {"disk": "rootfs", "size": "1073741825", "digest": "ab"}),
    ("regenerate", RegenerateCloudInit(subject=NAME, vmid=VMID, kind=VM, node=NODE), "PUT",
     "/nodes/pve1/qemu/110/cloudinit", {}),
    ("pool", AssignPool(subject=NAME, vmid=VMID, kind=CT, node=NODE, pool=PoolId("team/web")),
     "PUT", "/pools", {"poolid": "team/web", "vms": "110", "allow-move": 1}),
    ("start", StartGuest(subject=NAME, vmid=VMID, kind=CT, node=NODE), "POST",
     "/nodes/pve1/lxc/110/status/start", {}),
    ("resume", ResumeGuest(subject=NAME, vmid=VMID, kind=VM, node=NODE), "POST",
     "/nodes/pve1/qemu/110/status/resume", {}),
    ("shutdown", ShutdownGuest(subject=NAME, vmid=VMID, kind=VM, node=NODE, grace_s=60,
                               force_stop=False), "POST",
     "/nodes/pve1/qemu/110/status/shutdown", {"timeout": 60, "forceStop": 0}),
    ("shutdown-then-stop", ShutdownGuest(subject=NAME, vmid=VMID, kind=CT, node=NODE, grace_s=60,
                                         force_stop=True), "POST",
     "/nodes/pve1/lxc/110/status/shutdown", {"timeout": 60, "forceStop": 1}),
    ("reboot", RebootGuest(subject=NAME, vmid=VMID, kind=VM, node=NODE, grace_s=60), "POST",
     "/nodes/pve1/qemu/110/status/reboot", {"timeout": 60}),
    ("migrate-live", migrate(VM, MigrationMode.ONLINE), "POST", "/nodes/pve1/qemu/110/migrate",
     {"target": "pve2", "online": 1}),
    ("migrate-live-with-disks", migrate(VM, MigrationMode.ONLINE, disks=True), "POST",
     "/nodes/pve1/qemu/110/migrate", {"target": "pve2", "online": 1, "with-local-disks": 1}),
    ("migrate-stopped", migrate(VM, MigrationMode.OFFLINE, disks=True), "POST",
     "/nodes/pve1/qemu/110/migrate", {"target": "pve2"}),
    ("migrate-container-by-restart", migrate(CT, MigrationMode.RESTART, disks=True), "POST",
     "/nodes/pve1/lxc/110/migrate", {"target": "pve2", "restart": 1, "timeout": 90}),
    ("snapshot-with-memory", snapshot(VM, memory=True), "POST", "/nodes/pve1/qemu/110/snapshot",
     {"snapname": "before", "description": "mark", "vmstate": 1}),
    ("snapshot-without-memory", snapshot(VM, memory=False), "POST",
     "/nodes/pve1/qemu/110/snapshot", {"snapname": "before", "description": "mark"}),
    ("containers-have-no-memory-to-snapshot", snapshot(CT, memory=True), "POST",
     "/nodes/pve1/lxc/110/snapshot", {"snapname": "before", "description": "mark"}),
    ("delete-snapshot", DeleteSnapshot(subject=NAME, vmid=VMID, kind=CT, node=NODE,
                                       snapshot="before"), "DELETE",
     "/nodes/pve1/lxc/110/snapshot/before", {}),
    ("rollback", RollbackSnapshot(subject=NAME, vmid=VMID, kind=VM, node=NODE,
                                  snapshot="before", start=True), "POST",
     "/nodes/pve1/qemu/110/snapshot/before/rollback", {"start": 1}),
    ("replace", ReplaceGuest(subject=NAME, vmid=VMID, kind=VM, node=NODE, digest="d1",
                             build="template:13", carries=("scsi1",),
                             writes={"description": "mark"}), "PUT",
     "/nodes/pve1/qemu/110/config", {"description": "mark", "digest": "d1"}),
    ("hand-over-a-disk", HandOverDisk(subject=NAME, vmid=VMID, kind=VM, node=NODE, slot="scsi1",
                                      heir=VmId(111), digest="d1"), "POST",
     "/nodes/pve1/qemu/110/move_disk",
     {"disk": "scsi1", "target-vmid": 111, "target-disk": "scsi1", "digest": "d1"}),
    ("hand-over-a-volume", HandOverDisk(subject=NAME, vmid=VMID, kind=CT, node=NODE, slot="mp0",
                                        heir=VmId(111), digest=""), "POST",
     "/nodes/pve1/lxc/110/move_volume",
     {"volume": "mp0", "target-vmid": 111, "target-volume": "mp0"}),
    ("destroy", DestroyGuest(subject=NAME, vmid=VMID, kind=VM, node=NODE), "DELETE",
     "/nodes/pve1/qemu/110", {"purge": 1, "destroy-unreferenced-disks": 0}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("action", "method", "path", "params"),
    [pytest.param(*row[1:], id=row[0]) for row in ACTIONS],
)
def test_call_for(action: Action, method: str, path: str, params: dict[str, Scalar]) -> None:
    call = call_for(action)

    assert (call.method.value, call.path, dict(call.params)) == (method, path, params)


def test_every_action_is_mapped() -> None:
    covered = {type(row[1]) for row in ACTIONS}

    assert covered == set(Action.__args__)


def test_a_value_in_the_path_is_percent_encoded() -> None:
    call = call_for(DeleteSnapshot(subject=NAME, vmid=VMID, kind=VM, node=NODE, snapshot="a/b ü"))

    assert call.path == "/nodes/pve1/qemu/110/snapshot/a%2Fb%20%C3%BC"
