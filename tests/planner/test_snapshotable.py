"""It is known beforehand whether PVE would take a snapshot."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.guest import Disk, GuestKind
from qlop.model.ids import StorageId
from qlop.model.node import ObservedStorage
from qlop.model.observed import Observed
from qlop.model.reading import Known, Unknown
from qlop.model.units import GIB
from qlop.planner import ownership, snapshotable
from qlop.planner.capacity import Capacity
from tests import builders as b
from tests.planner import trio

CT = GuestKind.CONTAINER


def store(plugin: str, *, free_gib: int = 500) -> ObservedStorage:
    return ObservedStorage(
        storage=StorageId("st"),
        node=b.PVE1,
        shared=False,
        active=True,
        content=frozenset({"images"}),
        plugin=plugin,
        total_bytes=1000 * GIB,
        used_bytes=(1000 - free_gib) * GIB,
    )


def refusal(
    disk: Disk,
    plugin: str = "lvmthin",
    *,
    free_gib: int = 500,
    memory: bool = False,
    active: bool = True,
) -> str:
    config = b.config(b.mark(), disks=[disk])
    guest = b.guest(config=config)
    stores = [replace(store(plugin, free_gib=free_gib), active=active)]
    have: Observed = b.observed(guest, stores=stores)
    want = b.desired(b.desired_guest())
    owners = ownership.index(b.CLUSTER, have, b.plan_input(want, have).history)
    capacity = Capacity(want, have, owners)
    return snapshotable.refusal(guest, config, have, capacity, memory=memory)


def volume(name: str, **properties: str) -> Disk:
    return replace(b.disk(volume=f"st:{name}"), properties=properties)


@pytest.mark.parametrize(
    ("plugin", "name", "able"),
    [
        ("lvmthin", "vm-100-disk-0", True),
        ("zfspool", "vm-100-disk-0", True),
        ("zfspool", "subvol-100-disk-0", True),
        ("rbd", "vm-100-disk-0", True),
        ("dir", "100/vm-100-disk-0.qcow2", True),
        ("nfs", "100/vm-100-disk-0.qcow2", True),
        ("nfs", "100/vm-100-disk-0.raw", False),
        ("dir", "100/vm-100-disk-0.vmdk", False),
        ("cifs", "100/vm-100-disk-0.raw", False),
        ("btrfs", "100/vm-100-disk-0.raw", True),
        ("btrfs", "100/vm-100-disk-0.subvol", True),
        ("lvm", "vm-100-disk-0", False),
        ("lvm", "vm-100-disk-0.qcow2", True),
        ("iscsi", "0.0.0.scsi-1", False),
        ("dir", "100/subvol-100-disk-0.subvol", False),
    ],
)
def test_which_volumes_can_be_snapshotted(plugin: str, name: str, *, able: bool) -> None:
    assert (refusal(volume(name), plugin) == "") is able


def test_the_reason_names_disk_format_and_storage() -> None:
    text = refusal(volume("100/vm-100-disk-0.raw"), "nfs")

    assert text == "scsi0 is raw on st (nfs), which can't be snapshotted"


def test_media_don_t_count() -> None:
    assert refusal(volume("iso/debian.iso", media="cdrom"), "nfs") == ""


@pytest.mark.parametrize(
    ("disk", "text"),
    [
        pytest.param(
            Disk(slot="mp0", volume="/srv/data", storage=None, size_bytes=None),
            "is no volume of a storage",
            id="bind-mount",
        ),
        pytest.param(b.disk(volume="gone:vm-1"), "not active on pve1", id="storage-gone"),
    ],
)
def test_pve_snapshots_all_or_nothing(disk: Disk, text: str) -> None:
    assert text in refusal(disk)


@pytest.mark.parametrize(
    ("free_gib", "memory", "able"),
    [
        pytest.param(500, False, True, id="room"),
        pytest.param(40, False, False, id="only-the-reserve-is-left"),
        pytest.param(56, False, True, id="a-little-more"),
        pytest.param(53, True, False, id="no-room-for-its-ram"),
        pytest.param(56, True, True, id="room-for-its-ram"),
    ],
)
def test_there_must_be_room(free_gib: int, *, memory: bool, able: bool) -> None:
    text = refusal(volume("vm-1"), free_gib=free_gib, memory=memory)

    assert (text == "") is able


def test_what_can_t_be_listed_can_t_be_relied_on() -> None:
    config = b.config(b.mark())
    guest = b.guest(config=config, snapshots=Unknown("no answer"))
    have, want = b.observed(guest), b.desired(b.desired_guest())
    owners = ownership.index(b.CLUSTER, have, b.plan_input(want, have).history)

    text = snapshotable.refusal(guest, config, have, Capacity(want, have, owners), memory=False)

    assert text == "its snapshots could not be listed"
    assert snapshotable.old_ones(guest, have) == ()


def test_old_ones_are_told_whoever_took_them() -> None:
    days = [
        trio.snapshot(f"s{n}", taken_at=b.NOW - timedelta(days=n), ours=False) for n in (5, 40)
    ]
    guest = b.guest(snapshots=Known((*days, trio.snapshot("now", taken_at=None))))

    assert snapshotable.old_ones(guest, b.observed(guest)) == ("s40 of 2026-10-15",)
