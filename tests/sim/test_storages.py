"""What a storage can hold, what it can do, and what is left when its host dies."""

import pytest

from tests.sim.lab import Lab


@pytest.mark.parametrize(
    ("storage", "format_", "outcome"),
    [
        ("local-lvm", "raw", "OK"),
        ("nas", "qcow2", "OK"),
        ("nas", "raw", "snapshot feature is not available"),
    ],
)
def test_snapshots_need_a_storage_that_can_take_them(
    storage: str, format_: str, outcome: str
) -> None:
    lab = Lab()
    guest = lab.clone()
    lab.must("PUT", f"{guest}/config", scsi3=f"{storage}:1,format={format_}")

    assert lab.do("POST", f"{guest}/snapshot", snapname="one") == outcome


def test_a_storage_takes_only_the_content_it_is_for() -> None:
    lab = Lab()
    guest = lab.clone()

    refused = lab.call("PUT", f"{guest}/config", scsi3="local:1")

    assert refused.status == 400
    assert refused.errors == {"storage": "storage 'local' does not support vm images"}


def test_a_local_volume_is_on_one_node_and_a_shared_one_on_each() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.must("PUT", f"{guest}/config", scsi3="nas:1")

    def volumes(node: str, storage: str) -> list[str]:
        rows = lab.get(f"/nodes/{node}/storage/{storage}/content", vmid=101)
        return [row["volid"] for row in rows]

    assert volumes("pve1", "nas") == volumes("pve2", "nas") != []
    assert volumes("pve1", "local-lvm") != []
    assert volumes("pve2", "local-lvm") == []


def test_a_thin_pool_promises_more_than_it_has_and_fills_up_as_it_is_written() -> None:
    lab = Lab()
    guest = lab.clone()
    before = lab.get("/nodes/pve1/storage/local-lvm/status")
    lab.must("PUT", f"{guest}/config", scsi3="local-lvm:4000")
    promised = lab.get("/nodes/pve1/storage/local-lvm/status")
    assert before["total"] < 4000 * 1024**3
    assert promised["used"] - before["used"] < 1024**3

    lab.by_hand("storage local-lvm@pve1 fill 99.9%")
    outcome = lab.do("POST", "/nodes/pve1/qemu/9001/clone", newid=102, full=1)

    assert outcome.startswith("clone failed: ")
    assert lab.listed(102) == {}


def test_the_drive_for_cloud_init_is_a_volume_that_goes_with_its_guest() -> None:
    lab = Lab()
    guest = lab.clone()
    assert lab.get(f"{guest}/config")["ide2"].startswith("local-lvm:vm-101-cloudinit,")
    lab.must("PUT", f"{guest}/cloudinit")

    lab.do("DELETE", guest)

    rows = lab.get("/nodes/pve1/storage/local-lvm/content")
    assert [row["volid"] for row in rows if row.get("vmid") == 101] == []


def test_a_backup_that_dies_with_its_host_leaves_its_lock_behind() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.must("POST", "/nodes/pve1/vzdump", vmid=101, storage="nas")
    lab.later(0.5)
    assert lab.get(f"{guest}/config")["lock"] == "backup"

    lab.by_hand("node pve1 down")
    lab.later(30)

    assert lab.listed(101)["lock"] == "backup"


@pytest.mark.parametrize(
    ("command", "reason", "seconds"),
    [
        pytest.param("guest 101 agent answer", "OK", 0.1, id="present"),
        pytest.param("guest 101 agent hang", "QEMU guest agent is not running", 3.0, id="hung"),
        pytest.param("guest 101 stop", "VM 101 is not running", 0.0, id="stopped"),
        pytest.param("guest 101 set agent=0", "QEMU guest agent is not running", 0.0, id="off"),
    ],
)
def test_an_agent_answers_is_silent_or_is_not_there(
    command: str, reason: str, seconds: float
) -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/status/start")
    lab.later(20)
    lab.by_hand(command)

    answer = lab.call("GET", f"{guest}/agent/info")

    assert (answer.reason, answer.delay_s) == (reason, seconds)


def test_a_lost_quorum_has_three_texts() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.by_hand("quorum lose")

    config = lab.call("PUT", f"{guest}/config", cores=1)
    power = lab.call("POST", f"{guest}/status/start")
    pools = lab.call("POST", "/pools", poolid="x")

    assert config.reason.endswith("- Permission denied")
    assert (power.reason, power.delay_s) == ("cluster not ready - no quorum?", 0.0)
    assert pools.reason == "create pool failed: cfs-lock 'file-user_cfg' error: no quorum!"
    assert pools.delay_s == 9.0


def test_guests_are_listed_in_no_order() -> None:
    lab = Lab()
    for vmid in range(101, 109):
        lab.clone(vmid, full=0)

    orders = {tuple(row["vmid"] for row in lab.get("/nodes/pve1/qemu")) for _ in range(8)}

    assert len(orders) > 1


def test_a_cloud_init_drive_that_is_moved_leaves_nothing_unused() -> None:
    """qemu-server, ``add_unused_volume`` in ``PVE/QemuConfig.pm``."""
    lab = Lab()
    guest = lab.clone(100)
    own = next(
        key for key, value in lab.get(f"{guest}/config").items() if "cloudinit" in str(value)
    )
    lab.call("PUT", f"{guest}/config", scsi5="local-lvm:1")
    for disk in (own, "scsi5"):
        assert lab.do("POST", f"{guest}/move_disk", disk=disk, storage="nas") == "OK"

    config = lab.get(f"{guest}/config")
    held = [row["volid"] for row in lab.get("/nodes/pve1/storage/local-lvm/content", vmid=100)]

    assert config[own].startswith("nas:100/vm-100-cloudinit")
    assert [key for key in config if key.startswith("unused")] == ["unused0"]
    assert not [volid for volid in held if "cloudinit" in volid]


def test_an_unused_disk_that_is_moved_is_told_without_its_size() -> None:
    lab = Lab()
    guest = lab.clone(100)
    lab.call("PUT", f"{guest}/config", scsi5="local-lvm:1")
    lab.call("PUT", f"{guest}/config", delete="scsi5")

    assert lab.do("POST", f"{guest}/move_disk", disk="unused0", storage="nas", delete=1) == "OK"

    assert lab.get(f"{guest}/config")["unused0"].partition(".")[2] in {"raw", "qcow2"}
