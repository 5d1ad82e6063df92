"""Disks grow and never shrink; NICs come, change and go and keep their MAC."""

from dataclasses import replace

import pytest

from qlop.model.action import ConfigureGuest, ResizeDisk
from qlop.model.desired import DesiredDisk, DesiredGuest, DesiredNic
from qlop.model.device import CLOUD_INIT_VOLUME
from qlop.model.guest import Disk, GuestKind, Nic, Power
from qlop.model.ids import GuestName, StorageId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig
from qlop.model.owner import OPEN_WITNESS, OwnerMark, derived_mac, signed_description
from qlop.model.plan import Plan
from qlop.model.units import GIB
from qlop.model.verdict import Converged, Hold
from tests import builders as b
from tests.planner import look
from tests.planner.test_config import write
from tests.planner.test_ownership import journal_of_clone

VM, CT = GuestKind.VM, GuestKind.CONTAINER
LOCAL = b.LOCAL


def want_disk(
    slot: str = "scsi0",
    size_gib: float | None = None,
    storage: StorageId | None = None,
    volume: str | None = None,
    **properties: str,
) -> DesiredDisk:
    return DesiredDisk(
        slot=slot,
        size_bytes=None if size_gib is None else int(size_gib * GIB),
        storage=storage,
        volume=volume,
        properties=properties,
    )


def planned(
    want: DesiredDisk,
    *disks: Disk,
    kind: GuestKind = VM,
    power: Power = Power.RUNNING,
    unused: dict[str, str] | None = None,
) -> Plan:
    if kind is VM:
        config = b.config(b.mark(), disks=disks, unused=unused)
    else:
        config = b.config(b.container_mark(), disks=disks, nics=[b.container_nic()], unused=unused)
    return look.plan_one(
        b.desired_guest(kind=kind, disks=(want,), power=power),
        b.guest(kind=kind, power=power, config=config),
    )


@pytest.mark.parametrize(
    ("want", "disks"),
    [
        pytest.param(want_disk(size_gib=3), [b.disk()], id="size-as-wanted"),
        pytest.param(want_disk(), [b.disk(size_gib=50)], id="size-not-declared"),
        pytest.param(want_disk(size_gib=3), [b.disk(size_gib=None)], id="size-not-known"),
        pytest.param(want_disk(storage=b.NAS), [b.disk()], id="storage-as-wanted"),
        pytest.param(want_disk(backup="1"), [b.disk()], id="property-is-pves-default"),
        pytest.param(want_disk(ssd="1"), [b.disk(ssd="1", cache="none")], id="others-stay"),
        pytest.param(
            want_disk("ide2", storage=b.NAS, volume=CLOUD_INIT_VOLUME),
            [b.disk("ide2", volume="local-lvm:vm-10000-cloudinit", media="cdrom")],
            id="a-cloud-init-drive-may-be-anywhere",
        ),
    ],
)
def test_a_disk_that_is_as_it_should_be(want: DesiredDisk, disks: list[Disk]) -> None:
    assert look.verdict(planned(want, *disks)) == Converged()


@pytest.mark.parametrize(
    ("kind", "want", "disk", "power", "written", "impact"),
    [
        pytest.param(VM, want_disk(ssd="1"), b.disk(cache="none"), Power.RUNNING,
                     "nas:vm-10000-disk-0,cache=none,size=3G,ssd=1", Impact.REBOOT,
                     id="a-property"),
        pytest.param(VM, want_disk(mbps_rd="10"), b.disk(), Power.RUNNING,
                     "nas:vm-10000-disk-0,mbps_rd=10,size=3G", Impact.HOT, id="a-throttle"),
        pytest.param(VM, want_disk(backup="0"), b.disk(), Power.RUNNING,
                     "nas:vm-10000-disk-0,backup=0,size=3G", Impact.NONE, id="backups"),
        pytest.param(VM, want_disk(ssd="1"), b.disk(), Power.STOPPED,
                     "nas:vm-10000-disk-0,size=3G,ssd=1", Impact.NONE, id="of-a-stopped-guest"),
        pytest.param(CT, want_disk("mp0", ro="1"), b.disk("mp0", mp="/srv"), Power.RUNNING,
                     "nas:vm-10000-disk-0,mp=/srv,ro=1,size=3G", Impact.REBOOT,
                     id="of-a-mount-point"),
    ],
)  # fmt: skip
def test_a_property_is_written_with_all_the_others(
    kind: GuestKind, want: DesiredDisk, disk: Disk, power: Power, written: str, *, impact: Impact
) -> None:
    plan = planned(want, disk, kind=kind, power=power)

    assert write(plan.actions) == ({disk.slot: written}, ())
    assert plan.actions[0].impact is impact


