"""No guest starts while another guest of ours may have its address or MAC up."""

from dataclasses import replace

import pytest

from qlop.model.desired import DesiredGuest, DesiredNic
from qlop.model.guest import Power
from qlop.model.observed import ObservedGuest
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

MAC = "BC:24:11:00:00:09"


def want(
    service: str = "portal", *, ip: str = "10.0.20.11/24", tag: str = "20", mac: str = ""
) -> DesiredGuest:
    nic = DesiredNic(
        slot="net0",
        mac=mac or None,
        properties={"bridge": "vmbr0", "tag": tag, "model": "virtio"},
    )
    options = {"ipconfig0": {"ip": ip}}
    return b.desired_guest(service, nics=(nic,), options=options)


def guest(
    service: str, vmid: int, power: Power, mac: str, ip: str = "10.0.20.11/24"
) -> ObservedGuest:
    config = b.config(
        b.mark(service, vmid=vmid),
        options={"ipconfig0": {"ip": ip}},
        nics=[b.nic(mac=mac, tag="20")],
    )
    return b.guest(vmid, name=service, power=power, config=config)


OLD = guest("web", 10000, Power.RUNNING, "BC:24:11:00:00:01")
NEW = guest("portal", 10001, Power.STOPPED, MAC)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(OLD, want(), id="an-orphan-that-runs"),
        pytest.param(replace(OLD, power=Power.UNKNOWN), want(), id="that-may-run"),
        pytest.param(replace(OLD, power=Power.PAUSED), want(), id="that-is-paused"),
        pytest.param(guest("web", 10000, Power.RUNNING, MAC, "dhcp"), want(mac=MAC), id="one-mac"),
    ],
)
def test_it_is_not_started(old: ObservedGuest, new: DesiredGuest) -> None:
    plan = look.plan_of(b.desired(new), b.observed(old, NEW))

    assert "start" not in look.verbs(plan, "portal")
    assert look.held(plan, "portal").reason is Hold.ADDRESS_IN_USE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(replace(OLD, power=Power.STOPPED), want(), id="the-other-is-stopped"),
        pytest.param(OLD, want(ip="10.0.20.12/24"), id="another-address"),
        pytest.param(OLD, want(tag="30"), id="another-vlan"),
        pytest.param(OLD, want(ip="dhcp"), id="no-fixed-address"),
    ],
)
def test_it_is_started(old: ObservedGuest, new: DesiredGuest) -> None:
    ours = b.config(b.mark("portal", vmid=10001), nics=[b.nic(mac=MAC, tag="20")])
    there = replace(NEW, config=look.known(ours))

    plan = look.plan_of(b.desired(new), b.observed(old, there))

    assert look.verbs(plan, "portal")[-1] == "start"


def test_the_hold_names_who_has_it() -> None:
    plan = look.plan_of(b.desired(want()), b.observed(OLD, NEW))

    held = look.held(plan, "portal")
    assert held.message == (
        "it is not started: 10.0.20.11 is also that of web (10000 on pve1), which is running"
    )
    assert held.remedy == "shut web down, or give one of them another address"


def test_of_two_that_are_down_one_is_started() -> None:
    old = replace(OLD, power=Power.STOPPED)

    plan = look.plan_of(b.desired(want(), want("web")), b.observed(old, NEW))

    assert look.verbs(plan, "portal")[-1] == "start"
    assert look.held(plan, "web").reason is Hold.ADDRESS_IN_USE
