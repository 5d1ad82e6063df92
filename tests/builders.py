"""Build values in which everything but the point of a test has a default."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from qlop.model.action import Verb
from qlop.model.consent import Consent, Consents
from qlop.model.desired import (
    CloneSource,
    Desired,
    DesiredCluster,
    DesiredDisk,
    DesiredGuest,
    DesiredNic,
    DesiredService,
    Placement,
    Snapshots,
    Source,
)
from qlop.model.finding import Origin
from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Power
from qlop.model.history import Ending, Finished, History, Intended, Reprieve, Tombstone
from qlop.model.ids import (
    ActionId,
    ClusterName,
    CycleId,
    GuestName,
    NodeName,
    OrderId,
    PoolId,
    Revision,
    ServiceName,
    StorageId,
    VmId,
)
from qlop.model.node import ObservedNode, ObservedStorage
from qlop.model.observed import (
    GuestConfig,
    Observed,
    ObservedBackup,
    ObservedGuest,
    ObservedSnapshot,
    ObservedTask,
    Verification,
)
from qlop.model.orders import Order, Undelete
from qlop.model.orders import fold as fold_orders
from qlop.model.owner import OwnerMark, derived_mac, derived_uuid, signed_description
from qlop.model.plan import PlanInput
from qlop.model.policy import Policy
from qlop.model.reading import Known, Reading
from qlop.model.rollout import Update
from qlop.model.units import GIB
from qlop.model.unmanaged import Unmanaged

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CLUSTER = ClusterName("testland")
WEB = ServiceName("web")
PVE1, PVE2, PVE3 = NodeName("pve1"), NodeName("pve2"), NodeName("pve3")
NODES = (PVE1, PVE2, PVE3)
LOCAL = StorageId("local-lvm")
NAS = StorageId("nas")
WEB_VMID = VmId(10000)
TEMPLATE = VmId(9000)
ORIGIN = Origin(file="web.yaml")
RANGE = (10000, 10999)


ALL_AT_ONCE = 1000
"""A batch size with which there is no rollout."""
UNASKED = Consents()
"""What a manifest consents to that says nothing of changes."""
WILLING = Consents(reboot=Consent.DO, downtime=Consent.DO)
"""Whatever does not lose data may be done at any time."""


def mark(
    service: str = WEB,
    index: int = 1,
    vmid: int = WEB_VMID,
    witness: str | None = None,
    *,
    generation: int = 0,
    build: str = "",
    yields: str = "",
    carries: tuple[str, ...] = (),
    boots: bool = False,
) -> OwnerMark:
    """A mark of our cluster, with the witness that a VM gets by derivation."""
    place = (CLUSTER, ServiceName(service), index, VmId(vmid), generation)
    return OwnerMark(
        cluster=CLUSTER,
        service=ServiceName(service),
        index=index,
        vmid=VmId(vmid),
        witness=f"uuid:{derived_uuid(*place)}" if witness is None else witness,
        generation=generation,
        build=build,
        yields=yields,
        carries=carries,
        boots=boots,
    )


def container_mark(service: str = WEB, index: int = 1, vmid: int = WEB_VMID) -> OwnerMark:
    """A mark of our cluster, with the witness that a container gets by derivation."""
    mac = derived_mac(CLUSTER, ServiceName(service), index, VmId(vmid), "net0")
    return mark(service, index, vmid, f"mac:{mac.lower()}")


def desired_guest(
    service: str = WEB,
    index: int = 1,
    *,
    name: str | None = None,
    kind: GuestKind = GuestKind.VM,
    source: Source | None = None,
    vmid: int | None = None,
    options: Mapping[str, OptionValue] | None = None,
    disks: tuple[DesiredDisk, ...] = (),
    nics: tuple[DesiredNic, ...] = (),
    networks_declared: bool = False,
    pool: str | None = None,
    power: Power = Power.RUNNING,
    placement: Placement | None = None,
    snapshots: Snapshots | None = None,
    may_stop: bool = False,
    consents: Consents = UNASKED,
    memory_bytes: int = 2 * GIB,
) -> DesiredGuest:
    """A running VM cloned from a template, of which nothing else is declared."""
    return DesiredGuest(
        name=GuestName(name if name is not None else service),
        service=ServiceName(service),
        index=index,
        kind=kind,
        source=source if source is not None else CloneSource(template=TEMPLATE),
        vmid=VmId(vmid) if vmid is not None else None,
        vmid_range=RANGE,
        options=dict(options or {}),
        disks=disks,
        nics=nics,
        networks_declared=networks_declared,
        pool=PoolId(pool) if pool is not None else None,
        power=power,
        placement=placement if placement is not None else Placement(),
        snapshots=snapshots if snapshots is not None else Snapshots(),
        shutdown_timeout=timedelta(seconds=120),
        may_stop=may_stop,
        consents=consents,
        memory_bytes=memory_bytes,
        origin=ORIGIN,
    )


def desired(
    *guests: DesiredGuest,
    policy: Policy | None = None,
    nodes: tuple[NodeName, ...] = NODES,
    max_unavailable: int = 1,
) -> Desired:
    """A desired state of these guests and the services they belong to."""
    services: dict[ServiceName, list[GuestName]] = {}
    for guest in guests:
        services.setdefault(guest.service, []).append(guest.name)
    return Desired(
        revision=Revision("r1"),
        cluster=DesiredCluster(
            name=CLUSTER,
            nodes=nodes,
            storages=(LOCAL, NAS),
            policy=policy if policy is not None else Policy(),
            interval=timedelta(seconds=15),
            vmid_range=RANGE,
            origin=Origin(file="cluster.yaml"),
        ),
        services={
            service: DesiredService(
                name=service,
                guests=tuple(names),
                update=Update(batch_size=ALL_AT_ONCE, max_unavailable=max_unavailable),
                labels={},
                annotations={},
                profiles=(),
                inherited={},
                origin=ORIGIN,
            )
            for service, names in services.items()
        },
        guests={guest.name: guest for guest in guests},
    )


def config(
    owner: OwnerMark | None = None,
    *,
    options: Mapping[str, OptionValue] | None = None,
    disks: Iterable[Disk] = (),
    nics: Iterable[Nic] = (),
    unused: Mapping[str, str] | None = None,
    pending: Iterable[str] = (),
    witness: str | None = None,
    digest: str = "d1",
) -> GuestConfig:
    """A configuration that carries ``owner`` and, unless told otherwise, its witness."""
    described: dict[str, OptionValue] = dict(options or {})
    if owner is not None:
        text = described.get("description", "")
        assert isinstance(text, str)
        described["description"] = signed_description(text, owner)
    if witness is None:
        witness = owner.witness if owner is not None else "uuid:0"
    return GuestConfig(
        digest=digest,
        options=described,
        disks={disk.slot: disk for disk in disks},
        nics={nic.slot: nic for nic in nics},
        unused=dict(unused or {}),
        pending=frozenset(pending),
        mark=owner,
        witness=witness,
    )


def disk(
    slot: str = "scsi0",
    *,
    volume: str = "nas:vm-10000-disk-0",
    size_gib: float | None = 3,
    **properties: str,
) -> Disk:
    """A disk that a guest has; its storage is what stands before the colon."""
    storage, colon, _ = volume.partition(":")
    return Disk(
        slot=slot,
        volume=volume,
        storage=StorageId(storage) if colon else None,
        size_bytes=None if size_gib is None else int(size_gib * GIB),
        properties=properties,
    )


def nic(slot: str = "net0", mac: str = "BC:24:11:00:00:01", **properties: str) -> Nic:
    """A VM's network interface on ``vmbr0``."""
    return Nic(slot=slot, mac=mac, properties={"model": "virtio", "bridge": "vmbr0"} | properties)


