"""The last look before a mutation: the world must still be the one planned for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qlop.model.action import Verb
from qlop.model.guest import Power
from qlop.model.history import Ending
from qlop.model.ids import NodeName, StorageId, VmId
from qlop.model.plan import PlannedAction
from qlop.model.reading import Known
from qlop.ports import ErrorKind, Json
from qlop.pve import parse
from tests.executor.house import SUCCEEDED, House, said
from tests.executor.planned import CREATING, HEIR, MARK, cluster_for, planned
from tests.executor.toy import ToyCluster, ToyGuest, refusing

LOOKED_AT = [verb for verb in Verb if verb not in CREATING]


def only(cluster: ToyCluster) -> ToyGuest:
    return cluster.guests[VmId(110)]


def moved(cluster: ToyCluster) -> None:
    only(cluster).node = NodeName("pve3")


def unsigned(cluster: ToyCluster) -> None:
    only(cluster).config["description"] = "mine now"


def replaced(cluster: ToyCluster) -> None:
    only(cluster).config["smbios1"] = "uuid=00000000-0000-4000-8000-000000000000"


def locked(cluster: ToyCluster) -> None:
    only(cluster).config["lock"] = "backup"


async def test_what_the_guard_objects_to_is_not_tried_again_at_once() -> None:
    house = House(cluster := cluster_for(Verb.START))
    locked(cluster)

    await house.carry_out(planned(Verb.START))
    await house.carry_out(planned(Verb.START))

    history, action = house.ledger.history(), planned(Verb.START).id
    assert history.failures == {}
    assert history.unsent[action].count == 2


WORLDS = [
    pytest.param(moved, "it is not there any more", id="moved"),
    pytest.param(unsigned, "its owner mark is another one", id="unsigned"),
    pytest.param(replaced, "it is another guest under the same VMID", id="replaced"),
    pytest.param(locked, "it is locked (backup)", id="locked"),
]


@pytest.mark.parametrize("verb", LOOKED_AT)
@pytest.mark.parametrize(("change", "objection"), WORLDS)
async def test_nothing_is_sent_into_another_world(
    verb: Verb, change: Callable[[ToyCluster], None], objection: str
) -> None:
    house = House(cluster := cluster_for(verb))
    change(cluster)

    end = await house.carry_out(planned(verb))

    assert said(end) == (Ending.SUPERSEDED, "conflict", f"web (110) on pve1: {objection}")
    assert cluster.mutations == []
    assert house.ledger.history().failures == {}


@pytest.mark.parametrize(
    ("verb", "running", "objection"),
    [
        (Verb.START, True, "it is running, not stopped"),
        (Verb.SHUTDOWN, False, "it is stopped, not running"),
        (Verb.REBOOT, False, "it is stopped, not running"),
        (Verb.MIGRATE, False, "it is stopped, not running"),
        (Verb.RESUME, False, "it is stopped, not paused"),
        (Verb.DESTROY, True, "it is running, not stopped"),
    ],
)
async def test_power_must_be_as_planned(verb: Verb, running: bool, objection: str) -> None:  # noqa: FBT001 - a table
    house = House(cluster := cluster_for(verb))
    only(cluster).running = running

    end = await house.carry_out(planned(verb))

    assert said(end) == (Ending.SUPERSEDED, "conflict", f"web (110) on pve1: {objection}")
    assert cluster.mutations == []


def heir_runs(cluster: ToyCluster) -> None:
    cluster.guests[HEIR].running = True


def heir_is_locked(cluster: ToyCluster) -> None:
    cluster.guests[HEIR].config["lock"] = "backup"


def heir_lost_its_mark(cluster: ToyCluster) -> None:
    cluster.guests[HEIR].config["description"] = "mine now"


def heir_is_another(cluster: ToyCluster) -> None:
    cluster.guests[HEIR].config["smbios1"] = "uuid=00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("change", "objection"),
    [
        pytest.param(heir_runs, ", is running, not stopped", id="runs"),
        pytest.param(heir_is_locked, ", is locked (backup)", id="locked"),
        pytest.param(heir_lost_its_mark, ", is another one", id="unsigned"),
        pytest.param(heir_is_another, ", is another one", id="replaced"),
    ],
)
async def test_the_guest_beside_it_must_be_as_planned(
    change: Callable[[ToyCluster], None], objection: str
) -> None:
    house = House(cluster := cluster_for(Verb.HAND_OVER))
    change(cluster)

    end = await house.carry_out(planned(Verb.HAND_OVER))

    text = f"web (110) on pve1: the guest beside it, {HEIR}{objection}"
    assert said(end) == (Ending.SUPERSEDED, "conflict", text)
    assert cluster.mutations == []


def insisting_on(power: Power | None) -> PlannedAction:
    one = planned(Verb.HAND_OVER)
    assert one.premise is not None
    assert one.premise.beside is not None
    beside = replace(one.premise.beside, power=power)
    return replace(one, premise=replace(one.premise, beside=beside))


async def test_the_guest_beside_it_must_run_if_that_was_planned() -> None:
    house = House(cluster := cluster_for(Verb.HAND_OVER))

    end = await house.carry_out(insisting_on(Power.RUNNING))

    text = f"web (110) on pve1: the guest beside it, {HEIR}, is stopped, not running"
    assert said(end) == (Ending.SUPERSEDED, "conflict", text)
    assert cluster.mutations == []


async def test_the_guest_beside_it_may_be_in_any_state_if_none_was_planned() -> None:
    house = House(cluster := cluster_for(Verb.HAND_OVER))
    heir_runs(cluster)

    await house.carry_out(insisting_on(None))

    assert len(cluster.mutations) == 1


async def test_what_does_not_care_for_power_does_not_ask() -> None:
    house = House(cluster := cluster_for(Verb.CONFIGURE))
    only(cluster).running = True

    end = await house.carry_out(planned(Verb.CONFIGURE))

    assert said(end) == SUCCEEDED
    assert [call.route for _, call in cluster.reads] == ["/nodes/{node}/qemu/{vmid}/config"]


async def test_a_guest_that_became_protected_is_not_destroyed() -> None:
    house = House(cluster := cluster_for(Verb.DESTROY))
    only(cluster).config["protection"] = 1

    end = await house.carry_out(planned(Verb.DESTROY))

    assert said(end) == (Ending.SUPERSEDED, "conflict", "web (110) on pve1: it is protected")
    assert len(cluster.guests) == 1


async def test_a_mark_of_another_place_is_another_mark() -> None:
    house = House(cluster := cluster_for(Verb.DESTROY))
    description = str(only(cluster).config["description"])
    only(cluster).config["description"] = description.replace("index=0", "index=1")

    end = await house.carry_out(planned(Verb.DESTROY))

    assert end.ending is Ending.SUPERSEDED
    assert MARK.index == 0


async def test_a_hibernated_guest_may_be_started() -> None:
    house = House(cluster := cluster_for(Verb.CONFIGURE))
    only(cluster).config["lock"] = "suspended"

    end = await house.carry_out(planned(Verb.CONFIGURE))

    assert end.ending is Ending.SUPERSEDED

    starting = House(cluster := cluster_for(Verb.START))
    only(cluster).config["lock"] = "suspended"

    assert said(await starting.carry_out(planned(Verb.START))) == SUCCEEDED


@pytest.mark.parametrize("kind", [ErrorKind.TRANSIENT, ErrorKind.DENIED])
async def test_who_can_not_look_does_not_send(kind: ErrorKind) -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.before = refusing(kind, "no answer", on=lambda call: not call.is_mutation)

    end = await house.carry_out(planned(Verb.START))

    text = "pve1 could not be asked about it: no answer"
    assert said(end) == (Ending.SUPERSEDED, kind.value, text)
    assert cluster.mutations == []


async def test_an_answer_that_is_no_configuration_stops_the_action() -> None:
    house = House(cluster := cluster_for(Verb.START))
    only(cluster).config["net0"] = ["not", "a", "string"]

    end = await house.carry_out(planned(Verb.START))

    assert (end.ending, end.error) == (Ending.SUPERSEDED, "invalid")
    assert "not understood" in end.message


BACKUP: dict[str, Json] = {"volid": "nas:backup/x", "subtype": "qemu", "ctime": 1795496400}


def verified(row: dict[str, Json]) -> dict[str, Json]:
    return {**row, "verification": {"state": "ok"}}


@pytest.mark.parametrize(
    ("planned_for", "there", "sent"),
    [
        pytest.param(BACKUP, [BACKUP], True, id="still-there"),
        pytest.param(verified(BACKUP), [verified(BACKUP)], True, id="still-good"),
        pytest.param(BACKUP, [], False, id="gone"),
        pytest.param(BACKUP, [{**BACKUP, "ctime": 1}], False, id="another"),
        pytest.param(
            verified(BACKUP),
            [{**BACKUP, "verification": {"state": "failed"}}],
            False,
            id="found-damaged-since",
        ),
        pytest.param(verified(BACKUP), [BACKUP], False, id="no-longer-verified"),
    ],
)
async def test_nothing_is_destroyed_without_the_backup_that_the_plan_relied_on(
    planned_for: dict[str, Json], there: list[Json], *, sent: bool
) -> None:
    house = House(cluster := cluster_for(Verb.DESTROY))
    cluster.backups = there
    destroy = planned(Verb.DESTROY)
    assert destroy.premise is not None
    reading = parse.parse_backups(
        [planned_for], NodeName("pve1"), StorageId("nas"), verifies="verification" in planned_for
    )
    assert isinstance(reading, Known)
    premise = replace(destroy.premise, backup=reading.value[0])

    end = await house.carry_out(replace(destroy, premise=premise))

    assert bool(cluster.mutations) is sent
    assert (end.ending is Ending.SUPERSEDED) is not sent
