"""What is refused here is what PVE refuses: its own schema is the witness."""

from typing import get_args

import pytest

from qlop.manifest import facts
from qlop.sim.schema import Route, Spec, table


def _create(kind: str) -> Route:
    found = table().find("POST", f"/nodes/pve1/{kind}")
    assert found is not None
    return found[0]


def _option(kind: str, key: str) -> Spec:
    spec = _create(kind).spec(key)
    assert spec is not None
    return spec


def _property(kind: str, option: str, key: str) -> Spec:
    return table().formats[_option(kind, option).format][key]


@pytest.mark.parametrize(
    ("spec", "choices"),
    [
        pytest.param(_option("qemu", "bios"), facts.Bios, id="bios"),
        pytest.param(_option("qemu", "scsihw"), facts.ScsiController, id="scsihw"),
        pytest.param(_option("qemu", "ostype"), facts.VmOs, id="ostype"),
        pytest.param(_option("lxc", "ostype"), facts.ContainerOs, id="container-ostype"),
        pytest.param(_option("qemu", "citype"), facts.CloudInitType, id="citype"),
        pytest.param(_option("lxc", "arch"), facts.Architecture, id="arch"),
        pytest.param(_option("lxc", "cmode"), facts.ConsoleMode, id="cmode"),
        pytest.param(_property("qemu", "scsi0", "cache"), facts.Cache, id="cache"),
        pytest.param(_property("qemu", "scsi0", "aio"), facts.Aio, id="aio"),
        pytest.param(_property("qemu", "net0", "model"), facts.NicModel, id="model"),
        pytest.param(_property("qemu", "vga", "type"), facts.Display, id="vga"),
        pytest.param(_property("qemu", "efidisk0", "efitype"), facts.EfiType, id="efitype"),
        pytest.param(_property("qemu", "tpmstate0", "version"), facts.TpmVersion, id="tpm"),
    ],
)
def test_choices_are_those_of_pve(spec: Spec, choices: object) -> None:
    assert set(get_args(choices)) == set(spec.enum)


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        pytest.param(_option("qemu", "vmid"), facts.VMID_MIN, facts.VMID_MAX, id="vmid"),
        pytest.param(_property("qemu", "net0", "tag"), 1, facts.VLAN_MAX, id="vlan"),
        pytest.param(_property("lxc", "net0", "tag"), 1, facts.VLAN_MAX, id="container-vlan"),
        pytest.param(_property("qemu", "net0", "mtu"), 1, facts.VM_MTU_MAX, id="mtu"),
        pytest.param(
            _property("lxc", "net0", "mtu"),
            facts.CONTAINER_MTU_MIN,
            facts.CONTAINER_MTU_MAX,
            id="container-mtu",
        ),
        pytest.param(_property("qemu", "net0", "queues"), 0, facts.QUEUES_MAX, id="queues"),
        pytest.param(_option("qemu", "cpulimit"), 0, facts.VM_CPU_LIMIT_MAX, id="cpulimit"),
        pytest.param(
            _option("lxc", "cpulimit"), 0, facts.CONTAINER_CPU_LIMIT_MAX, id="ct-cpulimit"
        ),
        pytest.param(_option("qemu", "cpuunits"), 1, facts.VM_CPU_UNITS_MAX, id="cpuunits"),
        pytest.param(_option("lxc", "cores"), 1, facts.CONTAINER_CORES_MAX, id="cores"),
        pytest.param(_option("lxc", "tty"), 0, facts.CONTAINER_TTY_MAX, id="tty"),
        pytest.param(
            _property("qemu", "vga", "memory"),
            facts.DISPLAY_MEMORY_MIN_MIB,
            facts.DISPLAY_MEMORY_MAX_MIB,
            id="vga-memory",
        ),
    ],
)
def test_ranges_are_those_of_pve(spec: Spec, low: int, high: int) -> None:
    assert (spec.minimum, spec.maximum) == (low, high)


@pytest.mark.parametrize(
    ("kind", "base", "slots"),
    [
        *(("qemu", bus, count) for bus, count in facts.BUS_SLOTS.items()),
        ("qemu", "net", facts.NETWORKS),
        ("lxc", "net", facts.NETWORKS),
        ("qemu", "serial", facts.SERIAL_PORTS),
        ("lxc", "mp", facts.MOUNT_POINTS),
    ],
)
def test_there_are_as_many_slots_as_pve_has(kind: str, base: str, slots: int) -> None:
    assert _create(kind).counted[base][0] == slots


@pytest.mark.parametrize(
    ("key", "buses"),
    [
        ("iothread", facts.NO_IOTHREAD_BUSES),
        ("ro", facts.NO_READ_ONLY_BUSES),
        ("ssd", facts.NO_SSD_BUSES),
    ],
)
def test_buses_lack_what_they_lack_in_pve(key: str, buses: frozenset[str]) -> None:
    lacking = {
        bus
        for bus in facts.BUS_SLOTS
        if key not in table().formats[_option("qemu", f"{bus}0").format]
    }

    assert lacking == buses