def container_nic(
    slot: str = "net0", mac: str | None = None, vmid: int = WEB_VMID, **properties: str
) -> Nic:
    """A container's network interface, with the MAC that makes it ours if it is net0."""
    if mac is None:
        mac = derived_mac(CLUSTER, WEB, 1, VmId(vmid), slot)
    return Nic(slot=slot, mac=mac, properties={"name": "eth0", "bridge": "vmbr0"} | properties)


def guest(
    vmid: int = WEB_VMID,
    *,
    kind: GuestKind = GuestKind.VM,
    node: NodeName = PVE1,
    name: str = "web",
    power: Power = Power.RUNNING,
    template: bool = False,
    lock: str = "",
    pool: str | None = None,
    ha_state: str = "",
    memory_bytes: int = 2 * GIB,
    config: Reading[GuestConfig] | GuestConfig | None = None,
    snapshots: Reading[tuple[ObservedSnapshot, ...]] | None = None,
) -> ObservedGuest:
    """A running VM of ours, on ``pve1``, unless told otherwise."""
    if config is None:
        config = Known(_owned_config(vmid))
    elif isinstance(config, GuestConfig):
        config = Known(config)
    return ObservedGuest(
        vmid=VmId(vmid),
        kind=kind,
        node=node,
        name=name,
        power=power,
        template=template,
        lock=lock,
        tags="qlop",
        pool=PoolId(pool) if pool is not None else None,
        ha_state=ha_state,
        memory_bytes=memory_bytes,
        config=config,
        snapshots=snapshots if snapshots is not None else Known(()),
    )


