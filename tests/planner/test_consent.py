from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import time, timedelta

import pytest

from qlop.model.action import ConfigureGuest, RebootGuest, Verb
from qlop.model.consent import Consent, Consents
from qlop.model.desired import DesiredDisk, DesiredGuest, DesiredNic
from qlop.model.guest import GuestKind, Power
from qlop.model.history import Dispatched, Ending, Finished, JournalRecord
from qlop.model.ids import ActionId, OrderId
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.orders import EVERYTHING, Approve, BreakGlass, Order, Scope, ScopeKind, approval_id
from qlop.model.plan import Plan
from qlop.model.units import GIB
from qlop.model.verdict import Act, Converged, Held, Hold
from qlop.model.window import CalendarWindow
from tests import builders as b
from tests.planner import look

DO, WINDOW, ASK = Consent.DO, Consent.WINDOW, Consent.ASK
WARN, IGNORE = Consent.WARN, Consent.IGNORE
SOON = b.NOW + timedelta(hours=1)
DAILY = frozenset(range(7))
# It is 08:00 UTC.
OPEN = CalendarWindow(name="day", weekdays=DAILY, start=time(7), end=time(9), zone="UTC")
SHUT = CalendarWindow(name="night", weekdays=DAILY, start=time(1), end=time(5), zone="UTC")


def saying(fields: Mapping[str, Consent] | None = None, **impacts: Consent) -> Consents:
    return Consents(fields=dict(fields or {}), **impacts)


def want(
    consents: Consents, *windows: CalendarWindow, options: Mapping[str, str] | None = None
) -> DesiredGuest:
    wanted = b.desired_guest(options=options or {"onboot": "1"}, consents=consents)
    return replace(wanted, windows=windows)


def having(
    *, power: Power = Power.RUNNING, pending: Iterable[str] = (), **options: str
) -> ObservedGuest:
    return b.guest(power=power, config=b.config(b.mark(), options=options, pending=pending))


def plan_for(
    wanted: DesiredGuest,
    have: ObservedGuest,
    *orders: Order,
    history: Iterable[JournalRecord] = (),
) -> Plan:
    return look.plan_of(b.desired(wanted), b.observed(have), history, orders)


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        pytest.param(want(saying()), ("configure",), id="what-nobody-notices-is-done"),
        pytest.param(want(saying(none=WINDOW), SHUT), Hold.WINDOW, id="waits-for-its-window"),
        pytest.param(want(saying(none=WINDOW), OPEN), ("configure",), id="done-in-its-window"),
        pytest.param(want(saying(none=WINDOW)), Hold.WINDOW, id="without-windows-never"),
        pytest.param(
            want(saying(none=WINDOW), SHUT, OPEN), ("configure",), id="one-open-window-suffices"
        ),
        pytest.param(want(saying(none=ASK)), Hold.APPROVAL, id="asks-if-told-so"),
        pytest.param(want(saying(none=WARN)), None, id="only-warns"),
        pytest.param(want(saying({"onboot": ASK})), Hold.APPROVAL, id="by-field"),
        pytest.param(want(saying({"onboot": DO}, none=ASK)), ("configure",), id="field-outranks"),
        pytest.param(want(saying({"onboot": IGNORE})), None, id="is-not-even-compared"),
        pytest.param(want(saying({"memory": ASK})), ("configure",), id="another-field"),
    ],
)
def test_a_write_asks_for_consent(wanted: DesiredGuest, answer: look.Answer) -> None:
    assert look.answer(plan_for(wanted, having())) == answer


CORES = {"cores": "4"}


