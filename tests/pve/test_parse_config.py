"""A configuration is read as PVE writes it, canonical, or not at all."""

from datetime import UTC, datetime

import pytest

from qlop.model.guest import Disk, GuestKind, Nic
from qlop.model.ids import ClusterName, ServiceName, StorageId, VmId
from qlop.model.observed import ObservedSnapshot
from qlop.model.owner import OwnerMark, signed_description
from qlop.model.reading import Unknown
from qlop.ports import Json
from qlop.pve.parse_config import (
    parse_config,
    parse_disk,
    parse_nic,
    parse_pending,
    parse_snapshots,
)
from tests.pve.fixture import known, payload

VM, CT = GuestKind.VM, GuestKind.CONTAINER
LOCAL = StorageId("local")
MARK = OwnerMark(
    cluster=ClusterName("lab"),
    service=ServiceName("web"),
    index=1,
    vmid=VmId(110),
    witness="uuid:e2be1170-7e1f-4e99-86eb-1f16c4ae2237",
)


def test_a_vm() -> None:
    config = known(parse_config(VM, payload("config-vm"), frozenset({"cores"})))

    assert config.digest == "aedc5abdb373be31664efaa02ca050ae14e6647d"
    assert config.options == {
        "agent": {"enabled": "1"},
        "boot": {"order": "scsi0;ide2;net0"},
        "cores": "2",
        "description": "a\nb: 100% äöü # x",
        "memory": "384",
        "meta": "creation-qemu=10.0.13,ctime=1795488830",
        "name": "renamed",
        "onboot": "1",
        "ostype": "l26",
        "scsihw": "virtio-scsi-pci",
        "smbios1": {"uuid": "e2be1170-7e1f-4e99-86eb-1f16c4ae2237"},
        "tags": "alpha;beta;zeta",
        "vmgenid": "de978935-4f68-491b-974d-f2d70455b2fe",
    }
    assert config.disks == {
        "ide2": Disk(
            slot="ide2",
            volume="none",
            storage=None,
            size_bytes=None,
            properties={"media": "cdrom"},
        ),
        "scsi0": Disk(
            slot="scsi0", volume="local:102/vm-102-disk-0.qcow2", storage=LOCAL, size_bytes=2**30
        ),
        "scsi2": Disk(
            slot="scsi2", volume="local:102/vm-102-disk-2.raw", storage=LOCAL, size_bytes=2**31
        ),
    }
    assert config.nics == {
        "net0": Nic(
            slot="net0",
            mac="BC:24:11:B5:E2:D8",
            properties={"model": "virtio", "bridge": "vmbr0"},
        ),
        "net1": Nic(
            slot="net1",
            mac="BC:24:11:A7:B5:4B",
            properties={"model": "e1000", "bridge": "vmbr0", "firewall": "1", "tag": "5"},
        ),
    }
    assert config.unused == {"unused0": "local:102/vm-102-disk-1.qcow2"}
    assert config.pending == {"cores"}
    assert config.mark is None
    assert config.witness == "uuid:e2be1170-7e1f-4e99-86eb-1f16c4ae2237"


def test_a_container() -> None:
    config = known(parse_config(CT, payload("config-container")))

    assert config.options == {
        "arch": "amd64",
        "cores": "1",
        "description": "first line\nsecond: line",
        "hostname": "ct210",
        "memory": "128",
        "ostype": "debian",
        "swap": "64",
        "unprivileged": "1",
    }
    assert config.disks == {
        "rootfs": Disk(
            slot="rootfs", volume="local:210/vm-210-disk-0.raw", storage=LOCAL, size_bytes=2**30
        )
    }
    assert config.nics == {
        "net0": Nic(
            slot="net0",
            mac="BC:24:11:FF:59:D4",
            properties={"name": "eth0", "bridge": "vmbr0", "ip": "10.98.0.2/24", "type": "veth"},
        )
    }
    assert config.witness == "mac:bc:24:11:ff:59:d4"


def test_a_cloud_init_drive_and_its_options() -> None:
    config = known(parse_config(VM, payload("config-vm-cloud-init")))

    assert config.disks["ide2"].is_cdrom
    assert config.options["sshkeys"] == (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9nZ2VyIG5vdCBhIHJlYWwga2V5IGF0IGFsbCBhYmNk foo@bar"
    )
    assert config.options["ipconfig0"] == {"ip": "192.0.2.5/24", "gw": "192.0.2.1"}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        pytest.param("config-vm-template", "template", "1", id="template"),
        pytest.param("config-vm-hibernated", "lock", "suspended", id="hibernated"),
    ],
)
def test_what_is_not_modelled_is_kept_as_text(name: str, key: str, value: str) -> None:
    assert known(parse_config(VM, payload(name))).options[key] == value


def test_the_owner_mark_is_read_from_the_notes() -> None:
    config = known(parse_config(VM, {"description": signed_description("Web.", MARK) + "\n"}))

    assert config.mark == MARK


@pytest.mark.parametrize(
    ("kind", "config", "witness"),
    [
        pytest.param(VM, {"smbios1": "uuid=ABCDEF00-1,base64=1"}, "uuid:abcdef00-1", id="vm"),
        pytest.param(VM, {"net0": "virtio=BC:24:11:00:00:01"}, "", id="vm-without-smbios"),
        pytest.param(
            CT,
            {
                "net10": "name=b,hwaddr=BC:24:11:00:00:0A",
                "net2": "name=a,hwaddr=BC:24:11:00:00:02",
            },
            "mac:bc:24:11:00:00:02",
            id="lowest-nic-by-number",
        ),
        pytest.param(
            CT,
            {"net0": "name=eth0", "rootfs": "nas:7/vm-7-disk-0.raw,size=1G"},
            "volume:nas:7/vm-7-disk-0.raw",
            id="nic-without-address",
        ),
        pytest.param(CT, {}, "", id="a-clone-under-way"),
    ],
)
def test_witness(kind: GuestKind, config: dict[str, Json], witness: str) -> None:
    assert known(parse_config(kind, config)).witness == witness


