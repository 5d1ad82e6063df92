"""What was is kept as PVE would be given it, without secrets."""

import pytest

from qlop.model.action import ConfigureGuest
from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName
from qlop.planner import earlier
from tests import builders as b

VM, CT = GuestKind.VM, GuestKind.CONTAINER
HAVE = b.config(
    b.mark(),
    options={"cores": "2", "agent": {"enabled": "1", "type": "virtio"}, "cipassword": "hush"},
    disks=[b.disk(volume="nas:vm-1-disk-0", discard="on")],
    nics=[b.nic(tag="20")],
)


def write(kind: GuestKind = VM, *delete: str, **values: str) -> ConfigureGuest:
    return ConfigureGuest(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=kind,
        node=b.PVE1,
        digest="d1",
        set=values,
        delete=delete,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cores", "2"),
        ("agent", "1,type=virtio"),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20"),
        ("scsi0", "nas:vm-1-disk-0,discard=on,size=3G"),
        ("cpulimit", ""),
    ],
)
def test_what_an_option_is_now(key: str, value: str) -> None:
    assert earlier.value_of(VM, key, HAVE) == value


@pytest.mark.parametrize(
    ("action", "before"),
    [
        pytest.param(write(cores="4"), {"cores": "2"}, id="changed"),
        pytest.param(write(cpulimit="1"), {"cpulimit": ""}, id="set-anew"),
        pytest.param(write(VM, "agent"), {"agent": "1,type=virtio"}, id="deleted"),
        pytest.param(write(cipassword="new", cores="4"), {"cores": "2"}, id="no-secrets"),
        pytest.param(write(scsi1="nas:8"), {}, id="a-new-disk-is-never-taken-away"),
        pytest.param(write(net1="virtio,bridge=vmbr0"), {"net1": ""}, id="a-new-interface-may-be"),
    ],
)
def test_what_a_write_undoes(action: ConfigureGuest, before: dict[str, str]) -> None:
    assert earlier.values_before(action, HAVE, {}) == before


def test_what_was_before_an_earlier_write_counts() -> None:
    before = earlier.values_before(write(cores="4"), HAVE, {"cores": "1", "memory": "512"})

    assert before == {"cores": "1", "memory": "512"}


def test_only_what_differs_is_set_back() -> None:
    assert earlier.differing(VM, {"cores": "1", "cpulimit": ""}, HAVE) == {"cores": "1"}


def test_a_disk_that_has_grown_meanwhile_is_written_back_as_large_as_it_is() -> None:
    """PVE would believe any size that it is told."""
    before = {"scsi0": "nas:vm-1-disk-0,discard=ignore,size=2G"}

    assert earlier.differing(VM, before, HAVE) == {
        "scsi0": "nas:vm-1-disk-0,discard=ignore,size=3G"
    }
    assert earlier.differing(VM, {"scsi0": "nas:vm-1-disk-0,discard=on,size=2G"}, HAVE) == {}
