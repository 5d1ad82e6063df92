"""One planned action of each verb, and the guest it is planned for."""

from collections.abc import Mapping
from dataclasses import replace

from qlop.model import action as act
from qlop.model.action import Action, MigrationMode, Verb, verb_of
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import (
    ActionId,
    ClusterName,
    GuestName,
    NodeName,
    PoolId,
    Revision,
    ServiceName,
    StorageId,
    VmId,
)
from qlop.model.impact import Impact
from qlop.model.owner import OwnerMark, signed_description
from qlop.model.plan import Beside, Plan, PlannedAction, Premise
from tests.executor.toy import ToyCluster, ToyGuest

NODE, OTHER = NodeName("pve1"), NodeName("pve2")
UUID = "11111111-2222-5333-8444-555555555555"
WITNESS = f"uuid:{UUID}"
MARK = OwnerMark(
    cluster=ClusterName("lab"),
    service=ServiceName("web"),
    index=0,
    vmid=VmId(110),
    witness=WITNESS,
)
NOTES = signed_description("", MARK)
HEIR = VmId(111)
HEIR_MARK = replace(MARK, vmid=HEIR, generation=1, witness=f"uuid:{UUID[:-1]}6")
"""Who is handed the disk."""
NO_STORAGES: frozenset[StorageId] = frozenset()


def action_of(verb: Verb, subject: str = "web", vmid: int = 110) -> Action:
    """Return an action of ``verb`` on a VM on pve1."""
    return _MAKERS[verb](GuestName(subject), VmId(vmid))


def _create(name: GuestName, vmid: VmId) -> Action:
    return act.CreateGuest(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        params={"description": NOTES, "smbios1": f"uuid={UUID}", "cipassword": "hunter2"},
        storages=NO_STORAGES,
    )


def _clone(name: GuestName, vmid: VmId) -> Action:
    return act.CloneGuest(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        source=VmId(9000),
        target=OTHER,
        full=True,
        name=name,
        description=NOTES,
    )


def _configure(name: GuestName, vmid: VmId) -> Action:
    return act.ConfigureGuest(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        digest="d1",
        set={"memory": "2048", "cipassword": "hunter2"},
    )


def _replace(name: GuestName, vmid: VmId) -> Action:
    return act.ReplaceGuest(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        digest="d1",
        build="template:debian-13",
        carries=("scsi0",),
        writes={"description": signed_description("hunter2", MARK)},
    )


def _hand_over(name: GuestName, vmid: VmId) -> Action:
    return act.HandOverDisk(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        slot="scsi0",
        heir=HEIR,
        digest="d1",
    )


def _resize(name: GuestName, vmid: VmId) -> Action:
    return act.ResizeDisk(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        slot="scsi0",
        size_bytes=64 * 1024**3,
        digest="d1",
    )


def _regenerate(name: GuestName, vmid: VmId) -> Action:
    return act.RegenerateCloudInit(subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE)


def _pool(name: GuestName, vmid: VmId) -> Action:
    return act.AssignPool(
        subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE, pool=PoolId("ward")
    )


def _start(name: GuestName, vmid: VmId) -> Action:
    return act.StartGuest(subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE)


def _resume(name: GuestName, vmid: VmId) -> Action:
    return act.ResumeGuest(subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE)


def _shutdown(name: GuestName, vmid: VmId) -> Action:
    return act.ShutdownGuest(
        subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE, grace_s=60, force_stop=True
    )


def _reboot(name: GuestName, vmid: VmId) -> Action:
    return act.RebootGuest(subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE, grace_s=60)


def _migrate(name: GuestName, vmid: VmId) -> Action:
    return act.MigrateGuest(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        target=OTHER,
        mode=MigrationMode.ONLINE,
        with_local_disks=True,
        grace_s=60,
    )


def _snapshot(name: GuestName, vmid: VmId) -> Action:
    return act.CreateSnapshot(
        subject=name,
        vmid=vmid,
        kind=GuestKind.VM,
        node=NODE,
        snapshot="weekly",
        description=NOTES,
        memory=False,
    )


def _delete_snapshot(name: GuestName, vmid: VmId) -> Action:
    return act.DeleteSnapshot(
        subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE, snapshot="old"
    )


def _rollback(name: GuestName, vmid: VmId) -> Action:
    return act.RollbackSnapshot(
        subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE, snapshot="old", start=True
    )