@pytest.mark.parametrize(
    ("wanted", "have", "verbs", "hold"),
    [
        pytest.param(
            want(saying(), options=CORES),
            having(cores="2"),
            ("configure",),
            Hold.APPROVAL,
            id="it-is-written-and-the-reboot-asked-for",
        ),
        pytest.param(
            want(saying(reboot=WINDOW), SHUT, options=CORES),
            having(cores="2"),
            ("configure",),
            Hold.WINDOW,
            id="it-is-written-and-the-reboot-waits",
        ),
        pytest.param(
            want(saying(reboot=WINDOW), OPEN, options=CORES),
            having(cores="2"),
            ("configure", "reboot"),
            None,
            id="rebooted-in-the-window",
        ),
        pytest.param(
            want(saying({"cores": ASK}, reboot=DO), options=CORES),
            having(cores="2"),
            (),
            Hold.APPROVAL,
            id="a-field-that-is-asked-for-is-not-even-written",
        ),
        pytest.param(
            want(saying({"cores": ASK}, reboot=DO), options=CORES),
            having(cores="4", pending=["cores"]),
            (),
            Hold.APPROVAL,
            id="pending-by-hand-its-reboot-is-asked-for",
        ),
        pytest.param(
            want(saying({"cores": DO}), options=CORES),
            having(cores="4", pending=["cores"]),
            ("reboot",),
            None,
            id="a-field-may-be-freer-than-reboots",
        ),
        pytest.param(
            want(saying(reboot=WARN), options=CORES),
            having(cores="2"),
            (),
            None,
            id="warn-writes-nothing",
        ),
        pytest.param(
            want(saying({"cores": IGNORE}), options=CORES),
            having(cores="4", pending=["cores"]),
            (),
            None,
            id="what-is-ignored-may-stay-pending",
        ),
        pytest.param(
            want(saying(), options=CORES),
            having(cores="2", power=Power.STOPPED),
            ("configure", "start"),
            None,
            id="a-stopped-guest-has-no-reboot",
        ),
        pytest.param(
            want(saying(hot=ASK), options=CORES),
            having(cores="4", pending=["cores"]),
            (),
            Hold.APPROVAL,
            id="what-costs-more-is-never-freer",
        ),
    ],
)
def test_what_takes_a_reboot(
    wanted: DesiredGuest, have: ObservedGuest, verbs: tuple[str, ...], hold: Hold | None
) -> None:
    plan = plan_for(wanted, have)
    found = look.verdict(plan)
    held = found.held if isinstance(found, Act) else found
    reason = held.reason if isinstance(held, Held) else None

    assert (look.verbs(plan), reason) == (verbs, hold)


def test_what_is_free_is_done_and_what_is_not_waits() -> None:
    wanted = want(
        saying({"memory": WINDOW, "tags": WARN, "tablet": IGNORE}),
        SHUT,
        options={"memory": "4096", "onboot": "1", "tags": "qlop", "tablet": "0"},
    )
    plan = plan_for(wanted, having(memory="2048"))
    (configure,) = look.actions(plan)

    assert isinstance(configure, ConfigureGuest)
    assert configure.set == {"onboot": "1"}
    assert look.held(plan).reason is Hold.WINDOW
    assert "which opens at 2026-11-25 01:00 UTC" in look.held(plan).message
    assert plan.verdicts[wanted.name].warnings == (
        "tags is not set and should be qlop (changes: warn)",
    )


def test_a_stopped_guest_is_not_kept_down_by_a_change_that_waits() -> None:
    wanted = want(saying({"memory": WINDOW}), SHUT, options={"memory": "4096"})
    plan = plan_for(wanted, having(memory="2048", power=Power.STOPPED))

    assert look.verbs(plan) == ("start",)
    assert look.held(plan).reason is Hold.WINDOW


def test_properties_of_one_option_may_differ_in_consent() -> None:
    nic = DesiredNic(
        slot="net0", mac=None, properties={"model": "virtio", "bridge": "vmbr1", "rate": "10"}
    )
    disk = DesiredDisk(slot="scsi0", size_bytes=8 * GIB, properties={"backup": "0"})
    wanted = b.desired_guest(
        nics=(nic,),
        disks=(disk,),
        networks_declared=True,
        consents=saying({"net0": ASK, "net0.rate": DO, "scsi0.size": ASK}),
    )
    have = b.guest(config=b.config(b.mark(), nics=[b.nic(), b.nic("net1")], disks=[b.disk()]))
    plan = plan_for(wanted, have)
    (configure,) = look.actions(plan)

    assert isinstance(configure, ConfigureGuest)
    assert configure.set == {
        "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=10",
        "scsi0": "nas:vm-10000-disk-0,backup=0,size=3G",
    }
    assert configure.delete == ("net1",)
    assert [planned.id.split("/")[1] for planned in plan.asks] == ["configure", "resize"]


