"""Not too many at once: budgets per service, and the fuse for the whole plan."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from qlop.model.action import Action, Verb, verb_of
from qlop.model.desired import DesiredGuest, DesiredNic
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.history import JournalRecord
from qlop.model.ids import GuestName
from qlop.model.observed import ObservedGuest
from qlop.model.plan import Plan
from qlop.model.policy import Budget, Fuse, Policy, Prune, Pruning
from qlop.model.reading import Unknown
from qlop.model.rollout import Update
from qlop.model.verdict import Act, Hold
from tests import builders as b
from tests.planner import look, trio

LOOSE = Policy(fuse=Fuse(guests=100))


def want(index: int, **more: object) -> DesiredGuest:
    guest = b.desired_guest(
        index=index, name=f"web-{index}", options={"cores": "2"}, consents=b.WILLING
    )
    return replace(guest, **more)  # type: ignore[arg-type]  # fields of the guest


def due(
    index: int, power: Power = Power.RUNNING, pending: tuple[str, ...] = ("cores",)
) -> ObservedGuest:
    """A replica that needs a reboot, unless nothing is pending."""
    vmid = 10000 + index
    config = b.config(b.mark("web", index, vmid), options={"cores": "2"}, pending=pending)
    return b.guest(vmid, power=power, config=config)


def fine(index: int) -> ObservedGuest:
    return due(index, pending=())


def flying(index: int) -> JournalRecord:
    record = b.intended(Verb.START, index=index, vmid=10000 + index)
    return replace(record, subject=GuestName(f"web-{index}"))


@pytest.mark.parametrize(
    ("guests", "journal", "budget", "rebooted"),
    [
        pytest.param([due(1), due(2), due(3)], [], 1, ["web-1"], id="one-at-a-time"),
        pytest.param([due(1), due(2), due(3)], [], 2, ["web-1", "web-2"], id="two-at-a-time"),
        pytest.param([due(1), due(2), due(3)], [], 3, ["web-1", "web-2", "web-3"], id="all"),
        pytest.param([due(1), due(2), due(3)], [], 0, [], id="none"),
        pytest.param([fine(1), due(2), due(3)], [], 1, ["web-2"], id="who-is-up-uses-nothing"),
        pytest.param(
            [due(1), due(2), due(3, Power.UNKNOWN, ())], [], 1, [], id="one-that-may-be-down"
        ),
        pytest.param([due(1), due(2)], [], 1, [], id="one-that-is-missing"),
        pytest.param([due(1), due(2), fine(3)], [flying(3)], 1, [], id="one-in-flight"),
        pytest.param(
            [due(1), due(2), replace(fine(3), lock="backup")], [], 1, ["web-1"],
            id="a-locked-one-is-up"
        ),
        pytest.param([due(1), due(2), fine(3)], [flying(3)], 2, ["web-1"], id="one-of-two-left"),
    ],
)  # fmt: skip
def test_budget(
    guests: list[ObservedGuest],
    journal: list[JournalRecord],
    budget: int,
    rebooted: list[str],
) -> None:
    wants = b.desired(*(want(index) for index in (1, 2, 3)), policy=LOOSE, max_unavailable=budget)

    plan = look.plan_of(wants, b.observed(*guests), journal)

    assert [one.subject for one in look.actions(plan) if verb(one) == "reboot"] == rebooted


def verb(action: Action) -> str:
    return verb_of(action).value


def test_over_budget_is_held_with_who_is_down() -> None:
    wants = b.desired(want(1), want(2), want(3), policy=LOOSE)
    down = due(3, Power.UNKNOWN, ())

    plan = look.plan_of(wants, b.observed(due(1), due(2), down))

    assert look.held(plan, "web-1").reason is Hold.BUDGET
    assert look.held(plan, "web-1").message == (
        "web-3 of web is down or about to be, and maxUnavailable is 1"
    )


def test_only_what_takes_it_down_and_what_follows_is_held() -> None:
    changed = {"cores": "4", "onboot": "1"}
    wants = b.desired(want(1, options=changed), policy=LOOSE, max_unavailable=0)

    plan = look.plan_of(wants, b.observed(due(1)))

    found = look.verdict(plan, "web-1")
    assert look.verbs(plan) == ("configure",)
    assert isinstance(found, Act)
    assert found.actions == (plan.actions[0].id,)
    assert look.held(plan, "web-1").reason is Hold.BUDGET


def test_a_guest_that_is_down_anyway_needs_no_second_share() -> None:
    wants = b.desired(want(1), policy=LOOSE, max_unavailable=0)

    plan = look.plan_of(wants, b.observed(due(1, Power.STOPPED, ())))

    assert look.verbs(plan) == ("start",)


def test_a_guest_that_is_to_be_stopped_asks_nobody() -> None:
    wants = b.desired(want(1, power=Power.STOPPED), policy=LOOSE, max_unavailable=0)

    plan = look.plan_of(wants, b.observed(fine(1)))

    assert look.verbs(plan) == ("shutdown",)


def test_a_nic_taken_out_and_put_in_again_needs_a_share() -> None:
    nic = DesiredNic(slot="net0", mac=None, properties={"model": "e1000"})
    have = b.guest(config=b.config(b.mark(), nics=[b.nic()]))

    plan = look.plan_of(
        b.desired(b.desired_guest(nics=(nic,), consents=b.WILLING), max_unavailable=0),
        b.observed(have),
    )

    assert look.held(plan).reason is Hold.BUDGET


def test_services_do_not_share_a_budget() -> None:
    db = b.guest(
        10009, config=b.config(b.mark("db", 1, 10009), options={"cores": "2"}, pending=["cores"])
    )
    wants = b.desired(
        want(1), want(2), b.desired_guest("db", options={"cores": "2"}, consents=b.WILLING)
    )

    plan = look.plan_of(wants, b.observed(due(1), due(2), db))

    assert [one.subject for one in look.actions(plan)] == ["db", "web-1"]


def orphans(number: int, prune: Prune, fuse: Fuse, *more: ObservedGuest) -> Plan:
    guests = [replace(due(index), name=f"web-{index}") for index in range(1, number + 1)]
    return look.plan_of(
        b.desired(policy=Policy(prune=Pruning(mode=prune), fuse=fuse)), b.observed(*guests, *more)
    )


@pytest.mark.parametrize(
    ("number", "fuse", "holds"),
    [
        pytest.param(3, Fuse(), True, id="three-of-three"),
        pytest.param(4, Fuse(), False, id="four-of-four"),
        pytest.param(4, Fuse(guests=4), True, id="a-fuse-for-four"),
        pytest.param(1, Fuse(guests=0, share=0.0), False, id="none-at-all"),
        pytest.param(8, Fuse(guests=0, share=1.0), True, id="all-of-them"),
        pytest.param(8, Fuse(guests=0, share=0.9), False, id="nine-tenths"),
    ],
)
def test_fuse(number: int, fuse: Fuse, *, holds: bool) -> None:
    plan = orphans(number, Prune.DESTROY, fuse)

    assert len(plan.actions) == (number if holds else 0)
    if not holds:
        assert {look.held(plan, name).reason for name in plan.verdicts} == {Hold.FUSE}


def test_a_blown_fuse_holds_the_whole_plan() -> None:
    guests = [due(index) for index in range(1, 5)]
    wants = b.desired(
        b.desired_guest("new"), policy=Policy(prune=Pruning(mode=Prune.STOP)), max_unavailable=4
    )

    plan = look.plan_of(wants, b.observed(*guests))

    assert plan.actions == ()
    assert look.held(plan, "new").reason is Hold.FUSE
    assert look.held(plan, "new").message == (
        "this plan would shut down 4 of 4 guests, more than the fuse allows (3);"
        " nothing of it is done"
    )


def test_reboots_blow_the_fuse_too() -> None:
    wants = b.desired(*(want(index) for index in (1, 2, 3, 4)), max_unavailable=4)

    plan = look.plan_of(wants, b.observed(*(due(index) for index in (1, 2, 3, 4))))

    assert plan.actions == ()
    assert "reboot 4 of 4 guests" in look.held(plan, "web-1").message


def test_what_can_not_be_seen_now_counts_for_the_fuse() -> None:
    """Of five orphans three are locked: the fuse is not passed in two parts."""
    plan = orphans(2, Prune.DESTROY, Fuse(), *(replace(fine(n), lock="backup") for n in (7, 8, 9)))

    assert plan.actions == ()
    assert look.held(plan, "web-1").reason is Hold.FUSE
    assert "do the same to others that can't be reached now, up to 3" in (
        look.held(plan, "web-1").message
    )


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        pytest.param(want(5, power=Power.STOPPED), False, id="one-that-may-have-to-stop"),
        pytest.param(want(5, options={"cores": "4"}), False, id="one-that-may-have-to-reboot"),
        pytest.param(want(5), True, id="one-that-need-not"),
    ],
)
def test_one_of_unknown_power_counts_for_the_fuse(other: DesiredGuest, *, fits: bool) -> None:
    wants = [want(index) for index in (1, 2, 3)]
    guests = [due(index) for index in (1, 2, 3)]

    plan = look.plan_of(
        b.desired(*wants, other, max_unavailable=4),
        b.observed(*guests, due(5, Power.UNKNOWN, ())),
    )

    assert ("reboot" in look.verbs(plan)) is fits


def test_with_guests_unread_no_orphan_is_touched() -> None:
    unread = b.guest(555, config=Unknown("no answer"))

    plan = orphans(1, Prune.DESTROY, Fuse(), unread)

    assert plan.actions == ()
    assert look.held(plan, "web-1").reason is Hold.CONFIG_UNREAD


SICK, UNSURE = Condition.UNHEALTHY, Condition.UNKNOWN


@pytest.mark.parametrize(
    ("health", "rebooted"),
    [
        pytest.param({}, ["web-1"], id="all-are-well"),
        pytest.param({"web3": SICK}, [], id="one-that-is-sick-is-down"),
        pytest.param({"web3": UNSURE}, [], id="one-that-may-be-sick-counts"),
        pytest.param({"web1": SICK}, ["web-1"], id="the-sick-one-itself-may"),
        pytest.param({"web1": SICK, "web2": UNSURE}, [], id="nor-beside-one-that-may-start"),
        pytest.param({"web1": SICK, "web2": SICK}, ["web-1"], id="one-sick-one-at-a-time"),
        pytest.param({"web1": UNSURE}, [], id="not-while-it-is-not-known"),
    ],
)
def test_health_counts(health: dict[str, Condition], rebooted: list[str]) -> None:
    wants = trio.desired(*(want(n) for n in (1, 2, 3)), update=Update(batch_size=9))
    have = replace(b.observed(due(1), due(2), fine(3)), health=trio.healths(**health))

    plan = look.plan_of(wants, have)

    assert [one.subject for one in look.actions(plan) if verb(one) == "reboot"] == rebooted


@pytest.mark.parametrize(
    ("budget", "rebooted"),
    [
        pytest.param(Budget(), ["web-1", "web-2", "web-3"], id="none"),
        pytest.param(Budget(cluster=2), ["web-1", "web-2"], id="in-the-cluster"),
        pytest.param(Budget(node=1), ["web-1", "web-3"], id="on-each-node"),
        pytest.param(Budget(node=1, cluster=1), ["web-1"], id="both"),
    ],
)
def test_nodes_and_the_cluster_have_budgets_too(budget: Budget, rebooted: list[str]) -> None:
    update = Update(batch_size=9, max_unavailable=9)
    wants = trio.desired(*(want(n) for n in (1, 2, 3)), update=update, checks=(), budget=budget)
    have = b.observed(due(1), due(2), replace(due(3), node=b.PVE2))

    plan = look.plan_of(wants, have)

    assert [one.subject for one in look.actions(plan) if verb(one) == "reboot"] == rebooted


def test_whoever_is_down_uses_the_cluster_s_budget() -> None:
    wants = trio.desired(
        *(want(n) for n in (1, 2)), b.desired_guest("db"), checks=(), budget=Budget(cluster=1)
    )
    down = b.guest(10200, power=Power.STOPPED, config=b.config(b.mark("db", 1, 10200)))

    plan = look.plan_of(wants, b.observed(due(1), due(2), down))

    assert look.held(plan, "web-1").message == (
        "db in the cluster is down or about to be, and policy.budget.cluster is 1"
    )


def test_a_guest_without_checks_that_was_just_started_uses_the_budget() -> None:
    wants = trio.desired(*(want(n) for n in (1, 2, 3)), update=Update(batch_size=9), checks=())
    early, late = b.NOW - timedelta(seconds=59), b.NOW - timedelta(seconds=60)

    def rebooted(at: datetime) -> list[str]:
        plan = look.plan_of(
            wants, b.observed(fine(1), due(2), due(3)), trio.ended(Verb.REBOOT, at=at)
        )
        return [one.subject for one in look.actions(plan) if verb(one) == "reboot"]

    assert rebooted(early) == []
    assert rebooted(late) == ["web-2"]


def test_one_that_was_just_started_needs_no_second_share() -> None:
    wants = trio.desired(*(want(n) for n in (1, 2, 3)), update=Update(batch_size=9), checks=())

    plan = look.plan_of(wants, b.observed(due(1), due(2), fine(3)), trio.ended(Verb.START))

    assert [one.subject for one in look.actions(plan) if verb(one) == "reboot"] == ["web-1"]
