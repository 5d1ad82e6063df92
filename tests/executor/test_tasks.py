"""A task is followed to its end, whatever happens to the questions about it."""

import asyncio

import pytest

from qlop.executor.tasks import TaskWatch
from qlop.model.action import Verb
from qlop.model.history import Ending
from qlop.model.ids import Upid
from qlop.ports import ErrorKind, Json, PortError, PveCall
from tests.executor.house import House, said
from tests.executor.planned import cluster_for, planned
from tests.executor.toy import ToyCluster, VirtualClock, now_s


def is_poll(call: PveCall) -> bool:
    return call.route.endswith("/tasks/{upid}/status")


def polls(cluster: ToyCluster) -> list[float]:
    return [at_s for at_s, call in cluster.reads if is_poll(call)]


async def test_a_short_task_is_noticed_at_once() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.task_s = 0.05

    await house.carry_out(planned(Verb.START))

    assert now_s() < 0.25


@pytest.mark.parametrize("task_s", [1, 10, 60, 3600])
async def test_a_task_s_end_is_noticed_in_time_and_without_many_questions(task_s: float) -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.task_s = task_s

    await house.carry_out(planned(Verb.START))

    assert task_s <= now_s() <= task_s * 1.06 + 0.25
    assert len(polls(cluster)) < 80 + task_s / 2


async def test_many_tasks_share_a_budget_of_questions() -> None:
    class Endless:
        count = 0

        async def call(self, _call: PveCall) -> Json:
            self.count += 1
            return {"status": "running"}

    api = Endless()
    watch = TaskWatch(api, VirtualClock())
    upid = Upid("UPID:pve1:00000001:00000001:6B050B60:qmclone:110:root@pam:")
    waiting = asyncio.gather(*(watch.end_of(upid) for _ in range(100)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 60)

    assert api.count / 60 < 35


async def test_questions_without_answers_say_nothing_about_the_task() -> None:
    house = House(cluster := cluster_for(Verb.START))

    def unreachable(call: PveCall) -> None:
        if is_poll(call) and 2 < now_s() < 600:
            raise PortError(ErrorKind.TRANSIENT, "Connection refused", status=595)

    cluster.before = unreachable
    end = await house.carry_out(planned(Verb.START))

    assert end.ending is Ending.SUCCEEDED
    assert 600 < now_s() < 612
    assert house.steps() == ["intended", "task", "succeeded"]


@pytest.mark.parametrize("kind", [ErrorKind.DENIED, ErrorKind.INVALID, ErrorKind.NOT_FOUND])
async def test_no_error_of_a_question_is_taken_for_the_task_s(kind: ErrorKind) -> None:
    house = House(cluster := cluster_for(Verb.START))

    def out_of_order(call: PveCall) -> None:
        if is_poll(call) and now_s() < 30:
            raise PortError(kind, "out of order")

    cluster.before = out_of_order

    assert (await house.carry_out(planned(Verb.START))).ending is Ending.SUCCEEDED


async def test_a_task_that_its_node_does_not_know_leaves_the_end_open() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.task_s = 1e6

    async with house.living():
        house.start(planned(Verb.START))
        await asyncio.sleep(5)
        upid = next(iter(cluster.tasks))
        cluster.tasks.clear()

    message = f"pve1 no longer knows task {upid}"
    assert said(house.ends[-1]) == (Ending.UNKNOWN, "ambiguous", message)
    assert house.ledger.history().inflight["web"].upid == upid  # type: ignore[index]


@pytest.mark.parametrize(
    ("exit_status", "error"),
    [
        ("can't lock file '/var/lock/qemu-server/lock-110.conf' - got timeout", "conflict"),
        ("VM 110 already running", "conflict"),
        ("unable to find configuration file for VM 110 on node 'pve1'", "not-found"),
        ("volume 'local:110/x.raw' does not exist", "invalid"),
        ("VM quit/powerdown failed - got timeout", "transient"),
        ("shrinking disks is not supported", "invalid"),
        ("unexpected status", "invalid"),
    ],
)
async def test_a_task_that_fails_says_how(exit_status: str, error: str) -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.exit_status = exit_status

    end = await house.carry_out(planned(Verb.START))

    assert said(end) == (Ending.FAILED, error, exit_status)


async def test_the_end_of_the_log_is_part_of_the_message() -> None:
    house = House(cluster := cluster_for(Verb.MIGRATE))
    cluster.exit_status = "migration aborted"
    cluster.task_log = [*map(str, range(40)), "copying", "", "no space", "TASK ERROR: aborted"]

    end = await house.carry_out(planned(Verb.MIGRATE))

    assert end.message == "migration aborted (log: no space)"


async def test_what_a_log_complains_of_is_told_and_not_how_it_was_cleaned_up() -> None:
    house = House(cluster := cluster_for(Verb.MIGRATE))
    cluster.exit_status = "migration aborted"
    why = "can't migrate local disk 'lvm:vm-1-disk-0': storage 'lvm' is not available on 'pve2'"
    cluster.task_log = [
        "starting migration of VM 1 to node 'pve2'",
        why,
        "ERROR: Problem found while scanning volumes - check log",
        "aborting phase 1 - cleanup resources",
        "ERROR: migration aborted (duration 00:00:01)",
        "TASK ERROR: migration aborted",
    ]

    end = await house.carry_out(planned(Verb.MIGRATE))

    assert end.message == (
        f"migration aborted (log: {why} | ERROR: Problem found while scanning volumes - check log)"
    )


async def test_an_endless_log_is_cut() -> None:
    house = House(cluster := cluster_for(Verb.MIGRATE))
    cluster.exit_status = "migration aborted"
    cluster.task_log = ["x" * 5000]

    end = await house.carry_out(planned(Verb.MIGRATE))

    assert len(end.message) < 700


async def test_a_log_that_can_not_be_had_hides_no_failure() -> None:
    house = House(cluster := cluster_for(Verb.MIGRATE))
    cluster.exit_status = "migration aborted"

    def unreadable(call: PveCall) -> None:
        if call.route.endswith("/log"):
            raise PortError(ErrorKind.TRANSIENT, "no answer")

    cluster.before = unreadable
    end = await house.carry_out(planned(Verb.MIGRATE))

    assert said(end) == (Ending.FAILED, "invalid", "migration aborted")


async def test_warnings_are_a_success_with_a_note() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.exit_status = "WARNINGS: 1"
    cluster.task_log = ["WARN: no such bridge", "TASK WARNINGS: 1"]

    end = await house.carry_out(planned(Verb.START))

    note = "WARNINGS: 1 (log: WARN: no such bridge)"
    assert said(end) == (Ending.SUCCEEDED, "", note)
    assert house.events[-1].message == f"start web (110) on pve1: done in 5s; {note}"


@pytest.mark.parametrize("answer", [None, "UPID:nonsense", ["UPID"], {"a": 1}])
async def test_only_a_upid_or_nothing_is_an_answer(answer: Json) -> None:
    cluster = cluster_for(Verb.START)

    class Odd:
        async def call(self, call: PveCall) -> Json:
            real = await cluster.call(call)
            return answer if call.is_mutation else real

    end = await House(Odd()).carry_out(planned(Verb.START))

    assert end.ending is (Ending.SUCCEEDED if answer is None else Ending.UNKNOWN)
