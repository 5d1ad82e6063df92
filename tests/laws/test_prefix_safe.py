"""Prefix-safe: stop after any action and plan again; nothing done is undone."""

from hypothesis import given

from qlop.model.action import (
    CloneGuest,
    ConfigureGuest,
    CreateGuest,
    DestroyGuest,
    MigrateGuest,
    ResizeDisk,
    verb_of,
)
from qlop.model.ids import ActionId
from qlop.model.reading import Known
from tests.laws.world import limit_of, run
from tests.strategies import World, worlds


@given(worlds())
def test_nothing_is_done_twice(world: World) -> None:
    """``run`` audits each plan on the way."""
    done: list[ActionId] = [
        stage.done.id for stage in run(world, at_most=limit_of(world)) if stage.done is not None
    ]

    assert len(done) == len(set(done))


@given(worlds())
def test_nobody_is_made_to_be_destroyed_or_moved_about(world: World) -> None:
    verbs: dict[str, list[str]] = {}
    for stage in run(world, at_most=limit_of(world)):
        if stage.done is not None:
            action = stage.done.action
            verbs.setdefault(str(action.vmid), []).append(verb_of(action).value)

    for done in verbs.values():
        assert not {"create", "clone"} & {*done[1:]}
        assert not ({"create", "clone"} & {*done} and "destroy" in done)
        assert done.count("migrate") <= 1


@given(worlds())
def test_what_was_written_stays(world: World) -> None:
    """A guest once written to differs no more in what was written."""
    written: dict[tuple[str, str], str] = {}
    for stage in run(world, at_most=limit_of(world)):
        if stage.done is None:
            continue
        action = stage.done.action
        match action:
            case ConfigureGuest(set=values):
                for key, value in values.items():
                    assert written.get((str(action.vmid), key), value) == value
                    written[str(action.vmid), key] = value
            case CreateGuest() | CloneGuest() | DestroyGuest() | MigrateGuest() | ResizeDisk():
                pass
            case _:
                pass


@given(worlds())
def test_strangers_are_as_they_were(world: World) -> None:
    ends = list(run(world, at_most=limit_of(world)))
    last = ends[-1].world.observed.guests
    for vmid, guest in world.observed.guests.items():
        ours = isinstance(guest.config, Known) and guest.config.value.mark is not None
        if not ours:
            assert last[vmid] is guest
