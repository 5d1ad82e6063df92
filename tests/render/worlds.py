"""A small hospital in several moods, to be shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qlop.model.action import (
    CloneGuest,
    ConfigureGuest,
    DestroyGuest,
    RebootGuest,
    StartGuest,
    Verb,
)
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
)
from qlop.model.event import Event, EventKind
from qlop.model.finding import Finding, Origin, Severity
from qlop.model.guest import GuestKind, Power
from qlop.model.history import (
    Dispatched,
    Ending,
    Finished,
    History,
    Inflight,
    Intended,
    JournalRecord,
)
from qlop.model.ids import (
    ActionId,
    ClusterName,
    CycleId,
    GuestName,
    NodeName,
    OrderId,
    Revision,
    ServiceName,
    StorageId,
    Upid,
    VmId,
)
from qlop.model.impact import Impact
from qlop.model.node import ObservedNode
from qlop.model.observed import GuestConfig, Observed, ObservedGuest
from qlop.model.orders import Approve, BreakGlass, Freeze, Order, Scope, ScopeKind
from qlop.model.owner import OwnerMark
from qlop.model.plan import BlownFuse, Change, Plan, PlanInput, PlannedAction
from qlop.model.policy import Policy
from qlop.model.reading import Absent, Known, Unknown
from qlop.model.status import NodeStatus, Status, SubjectStatus
from qlop.model.verdict import Act, Converged, Held, Hold, SubjectVerdict
from tests import builders as b

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PVE1, PVE2 = NodeName("pve1"), NodeName("pve2")
WEB, DB, APM, OLD = GuestName("web-1"), GuestName("db"), GuestName("apm"), GuestName("old")
REVISION = Revision("4f1c9a7be2d3aa00")
GIB = 1024**3

CLONE = PlannedAction(
    id=ActionId("web-1/clone/aa"),
    action=CloneGuest(
        subject=WEB,
        vmid=VmId(10001),
        kind=GuestKind.VM,
        node=PVE1,
        source=VmId(9000),
        target=PVE2,
        full=True,
        name="web-1",
        description="",
    ),
    reason="no guest of that name exists",
    impact=Impact.NONE,
    service=ServiceName("web"),
    index=1,
)
CONFIGURE = PlannedAction(
    id=ActionId("web-1/configure/bb"),
    action=ConfigureGuest(
        subject=WEB,
        vmid=VmId(10001),
        kind=GuestKind.VM,
        node=PVE2,
        digest="d",
        set={"cores": "4", "cipassword": "hush"},
    ),
    reason="it differs from its manifest",
    impact=Impact.NONE,
    service=ServiceName("web"),
    index=1,
    changes=(
        Change(field="cores", old="", new="4", impact=Impact.NONE),
        Change(field="description", old="", new="Web\nfor all " + "x" * 80, impact=Impact.NONE),
    ),
    after=(CLONE.id,),
)
REBOOT = PlannedAction(
    id=ActionId("db/reboot/cc"),
    action=RebootGuest(subject=DB, vmid=VmId(10002), kind=GuestKind.VM, node=PVE1, grace_s=180),
    reason="memory is pending",
    impact=Impact.DOWNTIME,
    service=ServiceName("db"),
    index=0,
    changes=(
        Change(field="memory", old="4096", new="8192", impact=Impact.REBOOT),
        Change(field="tags", old="x", new="", impact=Impact.NONE),
    ),
)
START = StartGuest(subject=DB, vmid=VmId(10002), kind=GuestKind.VM, node=PVE1)
DESTROY = PlannedAction(
    id=ActionId("old/destroy/dd"),
    action=DestroyGuest(subject=OLD, vmid=VmId(10009), kind=GuestKind.CONTAINER, node=PVE1),
    reason="no manifest names it and prune is destroy",
    impact=Impact.DATA_LOSS,
    service=ServiceName("old"),
    index=0,
)
HELD = Held(
    reason=Hold.NO_CAPACITY,
    message="no node has 24GiB of memory left; not creating it",
    remedy="lower spec.memory, or add a node",
)
FINDING = Finding(
    severity=Severity.WARNING,
    code="unknown-storage",
    message="storage nas is not known to the cluster",
    origin=Origin(file="web.yaml", line=12, column=5),
    field="spec.disks[0].storage",
    hint="did you mean nas1?",
)


def verdict(name: GuestName, vmid: int | None, what: Converged | Act | Held) -> SubjectVerdict:
    return SubjectVerdict(
        subject=name, vmid=VmId(vmid) if vmid is not None else None, verdict=what
    )


PLAN = Plan(
    revision=REVISION,
    actions=(CLONE, CONFIGURE, REBOOT, DESTROY),
    verdicts={
        WEB: verdict(WEB, 10001, Act(actions=(CLONE.id, CONFIGURE.id))),
        DB: verdict(
            DB,
            10002,
            Act(
                actions=(REBOOT.id,),
                held=Held(reason=Hold.DATA_LOSS, message="scsi1 would have to shrink"),
            ),
        ),
        APM: verdict(APM, None, HELD),
        OLD: verdict(OLD, 10009, Act(actions=(DESTROY.id,))),
        GuestName("spk"): verdict(
            GuestName("spk"), 10003, Converged(note="scsi3 is not in its manifest")
        ),
    },
    unmanaged=(b.unmanaged(),),
    findings=(FINDING,),
)
QUIET = Plan(
    revision=REVISION,
    actions=(),
    verdicts={GuestName("spk"): verdict(GuestName("spk"), 10003, Converged())},
)

INTENDED = Intended(
    at=NOW - timedelta(minutes=2),
    cycle=CycleId("c1"),
    action=CLONE.id,
    attempt=1,
    verb=Verb.CLONE,
    subject=WEB,
    service=ServiceName("web"),
    index=1,
    vmid=VmId(10001),
    node=PVE1,
    target=PVE2,
    reason="no guest of that name exists",
    summary="clone template 9000 to web-1 (10001) on pve2",
)
AGAIN = Intended(
    at=NOW - timedelta(minutes=1),
    cycle=CycleId("c2"),
    action=CLONE.id,
    attempt=2,
    verb=Verb.CLONE,
    subject=WEB,
    service=ServiceName("web"),
    index=1,
    vmid=VmId(10001),
    node=PVE1,
    target=PVE2,
    summary="clone template 9000 to web-1 (10001) on pve2",
)
RECORDS: tuple[JournalRecord, ...] = (
    INTENDED,
    Dispatched(at=INTENDED.at, action=CLONE.id, attempt=1, upid=Upid("UPID:pve1:1")),
    Finished(
        at=INTENDED.at + timedelta(seconds=12),
        action=CLONE.id,
        attempt=1,
        ending=Ending.FAILED,
        error="conflict",
        message="can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout",
    ),
    AGAIN,
    Dispatched(at=AGAIN.at, action=CLONE.id, attempt=2, upid=Upid("UPID:pve1:2")),
)


def subject(
    name: GuestName, vmid: int | None, what: Converged | Act | Held, **more: object
) -> SubjectStatus:
    return SubjectStatus(
        name=name,
        service=ServiceName(name.partition("-")[0]),
        vmid=VmId(vmid) if vmid is not None else None,
        node=PVE1 if vmid is not None else None,
        power=Power.RUNNING if vmid is not None else None,
        verdict=what,
        inflight=Inflight(intended=AGAIN) if more.get("flying") else None,
    )


STATUS = Status(
    at=NOW - timedelta(seconds=2),
    cycle=CycleId("c2"),
    revision=REVISION,
    observed_at=NOW - timedelta(seconds=3),
    reconciled_at=NOW - timedelta(seconds=2),
    leading=True,
    stalled="",
    quorate=True,
    nodes=(
        NodeStatus(
            name=PVE1,
            online=True,
            guests=3,
            memory_bytes=24 * GIB,
            memory_promised_bytes=12 * GIB,
        ),
        NodeStatus(name=PVE2, online=False, guests=1, memory_bytes=0, memory_promised_bytes=0),
    ),
    subjects=(
        subject(APM, None, HELD),
        subject(DB, 10002, Act(actions=(REBOOT.id,))),
        subject(GuestName("spk"), 10003, Converged()),
        subject(WEB, 10001, Held(reason=Hold.IN_FLIGHT, message="x"), flying=True),
    ),
    unmanaged=(b.unmanaged(),),
    findings=(FINDING,),
    gaps=("snapshots of 10002: HTTP 595",),
)
HOUR = timedelta(hours=1)
ORDERS: tuple[Order, ...] = (
    Freeze(
        id=OrderId("0f01"), at=NOW - HOUR, by="ani@desk", reason="accreditation", until=NOW + HOUR
    ),
    BreakGlass(
        id=OrderId("0f02"),
        at=NOW - HOUR,
        by="budi@desk",
        reason="the lift is on fire",
        until=NOW + 2 * HOUR,
        scope=Scope(kind=ScopeKind.SERVICE, name="web"),
    ),
    Approve(
        id=OrderId("0f03"),
        at=NOW - HOUR,
        by="ani@desk",
        reason="",
        until=NOW + 23 * HOUR,
        action=ActionId("apm/reboot/3f2a9c0d1e2f"),
    ),
)
FUSE = BlownFuse(
    fingerprint="ab12cd34",
    message="this plan would reboot 4 of 9 guests, more than the fuse allows (3)",
    actions=frozenset({REBOOT.id}),
)
ORDERED = replace(
    STATUS,
    orders=ORDERS,
    asks=(REBOOT,),
    fuses=(FUSE,),
    subjects=(replace(STATUS.subjects[2], warnings=("memory is 2048 and should be 4096",)),),
)
EVENTS = (
    Event(
        at=NOW - timedelta(seconds=75),
        cycle=CycleId("c1"),
        kind=EventKind.NODE_LOST,
        subject="pve2",
        message="node pve2 is offline",
    ),
)

_ORIGIN = Origin(file="web.yaml", line=3, column=1)
_MARK = OwnerMark(
    cluster=ClusterName("hospital"),
    service=ServiceName("web"),
    index=1,
    vmid=VmId(10001),
    witness="uuid-1",
)
DESIRED = Desired(
    revision=REVISION,
    cluster=DesiredCluster(
        name=ClusterName("hospital"),
        nodes=(PVE1, PVE2),
        storages=(StorageId("local-lvm"),),
        policy=Policy(),
        interval=timedelta(seconds=30),
        vmid_range=(10000, 19999),
        origin=_ORIGIN,
    ),
    services={
        ServiceName("web"): DesiredService(
            name=ServiceName("web"),
            guests=(WEB,),
            labels={},
            annotations={},
            profiles=("small",),
            inherited={"spec.cores": "small", "spec.agent": "small"},
            origin=_ORIGIN,
        )
    },
    guests={
        WEB: DesiredGuest(
            name=WEB,
            service=ServiceName("web"),
            index=1,
            kind=GuestKind.VM,
            source=CloneSource(template="debian"),
            vmid=None,
            vmid_range=(10000, 19999),
            options={"cores": "4", "cipassword": "hush", "agent": {"enabled": "1"}},
            disks=(
                DesiredDisk(
                    slot="scsi0",
                    size_bytes=32 * GIB,
                    storage=StorageId("local-lvm"),
                    properties={"discard": "on"},
                ),
            ),
            nics=(DesiredNic(slot="net0", mac=None, properties={"bridge": "vmbr0"}),),
            networks_declared=True,
            pool=None,
            power=Power.RUNNING,
            placement=Placement(
                allowed=frozenset({PVE1, PVE2}),
                preferred=(PVE2,),
                apart_from=frozenset({ServiceName("db")}),
                together_with=frozenset({ServiceName("apm")}),
            ),
            snapshots=Snapshots(),
            shutdown_timeout=timedelta(minutes=3),
            may_stop=True,
            consents=Consents(fields={"placement": Consent.DO}),
            memory_bytes=4 * GIB,
            origin=_ORIGIN,
        )
    },
)


def guest(vmid: int, name: str, config: Known[GuestConfig] | Unknown | Absent) -> ObservedGuest:
    return ObservedGuest(
        vmid=VmId(vmid),
        kind=GuestKind.VM,
        node=PVE2,
        name=name,
        power=Power.RUNNING,
        template=False,
        lock="",
        tags="web",
        pool=None,
        ha_state="",
        memory_bytes=4 * GIB,
        config=config,
        snapshots=Unknown("not read"),
    )


CONFIG = GuestConfig(
    digest="abc123",
    options={},
    disks={},
    nics={},
    unused={},
    pending=frozenset({"memory"}),
    mark=_MARK,
    witness="uuid-1",
)
OBSERVED = Observed(
    taken_at=NOW,
    quorate=Known(value=True),
    complete=True,
    nodes={PVE1: ObservedNode(name=PVE1, online=True)},
    guests={
        VmId(10001): guest(10001, "web-1", Known(CONFIG)),
        VmId(101): guest(101, "mail", Unknown("not ours")),
    },
    storages={},
)
INPUT = PlanInput(desired=DESIRED, observed=OBSERVED, history=History(), now=NOW)
