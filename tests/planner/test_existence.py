"""A missing guest is made: under a VMID of its own, signed, exactly as declared."""

from dataclasses import replace

import pytest

from qlop.model.action import CloneGuest, ConfigureGuest, CreateGuest, ResizeDisk, Verb
from qlop.model.desired import (
    ArchiveSource,
    CloneSource,
    DesiredDisk,
    DesiredGuest,
    DesiredNic,
    EmptySource,
    ImageSource,
    IsoSource,
    Source,
)
from qlop.model.device import CLOUD_INIT_VOLUME
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.history import JournalRecord
from qlop.model.ids import GuestName, PoolId, StorageId, VmId
from qlop.model.node import ObservedStorage
from qlop.model.observed import ObservedGuest
from qlop.model.owner import (
    OPEN_WITNESS,
    derived_mac,
    derived_uuid,
    signed_description,
)
from qlop.model.plan import Plan, PlannedAction
from qlop.model.units import GIB
from qlop.model.verdict import Held, Hold
from tests import builders as b
from tests.planner import look
from tests.planner.test_ownership import journal_of_clone

VM, CT = GuestKind.VM, GuestKind.CONTAINER
SYSTEM = DesiredDisk(slot="scsi0", size_bytes=20 * GIB, storage=b.LOCAL, properties={"ssd": "1"})
NIC = DesiredNic(slot="net0", mac=None, properties={"bridge": "vmbr0", "model": "virtio"})
CT_NIC = DesiredNic(slot="net0", mac=None, properties={"bridge": "vmbr0", "name": "eth0"})
ROOTFS = DesiredDisk(slot="rootfs", size_bytes=8 * GIB, storage=b.LOCAL)
UUID = derived_uuid(b.CLUSTER, b.WEB, 1, b.WEB_VMID)
MAC = derived_mac(b.CLUSTER, b.WEB, 1, b.WEB_VMID, "net0")


def notes(build: str) -> str:
    """The notes that a guest gets, with what it is built from."""
    return signed_description("The web.", b.mark(build=build))


def vm(source: Source, *disks: DesiredDisk, power: Power = Power.RUNNING) -> DesiredGuest:
    options: dict[str, OptionValue] = {
        "name": "web",
        "cores": "2",
        "description": "The web.",
        "agent": {"enabled": "1"},
    }
    return b.desired_guest(
        source=source, options=options, disks=disks, nics=(NIC,), pool="prod", power=power
    )


def container(*nics: DesiredNic, disks: tuple[DesiredDisk, ...] = (ROOTFS,)) -> DesiredGuest:
    return b.desired_guest(
        kind=CT,
        source=ArchiveSource(volume="local:vztmpl/debian.tar.zst"),
        options={"unprivileged": "1"},
        disks=disks,
        nics=nics,
    )


def made(
    want: DesiredGuest, *there: ObservedGuest, journal: list[JournalRecord] | None = None
) -> Plan:
    return look.plan_of(b.desired(want), b.observed(*there), journal or [])


def first(plan: Plan) -> PlannedAction:
    return plan.actions[0]


PLAIN = {
    "name": "web",
    "cores": "2",
    "description": notes("empty"),
    "agent": "1",
    "smbios1": f"uuid={UUID}",
    "pool": "prod",
    "net0": "virtio,bridge=vmbr0",
}