def template(
    vmid: int = TEMPLATE,
    *,
    node: NodeName = PVE1,
    storage: StorageId = NAS,
    size_bytes: int = 3 * GIB,
    name: str = "debian-12-cloud",
) -> ObservedGuest:
    """A stopped VM template with one disk, on shared storage."""
    disk = Disk(
        slot="scsi0",
        volume=f"{storage}:base-{vmid}-disk-0",
        storage=storage,
        size_bytes=size_bytes,
    )
    return guest(
        vmid,
        node=node,
        name=name,
        power=Power.STOPPED,
        template=True,
        config=config(disks=(disk,), witness=f"uuid:template-{vmid}"),
    )


def node(
    name: NodeName, *, online: bool = True, memory_bytes: int = 32 * GIB, maintenance: bool = False
) -> ObservedNode:
    """A node with room."""
    return ObservedNode(
        name=name,
        online=online,
        cores=8,
        memory_bytes=memory_bytes,
        memory_used_bytes=GIB,
        maintenance=maintenance,
    )


def storages(nodes: Iterable[NodeName] = NODES) -> tuple[ObservedStorage, ...]:
    """``local-lvm`` on each node, thin, and ``nas``, shared."""
    return tuple(
        ObservedStorage(
            storage=storage,
            node=name,
            shared=shared,
            active=True,
            content=frozenset({"images", "rootdir"}),
            plugin=plugin,
            total_bytes=1000 * GIB,
            used_bytes=100 * GIB,
        )
        for name in nodes
        for storage, shared, plugin in ((LOCAL, False, "lvmthin"), (NAS, True, "nfs"))
    )


def observed(
    *guests: ObservedGuest,
    nodes: Iterable[ObservedNode] | None = None,
    with_template: bool = True,
    quorate: Reading[bool] | None = None,
    complete: bool = True,
    tasks: tuple[ObservedTask, ...] = (),
    gaps: tuple[str, ...] = (),
    taken_at: datetime = NOW,
    stores: Iterable[ObservedStorage] | None = None,
    backups: Mapping[int, Reading[tuple[ObservedBackup, ...]]] | None = None,
) -> Observed:
    """A healthy cluster of three nodes with these guests and one template."""
    there = [*guests, *([template()] if with_template else [])]
    hosts = tuple(nodes) if nodes is not None else tuple(node(name) for name in NODES)
    stores = tuple(stores) if stores is not None else storages()
    return Observed(
        taken_at=taken_at,
        quorate=quorate if quorate is not None else Known(True),
        complete=complete,
        nodes={host.name: host for host in hosts},
        guests={one.vmid: one for one in there},
        storages={(store.storage, store.node): store for store in stores},
        tasks=tasks,
        gaps=gaps,
        backups={VmId(vmid): reading for vmid, reading in (backups or {}).items()},
    )


