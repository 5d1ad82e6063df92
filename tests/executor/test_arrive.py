"""An action counts as done when what it did can be seen."""

import pytest

from qlop.model.action import Verb
from qlop.model.history import Ending
from qlop.model.ids import NodeName
from qlop.ports import ErrorKind, Json, PortError, PveCall
from tests.executor.house import SUCCEEDED, House, said
from tests.executor.planned import AT_ONCE, cluster_for, planned
from tests.executor.toy import ToyCluster, now_s

MISSING = {
    Verb.CREATE: "there is no guest 110 on pve1",
    Verb.CLONE: "there is no guest 110 on pve2",
    Verb.HAND_OVER: "scsi0 is still that of guest 110",
    Verb.RESIZE: "scsi0 has only 34359738368 bytes",
    Verb.START: "guest 110 is stopped, not running",
    Verb.RESUME: "guest 110 is paused, not running",
    Verb.SHUTDOWN: "guest 110 is running, not stopped",
    Verb.REBOOT: "guest 110 still runs since before the reboot",
    Verb.MIGRATE: "guest 110 is not on pve2",
    Verb.SNAPSHOT: "snapshot weekly is not listed",
    Verb.DELETE_SNAPSHOT: "snapshot old is still listed",
    Verb.ROLLBACK: "guest 110 is not as it was in snapshot old",
    Verb.DESTROY: "guest 110 is still listed",
}


def without_effect(cluster: ToyCluster) -> None:
    """Let every task end well and do nothing."""

    def hook(_call: PveCall) -> None:
        for task in cluster.tasks.values():
            task.effect = lambda: None
            if task.verb == "clone":
                cluster.guests.pop(task.vmid, None)

    cluster.after = hook


def test_every_verb_with_a_task_has_something_to_arrive() -> None:
    assert set(MISSING) | AT_ONCE == set(Verb)


@pytest.mark.parametrize(("verb", "missing"), MISSING.items())
async def test_a_task_that_ends_well_and_does_nothing_is_a_failure(
    verb: Verb, missing: str
) -> None:
    house = House(cluster := cluster_for(verb))
    without_effect(cluster)

    end = await house.carry_out(planned(verb))

    message = f"the task ended well, but {missing}"
    assert said(end) == (Ending.FAILED, "transient", message)
    assert now_s() < 320


@pytest.mark.parametrize("verb", MISSING)
async def test_what_comes_a_little_later_has_arrived(verb: Verb) -> None:
    house = House(cluster := cluster_for(verb))

    cluster.lag_s = 3

    end = await house.carry_out(planned(verb))

    assert said(end) == SUCCEEDED
    assert 8 < now_s() < 11


async def test_a_reboot_is_done_when_the_guest_is_up_again() -> None:
    house = House(cluster := cluster_for(Verb.REBOOT))
    (guest,) = cluster.guests.values()

    def gap(_call: PveCall) -> None:
        if 5 < now_s() < 8:
            guest.running = False
        elif 8 < now_s() < 9:
            guest.running, guest.since_s = True, 8

    cluster.before = gap
    end = await house.carry_out(planned(Verb.REBOOT))

    assert said(end) == SUCCEEDED
    assert now_s() > 8


async def test_what_the_ha_manager_was_asked_for_may_take_its_time() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.task_prefix, cluster.task_s = "ha", 2
    (guest,) = cluster.guests.values()
    without_effect(cluster)

    def later(_call: PveCall) -> None:
        if now_s() > 900:
            guest.running = True

    cluster.before = later
    end = await house.carry_out(planned(Verb.START))

    assert said(end) == SUCCEEDED
    assert 900 < now_s() < 905


async def test_a_guest_without_our_mark_is_not_the_one_we_made() -> None:
    house = House(cluster := cluster_for(Verb.CLONE))

    def stripped(_call: PveCall) -> None:
        for guest in cluster.guests.values():
            if "lock" not in guest.config:
                guest.config["description"] = "a template"

    cluster.before = stripped
    end = await house.carry_out(planned(Verb.CLONE))

    message = "the task ended well, but guest 110 does not carry our mark"
    assert said(end) == (Ending.FAILED, "transient", message)


@pytest.mark.parametrize("verb", [Verb.CLONE, Verb.MIGRATE])
async def test_a_guest_has_not_arrived_while_it_is_locked(verb: Verb) -> None:
    house = House(cluster := cluster_for(verb))

    def lock(_call: PveCall) -> None:
        for guest in cluster.guests.values():
            if guest.node == NodeName("pve2") and 5 < now_s() < 20:
                guest.config["lock"] = "migrate"
            elif guest.config.get("lock") == "migrate":
                del guest.config["lock"]

    cluster.before = lock
    end = await house.carry_out(planned(verb))

    assert said(end) == SUCCEEDED
    assert 20 < now_s() < 23


async def test_a_node_that_does_not_answer_is_waited_for_but_not_forever() -> None:
    house = House(cluster := cluster_for(Verb.START))

    def silent(call: PveCall) -> None:
        if cluster.tasks and call.route.endswith("/current"):
            raise PortError(ErrorKind.TRANSIENT, "no answer")

    cluster.before = silent
    end = await house.carry_out(planned(Verb.START))

    message = "the task ended well, but it could not be looked at: no answer"
    assert said(end) == (Ending.UNKNOWN, "ambiguous", message)
    assert 60 < now_s() < 80


UNREADABLE = [
    (Verb.START, "/current", "guest status not understood"),
    (Verb.SNAPSHOT, "/snapshot", "snapshots not understood"),
    (Verb.DESTROY, "/resources", "the listing was not understood"),
    (Verb.RESIZE, "/config", "configuration not understood"),
]


@pytest.mark.parametrize(("verb", "route", "complaint"), UNREADABLE)
async def test_an_answer_that_is_not_understood_shows_no_arrival(
    verb: Verb, route: str, complaint: str
) -> None:
    cluster = cluster_for(verb)

    class Garbled:
        async def call(self, call: PveCall) -> Json:
            answer = await cluster.call(call)
            garbled = cluster.tasks and not call.is_mutation and call.route.endswith(route)
            return ["?"] if garbled else answer

    end = await House(Garbled()).carry_out(planned(verb))

    assert (end.ending, end.error) == (Ending.FAILED, "transient")
    assert complaint in end.message


async def test_an_uptime_that_is_no_number_shows_no_reboot() -> None:
    cluster = cluster_for(Verb.REBOOT)

    class Garbled:
        async def call(self, call: PveCall) -> Json:
            answer = await cluster.call(call)
            if isinstance(answer, dict) and "uptime" in answer:
                return answer | {"uptime": "long"}
            return answer

    end = await House(Garbled()).carry_out(planned(Verb.REBOOT))

    assert (end.ending, end.error) == (Ending.SUPERSEDED, "invalid")
    assert cluster.mutations == []


async def test_a_disk_that_is_gone_has_not_grown() -> None:
    house = House(cluster := cluster_for(Verb.RESIZE))

    def lost(_call: PveCall) -> None:
        for guest in cluster.guests.values():
            guest.config.pop("scsi0", None)

    cluster.after = lost
    end = await house.carry_out(planned(Verb.RESIZE))

    assert end.message == "the task ended well, but guest 110 has no scsi0 with a size"
