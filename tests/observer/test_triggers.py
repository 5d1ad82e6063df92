"""What says that a configuration changed, and what comes of it when nothing says so."""

import asyncio
from datetime import timedelta

import pytest

from qlop.model.ids import ClusterName, VmId
from qlop.model.observed import ObservedSnapshot
from qlop.model.owner import parse_mark, signed_description
from qlop.model.reading import Known, Unknown
from qlop.observer.observer import Interest, Observer, ObserverOptions
from qlop.ports import ErrorKind, Json, PortError
from qlop.pve.calls import LOG_LINES
from tests.observer.cluster import (
    IDLE,
    LAB,
    NOTHING,
    SNAPSHOTS,
    WEB,
    Cluster,
    Shell,
    observer,
    path,
    settled,
)


async def reread(cluster: Cluster, eyes: Observer, interest: Interest = NOTHING) -> list[str]:
    """Observe, and return what was read beyond the four calls."""
    cluster.counted()
    await eyes.observe(interest)
    return [asked for asked in cluster.counted() if asked not in IDLE]


async def test_a_task_that_ended_has_the_configuration_read_once() -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster)
    cluster.end_task("qmigrate", 101)

    first, second = await reread(cluster, eyes), await reread(cluster, eyes)

    assert (first, second) == ([path(101, "config")], [])


async def test_a_task_that_still_runs_is_shown_and_read_after_it_ended() -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster)
    cluster.end_task("qmclone", 101, status=None)
    running = await eyes.observe(NOTHING)
    cluster.counted()
    row = cluster.tasks[0]
    assert isinstance(row, dict)
    row |= {"status": "OK", "endtime": 9}

    ended = await reread(cluster, eyes)

    assert [(task.verb, task.exit_status) for task in running.tasks] == [("qmclone", "")]
    assert ended == [path(101, "config")]


async def test_tasks_from_before_the_first_look_are_no_news() -> None:
    cluster = Cluster()
    cluster.end_task("qmstart", 101)
    eyes, seen = await settled(cluster)

    assert len(seen.tasks) == 1
    assert await reread(cluster, eyes) == []


@pytest.mark.parametrize(
    "message",
    [
        "update VM 101: -memory 96",
        "update CT 101: resize --disk rootfs --size 16M",
        "snapshot VM 101: s1",
        "end task UPID:pve1:00005F76:000AC7E9:6B050E5C:resize:101:root@pam!test: OK",
    ],
)
async def test_a_line_of_the_log_has_the_configuration_read_once(message: str) -> None:
    cluster = Cluster()
    cluster.write_log("update VM 100: -cores 2")
    eyes, _ = await settled(cluster)
    cluster.write_log(message)

    first, second = await reread(cluster, eyes), await reread(cluster, eyes)

    assert (first, second) == ([path(101, "config")], [])


@pytest.mark.parametrize(
    "message",
    [
        "starting task UPID:pve1:00005F76:000AC7E9:6B050E5C:resize:101:root@pam!test:",
        "successful auth for user 'root@pam'",
        "update VM 999: -memory 96",
    ],
)
async def test_a_line_about_no_change_of_a_guest_costs_nothing(message: str) -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster)
    cluster.write_log(message)

    assert await reread(cluster, eyes) == []


async def test_a_touch_has_everything_about_a_guest_read() -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster, SNAPSHOTS)
    eyes.touch(VmId(101))
    eyes.touch(VmId(999))

    assert await reread(cluster, eyes, SNAPSHOTS) == [
        path(101, "config"),
        path(101, "snapshot"),
        path(101, "status/current"),
    ]


async def test_an_edit_by_hand_is_found_by_the_audit_round() -> None:
    cluster = Cluster(guests=10)
    eyes, _ = await settled(cluster)
    cluster.edit(104, memory="2048")
    unseen = await eyes.observe(NOTHING)

    async with asyncio.TaskGroup() as group:
        round_ = group.create_task(eyes.audit())
        await asyncio.sleep(600.5)
        round_.cancel()
    seen = await eyes.observe(NOTHING)

    def memory(reading: object) -> object:
        assert isinstance(reading, Known)
        return reading.value.options["memory"]

    assert memory(unseen.guests[VmId(104)].config) == "1024"
    assert memory(seen.guests[VmId(104)].config) == "2048"
    assert seen.guests[VmId(105)] is unseen.guests[VmId(105)]


