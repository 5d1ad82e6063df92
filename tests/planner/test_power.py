"""Power: what should run is started, what should not is shut down, gently."""

import pytest

from qlop.model.action import RebootGuest, ShutdownGuest
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.plan import Premise
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

ON = b.desired_guest()
OFF = b.desired_guest(power=Power.STOPPED)
OFF_HARD = b.desired_guest(power=Power.STOPPED, may_stop=True)
START = look.START
RESUME = look.RESUME
REBOOT = RebootGuest(
    subject=GuestName("web"),
    vmid=b.WEB_VMID,
    kind=GuestKind.VM,
    node=b.PVE1,
    grace_s=120,
    applies=("cores=2",),
)


def shutdown(*, force_stop: bool = False) -> ShutdownGuest:
    return ShutdownGuest(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=GuestKind.VM,
        node=b.PVE1,
        grace_s=120,
        force_stop=force_stop,
    )


def having(power: Power, **more: str) -> ObservedGuest:
    return b.guest(power=power, **more)  # type: ignore[arg-type]  # texts only


@pytest.mark.parametrize(
    ("want", "have", "actions"),
    [
        pytest.param(ON, having(Power.RUNNING), (), id="running-as-wanted"),
        pytest.param(ON, having(Power.STOPPED), (START,), id="starts-what-should-run"),
        pytest.param(ON, having(Power.PAUSED), (RESUME,), id="resumes-what-is-paused"),
        pytest.param(
            ON, having(Power.SUSPENDED, lock="suspended"), (START,), id="wakes-the-hibernated"
        ),
        pytest.param(OFF, having(Power.STOPPED), (), id="stopped-as-wanted"),
        pytest.param(OFF, having(Power.RUNNING), (shutdown(),), id="asks-it-to-shut-down"),
        pytest.param(
            OFF_HARD, having(Power.RUNNING), (shutdown(force_stop=True),), id="may-pull-the-plug"
        ),
        pytest.param(
            OFF_HARD, having(Power.PAUSED), (shutdown(force_stop=True),), id="stops-a-paused-one"
        ),
        pytest.param(
            OFF, having(Power.SUSPENDED, lock="suspended"), (), id="hibernated-is-stopped-enough"
        ),
        pytest.param(ON, having(Power.RUNNING, ha_state="started"), (), id="ha-runs-it-anyway"),
        pytest.param(ON, having(Power.STOPPED, ha_state="ignored"), (START,), id="ha-ignores-it"),
    ],
)
def test_power(want: DesiredGuest, have: ObservedGuest, actions: tuple[object, ...]) -> None:
    assert look.actions(look.plan_one(want, have)) == actions


@pytest.mark.parametrize(
    ("want", "have", "hold"),
    [
        pytest.param(ON, having(Power.UNKNOWN), Hold.POWER_UNKNOWN, id="nobody-says-if-it-runs"),
        pytest.param(ON, having(Power.STOPPED, lock="backup"), Hold.LOCKED, id="locked"),
        pytest.param(
            ON, having(Power.UNKNOWN, lock="suspended"), Hold.LOCKED, id="hibernated-or-not"
        ),
        pytest.param(
            ON, having(Power.STOPPED, ha_state="stopped"), Hold.HA_MANAGED, id="ha-stopped-it"
        ),
        pytest.param(
            OFF, having(Power.RUNNING, ha_state="started"), Hold.HA_MANAGED, id="ha-runs-it"
        ),
        pytest.param(OFF, having(Power.PAUSED), Hold.INTERRUPTION_NEEDED, id="paused-can't-hear"),
    ],
)
def test_power_is_left_alone(want: DesiredGuest, have: ObservedGuest, hold: Hold) -> None:
    plan = look.plan_one(want, have)

    assert plan.actions == ()
    assert look.held(plan).reason is hold


def test_a_start_insists_on_what_was_seen() -> None:
    (start,) = look.plan_one(ON, having(Power.STOPPED)).actions

    assert start.premise == Premise(mark=b.mark(), witness=b.mark().witness, power=Power.STOPPED)
    assert (start.impact, start.takes, start.after) == (Impact.HOT, ("node:pve1",), ())


def pending(*keys: str, power: Power = Power.RUNNING) -> ObservedGuest:
    options = {"cores": "2"}
    return b.guest(power=power, config=b.config(b.mark(), options=options, pending=keys))


CORES = {"cores": "2"}
WILLING = b.desired_guest(options=CORES, consents=b.WILLING)
UNWILLING = b.desired_guest(options=CORES)


@pytest.mark.parametrize(
    ("want", "have", "answer"),
    [
        pytest.param(WILLING, pending("cores"), ("reboot",), id="reboots-if-allowed"),
        pytest.param(UNWILLING, pending("cores"), Hold.APPROVAL, id="says-that-it-is-due"),
        pytest.param(WILLING, pending("vga"), None, id="what-is-not-declared-may-wait"),
        pytest.param(WILLING, pending(), None, id="nothing-pending"),
        pytest.param(
            b.desired_guest(options=CORES, consents=b.WILLING, power=Power.STOPPED),
            pending("cores", power=Power.STOPPED),
            None,
            id="a-stopped-guest-needs-none",
        ),
    ],
)
def test_reboot(want: DesiredGuest, have: ObservedGuest, answer: look.Answer) -> None:
    assert look.answer(look.plan_one(want, have)) == answer


def test_a_reboot_follows_the_write_that_needs_it() -> None:
    have = b.guest(config=b.config(b.mark(), options={"cores": "1"}))

    plan = look.plan_one(WILLING, have)

    assert look.verbs(plan) == ("configure", "reboot")
    assert look.actions(plan)[1] == REBOOT
    assert plan.actions[1].after == (plan.actions[0].id,)
    assert plan.actions[1].reason == "cores will take effect with a reboot"


@pytest.mark.parametrize(
    ("want", "hold"),
    [
        pytest.param(
            b.desired_guest(power=Power.STOPPED, options=CORES), Hold.LOCKED, id="to-be-changed"
        ),
        pytest.param(b.desired_guest(power=Power.STOPPED), None, id="as-it-should-be"),
    ],
)
def test_a_hibernated_guest_is_not_written_to(want: DesiredGuest, hold: Hold | None) -> None:
    plan = look.plan_one(want, having(Power.SUSPENDED, lock="suspended"))

    assert look.answer(plan) == hold