def _destroy(name: GuestName, vmid: VmId) -> Action:
    return act.DestroyGuest(subject=name, vmid=vmid, kind=GuestKind.VM, node=NODE)


_MAKERS = {
    Verb.CREATE: _create,
    Verb.CLONE: _clone,
    Verb.CONFIGURE: _configure,
    Verb.REPLACE: _replace,
    Verb.HAND_OVER: _hand_over,
    Verb.RESIZE: _resize,
    Verb.REGENERATE: _regenerate,
    Verb.ASSIGN_POOL: _pool,
    Verb.START: _start,
    Verb.RESUME: _resume,
    Verb.SHUTDOWN: _shutdown,
    Verb.REBOOT: _reboot,
    Verb.MIGRATE: _migrate,
    Verb.SNAPSHOT: _snapshot,
    Verb.DELETE_SNAPSHOT: _delete_snapshot,
    Verb.ROLLBACK: _rollback,
    Verb.DESTROY: _destroy,
}

POWERS: Mapping[Verb, Power] = {
    Verb.START: Power.STOPPED,
    Verb.RESUME: Power.PAUSED,
    Verb.SHUTDOWN: Power.RUNNING,
    Verb.REBOOT: Power.RUNNING,
    Verb.MIGRATE: Power.RUNNING,
    Verb.HAND_OVER: Power.STOPPED,
    Verb.DESTROY: Power.STOPPED,
}
"""The power state that each verb is planned for; others do not care."""

CREATING = frozenset({Verb.CREATE, Verb.CLONE})
AT_ONCE = frozenset({Verb.CONFIGURE, Verb.REPLACE, Verb.REGENERATE, Verb.ASSIGN_POOL})
"""Verbs that PVE carries out before it answers."""


def planned(
    verb: Verb,
    subject: str = "web",
    vmid: int = 110,
    *,
    takes: tuple[str, ...] = ("node:pve1",),
    after: tuple[ActionId, ...] = (),
) -> PlannedAction:
    action = action_of(verb, subject, vmid)
    heir = Beside(
        vmid=HEIR, kind=GuestKind.VM, node=NODE, mark=HEIR_MARK, witness=HEIR_MARK.witness
    )
    premise = Premise(
        mark=MARK,
        witness=WITNESS,
        power=POWERS.get(verb),
        beside=heir if verb is Verb.HAND_OVER else None,
    )
    return PlannedAction(
        id=ActionId(f"{subject}/{verb_of(action).value}/a1"),
        action=action,
        reason="it should",
        impact=Impact.NONE,
        service=ServiceName("web"),
        index=0,
        premise=None if verb in CREATING else premise,
        witness=WITNESS if verb in CREATING else "",
        takes=takes,
        after=after,
        expects={"said": "so"},
    )


def plan_of(*actions: PlannedAction) -> Plan:
    return Plan(revision=Revision("r1"), actions=actions, verdicts={})


def guest_for(verb: Verb, vmid: int = 110) -> ToyGuest:
    power = POWERS.get(verb, Power.STOPPED)
    config = {
        "digest": "d1",
        "description": NOTES,
        "smbios1": f"uuid={UUID}",
        "scsi0": "nas:110/disk.raw,size=32G",
    }
    if power is Power.PAUSED:
        config["toy-paused"] = "1"
    return ToyGuest(
        vmid=VmId(vmid),
        kind=GuestKind.VM,
        node=NODE,
        config=dict(config),
        running=power is not Power.STOPPED,
        snapshots={"old"},
    )


def heir_guest() -> ToyGuest:
    """Return the guest that is handed a disk."""
    return ToyGuest(
        vmid=HEIR,
        kind=GuestKind.VM,
        node=NODE,
        config={
            "digest": "d1",
            "description": signed_description("", HEIR_MARK),
            "smbios1": HEIR_MARK.witness.replace("uuid:", "uuid="),
        },
    )


def cluster_for(verb: Verb) -> ToyCluster:
    """Return a cluster in which ``planned(verb)`` can be carried out."""
    cluster = ToyCluster()
    if verb not in CREATING:
        guest = guest_for(verb)
        cluster.guests[guest.vmid] = guest
    if verb is Verb.HAND_OVER:
        cluster.guests[HEIR] = heir_guest()
    return cluster