@pytest.mark.parametrize(
    ("kind", "key", "written", "disk"),
    [
        pytest.param(
            CT,
            "mp0",
            "/srv/data,mp=/data,shared=yes",
            Disk(
                slot="mp0",
                volume="/srv/data",
                storage=None,
                size_bytes=None,
                properties={"mp": "/data", "shared": "1"},
            ),
            id="bind-mount",
        ),
        pytest.param(
            VM,
            "efidisk0",
            "local-lvm:vm-1-disk-0,efitype=4m,pre-enrolled-keys=1,size=528K",
            Disk(
                slot="efidisk0",
                volume="local-lvm:vm-1-disk-0",
                storage=StorageId("local-lvm"),
                size_bytes=528 * 1024,
                properties={"efitype": "4m", "pre-enrolled-keys": "1"},
            ),
            id="efi-disk",
        ),
        pytest.param(
            VM,
            "scsi0",
            "media=disk,file=nas:base-9/vm-9-disk-0.raw,discard=on,size=8G",
            Disk(
                slot="scsi0",
                volume="nas:base-9/vm-9-disk-0.raw",
                storage=StorageId("nas"),
                size_bytes=8 * 2**30,
                properties={"media": "disk", "discard": "on"},
            ),
            id="file-by-name-and-late",
        ),
        pytest.param(
            VM,
            "scsi1",
            "/dev/disk/by-id/a,size=1G",
            Disk(slot="scsi1", volume="/dev/disk/by-id/a", storage=None, size_bytes=2**30),
            id="whole-device",
        ),
    ],
)
def test_disk(kind: GuestKind, key: str, written: str, disk: Disk) -> None:
    assert parse_disk(kind, key, written) == disk


def test_a_nic_in_the_long_form() -> None:
    nic = parse_nic(VM, "net0", "model=virtio,macaddr=bc:24:11:00:00:01,bridge=vmbr0,rate=10.0")

    assert nic == Nic(
        slot="net0",
        mac="BC:24:11:00:00:01",
        properties={"model": "virtio", "bridge": "vmbr0", "rate": "10"},
    )


def test_raw_settings_of_a_container_are_kept_as_lines() -> None:
    config = known(parse_config(CT, {"lxc": [["lxc.cap.drop", "x"], ["lxc.mount.auto", "y"]]}))

    assert config.options["lxc"] == "lxc.cap.drop = x\nlxc.mount.auto = y"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        pytest.param(None, "config: expected an object, got null", id="null"),
        pytest.param([], "config: expected an object, got a list", id="list"),
        pytest.param({"cores": {}}, "cores: expected a scalar, got an object", id="nested"),
        pytest.param({"lxc": ["x"]}, "lxc: expected pairs of key and value", id="raw-not-pairs"),
        pytest.param(
            {"scsi0": "nas:1/vm-1-disk-0.raw,size=1X"},
            "scsi0: '1X' is not a size as PVE writes it",
            id="size",
        ),
        pytest.param({"scsi0": "size=1G"}, "scsi0: 'size=1G' names no volume", id="no-volume"),
    ],
)
def test_what_is_not_understood_is_unknown_as_a_whole(config: Json, reason: str) -> None:
    assert parse_config(VM, config) == Unknown(f"configuration not understood: {reason}")


@pytest.mark.parametrize(
    ("name", "pending"),
    [
        ("pending-vm", {"cores", "memory", "agent"}),
        ("pending-container", {"arch", "ostype", "features", "net0", "nameserver"}),
    ],
)
def test_pending(name: str, pending: set[str]) -> None:
    assert known(parse_pending(payload(name))) == pending


def test_pending_that_is_no_list_is_unknown() -> None:
    assert parse_pending({}) == Unknown(
        "pending changes not understood: pending: expected a list, got an object"
    )


def test_snapshots_without_the_entry_for_the_present() -> None:
    assert known(parse_snapshots(payload("snapshots-none"))) == ()
    assert known(parse_snapshots(payload("snapshots"))) == (
        ObservedSnapshot(
            name="live1",
            taken_at=datetime.fromtimestamp(1795488700, tz=UTC),
            ours=False,
            with_memory=False,
        ),
        ObservedSnapshot(
            name="live2",
            taken_at=datetime.fromtimestamp(1795488703, tz=UTC),
            ours=False,
            with_memory=True,
        ),
    )


def test_a_snapshot_with_our_mark_is_ours() -> None:
    listed: Json = [{"name": "before", "description": signed_description("", MARK)}]

    assert known(parse_snapshots(listed)) == (
        ObservedSnapshot(name="before", taken_at=None, ours=True, with_memory=False),
    )


def test_a_snapshot_that_was_never_finished_says_so() -> None:
    listed: Json = [{"name": "before", "snapstate": "prepare"}]

    assert [one.stage for one in known(parse_snapshots(listed))] == ["prepare"]


def test_snapshots_that_are_not_understood_are_unknown() -> None:
    assert parse_snapshots([{"name": "a", "snaptime": "soon"}]) == Unknown(
        "snapshots not understood: snaptime: 'soon' is no number"
    )