def test_a_container_keeps_its_identity_when_its_nic_waits() -> None:
    """The mark goes with the NIC that it names, and no sooner."""
    nic = DesiredNic(slot="net0", mac="02:00:00:00:00:99", properties={"name": "eth0"})
    wanted = b.desired_guest(
        kind=GuestKind.CONTAINER,
        nics=(nic,),
        networks_declared=True,
        options={"onboot": "1"},
        consents=saying({"net0": ASK}),
    )
    config = b.config(b.container_mark(), nics=[b.container_nic(name="eth0")])
    have = b.guest(kind=GuestKind.CONTAINER, config=config)
    plan = plan_for(wanted, have)
    (configure,) = look.actions(plan)
    (asked,) = plan.asks

    assert isinstance(configure, ConfigureGuest)
    assert configure.set == {"onboot": "1"}
    assert isinstance(asked.action, ConfigureGuest)
    assert "witness=mac:02:00:00:00:00:99" in asked.action.set["description"]


ASKING = want(saying(), options=CORES)
PENDING = having(cores="4", pending=["cores"])


def reboot_of(plan: Plan) -> ActionId:
    (asked,) = plan.asks
    assert isinstance(asked.action, RebootGuest)
    return asked.id


def approve(action: ActionId, *, hours: float = 1, at_hours: float = -1) -> Approve:
    return Approve(
        id=OrderId("o1"),
        at=b.NOW + timedelta(hours=at_hours),
        by="ani",
        reason="",
        until=b.NOW + timedelta(hours=hours),
        action=action,
    )


def test_the_hold_names_the_id_to_approve() -> None:
    plan = plan_for(ASKING, PENDING)
    short = approval_id(reboot_of(plan))

    assert look.held(plan) == Held(
        reason=Hold.APPROVAL,
        message="cores will take effect with a reboot; to reboot it (impact: reboot)"
        " needs an approval",
        remedy=f"look at it with `qlop plan`, then `qlop approve {short}`",
    )


def test_what_was_approved_is_done() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    plan = plan_for(ASKING, PENDING, approve(action))

    assert [planned.id for planned in plan.actions] == [action]
    assert (plan.asks, plan.reconsider_at) == ((), SOON)


@pytest.mark.parametrize(
    ("wanted", "have"),
    [
        pytest.param(want(saying(), options={"cores": "8"}), PENDING, id="another-value"),
        pytest.param(
            want(saying(), options={"cores": "4", "vga": "std"}),
            having(cores="4", vga="std", pending=["cores", "vga"]),
            id="more-than-that",
        ),
        pytest.param(ASKING, replace(PENDING, node=b.PVE2), id="on-another-node"),
    ],
)
def test_an_approval_is_for_exactly_that_action(wanted: DesiredGuest, have: ObservedGuest) -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    plan = plan_for(wanted, have, approve(action))

    assert "reboot" not in look.verbs(plan)


def test_an_approval_ends() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))

    assert look.answer(plan_for(ASKING, PENDING, approve(action, hours=0))) is Hold.APPROVAL


def done(action: ActionId, ending: Ending) -> tuple[JournalRecord, ...]:
    at = b.NOW - timedelta(minutes=30)
    return (
        b.intended(Verb.REBOOT, action=action, at=at),
        Dispatched(at=at, action=action, attempt=1, upid=None),
        Finished(at=at, action=action, attempt=1, ending=ending),
    )


def test_an_approval_is_for_one_time() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    used = plan_for(ASKING, PENDING, approve(action), history=done(action, Ending.SUCCEEDED))
    anew = plan_for(
        ASKING, PENDING, approve(action, at_hours=0), history=done(action, Ending.SUCCEEDED)
    )

    assert look.answer(used) is Hold.APPROVAL
    assert look.verbs(anew) == ("reboot",)