async def test_the_audit_round_comes_by_every_guest_once_in_its_period() -> None:
    cluster = Cluster(guests=20)
    eyes, _ = await settled(cluster)

    async with asyncio.TaskGroup() as group:
        round_ = group.create_task(eyes.audit())
        await asyncio.sleep(599)
        round_.cancel()

    counted = cluster.counted()
    assert len(counted) == 19
    assert set(counted.values()) == {1}


async def test_the_audit_round_leaves_out_what_can_not_be_reached() -> None:
    cluster = Cluster(guests=4)
    eyes, _ = await settled(cluster)
    cluster.online["pve2"] = False
    await eyes.observe(NOTHING)
    cluster.counted()

    async with asyncio.TaskGroup() as group:
        round_ = group.create_task(eyes.audit())
        await asyncio.sleep(599)
        round_.cancel()

    assert set(cluster.counted()) == {path(100, "config"), path(102, "config")}


async def test_the_audit_round_looks_at_the_privileges_too() -> None:
    cluster = Cluster(guests=0)
    eyes, before = await settled(cluster)
    cluster.permissions = {"/vms": {}}

    async with asyncio.TaskGroup() as group:
        round_ = group.create_task(eyes.audit())
        await asyncio.sleep(1500)
        round_.cancel()
    after = await eyes.observe(NOTHING)

    assert (before.complete, after.complete) == (True, False)


async def test_a_slow_audit_does_not_replace_a_later_reading() -> None:
    cluster = Cluster(guests=1)
    eyes, _ = await settled(cluster)
    cluster.read_s = 40.0
    options = ObserverOptions(reading_time=timedelta(seconds=100))
    eyes = observer(cluster, options=options)
    await eyes.observe(NOTHING)

    async with asyncio.TaskGroup() as group:
        round_ = group.create_task(eyes.audit())
        await asyncio.sleep(601)  # The audit has read the old file, and its answer is under way.
        cluster.read_s = 1.0
        cluster.edit(100, memory="2048")
        cluster.write_log("update VM 100: -memory 2048")
        first = await eyes.observe(NOTHING)
        await asyncio.sleep(60)
        round_.cancel()
    second = await eyes.observe(NOTHING)

    assert second.guests[VmId(100)] is first.guests[VmId(100)]


async def test_a_log_that_ran_over_makes_the_audit_hurry() -> None:
    cluster = Cluster(guests=10)
    cluster.write_log("old")
    eyes, _ = await settled(cluster)
    cluster.log = [
        {"uid": str(n), "node": "pve2", "time": n, "msg": "new"} for n in range(LOG_LINES)
    ]
    await eyes.observe(NOTHING)
    cluster.counted()

    async with asyncio.TaskGroup() as group:
        round_ = group.create_task(eyes.audit())
        await asyncio.sleep(61)
        round_.cancel()

    assert len(cluster.counted()) == 10


class TestWithAnSshKey:
    async def test_an_edit_by_hand_is_seen_at_once(self) -> None:
        cluster = Cluster(guests=10)
        eyes, _ = await settled(cluster, shell=Shell(cluster))
        cluster.edit(104, memory="2048")

        first, second = await reread(cluster, eyes), await reread(cluster, eyes)

        assert (first, second) == ([path(104, "config"), path(104, "pending")], [])

    async def test_an_idle_cycle_makes_four_calls(self) -> None:
        cluster = Cluster(guests=10)
        eyes, _ = await settled(cluster, shell=Shell(cluster))

        await eyes.observe(NOTHING)

        assert cluster.counted() == dict.fromkeys(IDLE, 1)

    async def test_another_process_counts_anew_and_the_audit_hurries(self) -> None:
        cluster = Cluster(guests=10)
        eyes, _ = await settled(cluster, shell=Shell(cluster))
        cluster.instance = 8
        at_once = await reread(cluster, eyes)

        async with asyncio.TaskGroup() as group:
            round_ = group.create_task(eyes.audit())
            await asyncio.sleep(1)
            round_.cancel()

        assert at_once == []
        assert len(cluster.counted()) == 10

    async def test_without_it_there_is_a_gap_and_the_rest_goes_on(self) -> None:
        cluster = Cluster(guests=2)
        shell = Shell(cluster)
        eyes, before = await settled(cluster, shell=shell)
        shell.error = PortError(ErrorKind.TRANSIENT, "no route to host")

        seen = await eyes.observe(NOTHING)

        assert seen.guests is before.guests
        assert (seen.complete, seen.gaps) == (
            True,
            ("the versions of the guests' files are not known: SSH: no route to host",),
        )


