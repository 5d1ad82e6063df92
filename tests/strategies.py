"""Draw desired states and worlds, from the tidy to the wild."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time, timedelta
from typing import Any

from hypothesis import strategies as st

from qlop.model.action import Verb
from qlop.model.consent import Consent, Consents
from qlop.model.desired import (
    ArchiveSource,
    CloneSource,
    Desired,
    DesiredDisk,
    DesiredGuest,
    DesiredNic,
    EmptySource,
    ImageSource,
    IsoSource,
    Placement,
    Snapshots,
    Source,
)
from qlop.model.device import CLOUD_INIT_VOLUME
from qlop.model.folding import fold
from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Power
from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.model.ids import ClusterName, GuestName, NodeName, ServiceName, StorageId, Upid, VmId
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
from qlop.model.orders import Order
from qlop.model.orders import fold as fold_orders
from qlop.model.owner import OwnerMark, derived_mac, derived_uuid
from qlop.model.plan import PlanInput
from qlop.model.policy import BackupNeed, Fuse, Policy, Prune, Pruning
from qlop.model.reading import Known, Reading, Unknown
from qlop.model.units import GIB, MIB
from qlop.model.window import CalendarWindow
from tests import builders as b

VM, CT = GuestKind.VM, GuestKind.CONTAINER
THICK = StorageId("lvm")
CT_TEMPLATE = VmId(9100)
SERVICES = ("app", "db", "mq", "web")
NAMES = st.sampled_from(SERVICES)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A desired state, what there is, and what the journal says."""

    desired: Desired
    observed: Observed
    records: tuple[JournalRecord, ...] = ()
    orders: tuple[Order, ...] = ()

    @property
    def source(self) -> PlanInput:
        """Return what the planner is given."""
        return PlanInput(
            desired=self.desired,
            observed=self.observed,
            history=fold(self.records),
            now=b.NOW,
            orders=fold_orders(self.orders),
        )


def subsets(items: Sequence[str]) -> st.SearchStrategy[frozenset[str]]:
    return (
        st.frozensets(st.sampled_from(list(items)), min_size=1) if items else st.just(frozenset())
    )


@st.composite
def placements(draw: st.DrawFn, service: str) -> Placement:
    others = [ServiceName(one) for one in SERVICES if one != service]
    pick = draw(st.integers(0, 5))
    return Placement(
        allowed=frozenset(NodeName(one) for one in draw(subsets(b.NODES))) if pick == 1 else None,
        preferred=tuple(draw(st.permutations(b.NODES)))[:2] if pick == 2 else (),
        spread=draw(st.booleans()),
        apart_from=frozenset([draw(st.sampled_from(others))]) if pick == 3 else frozenset(),
        together_with=frozenset([draw(st.sampled_from(others))]) if pick == 4 else frozenset(),
    )


VM_OPTIONS: Mapping[str, Sequence[OptionValue]] = {
    "cores": ("1", "2", "4"),
    "onboot": ("0", "1"),
    "tags": ("qlop", "a;qlop"),
    "description": ("", "The web."),
    "agent": ({"enabled": "1"}, {"enabled": "0"}),
    "cpulimit": ("0", "1.5"),
    "ciuser": ("admin", "root"),
    "searchdomain": ("", "example.org"),
}
CT_OPTIONS: Mapping[str, Sequence[OptionValue]] = {
    "cores": ("1", "2"),
    "onboot": ("0", "1"),
    "description": ("", "The web."),
    "features": ({"nesting": "1"}, {"nesting": "0", "fuse": "1"}),
    "unprivileged": ("1",),
    "nameserver": ("9.9.9.9", "9.9.9.9 1.1.1.1"),
}


@st.composite
def options(draw: st.DrawFn, kind: GuestKind) -> dict[str, OptionValue]:
    known = VM_OPTIONS if kind is VM else CT_OPTIONS
    keys = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=4))
    memory = draw(st.sampled_from([512, 1024, 4096, 12288]))
    return {key: draw(st.sampled_from(known[key])) for key in keys} | {"memory": str(memory)}


