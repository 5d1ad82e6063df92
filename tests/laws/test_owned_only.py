"""Owned only: a guest is touched only if VMID, mark and witness all agree."""

from hypothesis import given

from qlop.model.action import CloneGuest, CreateGuest
from qlop.model.folding import fold
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Known
from qlop.planner import planner
from tests import builders as b
from tests.laws.world import limit_of, run
from tests.strategies import World, worlds


def is_ours(guest: ObservedGuest, world: World) -> bool:
    """Told from the observation and the journal, by the words of the law."""
    if not isinstance(guest.config, Known):
        return False
    config = guest.config.value
    mark = config.mark
    if mark is None or mark.cluster != b.CLUSTER or mark.vmid != guest.vmid:
        return False
    if mark.witness == config.witness:
        return True
    made = fold(world.records).reservations.get((mark.service, mark.index))
    return made is not None and made.made and not made.sealed and made.witness == mark.witness


@given(worlds())
def test_only_what_is_ours_is_touched_and_only_what_is_free_is_taken(world: World) -> None:
    made = set()
    for planned in planner.plan(world.source).actions:
        vmid = planned.action.vmid
        if isinstance(planned.action, CreateGuest | CloneGuest):
            assert vmid not in world.observed.guests
            made.add(vmid)
        elif vmid not in made:
            assert is_ours(world.observed.guests[vmid], world)


@given(worlds())
def test_at_every_step(world: World) -> None:
    for stage in run(world, at_most=limit_of(world)):
        if stage.done is None or isinstance(stage.done.action, CreateGuest | CloneGuest):
            continue
        assert is_ours(stage.world.observed.guests[stage.done.action.vmid], stage.world)


@given(worlds())
def test_what_two_claim_nobody_touches(world: World) -> None:
    places: dict[tuple[str, int], int] = {}
    for guest in world.observed.guests.values():
        if isinstance(guest.config, Known) and is_ours(guest, world):
            mark = guest.config.value.mark
            assert mark is not None
            place = (mark.service, mark.index)
            places[place] = places.get(place, 0) + 1

    for planned in planner.plan(world.source).actions:
        assert places.get((planned.service, planned.index), 0) <= 1
