"""Faults are data, strike what they match, and strike alike in every run."""

from typing import Any

import pytest

from qlop.sim.faults import Effect, Fault, Match
from tests.sim.lab import Lab

CORES: dict[str, Any] = {"cores": 4}


def struck(lab: Lab, effect: Effect, **fields: object) -> int:
    """Arm a fault on config changes, change one, and return the status."""
    fault = Fault(effect=effect, match=Match(route="PUT */config"), **fields)  # type: ignore[arg-type]
    lab.cluster.arm(fault)
    response = lab.call("PUT", "/nodes/pve1/qemu/101/config", **CORES)
    assert fault.hits == 1
    return response.status


def cores(lab: Lab) -> int:
    lab.cluster.disarm()
    return int(lab.get("/nodes/pve1/qemu/101/config")["cores"])


@pytest.fixture
def lab() -> Lab:
    """Return a cluster with guest 101."""
    one = Lab()
    one.clone(full=0)
    return one


@pytest.mark.parametrize(
    ("effect", "status"),
    [(Effect.REFUSE, 0), (Effect.CONNECT, 595), (Effect.SERVER, 500), (Effect.LOCKED, 500)],
)
def test_a_fault_before_the_call_leaves_everything_as_it_was(
    lab: Lab, effect: Effect, status: int
) -> None:
    assert struck(lab, effect) == status
    assert cores(lab) == 2


@pytest.mark.parametrize("effect", [Effect.PIPE, Effect.LOSE, Effect.HALF])
def test_a_fault_after_the_call_hides_that_it_was_carried_out(lab: Lab, effect: Effect) -> None:
    struck(lab, effect)
    assert cores(lab) == 4


def test_a_slow_call_is_carried_out_and_says_how_long_it_takes(lab: Lab) -> None:
    lab.cluster.arm(Fault(effect=Effect.SLOW, seconds=7))
    response = lab.call("PUT", "/nodes/pve1/qemu/101/config", **CORES)
    assert response.status == 200
    assert response.delay_s >= 7
    assert cores(lab) == 4


def test_a_fault_strikes_as_often_as_it_says_and_no_more(lab: Lab) -> None:
    fault = Fault(effect=Effect.CONNECT, match=Match(route="GET /version"), times=2, skip=1)
    lab.cluster.arm(fault)
    statuses = [lab.call("GET", "/version").status for _ in range(5)]
    assert statuses == [200, 595, 595, 200, 200]


def test_chance_is_the_same_in_every_run() -> None:
    def statuses() -> list[int]:
        lab = Lab(seed=9)
        match = Match(route="GET /version")
        lab.cluster.arm(Fault(effect=Effect.CONNECT, match=match, times=None, share=0.4))
        return [lab.call("GET", "/version").status for _ in range(40)]

    first = statuses()
    assert first == statuses()
    assert 5 < first.count(595) < 30


def test_a_task_can_die_half_way(lab: Lab) -> None:
    lab.cluster.arm(Fault(effect=Effect.TASK, match=Match(task="qmclone"), seconds=2))
    exit_text = lab.do("POST", "/nodes/pve1/qemu/9001/clone", newid=102, full=1)
    assert exit_text != "OK"


def test_a_stale_list_stays_as_it_is_and_catches_up(lab: Lab) -> None:
    lab.later(10)
    lab.cluster.arm(Fault(effect=Effect.STALE, seconds=60, match=Match(route="GET /cluster/*")))
    assert lab.listed(101)["status"] == "stopped"
    lab.do("POST", "/nodes/pve1/qemu/101/status/start")
    lab.later(20)
    assert lab.listed(101)["status"] == "stopped"
    lab.later(60)
    assert lab.listed(101)["status"] == "running"


def test_a_guest_can_be_listed_as_unknown(lab: Lab) -> None:
    lab.cluster.arm(Fault(effect=Effect.UNKNOWN, match=Match(vmid=101), times=None))
    assert lab.listed(101)["status"] == "unknown"
    assert lab.listed(9001)["status"] != "unknown"


def test_a_node_can_be_cut_off_by_a_call(lab: Lab) -> None:
    match = Match(route="GET /nodes/pve2/status")
    lab.cluster.arm(Fault(effect=Effect.NODE_DOWN, match=match, seconds=50))
    assert lab.call("GET", "/nodes/pve2/status").status == 595
    lab.later(120)
    assert lab.call("GET", "/nodes/pve2/status").status == 200


def test_a_storage_can_be_full_for_a_while(lab: Lab) -> None:
    match = Match(storage="local-lvm", node="pve1")
    lab.cluster.arm(Fault(effect=Effect.FULL, match=match, seconds=100))
    clone = {"newid": 103, "full": 1}
    assert lab.do("POST", "/nodes/pve1/qemu/9001/clone", **clone) != "OK"
    lab.later(200)
    assert lab.do("POST", "/nodes/pve1/qemu/9001/clone", **clone) == "OK"


def test_clocks_can_jump(lab: Lab) -> None:
    before = lab.get("/nodes/pve1/time")["time"]
    lab.cluster.arm(Fault(effect=Effect.CLOCK, seconds=3600, match=Match(route="GET /version")))
    lab.call("GET", "/version")
    assert lab.get("/nodes/pve1/time")["time"] - before >= 3600


def test_a_task_can_do_its_work_and_end_badly_all_the_same(lab: Lab) -> None:
    match = Match(task="qmigrate")
    lab.cluster.arm(Fault(effect=Effect.SPOIL, match=match, text="migration problems"))
    form = {"target": "pve2", "with-local-disks": 1}
    exit_text = lab.do("POST", "/nodes/pve1/qemu/101/migrate", **form)
    assert exit_text == "migration problems"
    assert lab.get("/nodes/pve2/qemu/101/config")["cores"] == 2