SIZES = st.sampled_from([3 * GIB, 8 * GIB, 40 * GIB])
STORES = st.sampled_from([b.LOCAL, b.NAS, THICK])
VM_SOURCES: st.SearchStrategy[Source] = st.sampled_from(
    [
        CloneSource(template=b.TEMPLATE),
        CloneSource(template="debian-12-cloud"),
        CloneSource(template=b.TEMPLATE, storage=b.LOCAL),
        CloneSource(template=b.TEMPLATE, storage=THICK),
        CloneSource(template=b.TEMPLATE, full=False),
        CloneSource(template="nowhere"),
        ImageSource(volume="nas:import/debian.qcow2"),
        IsoSource(volume="nas:iso/debian.iso"),
        EmptySource(),
    ]
)
CT_SOURCES: st.SearchStrategy[Source] = st.sampled_from(
    [ArchiveSource(volume="nas:vztmpl/debian.tar.zst"), CloneSource(template=CT_TEMPLATE)]
)


@st.composite
def disks(draw: st.DrawFn, kind: GuestKind, source: Source) -> tuple[DesiredDisk, ...]:
    first = "scsi0" if kind is VM else "rootfs"
    found: list[DesiredDisk] = []
    if not isinstance(source, CloneSource):
        found.append(DesiredDisk(slot=first, size_bytes=draw(SIZES), storage=draw(STORES)))
    elif draw(st.booleans()):
        found.append(DesiredDisk(slot=first, size_bytes=draw(SIZES)))
    if draw(st.booleans()):
        slot, more = ("scsi1", {"backup": "0"}) if kind is VM else ("mp0", {"mp": "/srv"})
        found.append(
            DesiredDisk(slot=slot, size_bytes=draw(SIZES), storage=draw(STORES), properties=more)
        )
    if kind is VM and draw(st.booleans()):
        found.append(
            DesiredDisk(slot="ide2", size_bytes=None, storage=b.NAS, volume=CLOUD_INIT_VOLUME)
        )
    return tuple(found)


@st.composite
def nics(draw: st.DrawFn, kind: GuestKind) -> tuple[DesiredNic, ...]:
    found = []
    for number in range(draw(st.integers(0, 2))):
        name = {"model": "virtio"} if kind is VM else {"name": f"eth{number}"}
        bridge = draw(st.sampled_from(["vmbr0", "vmbr1"]))
        mac = draw(st.sampled_from([None, None, f"BC:24:11:00:AA:0{number}"]))
        found.append(
            DesiredNic(slot=f"net{number}", mac=mac, properties={**name, "bridge": bridge})
        )
    return tuple(found)


_WORDS = st.sampled_from([Consent.DO, Consent.DO, Consent.WINDOW, Consent.ASK, Consent.WARN])
_FIELDS = st.sampled_from(
    [
        "memory",
        "cores",
        "tags",
        "net0",
        "net0.bridge",
        "scsi0",
        "scsi0.size",
        "mp0.backup",
        "description",
        "power",
        "placement",
        "rootfs.size",
    ]
)
CONSENTS = st.one_of(
    st.builds(
        Consents,
        reboot=st.sampled_from([Consent.DO, Consent.ASK]),
        downtime=st.sampled_from([Consent.DO, Consent.ASK]),
    ),
    st.builds(
        Consents,
        none=_WORDS,
        hot=_WORDS,
        reboot=_WORDS,
        downtime=_WORDS,
        fields=st.dictionaries(_FIELDS, st.sampled_from(Consent), max_size=3),
    ),
)
"""Mostly as plain as most manifests are."""
NIGHT = CalendarWindow(
    name="night", weekdays=frozenset(range(7)), start=time(1), end=time(5), zone="UTC"
)
WHOLE_DAY = CalendarWindow(
    name="always", weekdays=frozenset(range(7)), start=time(0), end=time(0), zone="UTC"
)
WINDOWS = st.sampled_from([(), (NIGHT,), (WHOLE_DAY,), (NIGHT, WHOLE_DAY)])


