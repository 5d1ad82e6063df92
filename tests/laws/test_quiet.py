"""Quiet: a converged cluster gives an empty plan, always; and a quiet cycle the same one."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from qlop.model.guest import OptionValue
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.plan import PlanInput
from qlop.model.reading import Known
from qlop.model.verdict import Converged
from qlop.planner import planner
from qlop.planner.quiet import is_quiet
from tests import builders as b
from tests.strategies import World, converged_worlds, stores, worlds


@given(converged_worlds())
def test_a_converged_cluster_gives_an_empty_plan(world: World) -> None:
    plan = planner.plan(world.source)

    assert plan.actions == ()
    assert all(isinstance(one.verdict, Converged) for one in plan.verdicts.values()), plan.verdicts


def _with_more(guest: ObservedGuest) -> ObservedGuest:
    """The guest, with what no manifest speaks about."""
    assert isinstance(guest.config, Known)
    config = guest.config.value
    more: dict[str, OptionValue] = {
        "vga": {"type": "qxl"},
        "numa0": "cpus=0",
        "hookscript": "nas:snippets/x.sh",
    }
    return replace(
        guest,
        tags="theirs",
        config=Known(
            replace(
                config,
                digest="other",
                options={**more, **config.options},
                disks={**config.disks, "virtio9": b.disk("virtio9", volume="nas:x")},
                pending=frozenset({"vga"}),
            )
        ),
    )


@given(converged_worlds())
def test_what_is_not_declared_makes_no_plan(world: World) -> None:
    guests = {
        vmid: guest if guest.template else _with_more(guest)
        for vmid, guest in world.observed.guests.items()
    }
    noisy = replace(world, observed=replace(world.observed, guests=guests))

    assert planner.plan(noisy.source).actions == ()


@st.composite
def _next(draw: st.DrawFn, before: Observed) -> Observed:
    """What the next cycle may see: counters move, and now and then something happens."""
    seen = replace(
        before,
        taken_at=before.taken_at + timedelta(seconds=15),
        nodes={
            name: replace(node, memory_used_bytes=draw(st.integers(0, 9)))
            for name, node in before.nodes.items()
        },
        storages={
            key: replace(store, used_bytes=draw(st.integers(0, 9)))
            for key, store in before.storages.items()
        },
    )
    match draw(st.integers(0, 9)):
        case 0:
            return replace(seen, tasks=())
        case 1:
            return replace(seen, storages={(one.storage, one.node): one for one in stores()})
        case 2:
            return replace(seen, nodes={name: b.node(name) for name in b.NODES})
        case 3:
            return replace(seen, gaps=("pve2: no answer",))
        case _:
            return seen


@given(worlds(), st.data(), st.integers(0, 10_000))
def test_a_quiet_cycle_would_plan_the_same(
    world: World, data: st.DataObject, later_s: int
) -> None:
    before = world.source
    plan = planner.plan(before)
    now = PlanInput(
        desired=before.desired,
        observed=data.draw(_next(before.observed)),
        history=before.history,
        now=before.now + timedelta(seconds=later_s),
    )

    if is_quiet(before, plan, now):
        assert planner.plan(now) == plan
