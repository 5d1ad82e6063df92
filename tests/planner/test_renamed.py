"""An orphan that a new service looks like is asked about, and not shut down before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.desired import DesiredDisk, DesiredGuest, DesiredNic
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.ids import GuestName, OrderId, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.orders import Approve
from qlop.model.plan import Plan
from qlop.model.policy import Policy, Prune, Pruning
from qlop.model.units import GIB
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

OLD = "10.0.20.11/24"
STOP = Policy(prune=Pruning(mode=Prune.STOP))


SYSTEM = DesiredDisk(slot="scsi0", size_bytes=3 * GIB, storage=b.NAS)


def want(
    service: str = "portal",
    ip: str = OLD,
    disks: tuple[DesiredDisk, ...] = (SYSTEM,),
    **more: object,
) -> DesiredGuest:
    nic = DesiredNic(slot="net0", mac=None, properties={"bridge": "vmbr0", "model": "virtio"})
    options: dict[str, OptionValue] = {"name": service, "cores": "2", "ipconfig0": {"ip": ip}}
    guest = b.desired_guest(service, nics=(nic,), options=options, disks=disks)
    return replace(guest, **more)  # type: ignore[arg-type]  # fields of the guest


def orphan(service: str = "web", vmid: int = 10005, ip: str = OLD) -> ObservedGuest:
    options: dict[str, OptionValue] = {"name": service, "cores": "2", "ipconfig0": {"ip": ip}}
    config = b.config(
        b.mark(service, vmid=vmid), options=options, disks=[b.disk()], nics=[b.nic()]
    )
    return b.guest(vmid, name=service, config=config)


def planned(*wants: DesiredGuest, there: tuple[ObservedGuest, ...], policy: Policy) -> Plan:
    return look.plan_of(b.desired(*wants, policy=policy), b.observed(*there))


@pytest.mark.parametrize(
    ("new", "why"),
    [
        pytest.param(want(), "portal (web.yaml) asks for its address, 10.0.20.11", id="address"),
        pytest.param(
            want(ip="10.0.20.12/24", vmid=VmId(10005)),
            "portal (web.yaml) asks for its VMID, 10005",
            id="vmid",
        ),
        pytest.param(want(ip="dhcp"), "portal (web.yaml) is just like it", id="all-else"),
    ],
)
def test_an_orphan_that_looks_renamed_is_asked_about(new: DesiredGuest, why: str) -> None:
    ip = "dhcp" if new.options["ipconfig0"] == {"ip": "dhcp"} else OLD
    plan = planned(new, there=(orphan(ip=ip),), policy=Policy())

    held = look.held(plan)
    assert held.reason is Hold.ORPHANED
    assert held.message.endswith(f"; the policy keeps it; renamed? {why}")
    assert "call it web again; or carry it over: write " in held.remedy
    assert "guestName: web for portal, `qlop release web`, then `qlop adopt" in held.remedy


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(want(ip="10.0.20.12/24"), id="another-address"),
        pytest.param(replace(want(), kind=GuestKind.CONTAINER), id="another-kind"),
        pytest.param(want(ip="dhcp", disks=()), id="nothing-to-tell-by"),
    ],
)
def test_another_guest_is_no_new_name(new: DesiredGuest) -> None:
    plan = planned(new, there=(orphan(),), policy=Policy())

    assert "renamed?" not in look.held(plan).message


def test_of_an_orphan_that_became_a_template_it_is_not_asked() -> None:
    plan = planned(want(), there=(replace(orphan(), template=True),), policy=Policy())

    assert look.held(plan).reason is Hold.IS_TEMPLATE
    assert "renamed?" not in look.held(plan).message


def test_of_two_that_are_alike_nobody_can_say_which_it_is() -> None:
    wants = want(ip="dhcp"), want("shop", ip="dhcp")

    plan = planned(*wants, there=(orphan(ip="dhcp"),), policy=Policy())

    assert "renamed?" not in look.held(plan).message


def test_a_guest_that_was_in_use_has_no_new_name() -> None:
    other = orphan("portal", 10006)

    plan = planned(want(), there=(orphan(), other), policy=Policy())

    assert "renamed?" not in look.held(plan).message


def test_no_policy_shuts_it_down_before_somebody_agreed() -> None:
    source = look.source_of(b.desired(want(), policy=STOP), b.observed(orphan()))

    plan = look.audited(source)

    assert look.verbs(plan, "web") == ()
    assert look.held(plan).reason is Hold.APPROVAL
    (ask,) = plan.asks
    order = Approve(
        id=OrderId("o1"),
        at=b.NOW,
        by="siti",
        reason="",
        until=b.NOW + timedelta(hours=1),
        action=ask.id,
    )
    agreed = look.plan_of(b.desired(want(), policy=STOP), b.observed(orphan()), orders=[order])
    assert look.verbs(agreed, "web") == ("shutdown",)


def test_what_is_just_like_it_but_has_no_address_of_it_holds_nothing_back() -> None:
    plan = planned(want(ip="dhcp"), there=(orphan(ip="dhcp"),), policy=STOP)

    assert look.verbs(plan, "web") == ("shutdown",)


def test_a_stopped_one_that_was_built_is_told_how_to_go_back_alone() -> None:
    built = replace(orphan("portal", 10006), power=Power.STOPPED)

    plan = planned(want(), there=(orphan(), built), policy=Policy())

    assert look.held(plan).remedy.startswith("call it web again; if it was not: put its")
    assert look.held(plan, "portal").reason is Hold.ADDRESS_IN_USE


def test_replicas_keep_their_names() -> None:
    first = replace(want(), name=GuestName("portal-1"))
    second = replace(want(ip="10.0.20.12/24"), name=GuestName("portal-2"), index=2)

    plan = planned(first, second, there=(orphan(),), policy=Policy())

    assert "carry it over" not in look.held(plan).remedy
    assert "renamed? portal-1" in look.held(plan).message