@st.composite
def services(draw: st.DrawFn, name: str) -> tuple[DesiredGuest, ...]:
    """The guests of one service: alike, but for their number."""
    kind = draw(st.sampled_from([VM, VM, CT]))
    source = draw(VM_SOURCES if kind is VM else CT_SOURCES)
    opted = draw(options(kind))
    keep = draw(st.sampled_from([(), (), ("before",), ("a1", "b2")]))
    replicas = draw(st.integers(1, 3))
    wired = draw(nics(kind))
    first = DesiredGuest(
        name=GuestName(name),
        service=ServiceName(name),
        index=1,
        kind=kind,
        source=source,
        vmid=None,
        vmid_range=draw(st.sampled_from([b.RANGE, b.RANGE, (10000, 10001)])),
        options=opted,
        disks=draw(disks(kind, source)),
        nics=wired,
        networks_declared=bool(wired),
        pool=None,
        power=draw(st.sampled_from([Power.RUNNING, Power.RUNNING, Power.STOPPED])),
        placement=draw(placements(name)),
        snapshots=Snapshots(keep=keep, prune=draw(st.booleans()), memory=draw(st.booleans())),
        shutdown_timeout=timedelta(seconds=60),
        may_stop=draw(st.booleans()),
        consents=draw(CONSENTS),
        windows=draw(WINDOWS),
        memory_bytes=int(str(opted["memory"])) * MIB,
        origin=b.ORIGIN,
    )
    if replicas == 1:
        return (first,)
    vmid = draw(st.sampled_from([None, None, 10500 + 10 * SERVICES.index(name)]))
    return tuple(
        replace(
            first,
            name=GuestName(f"{name}-{index}"),
            index=index,
            vmid=VmId(vmid + index) if vmid is not None else None,
            nics=tuple(replace(nic, mac=None) for nic in wired),
        )
        for index in range(1, replicas + 1)
    )


PRUNINGS = st.builds(
    Pruning,
    mode=st.sampled_from([*Prune, Prune.DESTROY]),
    grace=st.sampled_from([timedelta(), timedelta(days=2), timedelta(days=7)]),
    backup=st.sampled_from(BackupNeed),
)
POLICIES = st.builds(
    Policy,
    prune=PRUNINGS,
    fuse=st.sampled_from([Fuse(), Fuse(guests=20), Fuse(guests=0, share=0.5)]),
)


@st.composite
def desires(draw: st.DrawFn) -> Desired:
    names = draw(st.lists(NAMES, unique=True, max_size=3))
    guests = [guest for name in names for guest in draw(services(name))]
    return b.desired(*guests, policy=draw(POLICIES), max_unavailable=draw(st.integers(0, 2)))


def ideal(want: DesiredGuest, vmid: int, node: NodeName = b.PVE1) -> ObservedGuest:
    """The guest exactly as its manifest says, made by hand and not by the planner."""
    number = VmId(vmid)
    place = (b.CLUSTER, want.service, want.index, number)
    wired = [_nic(want, nic, number) for nic in want.nics]
    stored = _stored(want, number)
    if want.kind is VM:
        uuid = derived_uuid(*place)
        witness, identity = f"uuid:{uuid}", {"smbios1": {"uuid": uuid}}
    else:
        identity = {}
        first = min(wired, key=lambda nic: nic.slot, default=None)
        rootfs = next(disk for disk in stored if disk.slot == "rootfs")
        witness = f"volume:{rootfs.volume}" if first is None else f"mac:{first.mac.lower()}"
    mark = OwnerMark(
        cluster=b.CLUSTER,
        service=want.service,
        index=want.index,
        vmid=number,
        witness=witness,
    )
    have: dict[str, OptionValue] = {"name": want.name, **want.options, **identity}
    kept = tuple(
        ObservedSnapshot(name=name, taken_at=b.NOW, ours=True, with_memory=False)
        for name in want.snapshots.keep
    )
    return ObservedGuest(
        vmid=number,
        kind=want.kind,
        node=node,
        name=want.name,
        power=want.power,
        template=False,
        lock="",
        tags="",
        pool=want.pool,
        ha_state="",
        memory_bytes=want.memory_bytes,
        config=Known(b.config(mark, options=have, disks=stored, nics=wired)),
        snapshots=Known(kept),
    )


