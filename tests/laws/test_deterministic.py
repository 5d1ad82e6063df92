"""Deterministic: equal inputs give equal plans, in whatever order they are listed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from qlop.planner import planner
from tests.strategies import World, worlds

K = TypeVar("K")
V = TypeVar("V")


def _shuffled(mapping: Mapping[K, V], data: st.DataObject) -> dict[K, V]:
    keys = data.draw(st.permutations(list(mapping)))
    return {key: mapping[key] for key in keys}


@given(worlds(), st.data())
def test_order_does_not_matter(world: World, data: st.DataObject) -> None:
    desired, seen = world.desired, world.observed
    shuffled = replace(
        world,
        desired=replace(
            desired,
            guests=_shuffled(desired.guests, data),
            services=_shuffled(desired.services, data),
        ),
        observed=replace(
            seen,
            guests=_shuffled(seen.guests, data),
            nodes=_shuffled(seen.nodes, data),
            storages=_shuffled(seen.storages, data),
            tasks=tuple(data.draw(st.permutations(seen.tasks))),
        ),
    )

    assert planner.plan(shuffled.source) == planner.plan(world.source)


@given(worlds())
def test_ids_depend_on_nothing_but_the_intention(world: World) -> None:
    later = replace(world.source, now=world.source.now.replace(year=2030))
    first = {planned.id: planned.action for planned in planner.plan(world.source).actions}
    second = {planned.id: planned.action for planned in planner.plan(later).actions}

    assert {name: second[name] for name in first if name in second} == {
        name: action for name, action in first.items() if name in second
    }