@pytest.mark.parametrize(
    ("kind", "want", "power", "written", "impact"),
    [
        pytest.param(VM, want_disk("scsi1", 8, LOCAL, discard="on"), Power.RUNNING,
                     "local-lvm:8,discard=on", Impact.HOT, id="scsi"),
        pytest.param(VM, want_disk("sata1", 8, LOCAL), Power.RUNNING, "local-lvm:8",
                     Impact.REBOOT, id="sata-is-not-plugged-in"),
        pytest.param(VM, want_disk("scsi1", 0.5, LOCAL), Power.STOPPED, "local-lvm:0.5",
                     Impact.NONE, id="half-a-gibibyte"),
        pytest.param(VM, replace(want_disk("scsi1", 8, b.NAS), format="qcow2"), Power.RUNNING,
                     "nas:8,format=qcow2", Impact.HOT, id="with-a-format"),
        pytest.param(VM, want_disk("ide2", None, b.NAS, CLOUD_INIT_VOLUME), Power.STOPPED,
                     "nas:cloudinit", Impact.NONE, id="cloud-init-drive"),
        pytest.param(CT, want_disk("mp0", 8, LOCAL, mp="/srv"), Power.RUNNING,
                     "local-lvm:8,mp=/srv", Impact.HOT, id="mount-point"),
    ],
)  # fmt: skip
def test_a_missing_disk_is_made(
    kind: GuestKind, want: DesiredDisk, power: Power, written: str, impact: Impact
) -> None:
    plan = planned(want, kind=kind, power=power)

    assert write(plan.actions) == ({want.slot: written}, ())
    assert plan.actions[0].impact is impact


@pytest.mark.parametrize(
    ("want", "disks", "unused", "hold", "message"),
    [
        pytest.param(want_disk(size_gib=2), [b.disk()], {}, Hold.DATA_LOSS,
                     "scsi0 is 3GiB and should be 2GiB: shrinking a disk destroys what is at"
                     " its end", id="shrink"),
        pytest.param(want_disk("scsi1", 8, LOCAL), [b.disk()], {"unused0": "nas:vm-1-disk-9"},
                     Hold.DATA_LOSS,
                     "scsi1 is missing while nas:vm-1-disk-9 is detached: a new empty disk in its"
                     " place could hide its data", id="detached-volume"),
        pytest.param(want_disk(storage=LOCAL), [b.disk()], {}, Hold.UNSUPPORTED_CHANGE,
                     "scsi0 is on nas and should be on local-lvm: qlop does not move disks"
                     " between storages", id="other-storage"),
        pytest.param(want_disk("mp0", volume="/srv/b"), [b.disk("mp0", volume="/srv/a")], {},
                     Hold.UNSUPPORTED_CHANGE,
                     "mp0 is /srv/a and should be /srv/b: qlop does not put another volume in a"
                     " disk's place", id="other-volume"),
        pytest.param(want_disk("scsi1", 8), [], {}, Hold.UNSUPPORTED_CHANGE,
                     "scsi1 is missing and no storage is given to make it on", id="nowhere"),
    ],
)  # fmt: skip
def test_what_could_lose_data_is_held(
    want: DesiredDisk, disks: list[Disk], unused: dict[str, str], hold: Hold, message: str
) -> None:
    plan = planned(want, *disks, unused=unused)

    assert plan.actions == ()
    assert (look.held(plan).reason, look.held(plan).message) == (hold, message)
    assert look.held(plan).remedy


@pytest.mark.parametrize(
    ("power", "impact"), [(Power.RUNNING, Impact.HOT), (Power.STOPPED, Impact.NONE)]
)
def test_a_disk_grows(power: Power, impact: Impact) -> None:
    plan = planned(want_disk(size_gib=8), b.disk(), power=power)

    (resize,) = plan.actions
    assert resize.action == ResizeDisk(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=VM,
        node=b.PVE1,
        slot="scsi0",
        size_bytes=8 * GIB,
        digest="d1",
    )
    assert (resize.impact, resize.reason) == (impact, "scsi0 should be 8GiB")


def test_each_disk_grows_by_an_action_of_its_own() -> None:
    want = b.desired_guest(
        disks=(want_disk("scsi0", 8, ssd="1"), want_disk("scsi1", 9)), consents=b.WILLING
    )
    config = b.config(b.mark(), disks=[b.disk(), b.disk("scsi1")])

    plan = look.plan_one(want, b.guest(config=config))

    assert look.verbs(plan) == ("resize", "resize", "configure", "reboot")
    digests = [one.digest for one in look.actions(plan) if isinstance(one, ResizeDisk)]
    assert digests == ["d1", ""]