def _nic(want: DesiredGuest, nic: DesiredNic, vmid: VmId) -> Nic:
    mac = nic.mac or derived_mac(b.CLUSTER, want.service, want.index, vmid, nic.slot)
    return Nic(slot=nic.slot, mac=mac, properties=nic.properties)


def _stored(want: DesiredGuest, vmid: VmId) -> list[Disk]:
    found: dict[str, Disk] = {}
    first = "scsi0" if want.kind is VM else "rootfs"
    if isinstance(want.source, CloneSource):
        storage = want.source.storage or b.NAS
        found[first] = _disk(first, f"{storage}:vm-{vmid}-disk-0", storage, 3 * GIB, {})
    for number, disk in enumerate(want.disks):
        storage = disk.storage or b.NAS
        if disk.volume == CLOUD_INIT_VOLUME:
            volume = f"{storage}:vm-{vmid}-cloudinit"
            found[disk.slot] = _disk(disk.slot, volume, storage, None, {"media": "cdrom"})
            continue
        if disk.slot in found:
            storage = found[disk.slot].storage or storage
        volume = f"{storage}:vm-{vmid}-disk-{number}"
        found[disk.slot] = _disk(disk.slot, volume, storage, disk.size_bytes, disk.properties)
    return list(found.values())


def _disk(
    slot: str, volume: str, storage: StorageId, size: int | None, properties: Mapping[str, str]
) -> Disk:
    return Disk(slot=slot, volume=volume, storage=storage, size_bytes=size, properties=properties)


def ct_template() -> ObservedGuest:
    rootfs = Disk(slot="rootfs", volume="nas:base-9100-disk-0", storage=b.NAS, size_bytes=3 * GIB)
    nic = Nic(slot="net0", mac="BC:24:11:FF:FF:FF", properties={"name": "eth0"})
    return replace(
        b.template(CT_TEMPLATE, name="debian-12-ct"),
        kind=CT,
        config=Known(b.config(disks=[rootfs], nics=[nic], witness="mac:bc:24:11:ff:ff:ff")),
    )


def stores(nodes: Sequence[NodeName] = b.NODES) -> list[ObservedStorage]:
    thick = [
        ObservedStorage(
            storage=THICK,
            node=node,
            shared=False,
            active=True,
            content=frozenset({"images", "rootdir"}),
            plugin="lvm",
            total_bytes=100 * GIB,
            used_bytes=10 * GIB,
        )
        for node in nodes
    ]
    return [*b.storages(nodes), *thick]


Mutation = Callable[[ObservedGuest], ObservedGuest]


def _with_config(change: Callable[[GuestConfig], GuestConfig]) -> Mutation:
    def mutate(guest: ObservedGuest) -> ObservedGuest:
        if not isinstance(guest.config, Known):
            return guest
        return replace(guest, config=Known(change(guest.config.value)))

    return mutate


def _optioned(**values: OptionValue) -> Mutation:
    return _with_config(lambda config: replace(config, options={**config.options, **values}))


def _without(key: str) -> Mutation:
    return _with_config(
        lambda config: replace(
            config, options={name: value for name, value in config.options.items() if name != key}
        )
    )


def _resized(size_bytes: int) -> Mutation:
    def change(config: GuestConfig) -> GuestConfig:
        grown = {
            slot: disk if disk.is_cdrom else replace(disk, size_bytes=size_bytes)
            for slot, disk in config.disks.items()
        }
        return replace(config, disks=grown)

    return _with_config(change)


