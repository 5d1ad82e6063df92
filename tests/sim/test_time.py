"""What happens by itself: tasks, status rounds, locks, lost nodes, the HA manager."""

import re

from qlop.sim.faults import Effect, Fault, Match
from tests.sim.lab import START, Lab

UPID = re.compile(r"UPID:pve1:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:qmclone:9001:root@pam!qlop:")
PUSH_S = 10


def test_a_task_has_a_upid_and_a_life() -> None:
    lab = Lab()
    upid = lab.must("POST", "/nodes/pve1/qemu/9001/clone", newid=101)
    assert UPID.fullmatch(upid)
    assert lab.get(f"/nodes/pve1/tasks/{upid}/status")["status"] == "running"
    assert lab.exit_of(upid) == "OK"
    assert lab.log_of(upid)[-1] == "TASK OK"
    row = next(row for row in lab.get("/cluster/tasks") if row["upid"] == upid)
    assert row["status"] == "OK"
    assert row["endtime"] > row["starttime"] >= START


def test_the_resource_list_lags_behind_by_a_status_round() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.later(PUSH_S)
    lab.do("POST", f"{guest}/status/start")
    assert lab.get(f"{guest}/status/current")["status"] == "running"
    assert lab.listed(101)["status"] == "stopped"
    lab.later(PUSH_S)
    assert lab.listed(101)["status"] == "running"


def test_a_guest_of_a_lost_node_stays_listed_until_it_becomes_unknown() -> None:
    lab = Lab()
    guest = lab.clone(node="pve2")
    lab.do("POST", f"{guest}/status/start")
    lab.later(PUSH_S)
    lab.by_hand("node pve2 down")
    lab.later(2)
    assert lab.listed(101)["status"] == "running"
    lab.later(600)
    assert lab.listed(101)["status"] == "unknown"
    response = lab.call("GET", f"{guest}/config")
    assert response.status == 595


def test_without_quorum_nothing_is_written_and_reads_go_on() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.by_hand("quorum lose")
    refused = lab.call("PUT", f"{guest}/config", cores=4)
    assert refused.status == 500
    assert refused.reason.startswith("unable to open file '/etc/pve/nodes/pve1/qemu-server/101")
    assert refused.reason.endswith("- Permission denied")
    started = lab.call("POST", f"{guest}/status/start")
    assert started.reason == "cluster not ready - no quorum?"
    assert lab.get(f"{guest}/config")["cores"] == 2
    lab.by_hand("quorum restore")
    assert lab.call("PUT", f"{guest}/config", cores=4).status == 200


def test_a_locked_guest_refuses_changes_in_words_that_name_the_lock() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.by_hand("lock 101 backup")
    response = lab.call("PUT", f"{guest}/config", cores=4)
    assert response.reason == "VM is locked (backup)"
    lab.by_hand("unlock 101")
    assert lab.call("PUT", f"{guest}/config", cores=4).status == 200


def test_a_call_waits_for_the_guest_lock_and_gives_up_after_ten_seconds() -> None:
    lab = Lab()
    guest = lab.clone(full=0)
    lab.call("POST", f"{guest}/snapshot", snapname="one")
    lab.cluster.arm(Fault(effect=Effect.LOCKED, match=Match(route="PUT */config")))
    before = lab.now
    response = lab.call("PUT", f"{guest}/config", cores=4)
    assert response.status == 500
    assert response.reason.endswith("- got timeout")
    assert lab.now - before + response.delay_s >= 10


def test_a_full_pool_fails_the_clone_and_leaves_no_guest() -> None:
    lab = Lab()
    lab.by_hand("storage local-lvm@pve1 fill 100%")
    exit_text = lab.do("POST", "/nodes/pve1/qemu/9001/clone", newid=101, full=1)
    assert exit_text != "OK"
    assert lab.listed(101) == {}


def test_a_node_that_is_down_refuses_calls_to_itself() -> None:
    lab = Lab()
    lab.by_hand("node pve2 down")
    response = lab.call("GET", "/nodes/pve2/qemu")
    assert response.status == 595


def test_the_ha_manager_starts_a_guest_that_crashed() -> None:
    lab = Lab()
    guest = lab.clone()
    added = lab.call("POST", "/cluster/ha/resources", sid="vm:101", state="started")
    assert added.status == 200
    lab.later(60)
    assert lab.get(f"{guest}/status/current")["status"] == "running"
    lab.by_hand("guest 101 crash")
    lab.later(60)
    assert lab.get(f"{guest}/status/current")["status"] == "running"


def test_the_ha_manager_recovers_a_guest_of_a_fenced_node() -> None:
    lab = Lab()
    form = {"newid": 101, "target": "pve2", "full": 1, "storage": "nas"}
    assert lab.do("POST", "/nodes/pve1/qemu/9000/clone", **form) == "OK"
    lab.call("POST", "/cluster/ha/resources", sid="vm:101", state="started")
    lab.later(60)
    assert lab.listed(101)["node"] == "pve2"
    lab.by_hand("node pve2 down")
    lab.later(300)
    row = lab.listed(101)
    assert row["node"] != "pve2"
    assert row["status"] == "running"


def test_a_stop_of_a_managed_guest_is_a_request_to_the_manager() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.call("POST", "/cluster/ha/resources", sid="vm:101", state="started")
    lab.later(60)
    upid = lab.must("POST", f"{guest}/status/stop")
    assert ":hastop:101:" in upid
    assert lab.exit_of(upid) == "OK"
    lab.later(60)
    assert lab.get(f"{guest}/status/current")["status"] == "stopped"
    assert lab.get("/cluster/ha/resources/vm:101")["state"] == "stopped"


def test_the_next_event_is_never_in_the_past() -> None:
    lab = Lab()
    lab.call("POST", "/nodes/pve1/qemu/9001/clone", newid=101)
    for _ in range(50):
        at = lab.cluster.next_event_at()
        assert at is not None
        assert at >= lab.now
        lab.now = at
        lab.cluster.advance(at)