def test_what_is_written_of_a_disk_that_grows_names_the_size_it_has_by_then() -> None:
    """PVE keeps it pending as it is written, and believes it with the reboot."""
    plan = planned(want_disk(size_gib=8, ssd="1"), b.disk())

    (write,) = [one for one in look.actions(plan) if isinstance(one, ConfigureGuest)]
    assert look.verbs(plan)[:2] == ("resize", "configure")
    assert write.set["scsi0"].endswith(",size=8G,ssd=1")
    assert write.digest == ""


def test_a_disk_with_a_change_that_waits_for_a_reboot_does_not_grow_before() -> None:
    config = b.config(b.mark(), disks=[b.disk()], pending=("scsi0",))
    want = b.desired_guest(disks=(want_disk(size_gib=8),))

    plan = look.plan_one(want, b.guest(config=config))

    assert "resize" not in look.verbs(plan)
    assert "it grows when the guest was rebooted" in look.held(plan).remedy


def test_a_clone_is_sealed_before_it_grows_and_its_disk_written_as_large_as_it_is() -> None:
    config = b.config(b.mark(), disks=[b.disk()], witness="uuid:pves")

    plan = sealed(
        b.desired_guest(disks=(want_disk(size_gib=8, ssd="1"),)), config, b.mark().witness
    )

    (write,) = [one for one in look.actions(plan) if isinstance(one, ConfigureGuest)]
    assert look.verbs(plan)[:2] == ("configure", "resize")
    assert "size=3G" in write.set["scsi0"]
    assert write.digest == "d1"


def want_nic(slot: str = "net0", mac: str | None = None, **properties: str) -> DesiredNic:
    return DesiredNic(slot=slot, mac=mac, properties=properties)


MAC = "BC:24:11:00:00:01"


@pytest.mark.parametrize(
    ("wants", "haves", "written", "impact"),
    [
        pytest.param([want_nic(bridge="vmbr0")], [b.nic()], ({}, ()), None, id="as-it-should-be"),
        pytest.param([want_nic(mac=MAC, firewall="0")], [b.nic()], ({}, ()), None,
                     id="mac-and-default-as-they-should-be"),
        pytest.param([want_nic(bridge="vmbr1")], [b.nic(rate="10")],
                     ({"net0": f"virtio={MAC},bridge=vmbr1,rate=10"}, ()), Impact.HOT,
                     id="another-bridge-and-all-else-kept"),
        pytest.param([want_nic(model="e1000")], [b.nic()],
                     ({"net0": f"e1000={MAC},bridge=vmbr0"}, ()), Impact.DOWNTIME,
                     id="another-model-keeps-the-mac"),
        pytest.param([want_nic(mac="BC:24:11:00:00:09")], [b.nic()],
                     ({"net0": "virtio=BC:24:11:00:00:09,bridge=vmbr0"}, ()), Impact.DOWNTIME,
                     id="another-mac"),
        pytest.param([want_nic(bridge="vmbr0"), want_nic("net1", bridge="vmbr1")], [b.nic()],
                     ({"net1": "virtio,bridge=vmbr1"}, ()), Impact.HOT, id="one-more"),
        pytest.param([want_nic(bridge="vmbr0")], [b.nic(), b.nic("net1")], ({}, ("net1",)),
                     Impact.HOT, id="one-less"),
    ],
)  # fmt: skip
def test_nics(
    wants: list[DesiredNic],
    haves: list[Nic],
    written: tuple[dict[str, str], tuple[str, ...]],
    impact: Impact | None,
) -> None:
    want = b.desired_guest(nics=tuple(wants), networks_declared=True, consents=b.WILLING)

    plan = look.plan_one(want, b.guest(config=b.config(b.mark(), nics=haves)))

    assert write(plan.actions) == written
    assert (plan.actions[0].impact if plan.actions else None) is impact


def test_networks_that_are_not_declared_are_left_alone() -> None:
    config = b.config(b.mark(), nics=[b.nic(), b.nic("net1")])

    assert look.plan_one(b.desired_guest(), b.guest(config=config)).actions == ()


def container(
    *nics: DesiredNic, declared: bool = True, description: str | None = None
) -> DesiredGuest:
    return b.desired_guest(
        kind=CT,
        nics=nics,
        networks_declared=declared,
        options={} if description is None else {"description": description},
        consents=b.WILLING,
    )


def their_config(mark: OwnerMark, *nics: Nic, witness: str | None = None) -> GuestConfig:
    return b.config(
        mark,
        options={"description": "notes"},
        nics=nics,
        witness=witness,
        disks=[b.disk("rootfs", volume="nas:vm-10000-disk-0")],
    )


def mac_mark(mac: str) -> OwnerMark:
    return b.mark(witness=f"mac:{mac.lower()}")


NEW_MAC = "02:00:00:00:00:01"