@pytest.mark.parametrize(
    ("want", "params", "storages", "verbs"),
    [
        pytest.param(
            vm(EmptySource(), SYSTEM),
            PLAIN | {"scsi0": "local-lvm:20,ssd=1"},
            {b.LOCAL},
            ("create", "start"),
            id="empty",
        ),
        pytest.param(
            vm(EmptySource(), power=Power.STOPPED), PLAIN, set(), ("create",), id="and-stopped"
        ),
        pytest.param(
            vm(IsoSource(volume="nas:iso/debian.iso"), SYSTEM),
            PLAIN | {"scsi0": "local-lvm:20,ssd=1", "ide2": "nas:iso/debian.iso,media=cdrom"},
            {b.LOCAL},
            ("create", "start"),
            id="from-an-iso",
        ),
        pytest.param(
            vm(
                ImageSource(volume="nas:import/debian.qcow2"),
                DesiredDisk(slot="efidisk0", size_bytes=None, storage=b.NAS),
                SYSTEM,
                DesiredDisk(slot="ide2", size_bytes=None, storage=b.NAS, volume=CLOUD_INIT_VOLUME),
            ),
            PLAIN
            | {
                "efidisk0": "nas:0",
                "scsi0": "local-lvm:0,import-from=nas:import/debian.qcow2,ssd=1",
                "ide2": "nas:cloudinit",
                "description": notes("image:nas:import/debian.qcow2"),
            },
            {b.LOCAL, b.NAS},
            ("create", "resize", "start"),
            id="from-an-image",
        ),
        pytest.param(
            vm(ImageSource(volume="nas:import/x.qcow2"), replace(SYSTEM, size_bytes=None)),
            PLAIN
            | {
                "scsi0": "local-lvm:0,import-from=nas:import/x.qcow2,ssd=1",
                "description": notes("image:nas:import/x.qcow2"),
            },
            {b.LOCAL},
            ("create", "start"),
            id="from-an-image-of-the-right-size",
        ),
    ],
)
def test_a_vm_is_created(
    want: DesiredGuest, params: dict[str, str], storages: set[StorageId], verbs: tuple[str, ...]
) -> None:
    plan = made(want)

    assert first(plan).action == CreateGuest(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=VM,
        node=b.PVE1,
        params=params,
        storages=frozenset(storages),
    )
    assert look.verbs(plan) == verbs
    assert (first(plan).witness, first(plan).premise) == (f"uuid:{UUID}", None)


@pytest.mark.parametrize(
    ("nics", "net0", "witness"),
    [
        pytest.param((CT_NIC,), f"bridge=vmbr0,hwaddr={MAC},name=eth0", f"mac:{MAC.lower()}",
                     id="with-a-mac-that-can-be-foretold"),
        pytest.param((replace(CT_NIC, mac="BC:24:11:00:00:07"),),
                     "bridge=vmbr0,hwaddr=BC:24:11:00:00:07,name=eth0", "mac:bc:24:11:00:00:07",
                     id="with-the-mac-it-says"),
        pytest.param((), None, OPEN_WITNESS, id="without-a-nic-its-witness-stays-open"),
    ],
)  # fmt: skip
def test_a_container_is_created(
    nics: tuple[DesiredNic, ...], net0: str | None, witness: str
) -> None:
    plan = made(container(*nics))

    assert first(plan).action == CreateGuest(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=CT,
        node=b.PVE1,
        params={
            "unprivileged": "1",
            "hostname": "web",
            "description": signed_description(
                "", b.mark(witness=witness, build="archive:local:vztmpl/debian.tar.zst")
            ),
            "rootfs": "local-lvm:8",
            "ostemplate": "local:vztmpl/debian.tar.zst",
        }
        | ({} if net0 is None else {"net0": net0}),
        storages=frozenset({b.LOCAL}),
    )
    assert first(plan).witness == witness


def clone(want: CloneSource) -> CloneGuest:
    return CloneGuest(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=VM,
        node=b.PVE1,
        source=b.TEMPLATE,
        target=b.PVE1,
        full=want.full,
        name="web",
        description=notes(f"template:{want.template}"),
        storage=want.storage if want.full else None,
        pool=PoolId("prod"),
    )


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        pytest.param(CloneSource(template=b.TEMPLATE), ("node:pve1", "storage:nas"), id="full"),
        pytest.param(CloneSource(template="debian-12-cloud"), ("node:pve1", "storage:nas"),
                     id="by-name"),
        pytest.param(CloneSource(template=b.TEMPLATE, storage=b.LOCAL),
                     ("node:pve1", "storage:local-lvm@pve1"), id="to-another-storage"),
        pytest.param(CloneSource(template=b.TEMPLATE, full=False), ("node:pve1", "storage:nas"),
                     id="linked"),
    ],
)  # fmt: skip
def test_a_template_is_cloned(source: CloneSource, takes: tuple[str, ...]) -> None:
    plan = made(vm(source))

    assert first(plan).action == clone(source)
    assert first(plan).takes == takes
    assert (first(plan).witness, first(plan).premise) == (f"uuid:{UUID}", None)