class TestSnapshots:
    async def test_they_are_read_for_services_of_interest_only(self) -> None:
        cluster = Cluster(guests=1)
        mark = parse_mark(str(cluster.guests[VmId(100)].config["description"]))
        assert mark is not None
        ours: Json = {"name": "ours", "description": signed_description("", mark)}
        by_hand: Json = {"name": "before", "snaptime": 1795488700, "description": "by hand"}
        cluster.guests[VmId(100)].snapshots = [ours, by_hand]

        eyes, unasked = await settled(cluster)
        asked = await eyes.observe(SNAPSHOTS)
        again = await reread(cluster, eyes, SNAPSHOTS)
        unasked_again = await eyes.observe(NOTHING)

        assert unasked.guests[VmId(100)].snapshots == Unknown("not asked for")
        reading = asked.guests[VmId(100)].snapshots
        assert isinstance(reading, Known)
        assert [(one.name, one.ours) for one in reading.value] == [
            ("ours", True),
            ("before", False),
        ]
        assert isinstance(reading.value[0], ObservedSnapshot)
        assert again == []
        assert unasked_again.guests[VmId(100)].snapshots == Unknown("not asked for")

    async def test_those_of_another_cluster_are_not_ours_to_read(self) -> None:
        cluster = Cluster(guests=1)
        other = Interest(cluster=ClusterName("other"), snapshots_of=frozenset({WEB}))
        eyes, _ = await settled(cluster)

        assert await reread(cluster, eyes, other) == []

    async def test_they_are_read_again_after_a_task(self) -> None:
        cluster = Cluster(guests=1)
        eyes, _ = await settled(cluster, SNAPSHOTS)
        cluster.end_task("qmsnapshot", 100)

        assert path(100, "snapshot") in await reread(cluster, eyes, SNAPSHOTS)

    async def test_they_are_read_again_when_the_guest_has_another_parent(self) -> None:
        cluster = Cluster(guests=1)
        eyes, _ = await settled(cluster, SNAPSHOTS)
        cluster.edit(100, parent="before")
        cluster.write_log("update VM 100: -x")

        assert path(100, "snapshot") in await reread(cluster, eyes, SNAPSHOTS)

    async def test_they_are_unknown_while_they_can_not_be_read(self) -> None:
        cluster = Cluster(guests=1)
        eyes, _ = await settled(cluster, SNAPSHOTS)
        error = PortError(ErrorKind.TRANSIENT, "no answer")
        cluster.broken["/nodes/{node}/qemu/{vmid}/snapshot"] = error
        cluster.end_task("qmsnapshot", 100)

        seen = await eyes.observe(SNAPSHOTS)

        assert seen.guests[VmId(100)].snapshots == Unknown(f"{path(100, 'snapshot')}: no answer")

    async def test_a_guest_that_is_marked_later_is_followed_from_then_on(self) -> None:
        cluster = Cluster(guests=1)
        text = cluster.guests[VmId(100)].config["description"]
        cluster.guests[VmId(100)].config["description"] = ""
        eyes, _ = await settled(cluster, Interest(cluster=LAB, snapshots_of=frozenset({WEB})))
        cluster.edit(100, description=text)
        cluster.write_log("update VM 100: -description")

        assert path(100, "snapshot") in await reread(cluster, eyes, SNAPSHOTS)