@pytest.mark.parametrize(
    ("want", "mark"),
    [
        pytest.param(container(want_nic(mac=NEW_MAC)), mac_mark(NEW_MAC), id="another-mac"),
        pytest.param(
            container(), b.mark(witness="volume:nas:vm-10000-disk-0"), id="the-nic-removed"
        ),
        pytest.param(
            container(want_nic("net1", mac=NEW_MAC, name="eth1")),
            mac_mark(NEW_MAC),
            id="another-nic-in-its-place",
        ),
    ],
)
def test_a_container_whose_witness_changes_is_signed_anew_in_the_same_call(
    want: DesiredGuest, mark: OwnerMark
) -> None:
    config = their_config(b.container_mark(), b.container_nic())

    (configure,) = look.plan_one(want, b.guest(kind=CT, config=config)).actions

    assert isinstance(configure.action, ConfigureGuest)
    assert configure.action.set["description"] == signed_description("notes", mark)


def test_a_nic_added_before_the_first_gets_a_mac_that_can_be_foretold() -> None:
    first = b.container_nic("net1", mac=MAC)
    config = their_config(mac_mark(MAC), first)
    want = container(want_nic(name="eth1", bridge="vmbr0"), want_nic("net1", name="eth0"))

    (configure,) = look.plan_one(want, b.guest(kind=CT, config=config)).actions

    mac = derived_mac(b.CLUSTER, b.WEB, 1, b.WEB_VMID, "net0")
    assert isinstance(configure.action, ConfigureGuest)
    assert configure.action.set == {
        "net0": f"bridge=vmbr0,hwaddr={mac},name=eth1",
        "description": signed_description("notes", mac_mark(mac)),
    }


def sealed(want: DesiredGuest, config: GuestConfig, witness: str) -> Plan:
    """The plan for a clone of ours that has not been sealed."""
    guest = b.guest(kind=want.kind, power=Power.STOPPED, config=config)
    return look.plan_of(b.desired(want), b.observed(guest), journal_of_clone(witness=witness))


def test_a_vm_is_sealed_by_the_uuid_of_its_mark() -> None:
    config = b.config(
        b.mark(), options={"smbios1": {"uuid": "pves", "serial": "x"}}, witness="uuid:pves"
    )

    plan = sealed(b.desired_guest(), config, b.mark().witness)

    uuid = b.mark().witness.removeprefix("uuid:")
    assert write(plan.actions) == ({"smbios1": f"serial=x,uuid={uuid}"}, ())
    assert plan.actions[0].expects == {"digest": "d1", "seal": b.mark().witness}
    assert look.verbs(plan) == ("configure", "start")


def test_a_container_is_sealed_by_the_mac_of_its_mark() -> None:
    mark = b.container_mark()
    config = their_config(mark, b.container_nic(mac=MAC), witness=f"mac:{MAC.lower()}")

    plan = sealed(container(want_nic(bridge="vmbr0", name="eth0")), config, mark.witness)

    mac = mark.witness.removeprefix("mac:").upper()
    assert write(plan.actions) == ({"net0": f"bridge=vmbr0,hwaddr={mac},name=eth0"}, ())
    assert plan.actions[0].expects == {"digest": "d1", "seal": mark.witness}


@pytest.mark.parametrize(
    ("nics", "witness"),
    [
        pytest.param([], "volume:nas:vm-10000-disk-0", id="by-its-root-file-system"),
        pytest.param([b.container_nic(mac=MAC)], f"mac:{MAC.lower()}", id="by-a-nic-it-came-with"),
    ],
)
def test_an_open_mark_is_closed_with_the_witness_there_is(nics: list[Nic], witness: str) -> None:
    config = their_config(b.mark(witness=OPEN_WITNESS), *nics, witness=witness)

    plan = sealed(container(declared=False), config, OPEN_WITNESS)

    signed = signed_description("notes", b.mark(witness=witness))
    assert write(plan.actions) == ({"description": signed}, ())
    assert plan.actions[0].expects == {"digest": "d1", "seal": witness}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"active": False}, "has no active storage local-lvm", id="not-active"),
        pytest.param(
            {"content": frozenset({"iso"})},
            "does not keep images on storage local-lvm",
            id="not-for-disks",
        ),
    ],
)
def test_a_disk_that_can_not_be_made_keeps_nothing_else_from_being_written(
    changes: dict[str, object], message: str
) -> None:
    stores = [
        replace(one, **changes) if one.storage == LOCAL else one  # type: ignore[arg-type]
        for one in b.storages()
    ]
    want = b.desired_guest(disks=(want_disk("scsi1", 8, LOCAL),), options={"onboot": "1"})

    plan = look.plan_of(b.desired(want), b.observed(b.guest(), stores=stores))

    assert write(plan.actions) == ({"onboot": "1"}, ())
    assert [change.field for change in plan.actions[0].changes] == ["onboot"]
    assert look.held(plan).reason is Hold.NO_STORAGE
    assert look.held(plan).message == f"scsi1 can't be made: its node pve1 {message}"