def _detached(config: GuestConfig) -> GuestConfig:
    left = {slot: disk for slot, disk in config.disks.items() if slot not in {"scsi1", "mp0"}}
    gone = [disk.volume for slot, disk in config.disks.items() if slot not in left]
    return replace(config, disks=left, unused={f"unused{n}": one for n, one in enumerate(gone)})


def _rewired(config: GuestConfig) -> GuestConfig:
    changed = {
        slot: replace(nic, properties={**nic.properties, "bridge": "vmbr9"})
        for slot, nic in config.nics.items()
    }
    return replace(config, nics=changed)


def _field(**values: object) -> Mutation:
    return lambda guest: replace(guest, **values)  # type: ignore[arg-type]  # fields


CALM_MUTATIONS: Sequence[Mutation] = (
    lambda guest: guest,
    _field(power=Power.STOPPED),
    _field(power=Power.RUNNING),
    _field(power=Power.PAUSED),
    _field(node=b.PVE2),
    _field(node=b.PVE3),
    _optioned(cores="7", onboot="0"),
    _optioned(description="somebody rewrote it", protection="1"),
    _without("cores"),
    _without("memory"),
    _resized(3 * GIB),
    _resized(100 * GIB),
    _with_config(_detached),
    _with_config(_rewired),
    _with_config(lambda config: replace(config, nics={})),
    _with_config(lambda config: replace(config, pending=frozenset({"cores", "memory"}))),
    _field(snapshots=Known(())),
)
WILD_MUTATIONS: Sequence[Mutation] = (
    _field(lock="backup"),
    _field(lock="suspended", power=Power.SUSPENDED),
    _field(ha_state="started"),
    _field(ha_state="error", power=Power.STOPPED),
    _field(power=Power.UNKNOWN),
    _field(template=True),
    _field(kind=CT),
    _field(config=Unknown("no answer")),
    _field(snapshots=Unknown("no answer")),
    _field(node=NodeName("pve9")),
    _field(memory_bytes=0, name=""),
    _field(memory_bytes=60 * GIB),
    _with_config(lambda config: replace(config, witness="uuid:of-somebody-else")),
    _with_config(lambda config: replace(config, mark=None)),
    _with_config(
        lambda config: (
            config
            if config.mark is None
            else replace(config, mark=replace(config.mark, cluster=ClusterName("elsewhere")))
        )
    ),
    _with_config(lambda config: replace(config, disks={})),
    _with_config(lambda config: replace(config, options={})),
)


@st.composite
def _existing(
    draw: st.DrawFn, desired: Desired, mutations: Sequence[Mutation]
) -> list[ObservedGuest]:
    """Some of the desired guests, mutated, under VMIDs of their own."""
    found: list[ObservedGuest] = []
    for number, want in enumerate(sorted(desired.guests.values(), key=lambda one: one.name)):
        if draw(st.integers(0, 2)) == 0:
            continue
        vmid = want.vmid if want.vmid is not None else 10100 + number
        guest = ideal(want, vmid, draw(st.sampled_from(b.NODES)))
        for mutate in draw(st.lists(st.sampled_from(mutations), max_size=2)):
            guest = mutate(guest)
        found.append(guest)
    return found


@st.composite
def _others(draw: st.DrawFn, guests: Sequence[ObservedGuest]) -> list[ObservedGuest]:
    """Orphans, strangers and copies."""
    found: list[ObservedGuest] = []
    for number in range(draw(st.integers(0, 5))):
        orphan = ideal(b.desired_guest("old", number + 1), 10200 + number)
        mutations = (*CALM_MUTATIONS, *WILD_MUTATIONS)
        for mutate in draw(st.lists(st.sampled_from(mutations), max_size=1)):
            orphan = mutate(orphan)
        found.append(orphan)
    if draw(st.booleans()):
        found.append(b.guest(10000, name="stranger", config=b.config(witness="uuid:s")))
    copies = draw(st.booleans())
    if guests and copies:
        copied: ObservedGuest = draw(st.sampled_from(list(guests)))
        copy = _with_config(lambda config: replace(config, witness="uuid:copy"))(copied)
        found.append(replace(copy, vmid=VmId(10300)))
    return found


