"""While an action on a guest has not ended, nothing else happens to the guest."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.desired import EmptySource, Placement
from qlop.model.folding import fold
from qlop.model.guest import Power
from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.model.ids import GuestName, Upid
from qlop.model.units import GIB
from qlop.model.unseen import as_seen
from qlop.model.verdict import Held, Hold
from tests import builders as b
from tests.planner import look

UPID = Upid("UPID:pve1:1:1:1:qmstart:10000:root@pam:")


def begun(record: Intended) -> list[JournalRecord]:
    return [record, Dispatched(at=b.NOW, action=record.action, attempt=1, upid=UPID)]


def doubtful(record: Intended) -> list[JournalRecord]:
    end = Finished(at=b.NOW, action=record.action, attempt=1, ending=Ending.UNKNOWN)
    return [*begun(record), end]


@pytest.mark.parametrize(
    ("records", "held"),
    [
        pytest.param(
            [b.intended(Verb.START)],
            Held(reason=Hold.IN_FLIGHT, message="under way since 08:00:00 UTC: start"),
            id="about-to-be-sent",
        ),
        pytest.param(
            begun(replace(b.intended(Verb.START), summary="start web")),
            Held(reason=Hold.IN_FLIGHT, message="under way since 08:00:00 UTC: start web"),
            id="its-task-runs",
        ),
        pytest.param(
            doubtful(b.intended(Verb.START)),
            Held(
                reason=Hold.AMBIGUOUS,
                message="the answer to 'start' was lost: whether it was done is not known yet",
                remedy="qlop looks until it knows, and does nothing to the guest before",
            ),
            id="its-answer-was-lost",
        ),
    ],
)
def test_it_is_waited_for(records: list[JournalRecord], held: Held) -> None:
    have = b.observed(b.guest(power=Power.STOPPED))

    plan = look.plan_of(b.desired(b.desired_guest()), have, records)

    assert plan.actions == ()
    assert look.verdict(plan) == held
    assert plan.verdicts[GuestName("web")].vmid == b.WEB_VMID


def test_a_guest_being_made_is_not_made_again() -> None:
    plan = look.plan_of(
        b.desired(b.desired_guest()), b.observed(), begun(b.intended(Verb.CLONE, source=9000))
    )

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.IN_FLIGHT


def test_a_guest_that_was_called_otherwise_is_known_by_its_place() -> None:
    """Service ``web`` had one guest, ``web``; with replicas it is ``web-1``."""
    have = b.observed(b.guest(power=Power.STOPPED))
    want = b.desired(b.desired_guest(name="web-1"))

    plan = look.plan_of(want, have, [b.intended(Verb.START)])

    assert plan.actions == ()
    assert look.held(plan, "web-1").reason is Hold.IN_FLIGHT


@pytest.mark.parametrize("succeeded", [True, False])
def test_what_ended_after_the_look_had_begun_is_not_judged_by_it(*, succeeded: bool) -> None:
    soon = b.NOW + timedelta(seconds=1)
    end = b.finished(Verb.START, at=soon, succeeded=succeeded)
    history = as_seen(fold([*begun(b.intended(Verb.START)), end]), b.NOW)

    plan = look.plan_of(
        b.desired(b.desired_guest()), b.observed(b.guest(power=Power.STOPPED)), history
    )

    assert plan.actions == ()
    assert look.verdict(plan) == Held(
        reason=Hold.IN_FLIGHT,
        message="'start' ended at 08:00:01 UTC, after this look at the cluster had begun: what it"
        " did is not judged by that",
        remedy="nothing: qlop looks again",
    )


NODES = [b.node(b.PVE1, memory_bytes=64 * GIB), b.node(b.PVE2, memory_bytes=10 * GIB)]
ON_TWO = Placement(allowed=frozenset({b.PVE2}))
NEXT = b.desired_guest("aaa", source=EmptySource(), memory_bytes=4 * GIB, placement=ON_TWO)


@pytest.mark.parametrize(
    ("verb", "have_web", "power", "answer"),
    [
        pytest.param(Verb.CREATE, False, Power.RUNNING, Hold.NO_CAPACITY, id="being-made-there"),
        pytest.param(Verb.CREATE, False, Power.STOPPED, ("create", "start"),
                     id="being-made-there-to-stay-stopped"),
        pytest.param(Verb.MIGRATE, True, Power.RUNNING, Hold.NO_CAPACITY, id="moving-there"),
        pytest.param(Verb.START, True, Power.RUNNING, ("create", "start"), id="starting-elsewhere"),
    ],
)  # fmt: skip
def test_the_room_it_will_need_is_not_given_away(
    verb: Verb, power: Power, answer: look.Answer, *, have_web: bool
) -> None:
    web = b.desired_guest(memory_bytes=8 * GIB, power=power)
    have = b.observed(*([b.guest()] if have_web else []), nodes=NODES)
    records = begun(b.intended(verb, target=b.PVE2))

    plan = look.plan_of(b.desired(web, NEXT), have, records)

    assert look.answer(plan, "aaa") == answer


def test_one_that_has_arrived_is_not_counted_twice() -> None:
    web = b.desired_guest(memory_bytes=4 * GIB)
    have = b.observed(b.guest(node=b.PVE2), nodes=NODES)

    plan = look.plan_of(b.desired(web, NEXT), have, begun(b.intended(Verb.MIGRATE, target=b.PVE2)))

    assert look.answer(plan, "aaa") == ("create", "start")


def test_one_that_is_listed_no_more_is_told_of_until_its_end_is_known() -> None:
    plan = look.plan_of(b.desired(), b.observed(), begun(b.intended(Verb.DESTROY)))

    assert look.held(plan).reason is Hold.IN_FLIGHT


def test_one_that_is_called_otherwise_now_is_told_of_once() -> None:
    web = b.desired_guest(name="web-1")

    plan = look.plan_of(b.desired(web), b.observed(b.guest()), begun(b.intended(Verb.START)))

    assert list(plan.verdicts) == ["web-1"]
