"""A revision that turned out bad is tried by nobody: no change, no new guest, no replacement."""

from dataclasses import replace

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.history import Intended, JournalRecord
from qlop.model.ids import ServiceName
from qlop.model.observed import ObservedGuest
from qlop.model.owner import derived_uuid
from qlop.model.rollout import Order, Rollback, Update
from qlop.model.trial import Judgment
from qlop.model.verdict import Hold
from qlop.planner import planner
from qlop.planner.audit import audit
from tests import builders as b
from tests.planner import look, trio
from tests.planner import test_replacement as anew
from tests.planner.trio import AUTO, guest, judged, observed, tried

BAD = (*tried(), judged(Judgment.BAD), judged(Judgment.RESTORED))
SAID = "this revision (cafe0001) made web-1 unhealthy at 2026-11-24 08:00 UTC: it is unhealthy"


def test_what_is_missing_is_not_made_from_it_and_that_is_said() -> None:
    plan = trio.plan(trio.desired(rollback=AUTO), observed(guest(1), guest(3)), BAD, trio.LATER)

    held = look.held(plan, "web-2")
    assert look.answer(plan, "web-2") is Hold.REVISION_BAD
    assert held.message == f"{SAID}; so no guest is made from it"
    assert "put back the manifest that was good" in held.remedy


def test_from_another_it_is_made() -> None:
    wants = trio.desired(rollback=AUTO, fingerprint="cafe0002")

    plan = trio.plan(wants, observed(guest(1, "4"), guest(3, "4")), BAD, trio.LATER)

    assert look.verbs(plan, "web-2")[0] == "clone"


def unborn(cores: str) -> tuple[ObservedGuest, tuple[JournalRecord, ...]]:
    """Guest ``web-2``, which was cloned and never ran."""
    made = trio.stopped(2)
    config = look.known(replace(made.config.value, options={"cores": cores}))  # type: ignore[union-attr]
    witness = f"uuid:{derived_uuid(b.CLUSTER, ServiceName('web'), 2, trio.vmid(2))}"
    record = b.intended(Verb.CLONE, index=2, vmid=trio.vmid(2), witness=witness)
    return replace(made, config=config), (record, b.finished(Verb.CLONE))


@pytest.mark.parametrize(
    ("cores", "answer"),
    [
        pytest.param("2", ("configure",), id="and-is-not-yet-as-wanted"),
        pytest.param("4", Hold.REVISION_BAD, id="and-is-as-wanted"),
    ],
)
def test_what_was_made_from_it_before_is_finished_and_not_started(
    cores: str, answer: look.Answer
) -> None:
    made, born = unborn(cores)

    plan = trio.plan(
        trio.desired(rollback=AUTO), observed(guest(1), made, guest(3)), (*born, *BAD), trio.LATER
    )

    assert look.answer(plan, "web-2") == answer
    assert look.held(plan, "web-2").reason is Hold.REVISION_BAD


def test_in_the_very_plan_that_judges_it_nobody_else_sets_out() -> None:
    wants = trio.desired(rollback=AUTO, update=Update(batch_size=3, max_unavailable=3))
    have = observed(guest(1, "4"), guest(2), web1=Condition.UNHEALTHY, web2=Condition.UNHEALTHY)

    plan = trio.plan(wants, have, tried(), trio.LATER)

    assert [one.judgment for one in plan.judgments] == [Judgment.BAD]
    assert [look.answer(plan, f"web-{n}") for n in (2, 3)] == [Hold.REVISION_BAD] * 2
    assert "(cafe0001) made web-1 unhealthy" in look.held(plan, "web-3").message


@pytest.mark.parametrize(
    ("there", "verbs", "reason"),
    [
        pytest.param([anew.old()], (), Hold.REVISION_BAD, id="it-is-not-begun"),
        pytest.param([anew.old(**anew.GIVES)], (), Hold.REVISION_BAD, id="no-heir-is-made"),  # type: ignore[arg-type]
        pytest.param([anew.old(**anew.GIVES), anew.heir()], (), Hold.REVISION_BAD,  # type: ignore[arg-type]
                     id="the-old-one-serves-on"),
        pytest.param([anew.old(power=Power.STOPPED, **anew.GIVES), anew.heir()], ("start",),  # type: ignore[arg-type]
                     Hold.REVISION_BAD, id="the-old-one-is-started-again"),
        pytest.param([anew.old(anew.SCSI0, power=Power.STOPPED, **anew.GIVES),  # type: ignore[arg-type]
                      anew.heir(anew.SYSTEM_1, anew.MOVED)], ("start",), None,
                     id="once-a-disk-has-gone-over-it-goes-on"),
    ],
)  # fmt: skip
def test_nobody_is_replaced_by_one_of_it(
    there: list[ObservedGuest], verbs: tuple[str, ...], reason: Hold | None
) -> None:
    desired = b.desired(anew.want(anew.DO))
    services = {
        name: replace(one, fingerprint=trio.FINGERPRINT, update=Update(order=Order.STOP_FIRST))
        for name, one in desired.services.items()
    }
    source = b.plan_input(
        replace(desired, services=services), b.observed(*there, anew.TEMPLATE), fold(BAD[-2:])
    )
    plan = planner.plan(source)

    assert audit(source, plan) == ()
    assert look.verbs(plan) == verbs
    found = plan.verdicts[next(iter(plan.verdicts))].verdict
    held = getattr(found, "held", found)
    assert getattr(held, "reason", None) is reason


@pytest.mark.parametrize("rollback", [AUTO, Rollback()])
def test_one_that_took_a_place_and_is_sick_is_held_and_not_undone(rollback: Rollback) -> None:
    there = (
        anew.old(anew.SCSI0, power=Power.STOPPED, **anew.GIVES),  # type: ignore[arg-type]
        anew.heir(anew.SYSTEM_1, anew.MOVED, power=Power.RUNNING),
    )
    desired = b.desired(anew.want(anew.DO))
    services = {
        name: replace(one, checks=(trio.CHECK,), rollback=rollback)
        for name, one in desired.services.items()
    }
    seen = b.observed(*there, anew.TEMPLATE)
    sick = {anew.heir().vmid: trio.health(Condition.UNHEALTHY)}

    plan = look.plan_of(replace(desired, services=services), replace(seen, health=sick))

    assert look.verbs(plan) == ()
    held = look.held(plan)
    assert held.reason is Hold.REPLACEMENT
    assert "it took the place of 10000, and is not healthy" in held.message
    assert ("rollback: auto does not undo it" in held.message) is (rollback is AUTO)


def test_another_guest_in_the_place_of_one_that_was_tried_is_not_undone() -> None:
    other = [
        replace(one, vmid=trio.vmid(9)) if isinstance(one, Intended) else one for one in tried()
    ]

    plan = trio.plan(
        trio.desired(trio.want(1), rollback=AUTO), observed(guest(1, "4")), other, trio.LATER
    )

    assert look.answer(plan, "web-1") is None