def test_what_failed_has_not_used_up_its_approval() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    plan = plan_for(ASKING, PENDING, approve(action), history=done(action, Ending.FAILED))

    assert look.verbs(plan) == ("reboot",)


def glass(scope: Scope, *, hours: float = 1) -> BreakGlass:
    return BreakGlass(
        id=OrderId("o9"),
        at=b.NOW,
        by="budi",
        reason="fire",
        until=b.NOW + timedelta(hours=hours),
        scope=scope,
    )


WAITING = want(saying(none=WINDOW, reboot=ASK), SHUT, options=CORES)


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        pytest.param(glass(EVERYTHING), ("configure", "reboot"), id="for-all"),
        pytest.param(
            glass(Scope(kind=ScopeKind.GUEST, name="web")), ("configure", "reboot"), id="for-it"
        ),
        pytest.param(
            glass(Scope(kind=ScopeKind.NODE, name="pve1")), ("configure", "reboot"), id="its-node"
        ),
        pytest.param(glass(Scope(kind=ScopeKind.GUEST, name="db")), Hold.WINDOW, id="another"),
        pytest.param(glass(EVERYTHING, hours=0), Hold.WINDOW, id="over"),
    ],
)
def test_an_emergency_waits_for_nobody(order: Order, answer: look.Answer) -> None:
    assert look.answer(plan_for(WAITING, having(cores="2"), order)) == answer


def test_an_emergency_does_not_change_what_is_only_to_be_told() -> None:
    wanted = want(saying({"onboot": WARN}))

    assert look.verbs(plan_for(wanted, having(), glass(EVERYTHING))) == ()


def test_a_guest_that_never_ran_has_no_users() -> None:
    """It was cloned, and is configured before its first start, whatever windows say."""
    wanted = want(saying(none=WINDOW), SHUT)
    clone = ActionId("web/clone/c0ffee")
    at = b.NOW - timedelta(minutes=1)
    history = (
        b.intended(Verb.CLONE, action=clone, at=at, witness=b.mark().witness),
        Dispatched(at=at, action=clone, attempt=1, upid=None),
        Finished(at=at, action=clone, attempt=1, ending=Ending.SUCCEEDED),
    )
    plan = plan_for(wanted, having(power=Power.STOPPED), history=history)

    assert look.verbs(plan) == ("configure", "start")


@pytest.mark.parametrize(
    ("consents", "answer"),
    [
        pytest.param(saying(), ("shutdown",), id="power-is-its-own-word"),
        pytest.param(saying({"power": ASK}), Hold.APPROVAL, id="unless-asked"),
        pytest.param(saying({"power": WARN}), None, id="or-left-to-people"),
    ],
)
def test_power(consents: Consents, answer: look.Answer) -> None:
    wanted = b.desired_guest(power=Power.STOPPED, consents=consents)

    assert look.answer(plan_for(wanted, b.guest())) == answer


def test_warnings_leave_a_guest_converged() -> None:
    wanted = want(saying({"onboot": WARN}))
    plan = plan_for(wanted, having())

    assert isinstance(look.verdict(plan), Converged)
    assert plan.verdicts[wanted.name].warnings


@pytest.mark.parametrize(
    ("name", "impact", "said"),
    [
        pytest.param("cores", Impact.REBOOT, ASK, id="by-its-impact"),
        pytest.param("net0.rate", Impact.HOT, WARN, id="the-property-first"),
        pytest.param("net0.bridge", Impact.HOT, WINDOW, id="then-the-option"),
        pytest.param("power", Impact.DOWNTIME, DO, id="power"),
        pytest.param("placement", Impact.DOWNTIME, ASK, id="placement"),
    ],
)
def test_which_word_counts(name: str, impact: Impact, said: Consent) -> None:
    consents = saying({"net0.rate": WARN, "net0": WINDOW})

    assert consents.of(name, impact) is said
