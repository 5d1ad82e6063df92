"""Fault-monotone: seeing less never makes qlop do more."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qlop.model.guest import Power
from qlop.model.ids import VmId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.reading import Unknown
from qlop.planner import planner
from tests.strategies import World, worlds

UNSEEN = Unknown("no answer")


def _each(observed: Observed, vmids: frozenset[VmId], **less: object) -> Observed:
    def blinded(guest: ObservedGuest) -> ObservedGuest:
        return replace(guest, **less)  # type: ignore[arg-type]  # fields

    return replace(
        observed,
        guests={
            vmid: blinded(guest) if vmid in vmids else guest
            for vmid, guest in observed.guests.items()
        },
    )


Blindfold = Callable[[Observed, frozenset[VmId]], Observed]
BLINDFOLDS: Sequence[Blindfold] = (
    lambda observed, vmids: _each(observed, vmids, config=UNSEEN),
    lambda observed, vmids: _each(observed, vmids, power=Power.UNKNOWN),
    lambda observed, vmids: _each(observed, vmids, snapshots=UNSEEN),
    lambda observed, _: replace(observed, quorate=UNSEEN),
    lambda observed, _: replace(observed, complete=False),
)


@given(worlds(), st.data())
def test_less_seen_is_not_more_done(world: World, data: st.DataObject) -> None:
    blindfold = data.draw(st.sampled_from(BLINDFOLDS))
    vmids = data.draw(st.frozensets(st.sampled_from(sorted(world.observed.guests))))
    blind = replace(world, observed=blindfold(world.observed, vmids))

    seeing = {planned.id for planned in planner.plan(world.source).actions}
    groping = {planned.id for planned in planner.plan(blind.source).actions}

    assert groping <= seeing
