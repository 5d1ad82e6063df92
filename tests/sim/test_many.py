"""Calls for many guests at once: ``PVE/API2/Nodes.pm`` and ``Cluster/BulkAction/Guest.pm``."""

from typing import Any

import pytest

from qlop.sim import world
from tests.sim.documented import CREDENTIAL, granted
from tests.sim.lab import Lab

TOKEN = f"PVEAPIToken={CREDENTIAL}"
ALIEN = {"QlopGuests": frozenset({"VM.Audit"})}


def lab_with(*running: int) -> Lab:
    """Guests 101 and 102 on pve1's shared storage, those of ``running`` started."""
    lab = Lab()
    for vmid in (101, 102):
        lab.clone(vmid, full=1, storage="nas", format="qcow2")
    for vmid in running:
        assert lab.do("POST", f"/nodes/pve1/qemu/{vmid}/status/start") == "OK"
    return lab


def finished(lab: Lab, path: str, **form: Any) -> tuple[str, list[str]]:
    """How a task ended, and its log."""
    upid = str(lab.must("POST", path, **form))
    return lab.exit_of(upid), lab.log_of(upid)


def test_a_node_is_emptied_with_one_call() -> None:
    lab = lab_with(101)

    ended, log = finished(
        lab, "/nodes/pve1/migrateall", target="pve2", vms="101,102", **{"max-workers": 1}
    )

    assert ended == "OK"
    assert log == [
        "Check VM 101: precondition check passed",
        "Migrating VM 101",
        "Check VM 102: precondition check passed",
        "Migrating VM 102",
        "All jobs finished, used 2 workers in total.",
        "TASK OK",
    ]
    assert {lab.listed(vmid)["node"] for vmid in (101, 102)} == {"pve2"}
    assert lab.get("/nodes/pve2/qemu/101/status/current")["status"] == "running"


def test_a_running_vm_with_local_disks_is_left_where_it_is_unless_asked() -> None:
    lab = Lab()
    lab.clone(101)
    assert lab.do("POST", "/nodes/pve1/qemu/101/status/start") == "OK"

    ended, log = finished(
        lab, "/nodes/pve1/migrateall", target="pve2", vms=101, **{"max-workers": 1}
    )

    assert ended == "no migrations worker started..."
    assert log[0] == "Check VM 101: skip VM 101 - precondition check failed:"
    assert log[1].startswith("  Has local disks: local-lvm:")


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({"target": "pve2"}, 500, "either 'max-workers' parameter or max_workers in"),
        ({"target": "pve9", "max-workers": 1}, 500, "no such cluster node 'pve9'"),
        ({"target": "pve1", "max-workers": 1}, 400, "Parameter verification failed."),
    ],
)
def test_what_is_no_target_is_refused(form: dict[str, Any], status: int, text: str) -> None:
    answer = Lab().call("POST", "/nodes/pve1/migrateall", **form)

    assert answer.status == status
    assert answer.reason.startswith(text)


def test_a_node_s_vms_are_suspended_to_disk() -> None:
    lab = lab_with(101)

    ended, log = finished(lab, "/nodes/pve1/suspendall", vms="101,102")

    assert ended == "OK"
    assert log[:2] == ["VM 102 not running, skipping suspension", "Suspending VM 101"]
    assert lab.get("/nodes/pve1/qemu/101/config")["lock"] == "suspended"


@pytest.mark.parametrize(
    ("path", "form", "missing"),
    [
        ("/nodes/pve1/startall", {}, "/, VM.PowerMgmt"),
        ("/nodes/pve1/stopall", {"vms": 101}, "/vms/101, VM.PowerMgmt"),
        ("/nodes/pve1/suspendall", {}, "/, VM.PowerMgmt && VM.Config.Disk"),
        ("/nodes/pve1/migrateall", {"target": "pve2"}, "/, VM.Migrate"),
        ("/cluster/bulk-action/guest/start", {"vms": 101}, "/vms/101, VM.PowerMgmt"),
        ("/cluster/bulk-action/guest/shutdown", {}, "/, VM.PowerMgmt"),
        ("/cluster/bulk-action/guest/suspend", {}, "/, VM.PowerMgmt"),
        ("/cluster/bulk-action/guest/migrate", {"target": "pve2"}, "/, VM.Migrate"),
    ],
)
def test_it_needs_the_right_on_each_guest(path: str, form: dict[str, Any], missing: str) -> None:
    lab = Lab(granted(world.hospital(), ALIEN))

    answer = lab.call("POST", path, as_=TOKEN, **form)

    assert (answer.status, answer.reason) == (403, f"Permission check failed ({missing})")


def test_guests_are_started_and_shut_down_wherever_they_are() -> None:
    lab = lab_with(101)
    lab.clone(103, node="pve2")

    started = finished(lab, "/cluster/bulk-action/guest/start", vms="101,102,103")
    lab.later(30)
    ended, log = finished(lab, "/cluster/bulk-action/guest/shutdown", vms="101,102,103")

    assert started[0] == "WARNINGS: 1"
    assert started[1][:4] == [
        "Starting guests: 101, 102, 103",
        "WARN: Skipping VM 101, already running.",
        "Starting VM 102",
        "Starting VM 103",
    ]
    assert ended == "OK"
    assert "Shutting down VM 103 (Timeout = 180 seconds)" in log
    assert lab.get("/nodes/pve2/qemu/103/status/current")["status"] == "stopped"


def test_what_fails_for_one_guest_is_told_and_ends_the_task_badly() -> None:
    lab = lab_with(101)

    ended, log = finished(
        lab, "/cluster/bulk-action/guest/migrate", vms="101,102", target="pve2", online=0
    )

    assert ended == "Some guests failed to migrate 101"
    assert "WARN: 500 can't migrate running VM without --online" in log
    assert lab.listed(102)["node"] == "pve2"


def test_running_vms_are_paused_and_the_others_passed_over() -> None:
    lab = lab_with(101)

    ended, log = finished(lab, "/cluster/bulk-action/guest/suspend", vms="101,102")

    assert ended == "WARNINGS: 1"
    assert "WARN: Skipping VM 102, not running." in log
    assert lab.get("/nodes/pve1/qemu/101/status/current")["qmpstatus"] == "paused"
