"""The HA manager starts, stops, moves and recovers guests, and gives up as PVE's does."""

import pytest

from qlop.sim.ha_lrm import WATCHDOG_S
from tests.sim.lab import Lab

RESOURCE = "/cluster/ha/resources/vm:101"
ROUNDS_S = 60


def managed(*, node: str = "pve1", state: str = "started", **options: object) -> Lab:
    """Return a cluster in which guest 101, on shared storage, is under HA."""
    lab = Lab()
    form = {"newid": 101, "full": 1, "storage": "nas", "target": node}
    assert lab.do("POST", "/nodes/pve1/qemu/9000/clone", **form) == "OK"
    lab.must("POST", "/cluster/ha/resources", sid="vm:101", state=state, **options)
    lab.later(ROUNDS_S)
    return lab


def where(lab: Lab) -> tuple[str, str, str]:
    """Return a guest's node, status and HA state as the resource list shows them."""
    row = lab.listed(101)
    return row["node"], row["status"], row["hastate"]


def test_a_resource_that_shall_run_is_started() -> None:
    assert where(managed()) == ("pve1", "running", "started")


def test_a_filed_stop_has_ended_well_before_anything_stops() -> None:
    lab = managed()
    assert lab.do("POST", "/nodes/pve1/qemu/101/status/shutdown") == "OK"
    assert lab.get("/nodes/pve1/qemu/101/status/current")["status"] == "running"
    lab.later(ROUNDS_S)
    assert lab.get(RESOURCE)["state"] == "stopped"
    assert where(lab) == ("pve1", "stopped", "stopped")


def test_a_migration_keeps_the_guest_running_and_a_relocation_stops_it() -> None:
    lab = managed()
    lab.must("POST", f"{RESOURCE}/migrate", node="pve2")
    lab.later(ROUNDS_S)
    assert where(lab) == ("pve2", "running", "started")
    lab.must("POST", f"{RESOURCE}/relocate", node="pve3")
    lab.later(2 * ROUNDS_S)
    assert where(lab) == ("pve3", "running", "started")
    tasks = [row["type"] for row in lab.get("/cluster/tasks") if row["id"] == "101"]
    assert tasks.count("qmigrate") == 2
    assert tasks.count("qmshutdown") == 1


def test_a_node_with_services_resets_itself_a_minute_after_the_quorum_is_lost() -> None:
    lab = managed()
    lab.by_hand("quorum lose")
    lab.later(WATCHDOG_S - 15)
    assert lab.cluster.world.nodes["pve1"].up
    lab.later(30)
    up = {name: node.up for name, node in lab.cluster.world.nodes.items()}
    assert up == {"pve1": False, "pve2": True, "pve3": True}
    assert not lab.cluster.world.guests[101].is_running


def test_after_a_reset_nothing_starts_before_there_is_a_quorum_again() -> None:
    lab = managed()
    lab.by_hand("quorum lose")
    lab.later(4 * WATCHDOG_S)
    assert lab.cluster.world.nodes["pve1"].up
    assert not lab.cluster.world.guests[101].is_running
    lab.by_hand("quorum restore")
    lab.later(ROUNDS_S)
    assert where(lab) == ("pve1", "running", "started")


def test_a_short_loss_of_the_quorum_resets_nobody() -> None:
    lab = managed()
    lab.by_hand("quorum lose")
    lab.later(WATCHDOG_S / 2)
    lab.by_hand("quorum restore")
    lab.later(2 * WATCHDOG_S)
    assert where(lab) == ("pve1", "running", "started")


def test_a_migration_to_a_node_that_does_not_exist_is_accepted_and_dropped() -> None:
    lab = managed()
    lab.must("POST", f"{RESOURCE}/migrate", node="nosuch")
    lab.later(ROUNDS_S)
    assert where(lab) == ("pve1", "running", "started")


def test_a_guest_that_cannot_start_is_tried_elsewhere_and_ends_in_error() -> None:
    lab = managed(state="stopped", max_restart=1, max_relocate=1)
    lab.by_hand("fault task-fails task=qmstart vmid=101 times=all seconds=0.1 text=broken")
    lab.must("PUT", RESOURCE, state="started")
    lab.later(3 * ROUNDS_S)
    assert where(lab)[2] == "error"
    starts = [row["node"] for row in lab.get("/cluster/tasks") if row["type"] == "qmstart"]
    assert len(starts) == 4
    assert len(set(starts)) == 2


def test_an_error_stays_until_the_resource_was_disabled() -> None:
    lab = managed(state="stopped", max_restart=0, max_relocate=0)
    lab.by_hand("fault task-fails task=qmstart vmid=101 times=1 seconds=0.1 text=broken")
    lab.must("PUT", RESOURCE, state="started")
    lab.later(ROUNDS_S)
    assert where(lab)[2] == "error"
    exit_text = lab.do("POST", "/nodes/pve1/qemu/101/status/start")
    assert exit_text.endswith("failed: exit code 255")
    lab.must("PUT", RESOURCE, state="disabled")
    lab.later(ROUNDS_S)
    lab.must("PUT", RESOURCE, state="started")
    lab.later(ROUNDS_S)
    assert where(lab) == ("pve1", "running", "started")


