"""Kept in grace: what is no longer wanted is destroyed only with every condition met."""

from datetime import timedelta

from hypothesis import given

from qlop.model.action import DestroyGuest
from qlop.model.folding import fold
from qlop.model.guest import Power
from qlop.model.observed import Verification
from qlop.model.plan import PlannedAction
from qlop.model.policy import BackupNeed, Prune
from qlop.model.reading import Known
from qlop.planner import planner
from tests import builders as b
from tests.laws.test_owned_only import is_ours
from tests.laws.world import limit_of, run
from tests.strategies import World, worlds


@given(worlds())
def test_nothing_is_destroyed_without_every_condition(world: World) -> None:
    for planned in planner.plan(world.source).actions:
        if isinstance(planned.action, DestroyGuest):
            check(world, planned)


@given(worlds())
def test_at_every_step(world: World) -> None:
    before = world
    for stage in run(world, at_most=limit_of(world)):
        if stage.done is not None and isinstance(stage.done.action, DestroyGuest):
            check(before, stage.done)
        before = stage.world


def check(world: World, planned: PlannedAction) -> None:
    """Say in other words than the planner's what must hold of a destruction."""
    vmid, pruning = planned.action.vmid, world.desired.cluster.policy.prune
    guest = world.observed.guests[vmid]
    assert is_ours(guest, world)
    assert isinstance(guest.config, Known)
    have = guest.config.value
    assert have.mark is not None
    place = (have.mark.service, have.mark.index)

    assert pruning.mode is Prune.DESTROY
    assert all((one.service, one.index) != place for one in world.desired.guests.values())
    assert all(
        one.until <= b.NOW
        for where, one in world.source.orders.undeleted.items()
        if where == place
    )
    assert (guest.power, guest.lock, guest.template) == (Power.STOPPED, "", False)
    assert guest.ha_state in {"", "ignored"}
    assert have.options.get("protection") != "1"
    assert have.witness == have.mark.witness
    stone = fold(world.records).tombstones[vmid]
    assert (stone.service, stone.index) == place
    assert (stone.witness, stone.digest) == (have.witness, have.digest)
    assert stone.at + pruning.grace <= b.NOW
    if pruning.backup is BackupNeed.REQUIRED:
        check_backup(world, planned)


def check_backup(world: World, planned: PlannedAction) -> None:
    """Insist on a backup that has all of the guest, from after it was stopped, and good."""
    vmid = planned.action.vmid
    guest = world.observed.guests[vmid]
    assert isinstance(guest.config, Known)
    have, stone = guest.config.value, fold(world.records).tombstones[vmid]
    listed = world.observed.backups[vmid]
    assert isinstance(listed, Known)
    assert planned.premise is not None
    backup = planned.premise.backup
    assert backup in listed.value
    assert backup is not None
    assert backup.kind is guest.kind
    assert backup.taken_at > stone.at + timedelta(seconds=4)
    assert backup.verification not in {Verification.FAILED, Verification.PENDING}
    assert not have.unused
    assert all(disk.properties.get("backup") != "0" for disk in have.disks.values())


@given(worlds())
def test_one_node_destroys_one_guest_at_a_time(world: World) -> None:
    nodes = [
        planned.action.node
        for planned in planner.plan(world.source).actions
        if isinstance(planned.action, DestroyGuest)
    ]

    assert len(nodes) == len(set(nodes))