def test_what_follows_a_clone_is_shown() -> None:
    grown = DesiredDisk(slot="scsi0", size_bytes=20 * GIB)

    plan = made(vm(CloneSource(template=b.TEMPLATE), grown))

    assert look.verbs(plan) == ("clone", "configure", "resize", "start")
    configure, resize = look.actions(plan)[1:3]
    assert isinstance(configure, ConfigureGuest)
    assert configure.set == {"cores": "2", "agent": "1", "net0": "virtio,bridge=vmbr0"}
    assert isinstance(resize, ResizeDisk)
    assert (resize.slot, resize.size_bytes) == ("scsi0", 20 * GIB)


TAKEN = b.guest(10000, name="stranger", config=b.config(witness="uuid:s"))


@pytest.mark.parametrize(
    ("want", "there", "journal", "vmid"),
    [
        pytest.param(vm(EmptySource()), [], [], 10000, id="the-lowest"),
        pytest.param(vm(EmptySource()), [TAKEN], [], 10001, id="the-lowest-that-nobody-has"),
        pytest.param(
            replace(vm(EmptySource()), vmid=VmId(777)), [], [], 777, id="the-one-asked-for"
        ),
        pytest.param(
            vm(EmptySource()),
            [],
            [b.intended(Verb.CREATE, service="db", vmid=10000)],
            10001,
            id="not-one-that-is-being-used",
        ),
        pytest.param(
            vm(EmptySource()),
            [],
            [
                b.intended(Verb.CREATE, vmid=10005),
                b.finished(Verb.CREATE, succeeded=False, at=b.NOW.replace(year=2025)),
            ],
            10005,
            id="the-one-of-the-last-attempt",
        ),
        pytest.param(
            vm(EmptySource()),
            [],
            [
                b.intended(Verb.CREATE, vmid=555),
                b.finished(Verb.CREATE, succeeded=False, at=b.NOW.replace(year=2025)),
            ],
            10000,
            id="unless-that-is-out-of-range-now",
        ),
        pytest.param(
            vm(EmptySource()),
            [TAKEN],
            journal_of_clone(sealed=True),
            10001,
            id="or-somebody-has-it",
        ),
    ],
)
def test_vmid(
    want: DesiredGuest, there: list[ObservedGuest], journal: list[JournalRecord], vmid: int
) -> None:
    assert first(made(want, *there, journal=journal)).action.vmid == vmid


def test_two_new_guests_get_two_vmids_and_leave_those_asked_for_by_number() -> None:
    wants = [b.desired_guest(name, source=EmptySource()) for name in ("a", "b", "c")]
    wants[2] = replace(wants[2], vmid=VmId(10000))

    plan = look.plan_of(b.desired(*wants), b.observed())

    vmids = {one.subject: one.vmid for one in look.actions(plan)}
    assert vmids == {"a": 10001, "b": 10002, "c": 10000}


ASKED = replace(vm(EmptySource()), vmid=VmId(10000))


@pytest.mark.parametrize(
    ("wants", "there", "journal", "held"),
    [
        pytest.param(
            [ASKED],
            [TAKEN],
            [],
            Held(
                reason=Hold.NOT_OURS,
                message="VMID 10000 is taken by VM stranger on pve1, which is not ours",
                remedy="if it is this very guest, `qlop adopt web --dry-run`; or choose another"
                " vmid in the manifest",
            ),
            id="somebody-has-the-vmid-asked-for",
        ),
        pytest.param(
            [ASKED, b.desired_guest("aaa", source=EmptySource(), vmid=10000)],
            [],
            [],
            Held(
                reason=Hold.NOT_OURS,
                message="VMID 10000 is taken by a guest that is being made",
                remedy="choose another vmid in the manifest",
            ),
            id="two-ask-for-one-vmid",
        ),
        pytest.param(
            [ASKED],
            [],
            [b.intended(Verb.CREATE, service="db")],
            Held(
                reason=Hold.NOT_OURS,
                message="VMID 10000 is taken by a guest that is being made",
                remedy="choose another vmid in the manifest",
            ),
            id="one-is-being-made-with-it",
        ),
        pytest.param(
            [replace(vm(EmptySource()), vmid_range=(10000, 10000))],
            [TAKEN],
            [],
            Held(
                reason=Hold.NO_FREE_VMID,
                message="every VMID from 10000 to 10000 is taken",
                remedy="give the service or the cluster a larger vmidRange",
            ),
            id="the-range-is-full",
        ),
    ],
)
def test_no_vmid(
    wants: list[DesiredGuest],
    there: list[ObservedGuest],
    journal: list[JournalRecord],
    held: Held,
) -> None:
    plan = look.plan_of(b.desired(*wants), b.observed(*there), journal)

    assert look.verdict(plan) == held


