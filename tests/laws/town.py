"""Guests that the simulated hospital can have: some by hand, any by drawing."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from qlop.model.desired import (
    ArchiveSource,
    CloneSource,
    Desired,
    DesiredDisk,
    DesiredGuest,
    DesiredNic,
    EmptySource,
    ImageSource,
    Placement,
    Snapshots,
)
from qlop.model.device import CLOUD_INIT_VOLUME
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.ids import GuestName, StorageId, VmId
from qlop.model.policy import BackupNeed, Fuse, Policy, Prune, Pruning
from qlop.model.units import GIB, MIB
from tests import builders as b

VM, CT = GuestKind.VM, GuestKind.CONTAINER
LOCAL, NAS = StorageId("local-lvm"), StorageId("nas")
IMAGE = "local:import/debian-12-genericcloud-amd64.qcow2"
ARCHIVE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
POLICY = Policy(
    prune=Pruning(mode=Prune.DESTROY, grace=timedelta(), backup=BackupNeed.NOT_NEEDED),
    fuse=Fuse(guests=10),
)


def vm(name: str, **more: object) -> DesiredGuest:
    guest = b.desired_guest(
        name,
        source=CloneSource(template=VmId(9000)),
        options={"name": name, "memory": "1024", "cores": "1", "ciuser": "admin"},
        disks=(DesiredDisk(slot="scsi0", size_bytes=4 * GIB),),
        nics=(DesiredNic(slot="net0", mac=None, properties=CARD),),
        networks_declared=True,
        memory_bytes=1024 * MIB,
    )
    return replace(guest, **more)  # type: ignore[arg-type]  # fields of the guest


CARD = {"model": "virtio", "bridge": "vmbr0"}
WIRE = {"name": "eth0", "bridge": "vmbr0"}


def container(name: str, **more: object) -> DesiredGuest:
    guest = b.desired_guest(
        name,
        kind=CT,
        source=ArchiveSource(volume=ARCHIVE),
        options={"hostname": name, "memory": "512", "unprivileged": "1"},
        disks=(DesiredDisk(slot="rootfs", size_bytes=4 * GIB, storage=LOCAL),),
        nics=(DesiredNic(slot="net0", mac=None, properties=WIRE),),
        networks_declared=True,
        memory_bytes=512 * MIB,
    )
    return replace(guest, **more)  # type: ignore[arg-type]  # fields of the guest


TOWN = (
    vm("app", snapshots=Snapshots(keep=("first",))),
    vm(
        "db",
        source=ImageSource(volume=IMAGE),
        disks=(
            DesiredDisk(slot="scsi0", size_bytes=6 * GIB, storage=LOCAL),
            DesiredDisk(slot="ide2", size_bytes=None, storage=LOCAL, volume=CLOUD_INIT_VOLUME),
        ),
    ),
    container("mq"),
    container("web", nics=(), networks_declared=False),
)


def wanted(*guests: DesiredGuest) -> Desired:
    return b.desired(*guests, policy=POLICY)


SOURCES = st.sampled_from(
    [
        CloneSource(template=VmId(9000)),
        CloneSource(template="debian-12-cloud", storage=LOCAL),
        CloneSource(template=VmId(9002), full=False),
        ImageSource(volume=IMAGE),
        EmptySource(),
    ]
)
Options = dict[str, OptionValue]
VM_OPTIONS: st.SearchStrategy[Options] = st.fixed_dictionaries(
    {},
    optional={
        "cores": st.sampled_from(["1", "2"]),
        "onboot": st.sampled_from(["0", "1"]),
        "tags": st.sampled_from(["qlop", "a;qlop"]),
        "description": st.sampled_from(["", "The web.\nIt serves."]),
        "agent": st.sampled_from([{"enabled": "1"}, {"enabled": "0"}]),
        "cpulimit": st.sampled_from(["0", "1.5"]),
        "ciuser": st.just("admin"),
        "sshkeys": st.just("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0v9q6R0sYk8t0aQe0 a@b"),
        "nameserver": st.just("9.9.9.9 1.1.1.1"),
        "startup": st.sampled_from([{"order": "1", "up": "30"}, {"order": "2"}]),
        "boot": st.sampled_from([{"order": "scsi0;net0"}, {"order": "scsi0"}]),
        "protection": st.sampled_from(["0", "1"]),
    },
)
CT_OPTIONS: st.SearchStrategy[Options] = st.fixed_dictionaries(
    {},
    optional={
        "cores": st.sampled_from(["1", "2"]),
        "swap": st.sampled_from(["0", "256"]),
        "onboot": st.sampled_from(["0", "1"]),
        "features": st.sampled_from([{"nesting": "1"}, {"nesting": "0"}]),
        "description": st.sampled_from(["", "The web."]),
        "nameserver": st.just("9.9.9.9"),
        "tags": st.sampled_from(["qlop", "a;qlop"]),
    },
)
CONSENTS = st.sampled_from([b.UNASKED, b.WILLING])
PLACEMENTS = st.sampled_from(
    [Placement(), Placement(spread=False), Placement(allowed=frozenset({b.PVE2, b.PVE3}))]
)


@st.composite
def vms(draw: st.DrawFn, name: str) -> DesiredGuest:
    source = draw(SOURCES)
    is_clone = isinstance(source, CloneSource)
    empty = isinstance(source, EmptySource)  # What has no system can't be shut down.
    disk = DesiredDisk(
        slot="scsi0",
        size_bytes=draw(st.sampled_from([3, 5])) * GIB,
        storage=None if is_clone else LOCAL,
        properties=draw(st.sampled_from([{}, {"ssd": "1", "backup": "0"}])),
    )
    more = [DesiredDisk(slot="scsi1", size_bytes=GIB, storage=LOCAL)]
    chosen = draw(VM_OPTIONS)
    return vm(
        name,
        source=source,
        options={"name": name, "memory": "512", **chosen},
        disks=(disk, *(more if draw(st.booleans()) else [])),
        memory_bytes=512 * MIB,
        power=Power.STOPPED if empty else draw(st.sampled_from([Power.RUNNING, Power.STOPPED])),
        consents=draw(CONSENTS),
        placement=draw(PLACEMENTS) if not _is_bound(source) else Placement(),
    )


def _is_bound(source: object) -> bool:
    return isinstance(source, CloneSource) and source.template == VmId(9002)


@st.composite
def containers(draw: st.DrawFn, name: str) -> DesiredGuest:
    mount = DesiredDisk(slot="mp0", size_bytes=GIB, storage=LOCAL, properties={"mp": "/srv"})
    rootfs = DesiredDisk(slot="rootfs", size_bytes=4 * GIB, storage=LOCAL)
    chosen = draw(CT_OPTIONS)
    wired = draw(st.booleans())
    return container(
        name,
        options={"hostname": name, "memory": "512", "unprivileged": "1", **chosen},
        disks=(rootfs, *([mount] if draw(st.booleans()) else [])),
        nics=container(name).nics if wired else (),
        networks_declared=wired,
        power=draw(st.sampled_from([Power.RUNNING, Power.STOPPED])),
        placement=draw(PLACEMENTS),
    )


@st.composite
def towns(draw: st.DrawFn) -> list[DesiredGuest]:
    guests: list[DesiredGuest] = []
    for name in draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1, max_size=2)):
        first = draw(st.one_of(vms(name), containers(name)))
        for index in range(1, draw(st.integers(1, 2)) + 1):
            key = "name" if first.kind is VM else "hostname"
            own = GuestName(f"{name}-{index}")
            guests.append(
                replace(first, name=own, index=index, options={**first.options, key: own})
            )
    return guests
