"""Foreseen: what was shown of a plan and of what comes after it is what is done, to its end."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given

from qlop.cli.likeness import placement_in, said_by
from qlop.controller.foresight import foresee
from qlop.model.ids import GuestName, NodeName
from qlop.model.observed import GuestConfig
from qlop.model.owner import signed_description
from qlop.model.plan import PlannedAction
from qlop.model.reading import Known
from qlop.planner import planner
from qlop.render.action import action_text
from qlop.render.plan import action_document
from tests.laws.world import after, limit_of
from tests.strategies import World, calm_worlds


@given(calm_worlds())
def test_nothing_is_done_that_was_not_shown(world: World) -> None:
    world = _signed(world)
    plan = planner.plan(world.source)
    later = foresee(world.source, plan, world.records)
    documents = [action_document(one) for one in (*plan.actions, *later.actions)]
    shown = [said_by(one) for one in documents]
    agreed = dict(filter(None, map(placement_in, documents)))

    for done in _carried_out(world, agreed):
        assert any(one.covers(done) for one in shown), action_text(done.action)


def _signed(world: World) -> World:
    """Return the world with the mark of each guest in its notes, whoever rewrote them."""
    guests = {
        vmid: replace(guest, config=Known(_with_mark(guest.config.value)))
        if isinstance(guest.config, Known)
        else guest
        for vmid, guest in world.observed.guests.items()
    }
    return replace(world, observed=replace(world.observed, guests=guests))


def _with_mark(config: GuestConfig) -> GuestConfig:
    if config.mark is None:
        return config
    notes = str(config.options.get("description", ""))
    signed = signed_description(notes, config.mark)
    return replace(config, options={**config.options, "description": signed})


def _carried_out(world: World, placements: Mapping[GuestName, NodeName]) -> list[PlannedAction]:
    """Return all that is done if the first action of every plan is done."""
    done: list[PlannedAction] = []
    for _ in range(limit_of(world)):
        now = planner.plan(replace(world.source, placements=placements))
        if not now.actions:
            return done
        done.append(now.actions[0])
        world = after(world, now.actions[0])
    raise AssertionError("it never ends")
