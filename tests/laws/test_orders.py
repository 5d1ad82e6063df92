"""Orders: what is frozen, suspended or not yet allowed is not done, at any step."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import MigrateGuest, RebootGuest, ShutdownGuest
from qlop.model.consent import Consent, Consents
from qlop.model.ids import ActionId, OrderId
from qlop.model.impact import Impact
from qlop.model.orders import (
    EVERYTHING,
    Acknowledge,
    Approve,
    BreakGlass,
    Freeze,
    Order,
    Scope,
    ScopeKind,
    Suspend,
    in_force,
)
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.model.policy import Budget
from qlop.model.reading import Known
from qlop.model.rollout import Update
from qlop.model.trial import Part
from qlop.model.verdict import Held, Hold
from qlop.model.window import Blackout
from qlop.planner import planner, windows
from tests import builders as b
from tests.laws.crowds import crowds
from tests.laws.reach import MORE, Reach, reaching
from tests.laws.test_owned_only import is_ours
from tests.laws.world import limit_of, run
from tests.strategies import NIGHT, SERVICES, WHOLE_DAY, World, worlds

ENDS = st.sampled_from([b.NOW - timedelta(seconds=1), b.NOW, b.NOW + timedelta(hours=1)])
SCOPES = st.one_of(
    st.just(EVERYTHING),
    st.builds(Scope, kind=st.just(ScopeKind.SERVICE), name=st.sampled_from(SERVICES)),
    st.builds(
        Scope,
        kind=st.just(ScopeKind.GUEST),
        name=st.sampled_from([*SERVICES, *(f"{name}-{n}" for name in SERVICES for n in (1, 2))]),
    ),
    st.builds(Scope, kind=st.just(ScopeKind.NODE), name=st.sampled_from([b.PVE1, b.PVE2, b.PVE3])),
)
BEFORE = b.NOW - timedelta(hours=2)


def heading(number: int, until: datetime) -> dict[str, object]:
    return {
        "id": OrderId(f"o{number}"),
        "at": BEFORE,
        "by": "ani",
        "reason": "because",
        "until": until,
    }


_WORDS = st.sampled_from([Consent.WINDOW, Consent.ASK, Consent.DO, Consent.WARN])
_TODAY = Blackout(first=b.NOW.date(), last=b.NOW.date(), zone="UTC", reason="audit")
REACH = Reach()


@st.composite
def waiting_worlds(draw: st.DrawFn) -> World:
    """A world in which much is due that needs a word: windows, black-out days, approvals."""
    world = draw(crowds())
    said = draw(_WORDS)
    word = Consents(reboot=said, downtime=draw(st.sampled_from([said, Consent.ASK])))
    opens = draw(st.sampled_from([(), (NIGHT,), (WHOLE_DAY,), (WHOLE_DAY,)]))
    guests = {
        name: replace(want, consents=word, windows=opens)
        for name, want in world.desired.guests.items()
    }
    dark = draw(st.sampled_from([(), (), (), (_TODAY,)]))
    policy = replace(world.desired.cluster.policy, blackouts=dark, budget=Budget())
    cluster = replace(world.desired.cluster, policy=policy)
    services = {
        name: replace(service, update=Update(batch_size=9, max_unavailable=9))
        for name, service in world.desired.services.items()
    }
    desired = replace(world.desired, guests=guests, services=services, cluster=cluster)
    world = replace(world, desired=desired)
    asked = [one.id for one in planner.plan(world.source).asks]
    given = tuple(
        Approve(**heading(100 + number, b.NOW + timedelta(hours=1)), action=action)  # type: ignore[arg-type]
        for number, action in enumerate(sorted(asked))
        if draw(st.integers(0, 3))
    )
    return replace(world, orders=given)


@st.composite
def ordered_worlds(draw: st.DrawFn, base: st.SearchStrategy[World] | None = None) -> World:
    """A world, and orders about what would be done in it without any."""
    world = draw(worlds() if base is None else base)
    bare = planner.plan(world.source)
    waiting = sorted(planned.id for planned in bare.asks)
    found: list[Order] = []
    for number in range(draw(st.integers(0, 3))):
        head = heading(number, draw(ENDS))
        match draw(
            st.sampled_from(["approve", "approve", "suspend", "freeze", "glass", "acknowledge"])
        ):
            case "approve" if waiting:
                action = draw(st.sampled_from(waiting))
                found.append(Approve(**head, action=action))  # type: ignore[arg-type]  # fields
            case "suspend":
                found.append(Suspend(**head, scope=draw(SCOPES)))  # type: ignore[arg-type]
            case "freeze":
                found.append(Freeze(**head))  # type: ignore[arg-type]
            case "glass":
                found.append(BreakGlass(**head, scope=draw(SCOPES)))  # type: ignore[arg-type]
            case "acknowledge" if bare.fuses:
                fuse = draw(st.sampled_from(bare.fuses))
                found.append(
                    Acknowledge(
                        **head,  # type: ignore[arg-type]
                        fuse=fuse.fingerprint,
                        actions=fuse.actions,
                        services=fuse.services,
                    )
                )
            case _:
                pass
    return replace(world, orders=(*world.orders, *found))


def steps(world: World) -> Iterator[tuple[PlanInput, PlannedAction]]:
    """Every action done from here on, and what was known when it was decided."""
    for stage in run(world, at_most=limit_of(world)):
        if stage.done is not None:
            yield stage.world.source, stage.done


def covered(scope: Scope, planned: PlannedAction) -> bool:
    nodes = {planned.action.node, getattr(planned.action, "target", planned.action.node)}
    return scope.covers(planned.action.subject, planned.service, nodes)


@given(ordered_worlds())
def test_nothing_is_done_to_what_is_frozen_or_suspended(world: World) -> None:
    for source, planned in steps(world):
        orders = in_force(source.orders, source.now)
        assert not orders.freezes
        assert not any(covered(order.scope, planned) for order in orders.suspensions)


@given(ordered_worlds())
def test_what_needs_a_word_is_done_with_it_alone(world: World) -> None:
    check_words(world)


@pytest.mark.slow  # draws three times as many worlds as others
@pytest.mark.timeout(120)
@reaching(REACH, done=3, approved=1, in_its_window=1)
@given(ordered_worlds(waiting_worlds()))
@MORE
def test_so_it_is_where_much_needs_one(world: World) -> None:
    REACH.note("drawn")
    REACH.note("waits", when=bool(planner.plan(world.source).asks))
    for what in check_words(world):
        REACH.note(what)


def check_words(world: World) -> set[str]:
    """Reboots, moves and stops: each has its consent, its window, or its approval.

    Return by what something was done.
    """
    met: set[str] = set()
    dark = world.desired.cluster.policy.blackouts
    for source, planned in steps(world):
        want = source.desired.guests.get(planned.action.subject)
        if want is None or not isinstance(
            planned.action, RebootGuest | MigrateGuest | ShutdownGuest
        ):
            continue
        if planned.action.kind is not want.kind or _is_new(source, planned):
            continue
        if planned.part is Part.UNDO:
            continue  # Consent was given to the change that is undone.
        said = _consent(want.consents, planned)
        orders = in_force(source.orders, source.now)
        emergency = any(covered(order.scope, planned) for order in orders.glasses)
        match said:
            case Consent.DO:
                met.add("done")
            case Consent.WINDOW:
                assert emergency or windows.is_open(want.windows, dark, source.now)
                met.add("emergency" if emergency else "in_its_window")
            case Consent.ASK:
                assert emergency or _approved(source, planned.id)
                met.add("emergency" if emergency else "approved")
            case _:
                raise AssertionError(f"{planned.id} is done although it says {said}")
    return met


def _consent(consents: Consents, planned: PlannedAction) -> Consent:
    match planned.action:
        case RebootGuest(applies=applies):
            said = [consents.of(one.partition("=")[0], Impact.REBOOT) for one in applies]
            order = [Consent.ASK, Consent.WINDOW, Consent.DO]
            return next((one for one in order if one in said), Consent.DO)
        case MigrateGuest():
            return consents.of("placement", planned.impact)
        case _:
            return consents.of("power", planned.impact)


def _is_new(source: PlanInput, planned: PlannedAction) -> bool:
    reserved = source.history.reservations.get((planned.service, planned.index))
    return reserved is not None and not reserved.ran


def _approved(source: PlanInput, action: ActionId) -> bool:
    approval = in_force(source.orders, source.now).approvals.get(action)
    done = source.history.repetitions.get(action)
    return approval is not None and (done is None or done.at <= approval.at)


@given(ordered_worlds())
def test_what_waits_says_for_what(world: World) -> None:
    plan = planner.plan(world.source)
    told = {
        one.remedy
        for verdict in plan.verdicts.values()
        if (one := _held(plan, verdict.subject)) is not None
    }

    for planned in plan.asks:
        short = planned.id.rpartition("/")[2][:8]
        overridden = isinstance(plan.verdicts[planned.action.subject].verdict, Held)
        assert any(short in remedy for remedy in told) or overridden
        assert planned.id not in {one.id for one in plan.actions}


def _held(plan: Plan, subject: str) -> Held | None:
    verdict = plan.verdicts[subject].verdict  # type: ignore[index]  # a name
    return verdict if isinstance(verdict, Held) else getattr(verdict, "held", None)


@given(worlds(), st.sampled_from([Freeze, Suspend]))
def test_an_order_that_has_ended_changes_nothing(world: World, kind: type[Order]) -> None:
    more = {"scope": EVERYTHING} if kind is Suspend else {}
    ended = kind(**heading(1, b.NOW), **more)  # type: ignore[arg-type]  # fields

    assert planner.plan(replace(world, orders=(*world.orders, ended)).source) == planner.plan(
        world.source
    )


@given(ordered_worlds())
def test_a_plan_is_made_anew_when_an_order_ends(world: World) -> None:
    ends = [order.until for order in in_force(world.source.orders, b.NOW)]
    plan = planner.plan(world.source)
    blocked = any(
        isinstance(one.verdict, Held)
        and one.verdict.reason in {Hold.NO_QUORUM, Hold.OBSERVATION_INCOMPLETE}
        for one in plan.verdicts.values()
    )

    if ends and not blocked:
        assert plan.reconsider_at is not None
        assert plan.reconsider_at <= min(ends)


@given(worlds())
def test_what_was_acknowledged_is_done_and_nothing_more(world: World) -> None:
    held = planner.plan(world.source)
    said = tuple(
        Acknowledge(
            **heading(number, b.NOW + timedelta(hours=1)),  # type: ignore[arg-type]
            fuse=fuse.fingerprint,
            actions=fuse.actions,
            services=fuse.services,
        )
        for number, fuse in enumerate(held.fuses)
    )
    after = planner.plan(replace(world, orders=(*world.orders, *said)).source)
    agreed = frozenset().union(*(fuse.actions for fuse in held.fuses))
    fuse = world.desired.cluster.policy.fuse
    owned = sum(is_ours(guest, world) for guest in world.observed.guests.values())
    struck = {
        planned.action.vmid
        for planned in after.actions
        if isinstance(planned.action, RebootGuest | ShutdownGuest) and planned.id not in agreed
    }

    if held.fuses:
        assert not held.actions
        assert not after.fuses
    assert len(struck) <= max(fuse.guests, int(fuse.share * owned))


@given(worlds())
def test_breaking_the_glass_touches_nobody_else(world: World) -> None:
    glass = BreakGlass(**heading(1, b.NOW + timedelta(hours=1)), scope=EVERYTHING)  # type: ignore[arg-type]
    plan = planner.plan(replace(world, orders=(*world.orders, glass)).source)
    quorate = world.observed.quorate == Known(value=True)
    cluster = world.desired.cluster.name
    strangers = {
        vmid for vmid, guest in world.observed.guests.items() if not is_ours(guest, world)
    }

    assert not plan.actions or (quorate and world.observed.complete), cluster
    assert not any(planned.action.vmid in strangers for planned in plan.actions)
