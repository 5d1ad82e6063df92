import pytest

from qlop.model.action import ConfigureGuest
from qlop.model.consent import Consent, Consents
from qlop.model.desired import DesiredDisk, DesiredGuest, DesiredNic
from qlop.model.guest import GuestKind, Power
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.units import GIB
from qlop.model.verdict import Act, Converged, Held, Hold
from tests import builders as b
from tests.planner import look
from tests.planner.asking import (
    ASK,
    CORES,
    DO,
    IGNORE,
    OPEN,
    SHUT,
    WARN,
    WINDOW,
    having,
    plan_for,
    saying,
    want,
)


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