@st.composite
def hosts(draw: st.DrawFn) -> list[ObservedNode]:
    memory = st.sampled_from([8 * GIB, 32 * GIB, 256 * GIB])
    changes: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        [{}, {}, {}, {}, {"online": False}, {"maintenance": True}, {"memory_bytes": 0}]
    )
    return [
        replace(b.node(name, memory_bytes=draw(memory)), **draw(changes))
        for name in b.NODES
        if draw(st.integers(0, 9)) != 0
    ]


VERBS = st.sampled_from(Verb)
UPID = Upid("UPID:pve1:1:1:1:x:1:root@pam:")


@st.composite
def _life(draw: st.DrawFn, number: int, want: DesiredGuest, vmid: VmId) -> list[JournalRecord]:
    """Something that happened to a guest, perhaps not to its end."""
    verb = draw(VERBS)
    record: Intended = replace(
        b.intended(verb, attempt=number, expects={"seal": "x"} if draw(st.booleans()) else {}),
        subject=want.name,
        service=want.service,
        index=want.index,
        vmid=vmid,
        target=draw(st.sampled_from(b.NODES)),
        witness=f"uuid:{derived_uuid(b.CLUSTER, want.service, want.index, vmid)}",
    )
    records: list[JournalRecord] = [record]
    if draw(st.booleans()):
        records.append(Dispatched(at=b.NOW, action=record.action, attempt=number, upid=UPID))
    if draw(st.integers(0, 3)):
        ending = draw(st.sampled_from(Ending))
        records.append(
            Finished(at=b.NOW, action=record.action, attempt=number, ending=ending, error="x")
        )
    return records


@st.composite
def journals(
    draw: st.DrawFn, desired: Desired, guests: Sequence[ObservedGuest]
) -> tuple[JournalRecord, ...]:
    vmids = {
        (mark.service, mark.index): guest.vmid
        for guest in guests
        if isinstance(guest.config, Known)
        and (mark := guest.config.value.mark) is not None
        and mark.vmid == guest.vmid
    }
    records: list[JournalRecord] = []
    for number, name in enumerate(sorted(desired.guests)):
        if draw(st.integers(0, 3)) == 0:
            want = desired.guests[name]
            vmid = vmids.get((want.service, want.index), VmId(10400 + number))
            records += draw(_life(number, want, vmid))
    return tuple(records)


AGES = st.sampled_from(
    [timedelta(), timedelta(days=1), timedelta(days=2), timedelta(days=7), timedelta(days=90)]
)


@st.composite
def graves(draw: st.DrawFn, guests: Sequence[ObservedGuest]) -> tuple[JournalRecord, ...]:
    """Tombstones of guests that are there: of most as they are, of some as they were."""
    records: list[JournalRecord] = []
    for guest in guests:
        config = guest.config.value if isinstance(guest.config, Known) else None
        if config is None or config.mark is None or draw(st.integers(0, 2)) == 0:
            continue
        stone = b.tombstone(
            guest.vmid,
            service=config.mark.service,
            index=config.mark.index,
            at=b.NOW - draw(AGES),
            witness=config.witness,
            digest=draw(st.sampled_from([config.digest, config.digest, config.digest, "d0"])),
        )
        records.append(stone)
        if draw(st.integers(0, 5)) == 0:
            records.append(b.reprieve(guest.vmid))
    return tuple(records)


