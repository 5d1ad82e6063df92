"""Fault-monotone: seeing less never makes qlop do more."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import Verb, verb_of
from qlop.model.guest import Power
from qlop.model.ids import VmId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.plan import Plan
from qlop.model.reading import Unknown
from qlop.model.verdict import Held, Hold
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
    lambda observed, vmids: replace(
        observed,
        backups={
            vmid: UNSEEN if vmid in vmids else seen for vmid, seen in observed.backups.items()
        },
    ),
    lambda observed, _: replace(observed, quorate=UNSEEN),
    lambda observed, _: replace(observed, complete=False),
)


@given(worlds(), st.data())
def test_less_seen_is_not_more_done(world: World, data: st.DataObject) -> None:
    blindfold = data.draw(st.sampled_from(BLINDFOLDS))
    vmids = data.draw(st.frozensets(st.sampled_from(sorted(world.observed.guests))))
    blind = replace(world, observed=blindfold(world.observed, vmids))

    seeing, groping = planner.plan(world.source), planner.plan(blind.source)

    if _is_fuse_blown(seeing):
        assert not {verb for _, verb in _what(groping)} & STRIKES
    else:
        assert _what(groping) <= _what(seeing) | _short_of_room(seeing)


STRIKES = frozenset({"destroy", "shutdown", "reboot"})
"""A blown fuse holds all the rest too; with less to strike in sight that may go on."""


def _is_fuse_blown(plan: Plan) -> bool:
    verdicts = [one.verdict for one in plan.verdicts.values()]
    return any(isinstance(one, Held) and one.reason is Hold.FUSE for one in verdicts)


def _what(plan: Plan) -> set[tuple[str, str]]:
    """Who has what done. Where a new guest goes may differ: an unknown one may need room."""
    return {(one.action.subject, verb_of(one.action).value) for one in plan.actions}


def _short_of_room(plan: Plan) -> set[tuple[str, str]]:
    """What may come true when a larger guest finds no room any more."""
    waiting = {
        name
        for name, one in plan.verdicts.items()
        if isinstance(one.verdict, Held) and one.verdict.reason is Hold.NO_CAPACITY
    }
    return {(name, verb.value) for name in waiting for verb in Verb}