def tombstone(
    vmid: int = WEB_VMID,
    *,
    service: str = WEB,
    index: int = 1,
    name: str = "web",
    at: datetime = NOW,
    witness: str | None = None,
    digest: str = "d1",
) -> Tombstone:
    """The tombstone of the web guest, set now."""
    return Tombstone(
        at=at,
        service=ServiceName(service),
        index=index,
        vmid=VmId(vmid),
        name=GuestName(name),
        witness=witness if witness is not None else mark(service, index, vmid).witness,
        digest=digest,
    )


def reprieve(vmid: int = WEB_VMID, *, at: datetime = NOW) -> Reprieve:
    """What takes the tombstone of the web guest away."""
    return Reprieve(
        at=at, service=WEB, index=1, vmid=VmId(vmid), name=GuestName(WEB), reason="a test"
    )


def backup(
    vmid: int = WEB_VMID,
    *,
    taken_at: datetime = NOW,
    kind: GuestKind = GuestKind.VM,
    verification: Verification = Verification.NOT_OFFERED,
) -> ObservedBackup:
    """A backup on ``nas``, begun now."""
    return ObservedBackup(
        volume=f"nas:backup/vzdump-{kind.value}-{vmid}-{taken_at:%Y_%m_%d-%H_%M_%S}.zst",
        storage=NAS,
        node=PVE1,
        kind=kind,
        taken_at=taken_at,
        verification=verification,
    )


def plan_input(
    want: Desired,
    have: Observed,
    history: History | None = None,
    now: datetime = NOW,
    orders: Iterable[Order] = (),
) -> PlanInput:
    """What the planner is given."""
    return PlanInput(
        desired=want,
        observed=have,
        history=history if history is not None else History(),
        now=now,
        orders=fold_orders(orders),
    )


def undelete(
    service: str = WEB, index: int = 1, *, until: datetime = NOW + timedelta(days=1)
) -> Undelete:
    """Somebody wants the web guest back, for a day."""
    return Undelete(
        id=OrderId("u1"),
        at=NOW,
        by="root",
        reason="a mistake",
        until=until,
        service=ServiceName(service),
        index=index,
    )


def intended(
    verb: Verb = Verb.START,
    *,
    service: str = WEB,
    index: int = 1,
    vmid: int = WEB_VMID,
    action: str | None = None,
    attempt: int = 1,
    at: datetime = NOW,
    source: int | None = None,
    target: NodeName = PVE1,
    witness: str = "",
    expects: Mapping[str, str] | None = None,
) -> Intended:
    """A record that an action on the web guest is about to be sent."""
    return Intended(
        at=at,
        cycle=CycleId("c1"),
        action=ActionId(action if action is not None else f"{service}/{verb.value}/f00d"),
        attempt=attempt,
        verb=verb,
        subject=GuestName(service),
        service=ServiceName(service),
        index=index,
        vmid=VmId(vmid),
        kind=GuestKind.VM,
        node=PVE1,
        target=target,
        source=VmId(source) if source is not None else None,
        witness=witness,
        expects=dict(expects or {}),
    )


def finished(
    verb: Verb = Verb.START,
    *,
    service: str = WEB,
    action: str | None = None,
    attempt: int = 1,
    at: datetime = NOW,
    succeeded: bool = True,
) -> Finished:
    """The end of what ``intended`` with the same arguments began."""
    return Finished(
        at=at,
        action=ActionId(action if action is not None else f"{service}/{verb.value}/f00d"),
        attempt=attempt,
        ending=Ending.SUCCEEDED if succeeded else Ending.FAILED,
        error="" if succeeded else "transient",
        message="" if succeeded else "it broke",
    )


def _owned_config(vmid: int) -> GuestConfig:
    return config(mark(vmid=vmid))


def unmanaged(vmid: int = 101, name: str = "mail", why: str = "it has no owner mark") -> Unmanaged:
    """A VM on ``pve1`` that is not ours."""
    return Unmanaged(vmid=VmId(vmid), name=name, kind=GuestKind.VM, node=PVE1, why=why)
