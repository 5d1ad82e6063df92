"""Disks and NICs are written as PVE takes them, and read back as they were meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.device import disk_text, is_local_path, new_disk_text, nic_text, pve_size
from qlop.model.guest import Disk, GuestKind, Properties
from qlop.model.units import GIB, KIB, MIB, TIB
from qlop.pve.parse_config import parse_disk, parse_nic
from tests import builders as b

VM, CT = GuestKind.VM, GuestKind.CONTAINER
MAC = "BC:24:11:00:00:01"


@pytest.mark.parametrize(
    ("kind", "mac", "properties", "text"),
    [
        pytest.param(VM, MAC, {"model": "e1000", "bridge": "vmbr0"}, f"e1000={MAC},bridge=vmbr0",
                     id="vm"),
        pytest.param(VM, "", {"bridge": "vmbr0"}, "virtio,bridge=vmbr0", id="vm-without-a-mac"),
        pytest.param(VM, MAC, {}, f"virtio={MAC}", id="vm-with-nothing-else"),
        pytest.param(CT, MAC, {"name": "eth0", "bridge": "vmbr0"},
                     f"bridge=vmbr0,hwaddr={MAC},name=eth0", id="container"),
        pytest.param(CT, "", {"name": "eth0"}, "name=eth0", id="container-without-a-mac"),
    ],
)  # fmt: skip
def test_nic(kind: GuestKind, mac: str, properties: Properties, text: str) -> None:
    assert nic_text(kind, mac, properties) == text


@pytest.mark.parametrize(
    ("size_bytes", "properties", "text"),
    [
        pytest.param(32 * GIB, {"ssd": "1", "cache": "none"}, "nas:8,cache=none,size=32G,ssd=1",
                     id="with-a-size"),
        pytest.param(None, {"mp": "/srv"}, "nas:8,mp=/srv", id="without"),
        pytest.param(None, {}, "nas:8", id="with-nothing"),
    ],
)  # fmt: skip
def test_disk(size_bytes: int | None, properties: Properties, text: str) -> None:
    assert disk_text("nas:8", size_bytes, properties) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (8 * GIB, "nas:8"),
        (0, "nas:0"),
        (GIB // 2, "nas:0.5"),
        (4 * MIB, "nas:0.003906"),
        (TIB, "nas:1024"),
    ],
)
def test_new_disk(size_bytes: int, text: str) -> None:
    assert new_disk_text("nas", size_bytes, {}) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (32 * GIB, "32G"),
        (TIB, "1T"),
        (GIB + MIB, "1025M"),
        (528 * KIB, "528K"),
        (7, "7"),
        (0, "0"),
    ],
)
def test_size(size_bytes: int, text: str) -> None:
    assert pve_size(size_bytes) == text


@pytest.mark.parametrize(
    ("disk", "local"),
    [
        (b.disk(), False),
        (b.disk("mp0", volume="/srv/x"), True),
        (b.disk("scsi1", volume="/dev/disk/by-id/x"), True),
        (b.disk("ide2", volume="none"), False),
    ],
)
def test_local_path(disk: Disk, *, local: bool) -> None:
    assert is_local_path(disk) is local


PROPERTIES = st.dictionaries(
    st.sampled_from(["bridge", "firewall", "tag", "rate", "mtu"]),
    st.sampled_from(["1", "100", "9000"]),
)


@given(st.sampled_from(GuestKind), PROPERTIES)
def test_a_nic_written_is_read_back(kind: GuestKind, properties: dict[str, str]) -> None:
    whole = properties | ({"model": "e1000"} if kind is VM else {"name": "eth0"})

    nic = parse_nic(kind, "net0", nic_text(kind, MAC, whole))

    assert (nic.mac, nic.properties) == (MAC, whole)


@given(
    st.integers(1, 10**6),
    st.dictionaries(st.sampled_from(["backup", "ro", "replicate"]), st.sampled_from(["0", "1"])),
)
def test_a_disk_written_is_read_back(kibs: int, properties: dict[str, str]) -> None:
    text = disk_text("nas:vm-1-disk-0", kibs * KIB, properties)

    disk = parse_disk(VM, "scsi0", text)

    assert (disk.volume, disk.size_bytes, disk.properties) == (
        "nas:vm-1-disk-0",
        kibs * KIB,
        properties,
    )
