"""The cluster is seen whole, or it is said what is missing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from qlop.model.guest import Power
from qlop.model.ids import NodeName, StorageId, VmId
from qlop.model.observed import GuestConfig, Observed, ObservedGuest
from qlop.model.reading import Known, Reading, Unknown
from qlop.observer.observer import ObserverOptions
from qlop.observer.reader import UNSURE_MAX
from qlop.ports import ErrorKind, Json, PortError, PveCall, RemoteShell
from tests.observer.cluster import EPOCH, IDLE, NOTHING, Cluster, observer, path, settled

DOWN = PortError(ErrorKind.TRANSIENT, "no answer")
PVE1, PVE2 = NodeName("pve1"), NodeName("pve2")


def config_of(observed: Observed, vmid: int) -> GuestConfig:
    reading = observed.guests[VmId(vmid)].config
    assert isinstance(reading, Known), reading
    return reading.value


def powers(observed: Observed) -> dict[int, Power]:
    return {vmid: guest.power for vmid, guest in observed.guests.items()}


async def test_everything_is_read_once_at_first() -> None:
    cluster = Cluster(guests=2)
    eyes = observer(cluster)

    seen = await eyes.observe(NOTHING)

    assert cluster.counted() == dict.fromkeys(
        [
            "/access/permissions",
            "/version",
            *IDLE,
            path(100, "config"),
            path(100, "pending"),
            path(101, "config"),
            path(101, "pending"),
        ],
        1,
    )
    assert (seen.taken_at, seen.complete, seen.quorate, seen.gaps) == (
        EPOCH,
        True,
        Known(value=True),
        (),
    )
    assert seen.guests[VmId(100)] == ObservedGuest(
        vmid=VmId(100),
        kind=seen.guests[VmId(100)].kind,
        node=PVE1,
        name="web-100",
        power=Power.RUNNING,
        template=False,
        lock="",
        tags="",
        pool=None,
        ha_state="",
        memory_bytes=2**30,
        config=Known(config_of(seen, 100)),
        snapshots=Unknown("not asked for"),
    )
    assert {name: node.online for name, node in seen.nodes.items()} == {PVE1: True, PVE2: True}
    assert seen.storages[StorageId("nas"), PVE1].free_bytes == 2**40 - 2**30


@pytest.mark.parametrize("guests", [0, 1, 50])
async def test_an_idle_cycle_makes_four_calls_however_many_guests_there_are(guests: int) -> None:
    cluster = Cluster(guests=guests)
    eyes, _ = await settled(cluster)

    await eyes.observe(NOTHING)

    assert cluster.counted() == dict.fromkeys(IDLE, 1)


async def test_a_guest_that_may_change_without_a_trace_is_read_at_every_look() -> None:
    """Each costs its calls, so only so many are."""
    cluster = Cluster(guests=UNSURE_MAX + 4)
    eyes, _ = await settled(cluster)

    await eyes.observe(replace(NOTHING, unsure=frozenset({VmId(101)})))
    asked = cluster.counted()
    assert (asked[path(101, "config")], path(100, "config") in asked) == (1, False)

    everybody = frozenset(VmId(100 + number) for number in range(UNSURE_MAX + 4))
    await eyes.observe(replace(NOTHING, unsure=everybody))
    assert sum(one.endswith("/config") for one in cluster.counted()) == UNSURE_MAX


async def test_what_did_not_change_is_the_same_object() -> None:
    cluster = Cluster()
    eyes, before = await settled(cluster)
    for guest in cluster.guests.values():
        guest.row |= {"cpu": 0.9, "mem": 7, "uptime": 1000, "netin": 3}

    same = await eyes.observe(NOTHING)
    cluster.guests[VmId(101)].row["lock"] = "backup"
    changed = await eyes.observe(NOTHING)

    assert same.guests is before.guests
    assert changed.guests is not before.guests
    assert changed.guests[VmId(100)] is before.guests[VmId(100)]
    assert changed.guests[VmId(101)].lock == "backup"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("node", "pve1"),
        ("tags", "a;b"),
        ("name", "other"),
        ("lock", "migrate"),
        ("pool", "team"),
        ("template", 1),
        ("status", "stopped"),
        ("maxmem", 2**31),
    ],
)
async def test_a_change_of_the_row_has_the_configuration_read(column: str, value: Json) -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster)
    cluster.guests[VmId(101)].row[column] = value

    await eyes.observe(NOTHING)

    asked = [call.at["vmid"] for call in cluster.asked if call.route.endswith("config")]
    assert asked == [101]


async def test_a_change_of_the_ha_state_is_seen_without_reading_anything() -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster)
    cluster.guests[VmId(101)].row["hastate"] = "started"

    seen = await eyes.observe(NOTHING)

    assert cluster.counted() == dict.fromkeys(IDLE, 1)
    assert seen.guests[VmId(101)].ha_state == "started"


async def test_guests_come_and_go() -> None:
    cluster = Cluster(guests=2)
    eyes, _ = await settled(cluster)
    cluster.guests[VmId(200)] = cluster.guests.pop(VmId(100))
    cluster.guests[VmId(200)].row["vmid"] = 200

    seen = await eyes.observe(NOTHING)
    cluster.guests.clear()
    empty = await eyes.observe(NOTHING)

    assert set(seen.guests) == {101, 200}
    assert empty.guests == {}
    assert empty.complete


async def test_a_vmid_as_text_is_the_same_guest() -> None:
    cluster = Cluster(guests=1)
    cluster.guests[VmId(100)].row["vmid"] = "100"
    eyes, seen = await settled(cluster)

    eyes.touch(VmId(100))
    again = await eyes.observe(NOTHING)

    assert set(again.guests) == {100}
    assert path(100, "config") in cluster.counted()
    assert again.guests[VmId(100)] is seen.guests[VmId(100)]


async def test_pending_changes_are_read_where_there_can_be_any() -> None:
    cluster = Cluster(guests=2)
    cluster.guests[VmId(100)].pending = [{"key": "memory", "pending": "2048"}]
    cluster.guests[VmId(101)].row["status"] = "stopped"

    _, seen = await settled(cluster)

    assert config_of(seen, 100).pending == {"memory"}
    assert config_of(seen, 101).pending == frozenset()


async def test_an_equal_digest_means_equal_pending_changes() -> None:
    cluster = Cluster(guests=1)
    eyes, before = await settled(cluster)
    eyes.touch(VmId(100))

    after = await eyes.observe(NOTHING)

    assert path(100, "pending") not in cluster.counted()
    assert after.guests is before.guests


async def test_a_guest_that_no_node_has_reported_is_asked_itself() -> None:
    cluster = Cluster(guests=1)
    guest = cluster.guests[VmId(100)]
    guest.row = {"id": "qemu/100", "type": "qemu", "vmid": 100, "node": "pve1",
                 "status": "unknown"}  # fmt: skip
    guest.says = {"status": "stopped"}

    eyes, seen = await settled(cluster)
    await eyes.observe(NOTHING)

    found = seen.guests[VmId(100)]
    assert (found.power, found.name, found.memory_bytes) == (Power.STOPPED, "web-100", 2**30)
    assert path(100, "status/current") not in cluster.counted(), "asked once, not every cycle"


async def test_only_so_many_are_asked_at_once() -> None:
    cluster = Cluster(guests=40)
    for guest in cluster.guests.values():
        guest.row["status"] = "unknown"
        guest.says = {"status": "running"}
    eyes = observer(cluster, options=ObserverOptions(status_reads=16))

    seen = await eyes.observe(NOTHING)

    assert sorted(powers(seen).values(), key=str).count(Power.RUNNING) == 16


async def test_a_touched_guest_is_asked_and_its_word_stands_against_the_listing() -> None:
    cluster = Cluster(guests=2)
    eyes, _ = await settled(cluster)
    cluster.guests[VmId(100)].says = {"status": "stopped"}
    eyes.touch(VmId(100))

    touched = await eyes.observe(NOTHING)
    asked = cluster.counted()
    await asyncio.sleep(20)
    later = await eyes.observe(NOTHING)

    assert asked[path(100, "status/current")] == 1
    assert powers(touched) == powers(later) == {100: Power.STOPPED, 101: Power.RUNNING}
    assert cluster.counted() == dict.fromkeys([*IDLE, path(100, "status/current")], 1)
    await asyncio.sleep(20)
    await eyes.observe(NOTHING)
    await eyes.observe(NOTHING)
    assert cluster.counted() == dict.fromkeys(IDLE, 2)


async def test_its_word_ends_when_the_listing_agrees() -> None:
    cluster = Cluster(guests=1)
    guest = cluster.guests[VmId(100)]
    eyes, _ = await settled(cluster)
    guest.says = {"status": "stopped"}
    eyes.touch(VmId(100))
    await eyes.observe(NOTHING)

    guest.row["status"] = "stopped"
    agreed = await eyes.observe(NOTHING)
    await asyncio.sleep(31)
    guest.row["status"] = "running"
    await eyes.observe(NOTHING)
    moved = await eyes.observe(NOTHING)

    assert (powers(agreed)[100], powers(moved)[100]) == (Power.STOPPED, Power.RUNNING)


@pytest.mark.parametrize("late", ["stopped", "paused", "unknown"])
async def test_a_listing_from_before_the_end_of_an_action_does_not_count(late: str) -> None:
    """Shut down and started at once: pvestatd tells of the stop when it is long running."""
    cluster = Cluster(guests=1)
    guest = cluster.guests[VmId(100)]
    eyes, _ = await settled(cluster)
    guest.says = {"status": "running"}
    eyes.touch(VmId(100))
    ended = await eyes.observe(NOTHING)
    guest.row["status"] = late
    await asyncio.sleep(9)

    later = await eyes.observe(NOTHING)

    assert powers(ended) == powers(later) == {100: Power.RUNNING}


async def test_what_a_touched_guest_does_is_not_known_before_its_node_says_so() -> None:
    cluster = Cluster(guests=1)
    eyes, _ = await settled(cluster)
    route = "/nodes/{node}/qemu/{vmid}/status/current"
    cluster.broken[route] = DOWN
    eyes.touch(VmId(100))

    unanswered = [await eyes.observe(NOTHING)]
    await asyncio.sleep(60)
    unanswered.append(await eyes.observe(NOTHING))
    del cluster.broken[route]
    answered = await eyes.observe(NOTHING)

    assert [powers(seen)[100] for seen in unanswered] == [Power.UNKNOWN] * 2
    assert powers(answered) == {100: Power.RUNNING}


async def test_a_guest_touched_while_it_is_read_is_read_again() -> None:
    """An action ended between question and answer: that answer is from before."""
    cluster = Cluster(guests=1)
    eyes, _ = await settled(cluster)
    cluster.read_s = 1.0
    eyes.touch(VmId(100))
    looking = asyncio.create_task(eyes.observe(NOTHING))
    await asyncio.sleep(0.5)
    cluster.guests[VmId(100)].row["status"] = "stopped"
    eyes.touch(VmId(100))

    during, after = await looking, await eyes.observe(NOTHING)

    assert (powers(during)[100], powers(after)[100]) == (Power.UNKNOWN, Power.STOPPED)


async def test_its_word_ends_after_half_a_minute() -> None:
    cluster = Cluster(guests=1)
    eyes, _ = await settled(cluster)
    cluster.guests[VmId(100)].says = {"status": "stopped"}
    eyes.touch(VmId(100))
    await eyes.observe(NOTHING)

    await asyncio.sleep(31)

    assert powers(await eyes.observe(NOTHING)) == {100: Power.RUNNING}


async def test_a_task_that_ends_on_such_a_guest_has_it_asked_again() -> None:
    cluster = Cluster(guests=1)
    guest = cluster.guests[VmId(100)]
    guest.row["status"] = "stopped"
    eyes, _ = await settled(cluster)
    guest.says = {"status": "running"}
    eyes.touch(VmId(100))
    await eyes.observe(NOTHING)
    guest.says = {"status": "stopped"}
    cluster.end_task("qmstop", 100)

    seen = await eyes.observe(NOTHING)

    assert powers(seen) == {100: Power.STOPPED}


async def test_guests_of_a_node_that_is_offline_do_nobody_knows_what() -> None:
    cluster = Cluster(guests=2)
    eyes, before = await settled(cluster)
    cluster.online["pve2"] = False

    seen = await eyes.observe(NOTHING)
    asked = cluster.counted()
    cluster.online["pve2"] = True
    back = await eyes.observe(NOTHING)

    assert powers(seen) == {100: Power.RUNNING, 101: Power.UNKNOWN}
    assert seen.guests[VmId(101)].config == before.guests[VmId(101)].config
    assert asked == dict.fromkeys(IDLE, 1)
    assert (seen.complete, seen.nodes[PVE2].online) == (True, False)
    assert powers(back) == powers(before)


async def test_a_node_is_offline_if_the_members_say_so_even_if_it_is_listed_online() -> None:
    cluster = Cluster(guests=2)
    status: list[Json] = [
        {"type": "cluster", "quorate": 1},
        {"type": "node", "name": "pve1", "online": 1},
        {"type": "node", "name": "pve2", "online": 0},
        {"type": "node", "name": "pve3", "online": 0},
    ]
    eyes, _ = await settled(cluster)
    cluster._status = lambda: status  # type: ignore[method-assign] # noqa: SLF001

    seen = await eyes.observe(NOTHING)

    assert {name: node.online for name, node in seen.nodes.items()} == {
        "pve1": True,
        "pve2": False,
        "pve3": False,
    }
    assert powers(seen)[101] is Power.UNKNOWN
    assert not seen.complete, "listing and status are of two views"
    assert seen.gaps == ("the list of resources and the cluster's status see other nodes online",)


@pytest.mark.parametrize(
    ("route", "gap"),
    [
        (
            "/cluster/resources",
            "the cluster's resources could not be read: /cluster/resources: no answer",
        ),
        (
            "/cluster/status",
            "whether the cluster is quorate is not known: /cluster/status: no answer",
        ),
    ],
)
async def test_without_listing_or_status_nothing_is_known_to_be_absent(
    route: str, gap: str
) -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster)
    cluster.broken[route] = DOWN

    seen = await eyes.observe(NOTHING)

    assert (seen.complete, seen.gaps) == (False, (gap,))


@pytest.mark.parametrize(
    ("route", "gap"),
    [
        ("/cluster/tasks", "tasks could not be read: /cluster/tasks: no answer"),
        ("/cluster/log", "the cluster's log could not be read: /cluster/log: no answer"),
    ],
)
async def test_without_tasks_or_log_there_is_a_gap(route: str, gap: str) -> None:
    cluster = Cluster()
    eyes, before = await settled(cluster)
    cluster.broken[route] = DOWN

    seen = await eyes.observe(NOTHING)

    assert (seen.complete, seen.gaps) == (True, (gap,))
    assert seen.guests is before.guests


async def test_the_same_objects_return_after_a_listing_that_failed() -> None:
    cluster = Cluster()
    eyes, before = await settled(cluster)
    cluster.broken["/cluster/resources"] = DOWN
    blind = await eyes.observe(NOTHING)
    cluster.broken.clear()

    after = await eyes.observe(NOTHING)

    assert blind.guests == {}
    assert after.guests is before.guests


async def test_without_quorum_nothing_is_known_to_be_absent() -> None:
    cluster = Cluster()
    cluster.quorate = 0

    _, seen = await settled(cluster)

    assert (seen.quorate, seen.complete) == (Known(value=False), False)


async def test_a_row_that_is_not_understood_makes_the_listing_incomplete() -> None:
    cluster = Cluster(guests=2)
    cluster.guests[VmId(101)].row["template"] = "perhaps"

    eyes, first = await settled(cluster)
    second = await eyes.observe(NOTHING)

    for seen in (first, second):
        assert (set(seen.guests), seen.complete) == ({100}, False)
        assert seen.gaps == (
            "guest 'qemu/101' not understood: template: expected a boolean, got 'perhaps'",
        )


async def test_a_known_guest_whose_row_is_odd_for_once_is_not_forgotten() -> None:
    cluster = Cluster(guests=1)
    eyes, before = await settled(cluster)
    cluster.guests[VmId(100)].row["template"] = "perhaps"
    odd = await eyes.observe(NOTHING)
    cluster.guests[VmId(100)].row["template"] = 0

    after = await eyes.observe(NOTHING)

    assert not odd.complete
    assert odd.guests is before.guests is after.guests


@pytest.mark.parametrize(
    ("permissions", "complete"),
    [
        ({"/vms": {"VM.Audit": 1}}, True),
        ({"/": {"VM.Audit": 1}}, True),
        ({"/vms": {"VM.PowerMgmt": 1}}, False),
        ({"/pool/web": {"VM.Audit": 1}}, False),
    ],
)
async def test_a_token_that_may_not_see_all_guests_sees_no_complete_listing(
    permissions: dict[str, Json], *, complete: bool
) -> None:
    cluster = Cluster()
    cluster.permissions = permissions

    _, seen = await settled(cluster)

    assert seen.complete is complete
    assert [gap[:46] for gap in seen.gaps] == (
        [] if complete else ["the token lacks VM.Audit on /vms: guests it ma"]
    )


async def test_a_configuration_that_could_not_be_read_is_tried_again() -> None:
    cluster = Cluster(guests=1)
    eyes, before = await settled(cluster)
    route = "/nodes/{node}/qemu/{vmid}/config"
    cluster.broken[route] = DOWN
    eyes.touch(VmId(100))
    blind = await eyes.observe(NOTHING)
    cluster.broken.clear()

    after = await eyes.observe(NOTHING)

    assert blind.guests[VmId(100)].config == Unknown(f"{path(100, 'config')}: no answer")
    assert after.guests[VmId(100)] == before.guests[VmId(100)]


async def test_pending_changes_that_could_not_be_read_leave_the_configuration_unknown() -> None:
    cluster = Cluster(guests=1)
    cluster.broken["/nodes/{node}/qemu/{vmid}/pending"] = DOWN

    _, seen = await settled(cluster)

    assert seen.guests[VmId(100)].config == Unknown(f"{path(100, 'pending')}: no answer")


async def test_what_can_not_be_read_in_time_is_left_to_the_next_observation() -> None:
    cluster = Cluster(guests=30)
    cluster.read_s = 1.0
    limits = ObserverOptions(concurrency=2, reading_time=timedelta(seconds=10.5))
    eyes = observer(cluster, options=limits)

    first = await eyes.observe(NOTHING)
    await asyncio.sleep(10)
    second = await eyes.observe(NOTHING)

    def known(observed: Observed) -> int:
        return sum(isinstance(guest.config, Known) for guest in observed.guests.values())

    assert (known(first), first.gaps) == (
        10,
        ("20 guests could not be read in time; the next look goes on",),
    )
    assert first.guests[VmId(129)].config == Unknown("not read yet")
    assert known(second) == 20


async def test_reads_that_outlast_an_observation_come_back_all_the_same() -> None:
    cluster = Cluster(guests=4)
    eyes = observer(cluster, options=ObserverOptions(reading_time=timedelta(seconds=15)))
    await eyes.observe(NOTHING)
    cluster.read_s = 8.0
    for vmid in (100, 101):
        cluster.edit(vmid, memory="2048")
        eyes.touch(VmId(vmid))

    first = await eyes.observe(NOTHING)
    await asyncio.sleep(15)
    second = await eyes.observe(NOTHING)

    changed = Unknown("it has changed and could not be read again yet")
    assert [first.guests[VmId(vmid)].config for vmid in (100, 101)] == [changed] * 2
    assert first.gaps == ("2 guests could not be read in time; the next look goes on",)
    assert [config_of(second, vmid).options["memory"] for vmid in (100, 101)] == ["2048"] * 2
    assert second.gaps == ()


async def test_a_node_that_hangs_keeps_nobody_else_waiting() -> None:
    cluster = Cluster(guests=20)
    eyes = observer(cluster, options=ObserverOptions(concurrency=2))
    cluster.hung = "pve2"

    first = await eyes.observe(NOTHING)
    second = await eyes.observe(NOTHING)

    def known(observed: Observed) -> set[NodeName]:
        guests = observed.guests.values()
        return {guest.node for guest in guests if isinstance(guest.config, Known)}

    assert len(known(first)) <= 1
    assert known(second) == {PVE1}
    read = [one for one in second.guests.values() if isinstance(one.config, Known)]
    assert len(read) == 10
    cluster.hung = ""
    await asyncio.sleep(60)
    third = await eyes.observe(NOTHING)
    assert known(third) == {PVE1, PVE2}
    assert third.gaps == ()


async def test_what_was_not_begun_in_time_is_asked_what_it_does_next_time() -> None:
    cluster = Cluster(guests=3)
    options = ObserverOptions(concurrency=1, reading_time=timedelta(seconds=3))
    eyes = observer(cluster, options=options)
    await eyes.observe(NOTHING)
    cluster.read_s = 2.0
    for vmid in (100, 101, 102):
        cluster.guests[VmId(vmid)].says = {"status": "stopped"}
        eyes.touch(VmId(vmid))

    await eyes.observe(NOTHING)
    await asyncio.sleep(10)
    cluster.read_s = 0.0
    seen = await eyes.observe(NOTHING)

    assert powers(seen) == dict.fromkeys((100, 101, 102), Power.STOPPED)


async def test_a_change_that_could_not_be_read_in_time_is_not_passed_off_as_the_old_state() -> (
    None
):
    cluster = Cluster(guests=1)
    eyes = observer(cluster, options=ObserverOptions(reading_time=timedelta(seconds=3)))
    await eyes.observe(NOTHING)
    cluster.read_s = 5.0
    cluster.edit(100, memory="2048")
    eyes.touch(VmId(100))

    seen = await eyes.observe(NOTHING)

    reading: Reading[GuestConfig] = seen.guests[VmId(100)].config
    assert reading == Unknown("it has changed and could not be read again yet")


async def test_a_guest_that_vanishes_while_it_is_read_is_unknown_until_the_listing_says_so() -> (
    None
):
    cluster = Cluster(guests=2)
    eyes, _ = await settled(cluster)
    gone = cluster.guests[VmId(100)]

    def vanish(call: PveCall) -> None:
        if call.route == "/cluster/log":
            cluster.guests.pop(VmId(100), None)

    eyes.touch(VmId(100))
    cluster.before = vanish
    seen = await eyes.observe(NOTHING)
    after = await eyes.observe(NOTHING)

    assert gone.row["vmid"] == 100
    assert isinstance(seen.guests[VmId(100)].config, Unknown)
    assert set(after.guests) == {101}


async def test_an_answer_that_does_not_come_ends_by_its_deadline() -> None:
    cluster = Cluster(guests=1)
    eyes, _ = await settled(cluster)
    forever = asyncio.Event()

    class Hanging(Cluster):
        @override
        async def call(self, call: PveCall) -> Json:
            if call.route == "/cluster/status":
                await forever.wait()
            return await cluster.call(call)

    seen = await observer(Hanging()).observe(NOTHING)

    assert not seen.complete
    assert seen.gaps == (
        "whether the cluster is quorate is not known: /cluster/status: no answer in 60 s",
    )
    assert eyes is not None


@pytest.mark.parametrize(
    ("spoil", "complete", "gap"),
    [
        pytest.param(
            lambda cluster: setattr(cluster, "tasks", [7]),
            True,
            "tasks not understood: tasks: expected objects, got 7",
            id="tasks",
        ),
        pytest.param(
            lambda cluster: setattr(cluster, "log", [{"uid": "9", "msg": {}}]),
            True,
            "cluster log not understood: msg: expected a scalar, got an object",
            id="log",
        ),
        pytest.param(
            lambda cluster: setattr(cluster, "_resources", dict),
            False,
            "the cluster's resources are not understood: resources: expected a list, got an"
            " object",
            id="resources",
        ),
        pytest.param(
            lambda cluster: setattr(cluster, "_status", lambda: None),
            False,
            "whether the cluster is quorate is not known: cluster status not understood:"
            " cluster status: expected a list, got null",
            id="status",
        ),
    ],
)
async def test_an_answer_that_is_not_understood_is_a_gap(
    spoil: Callable[[Cluster], None], gap: str, *, complete: bool
) -> None:
    cluster = Cluster()
    eyes, _ = await settled(cluster)
    spoil(cluster)

    seen = await eyes.observe(NOTHING)

    assert (seen.complete, seen.gaps) == (complete, (gap,))


@pytest.mark.parametrize("printed", ["", "permission denied", '{"starttime": 1}\n{"version": 1x'])
async def test_file_versions_that_are_not_understood_are_a_gap(printed: str) -> None:
    cluster = Cluster()

    class Odd(RemoteShell):
        @override
        async def run(self, command: str, *, timeout_s: float) -> str:
            return printed

    _, seen = await settled(cluster, shell=Odd())

    assert seen.complete
    assert len(seen.gaps) == 1


@pytest.mark.parametrize(
    ("version", "remark"),
    [
        pytest.param("9.1.5", "", id="a-version-it-knows"),
        pytest.param("8.1.4", "older", id="one-that-is-too-old"),
        pytest.param("10.0.1", "newer", id="one-that-is-too-new"),
    ],
)
async def test_a_version_that_qlop_does_not_know_is_remarked_on(version: str, remark: str) -> None:
    cluster = Cluster()
    cluster.version = version
    eyes = observer(cluster)

    await eyes.observe(NOTHING)

    assert remark in eyes.remark
    assert bool(eyes.remark) is bool(remark)