@st.composite
def backups(
    draw: st.DrawFn, guests: Sequence[ObservedGuest]
) -> dict[int, Reading[tuple[ObservedBackup, ...]]]:
    """What backups there are of some guests, as far as that can be seen."""
    found: dict[int, Reading[tuple[ObservedBackup, ...]]] = {}
    for guest in guests:
        seen = draw(st.sampled_from(["many", "many", "none", "unknown", "unasked"]))
        if seen == "unknown":
            found[guest.vmid] = Unknown("no answer")
        elif seen != "unasked":
            count = draw(st.integers(1, 2)) if seen == "many" else 0
            made = [
                b.backup(
                    guest.vmid,
                    taken_at=b.NOW - draw(AGES) + timedelta(minutes=draw(st.integers(-1, 9))),
                    kind=draw(st.sampled_from([guest.kind, guest.kind, CT])),
                    verification=draw(st.sampled_from(Verification)),
                )
                for _ in range(count)
            ]
            found[guest.vmid] = Known(tuple(made))
    return found


@st.composite
def undeletions(draw: st.DrawFn, guests: Sequence[ObservedGuest]) -> tuple[Order, ...]:
    """Orders to keep some guests, a few of which have ended."""
    orders: list[Order] = []
    for guest in guests:
        config = guest.config.value if isinstance(guest.config, Known) else None
        if config is None or config.mark is None or draw(st.integers(0, 6)):
            continue
        until = b.NOW + draw(st.sampled_from([timedelta(days=1), timedelta()]))
        orders.append(b.undelete(config.mark.service, config.mark.index, until=until))
    return tuple(orders)


@st.composite
def _tasks(draw: st.DrawFn, guests: Sequence[ObservedGuest]) -> tuple[ObservedTask, ...]:
    if not guests or draw(st.integers(0, 3)):
        return ()
    vmid = draw(st.sampled_from(list(guests))).vmid
    return (
        ObservedTask(
            upid=UPID,
            node=b.PVE1,
            verb=draw(st.sampled_from(["vzdump", "vncproxy", "qmclone"])),
            vmid=vmid,
            user="root@pam",
            started_at=b.NOW,
            exit_status=draw(st.sampled_from(["", "OK"])),
        ),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Anything that may be met, short of a cluster that is not seen at all."""
    desired = draw(desires())
    ours = draw(_existing(desired, (*CALM_MUTATIONS, *WILD_MUTATIONS)))
    guests = [*ours, *draw(_others(ours)), b.template(), ct_template()]
    observed = b.observed(
        *{guest.vmid: guest for guest in guests}.values(),
        nodes=draw(hosts()),
        with_template=False,
        stores=[one for one in stores() if draw(st.integers(0, 12)) != 0],
        tasks=draw(_tasks(guests)),
        backups=draw(backups(guests)),
    )
    return World(
        desired=desired,
        observed=observed,
        records=(*draw(journals(desired, guests)), *draw(graves(guests))),
        orders=draw(undeletions(guests)),
    )


@st.composite
def calm_worlds(draw: st.DrawFn) -> World:
    """Guests that drifted or are missing, in a cluster in which everything works."""
    desired = draw(desires())
    ours = draw(_existing(desired, CALM_MUTATIONS))
    observed = b.observed(*ours, b.template(), ct_template(), with_template=False, stores=stores())
    return World(desired=desired, observed=observed)


@st.composite
def converged_worlds(draw: st.DrawFn) -> World:
    """Every guest exactly as its manifest says, somewhere it may be."""
    desired = draw(desires())
    apart = any(guest.placement.apart_from for guest in desired.guests.values())
    guests = []
    for number, name in enumerate(sorted(desired.guests)):
        want = desired.guests[name]
        allowed = sorted(want.placement.allowed or b.NODES)
        node = (
            b.NODES[sorted(desired.services).index(want.service)]
            if apart
            else draw(st.sampled_from(allowed))
        )
        if apart:
            want = replace(want, placement=replace(want.placement, allowed=None))
            desired = _replaced(desired, want)
        vmid = want.vmid if want.vmid is not None else 10100 + number
        guests.append(ideal(want, vmid, NodeName(node)))
    observed = b.observed(
        *guests, b.template(), ct_template(), with_template=False, stores=stores()
    )
    return World(desired=desired, observed=observed)


def _replaced(desired: Desired, want: DesiredGuest) -> Desired:
    return replace(desired, guests={**desired.guests, want.name: want})
