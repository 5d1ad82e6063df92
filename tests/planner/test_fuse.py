"""Fuses: each kind of strike, what is acknowledged, and services that vanish."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.consent import Consents
from qlop.model.desired import DesiredGuest, Placement
from qlop.model.guest import GuestKind, Power
from qlop.model.history import Dispatched, Ending, Finished, JournalRecord
from qlop.model.ids import OrderId, ServiceName
from qlop.model.observed import ObservedGuest
from qlop.model.orders import EVERYTHING, Acknowledge, BreakGlass, Order, Scope, ScopeKind
from qlop.model.plan import Plan
from qlop.model.policy import Fuse, FuseLimit, Policy, Strike
from qlop.model.reading import Known
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

CORES = {"cores": "4"}
SOON = b.NOW + timedelta(hours=1)
COUNT = 4


def rebooting(index: int, consents: Consents = b.WILLING) -> tuple[DesiredGuest, ObservedGuest]:
    mark = b.mark(index=index, vmid=10000 + index)
    config = b.config(mark, options=CORES, pending=["cores"])
    return (
        b.desired_guest(index=index, name=f"web-{index}", options=CORES, consents=consents),
        b.guest(10000 + index, name=f"web-{index}", config=config),
    )


def stopping(index: int) -> tuple[DesiredGuest, ObservedGuest]:
    wanted, have = rebooting(index)
    config = b.config(b.mark(index=index, vmid=10000 + index), options=CORES)
    return replace(wanted, power=Power.STOPPED), replace(have, config=Known(config))


def moving(index: int) -> tuple[DesiredGuest, ObservedGuest]:
    mark = b.container_mark(index=index, vmid=10000 + index)
    config = b.config(mark, nics=[b.container_nic(vmid=10000 + index)])
    return (
        b.desired_guest(
            index=index,
            name=f"web-{index}",
            kind=GuestKind.CONTAINER,
            placement=Placement(allowed=frozenset({b.PVE2})),
            consents=b.WILLING,
            memory_bytes=2**20,
        ),
        b.guest(
            10000 + index,
            kind=GuestKind.CONTAINER,
            name=f"web-{index}",
            memory_bytes=2**20,
            config=config,
        ),
    )


def planned(
    pairs: Iterable[tuple[DesiredGuest, ObservedGuest]],
    fuse: Fuse,
    *orders: Order,
    history: Iterable[JournalRecord] = (),
    max_unavailable: int = 9,
) -> Plan:
    kept = tuple(pairs)
    wants = b.desired(
        *(want for want, _ in kept), policy=Policy(fuse=fuse), max_unavailable=max_unavailable
    )
    return look.plan_of(wants, b.observed(*(have for _, have in kept)), history, orders)


REBOOTS = [rebooting(index) for index in range(1, COUNT + 1)]
STOPS = [stopping(index) for index in range(1, COUNT + 1)]
MOVES = [moving(index) for index in range(1, COUNT + 1)]


def kind(strike: Strike, guests: int) -> Fuse:
    return Fuse(guests=0, share=0, kinds={strike: FuseLimit(guests=guests)})


@pytest.mark.parametrize(
    ("pairs", "fuse", "passes"),
    [
        pytest.param(REBOOTS, Fuse(guests=4), True, id="as-many-reboots-as-may-be"),
        pytest.param(REBOOTS, Fuse(guests=3), False, id="one-reboot-too-many"),
        pytest.param(STOPS, Fuse(guests=3), False, id="one-stop-too-many"),
        pytest.param(MOVES, Fuse(guests=3), False, id="one-move-too-many"),
        pytest.param(MOVES, Fuse(guests=4), True, id="as-many-moves-as-may-be"),
        pytest.param(REBOOTS, Fuse(guests=0, share=1), True, id="all-if-the-share-says-so"),
        pytest.param(REBOOTS, Fuse(guests=0, share=0.75), False, id="a-share"),
        pytest.param(REBOOTS, kind(Strike.REBOOT, 4), True, id="reboots-have-their-own-limit"),
        pytest.param(REBOOTS, kind(Strike.REBOOT, 3), False, id="and-may-exceed-that-too"),
        pytest.param(REBOOTS, kind(Strike.STOP, 9), False, id="not-that-of-another-kind"),
        pytest.param(STOPS, kind(Strike.STOP, 4), True, id="stops-have-their-own"),
        pytest.param(MOVES, kind(Strike.MOVE, 4), True, id="moves-have-their-own"),
        pytest.param(
            [*STOPS[:2], *REBOOTS[2:]], Fuse(guests=3), False, id="kinds-add-up-without-their-own"
        ),
        pytest.param(
            [*STOPS[:2], *REBOOTS[2:]],
            replace(kind(Strike.STOP, 2), guests=2),
            True,
            id="a-kind-with-a-limit-is-counted-apart",
        ),
    ],
)
def test_a_plan_that_strikes_too_many_is_held_whole(
    pairs: list[tuple[DesiredGuest, ObservedGuest]],
    fuse: Fuse,
    passes: bool,  # noqa: FBT001  # a column
) -> None:
    plan = planned(pairs, fuse)

    assert bool(plan.actions) is passes
    assert bool(plan.fuses) is not passes
    if not passes:
        assert {look.held(plan, f"web-{n}").reason for n in range(1, COUNT + 1)} == {Hold.FUSE}
        (blown,) = plan.fuses
        assert f"`qlop acknowledge {blown.fingerprint}`" in look.held(plan, "web-1").remedy


def acknowledged(plan: Plan, *, hours: float = 1) -> Acknowledge:
    (blown,) = plan.fuses
    return Acknowledge(
        id=OrderId("o1"),
        at=b.NOW,
        by="ani",
        reason="",
        until=b.NOW + timedelta(hours=hours),
        fuse=blown.fingerprint,
        actions=blown.actions,
        services=blown.services,
    )


TIGHT = Fuse(guests=1)


def test_what_was_acknowledged_is_done() -> None:
    order = acknowledged(planned(REBOOTS, TIGHT))
    plan = planned(REBOOTS, TIGHT, order)

    assert look.verbs(plan) == ("reboot",) * COUNT
    assert plan.reconsider_at == SOON


def test_an_acknowledgement_ends() -> None:
    order = acknowledged(planned(REBOOTS, TIGHT), hours=0)

    assert planned(REBOOTS, TIGHT, order).actions == ()


def test_it_covers_the_whole_wave_though_a_budget_lets_through_few() -> None:
    """Nobody is asked again for each of thirty guests that reboot one after the other."""
    order = acknowledged(planned(REBOOTS, Fuse(guests=0, share=0), max_unavailable=1))
    first = planned(REBOOTS, Fuse(guests=0, share=0), order, max_unavailable=1)
    done = first.actions[0].id
    a_minute_ago = b.NOW - timedelta(minutes=1)  # It has come up again.
    history = (
        b.intended(Verb.REBOOT, action=done, at=a_minute_ago),
        Dispatched(at=a_minute_ago, action=done, attempt=1, upid=None),
        Finished(at=a_minute_ago, action=done, attempt=1, ending=Ending.SUCCEEDED),
    )
    left = [stopping(1), *REBOOTS[1:]]
    left[0] = (REBOOTS[0][0], left[0][1])
    second = planned(left, Fuse(guests=0, share=0), order, history=history, max_unavailable=1)

    assert len(order.actions) == COUNT
    assert [one.action.subject for one in first.actions] == ["web-1"]
    assert [one.action.subject for one in second.actions] == ["web-2"]


def test_it_covers_no_more_than_was_shown() -> None:
    order = acknowledged(planned(REBOOTS, TIGHT))
    more = [*REBOOTS, rebooting(5), rebooting(6)]
    plan = planned(more, TIGHT, order)
    (blown,) = plan.fuses

    assert plan.actions == ()
    assert "reboot 2 of 6 guests" in blown.message


@pytest.mark.parametrize(
    ("scope", "passes"),
    [
        pytest.param(EVERYTHING, True, id="for-all"),
        pytest.param(Scope(kind=ScopeKind.SERVICE, name="web"), True, id="for-the-service"),
        pytest.param(Scope(kind=ScopeKind.GUEST, name="web-1"), False, id="for-one-of-them"),
    ],
)
def test_in_an_emergency_fuses_hold_nobody(scope: Scope, passes: bool) -> None:  # noqa: FBT001
    order = BreakGlass(
        id=OrderId("o1"), at=b.NOW, by="ani", reason="fire", until=SOON, scope=scope
    )

    assert bool(planned(REBOOTS, TIGHT, order).actions) is passes


def orphan(service: str, vmid: int) -> ObservedGuest:
    return b.guest(vmid, name=service, config=b.config(b.mark(service, 1, vmid)))


def losing(count: int, fuse: Fuse, *orders: Order) -> Plan:
    """One guest should start; ``count`` services are gone from the manifests."""
    lost = [orphan(f"old{number}", 10100 + number) for number in range(count)]
    wants = b.desired(b.desired_guest(), policy=Policy(fuse=fuse))
    return look.plan_of(wants, b.observed(b.guest(power=Power.STOPPED), *lost), (), orders)


@pytest.mark.parametrize(
    ("count", "fuse", "passes"),
    [
        pytest.param(3, Fuse(), True, id="as-many-as-may-be"),
        pytest.param(4, Fuse(), False, id="one-too-many"),
        pytest.param(4, Fuse(lost_share=0.8), True, id="within-the-share"),
        pytest.param(4, Fuse(lost_services=4), True, id="within-the-number"),
        pytest.param(1, Fuse(lost_services=0, lost_share=0), False, id="none-may-be-lost"),
    ],
)
def test_a_desired_state_that_lost_too_many_services_is_not_acted_on(
    count: int,
    fuse: Fuse,
    passes: bool,  # noqa: FBT001  # a column
) -> None:
    plan = losing(count, fuse)

    assert (look.verbs(plan) == ("start",)) is passes
    if not passes:
        assert plan.fuses[0].services == {ServiceName(f"old{n}") for n in range(count)}
        assert "in no manifest any more" in look.held(plan).message


def test_a_loss_may_be_acknowledged_and_a_further_one_is_not() -> None:
    order = acknowledged(losing(4, Fuse()))
    tight = Fuse(lost_services=0, lost_share=0)

    assert look.verbs(losing(4, tight, order)) == ("start",)
    assert losing(5, tight, order).fuses[0].services == {ServiceName("old4")}


def test_a_plan_that_does_nothing_blows_no_fuse() -> None:
    lost = [orphan(f"old{number}", 10100 + number) for number in range(6)]
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(b.guest(), *lost))

    assert (plan.fuses, plan.actions) == ((), ())