def store(plugin: str, *, free_gib: int, content: str = "images") -> list[ObservedStorage]:
    return [
        ObservedStorage(
            storage=b.LOCAL,
            node=b.PVE1,
            shared=False,
            active=True,
            content=frozenset({content}),
            plugin=plugin,
            total_bytes=100 * GIB,
            used_bytes=(100 - free_gib) * GIB,
        )
    ]


@pytest.mark.parametrize(
    ("source", "stores", "hold", "message"),
    [
        pytest.param(EmptySource(), [], Hold.NO_STORAGE, "pve1 has no active storage local-lvm",
                     id="no-such-storage"),
        pytest.param(EmptySource(), [replace(store("lvm", free_gib=50)[0], active=False)],
                     Hold.NO_STORAGE, "pve1 has no active storage local-lvm", id="not-active"),
        pytest.param(EmptySource(), store("lvm", free_gib=50, content="iso"), Hold.NO_STORAGE,
                     "pve1 does not keep images on storage local-lvm", id="not-for-disks"),
        pytest.param(EmptySource(), store("lvm", free_gib=24), Hold.NO_CAPACITY,
                     "pve1 has 19.0GiB left on local-lvm, 20.0GiB are needed", id="full"),
        pytest.param(EmptySource(), store("lvmthin", free_gib=24), None, "", id="thin-takes-it"),
        pytest.param(CloneSource(template=b.TEMPLATE, storage=b.LOCAL),
                     store("lvmthin", free_gib=6), Hold.NO_CAPACITY,
                     "pve1 has 1.0GiB left on local-lvm, 3.0GiB are needed",
                     id="a-full-clone-copies-even-to-thin-storage"),
    ],
)  # fmt: skip
def test_storage(
    source: Source, stores: list[ObservedStorage], hold: Hold | None, message: str
) -> None:
    nas = [one for one in b.storages() if one.storage == b.NAS]
    want = b.desired(vm(source, SYSTEM), nodes=(b.PVE1,))

    plan = look.plan_of(want, b.observed(stores=[*stores, *nas]))

    if hold is None:
        assert look.verbs(plan)[0] == "create"
    else:
        assert (look.held(plan).reason, message in look.held(plan).message) == (hold, True)


def test_a_linked_clone_copies_nothing_and_stays_where_its_template_is() -> None:
    source = CloneSource(template=b.TEMPLATE, full=False, storage=b.LOCAL)
    full = [replace(one, used_bytes=one.total_bytes) for one in b.storages()]

    plan = look.plan_of(b.desired(b.desired_guest(source=source)), b.observed(stores=full))

    clone = look.actions(plan)[0]
    assert isinstance(clone, CloneGuest)
    assert (clone.full, clone.storage) == (False, None)


def test_what_one_clone_takes_is_gone_for_the_next() -> None:
    source = CloneSource(template=b.TEMPLATE, storage=b.LOCAL)
    wants = [b.desired_guest(name, source=source) for name in ("a", "b", "c")]
    nas = [one for one in b.storages() if one.storage == b.NAS]
    stores = [*store("lvmthin", free_gib=12), *nas]

    plan = look.plan_of(b.desired(*wants, nodes=(b.PVE1,)), b.observed(stores=stores))

    assert [look.answer(plan, name) for name in ("a", "b", "c")] == [
        ("clone", "start"),
        ("clone", "start"),
        Hold.NO_CAPACITY,
    ]


def test_a_guest_with_two_places_is_named_by_its_place() -> None:
    plan = made(b.desired_guest(source=EmptySource(), name="web-1"))

    assert first(plan).id.startswith("web-1/create/")
    assert (first(plan).service, first(plan).index) == (b.WEB, 1)
