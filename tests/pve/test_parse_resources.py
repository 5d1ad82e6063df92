"""The lists of the cluster are read row by row."""

import pytest

from qlop.model.guest import GuestKind, Power
from qlop.model.ids import NodeName, PoolId, StorageId, VmId
from qlop.model.node import ObservedNode, ObservedStorage
from qlop.model.reading import Known, Unknown
from qlop.ports import Json
from qlop.pve import parse_resources
from qlop.pve.parse_resources import ClusterStatus, GuestRow
from tests.pve.fixture import known, payload, rows

CL1, CL2 = NodeName("cl1"), NodeName("cl2")


def test_guests_nodes_and_storages_of_a_recorded_cluster() -> None:
    listed = rows("resources-two-nodes")

    guests = [
        known(parse_resources.parse_guest_row(row))
        for row in listed
        if parse_resources.is_guest(row)
    ]

    assert [(guest.vmid, guest.power, guest.ha_state) for guest in guests] == [
        (300, Power.STOPPED, ""),
        (302, Power.STOPPED, ""),
        (400, Power.RUNNING, "started"),
        (401, Power.RUNNING, "started"),
        (403, Power.STOPPED, "stopped"),
        (420, Power.RUNNING, "started"),
    ]
    assert known(parse_resources.parse_nodes(listed)) == {
        CL1: ObservedNode(
            name=CL1,
            online=True,
            cores=2,
            memory_bytes=25276514304,
            memory_used_bytes=3575087104,
            maintenance=True,
            uptime_s=7860,
        ),
        CL2: ObservedNode(
            name=CL2,
            online=True,
            cores=2,
            memory_bytes=25276514304,
            memory_used_bytes=3534262272,
            uptime_s=7862,
        ),
    }
    storages = known(parse_resources.parse_storages(listed))
    assert len(storages) == 4
    assert storages[StorageId("shared"), CL1] == ObservedStorage(
        storage=StorageId("shared"),
        node=CL1,
        shared=True,
        active=True,
        content=frozenset({"vztmpl", "snippets", "rootdir", "images", "backup"}),
        plugin="dir",
        total_bytes=270553174016,
        used_bytes=35406643200,
    )


def test_a_guest_with_everything_and_drifting_types() -> None:
    row: dict[str, Json] = {
        "id": "lxc/110",
        "type": "lxc",
        "vmid": "110",
        "node": "pve1",
        "status": "running",
        "name": "web-1",
        "lock": "backup",
        "tags": "a;b",
        "pool": "team/web",
        "hastate": "started",
        "template": "1",
        "maxmem": "1073741824",
    }

    assert parse_resources.parse_guest_row(row) == Known(
        GuestRow(
            vmid=VmId(110),
            kind=GuestKind.CONTAINER,
            node=NodeName("pve1"),
            name="web-1",
            status="running",
            power=Power.RUNNING,
            template=True,
            lock="backup",
            tags="a;b",
            pool=PoolId("team/web"),
            ha_state="started",
            memory_bytes=2**30,
        )
    )


def test_a_guest_that_no_node_has_reported_yet() -> None:
    guest = known(parse_resources.parse_guest_row(rows("resources-lagging")[2]))

    assert (guest.name, guest.power, guest.tags) == ("", Power.UNKNOWN, "alpha;beta;zeta")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        pytest.param(
            {"id": "qemu/1", "type": "qemu", "node": "a"},
            "guest 'qemu/1' names no VMID or no node",
            id="without-vmid",
        ),
        pytest.param(
            {"id": "qemu/1", "type": "qemu", "node": "a", "vmid": "x"},
            "guest 'qemu/1' not understood: vmid: 'x' is no number",
            id="vmid-no-number",
        ),
        pytest.param(
            {"id": "qemu/1", "type": "qemu", "node": "a", "vmid": 100, "template": "maybe"},
            "guest 'qemu/1' not understood: template: expected a boolean, got 'maybe'",
            id="template-no-boolean",
        ),
    ],
)
def test_a_row_that_is_not_understood(row: dict[str, Json], reason: str) -> None:
    assert parse_resources.parse_guest_row(row) == Unknown(reason)


@pytest.mark.parametrize(
    ("status", "lock", "power"),
    [
        ("running", "", Power.RUNNING),
        ("stopped", "", Power.STOPPED),
        ("stopped", "backup", Power.STOPPED),
        ("stopped", "suspended", Power.SUSPENDED),
        ("paused", "", Power.PAUSED),
        ("io-error", "", Power.PAUSED),
        ("postmigrate", "migrate", Power.UNKNOWN),
        ("unknown", "", Power.UNKNOWN),
    ],
)
def test_power(status: str, lock: str, power: Power) -> None:
    assert parse_resources.power_of(status, lock) is power


@pytest.mark.parametrize(
    ("name", "power", "lock"),
    [
        ("status-current-paused", Power.PAUSED, ""),
        ("status-current-hibernated", Power.SUSPENDED, "suspended"),
        ("status-current-container", Power.RUNNING, ""),
    ],
)
def test_what_a_node_says_of_its_guest(name: str, power: Power, lock: str) -> None:
    assert known(parse_resources.parse_guest_status(payload(name))) == (power, lock)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(None, "expected an object", id="null"),
        pytest.param({"status": []}, "status: expected a scalar, got a list", id="odd-status"),
    ],
)
def test_a_status_that_is_not_understood(answer: Json, reason: str) -> None:
    assert parse_resources.parse_guest_status(answer) == Unknown(
        f"guest status not understood: {reason}"
    )


def test_equal_keys_mean_an_unchanged_guest_whatever_its_counters_do() -> None:
    row = rows("resources-two-nodes")[2]

    key = parse_resources.guest_key(row)

    assert key == parse_resources.guest_key({**row, "cpu": 0.9, "mem": 1, "uptime": 99})
    assert key != parse_resources.guest_key({**row, "lock": "backup"})
    assert key != parse_resources.guest_key({**row, "maxmem": 4})


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param(
            "status-standalone",
            ClusterStatus(name="", quorate=True, online={NodeName("pve1"): True}),
            id="one-node-has-no-quorum-to-lose",
        ),
        pytest.param(
            "status-quorate",
            ClusterStatus(name="lab", quorate=True, online={CL1: True, CL2: True}),
            id="quorate",
        ),
        pytest.param(
            "status-no-quorum",
            ClusterStatus(name="lab", quorate=False, online={CL1: True, CL2: False}),
            id="quorum-lost",
        ),
    ],
)
def test_cluster_status(name: str, status: ClusterStatus) -> None:
    assert known(parse_resources.parse_cluster_status(payload(name))) == status


def test_a_status_without_cluster_and_without_node_is_not_quorate() -> None:
    assert not known(parse_resources.parse_cluster_status([])).quorate


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (parse_resources.parse_cluster_status("x"), "cluster status: expected a list, got 'x'"),
        (
            parse_resources.parse_nodes([{"type": "node", "node": "a", "maxcpu": []}]),
            "maxcpu: expected a number, got a list",
        ),
        (
            parse_resources.parse_storages([{"type": "storage", "storage": "a", "shared": 2}]),
            "shared: expected a boolean, got 2",
        ),
    ],
)
def test_a_list_that_is_not_understood(reading: object, reason: str) -> None:
    assert isinstance(reading, Unknown)
    assert reading.reason.endswith(reason)


def test_an_offline_node() -> None:
    nodes = known(parse_resources.parse_nodes(rows("resources-node-offline")))

    assert {name: node.online for name, node in nodes.items()} == {CL1: True, CL2: False}