def test_guests_leave_a_node_in_maintenance_and_come_back() -> None:
    lab = managed()
    lab.by_hand("node pve1 maintenance on")
    lab.later(ROUNDS_S)
    assert where(lab)[0] != "pve1"
    lab.by_hand("node pve1 maintenance off")
    lab.later(4 * ROUNDS_S)
    assert where(lab) == ("pve1", "running", "started")


def test_a_lost_node_is_fenced_before_its_guests_are_recovered() -> None:
    lab = managed(node="pve2")
    lab.by_hand("node pve2 down")
    lab.later(100)
    assert lab.listed(101)["node"] == "pve2"
    lab.later(100)
    assert where(lab)[0] != "pve2"
    kinds = [row["type"] for row in lab.get("/cluster/tasks")]
    assert "qmigrate" not in kinds


def test_a_guest_moves_to_the_node_a_rule_asks_for() -> None:
    lab = managed()
    form = {"rule": "there", "type": "node-affinity", "resources": "vm:101", "nodes": "pve3"}
    lab.must("POST", "/cluster/ha/rules", **form, strict=1)
    lab.later(ROUNDS_S)
    assert where(lab) == ("pve3", "running", "started")


def test_guests_that_shall_be_apart_part() -> None:
    lab = managed()
    form = {"newid": 102, "full": 1, "storage": "nas"}
    assert lab.do("POST", "/nodes/pve1/qemu/9000/clone", **form) == "OK"
    lab.must("POST", "/cluster/ha/resources", sid="vm:102", state="started")
    lab.later(ROUNDS_S)
    assert lab.listed(102)["node"] == "pve1"
    rule = {"rule": "apart", "type": "resource-affinity", "affinity": "negative"}
    lab.must("POST", "/cluster/ha/rules", **rule, resources="vm:101,vm:102")
    lab.later(2 * ROUNDS_S)
    assert lab.listed(101)["node"] != lab.listed(102)["node"]
    assert lab.listed(101)["status"] == lab.listed(102)["status"] == "running"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"type": "node-affinity"}, "missing value for required option 'nodes'"),
        (
            {"type": "node-affinity", "nodes": "nosuch"},
            "create ha rule failed: cannot use non-existant node(s) nosuch.",
        ),
        (
            {"type": "resource-affinity", "affinity": "positive"},
            "create ha rule failed: 400 Rule 'one' is invalid.",
        ),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(form: dict[str, str], text: str) -> None:
    lab = managed()
    response = lab.call("POST", "/cluster/ha/rules", rule="one", resources="vm:101", **form)
    assert (response.status, response.reason) == (500, text)


def test_an_ignored_resource_is_left_alone() -> None:
    lab = managed()
    lab.must("PUT", RESOURCE, state="ignored")
    lab.later(ROUNDS_S)
    assert lab.do("POST", "/nodes/pve1/qemu/101/status/stop") == "OK"
    lab.later(ROUNDS_S)
    assert where(lab) == ("pve1", "stopped", "ignored")


def test_a_managed_guest_is_destroyed_only_with_purge() -> None:
    lab = managed(state="stopped")
    lab.later(ROUNDS_S)
    refused = lab.call("DELETE", "/nodes/pve1/qemu/101")
    assert refused.reason == (
        "unable to remove VM 101 - used in HA resources and purge parameter not set."
    )
    assert lab.do("DELETE", "/nodes/pve1/qemu/101", purge=1) == "OK"
    assert lab.get("/cluster/ha/resources") == []


def test_guests_that_belong_together_move_together() -> None:
    lab = managed()
    form = {"newid": 102, "full": 1, "storage": "nas"}
    assert lab.do("POST", "/nodes/pve1/qemu/9000/clone", **form) == "OK"
    lab.must("POST", "/cluster/ha/resources", sid="vm:102", state="started")
    lab.later(ROUNDS_S)
    rule = {"rule": "together", "type": "resource-affinity", "affinity": "positive"}
    lab.must("POST", "/cluster/ha/rules", **rule, resources="vm:101,vm:102")
    answer = lab.must("POST", f"{RESOURCE}/migrate", node="pve2")
    assert answer["comigrated-resources"] == ["vm:102"]
    lab.later(ROUNDS_S)
    assert lab.listed(101)["node"] == lab.listed(102)["node"] == "pve2"


def test_the_manager_says_since_when_it_has_not_heard_of_a_node() -> None:
    lab = managed()
    lab.by_hand("node pve3 down")
    lab.later(ROUNDS_S)
    rows = {row["id"]: row["status"] for row in lab.get("/cluster/ha/status/current")}
    assert rows["lrm:pve3"].startswith("pve3 (old timestamp - dead?, ")
    assert rows["lrm:pve1"].startswith("pve1 (active, ")
    assert rows["lrm:pve2"].startswith("pve2 (idle, ")
