"""Decide power: start what should run, shut down what should not."""

from datetime import timedelta
from typing import assert_never

from qlop.model.action import RebootGuest, ResumeGuest, ShutdownGuest, StartGuest
from qlop.model.desired import DesiredGuest
from qlop.model.guest import OptionValue, Power
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import render_properties
from qlop.model.verdict import Held, Hold
from qlop.planner.step import Step, Steps, premise_of


def plan_power(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    """Return what brings an owned guest to the power state its manifest asks for.

    A guest under the HA manager is left to it: two masters would undo each other's work.
    """
    if guest.power is want.power:
        return Steps()
    if guest.power is Power.UNKNOWN:
        return Steps(
            held=Held(
                reason=Hold.POWER_UNKNOWN,
                message=f"{guest.node} does not say whether it runs",
                remedy="wait for the node's statistics, or look at pvestatd there",
            )
        )
    if is_ha_managed(guest):
        return Steps(held=_ha_hold(want, guest))
    match want.power:
        case Power.RUNNING:
            return Steps(steps=(_start(want, guest, have),))
        case Power.STOPPED:
            return _stop(want, guest, have)
        case Power.PAUSED | Power.SUSPENDED | Power.UNKNOWN:
            return Steps()
        case _ as never:
            assert_never(never)


def shutdown(
    subject: GuestName, guest: ObservedGuest, grace: timedelta, *, force_stop: bool
) -> ShutdownGuest:
    """Return the shutdown of a guest, which is given ``grace`` for it.

    With ``force_stop`` PVE pulls the plug after that; without, the shutdown has failed.
    """
    return ShutdownGuest(
        subject=subject,
        vmid=guest.vmid,
        kind=guest.kind,
        node=guest.node,
        grace_s=int(grace.total_seconds()),
        force_stop=force_stop,
    )


def reboot_step(
    want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, pending: tuple[str, ...]
) -> Step:
    """Return the reboot that applies what PVE keeps pending, or will."""
    names = ", ".join(pending)
    action = RebootGuest(
        subject=want.name,
        vmid=guest.vmid,
        kind=want.kind,
        node=guest.node,
        grace_s=int(want.shutdown_timeout.total_seconds()),
        applies=tuple(f"{key}={_wanted(want, key)}" for key in pending),
    )
    return Step(
        action=action,
        reason=f"{names} will take effect with a reboot",
        impact=Impact.REBOOT,
        premise=premise_of(have, Power.RUNNING),
        takes=(f"node:{guest.node}",),
        disrupts=True,
    )


def _wanted(want: DesiredGuest, key: str) -> str:
    """Return what a pending option will be once it is in effect, as its manifest says."""
    said: dict[str, OptionValue] = {disk.slot: disk.properties for disk in want.disks}
    said |= {nic.slot: nic.properties for nic in want.nics}
    value = {**said, **want.options}.get(key, "")
    return value if isinstance(value, str) else render_properties(value)


def is_ha_managed(guest: ObservedGuest) -> bool:
    """Return whether the HA manager owns the guest's power and placement."""
    return bool(guest.ha_state) and guest.ha_state != "ignored"


def _start(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Step:
    kind = ResumeGuest if guest.power is Power.PAUSED else StartGuest
    return Step(
        action=kind(subject=want.name, vmid=guest.vmid, kind=want.kind, node=guest.node),
        reason=f"it is {guest.power.value} and should be running",
        impact=Impact.HOT,
        premise=premise_of(have, guest.power),
        takes=(f"node:{guest.node}",),
    )


def _stop(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    if guest.power is Power.SUSPENDED:
        return Steps()
    if guest.power is Power.PAUSED and not want.may_stop:
        # "VM is paused - cannot shutdown": `vm_shutdown` in PVE/API2/Qemu.pm.
        return Steps(
            held=Held(
                reason=Hold.INTERRUPTION_NEEDED,
                message="it is paused and should be stopped: PVE can't shut a paused VM down,"
                " only pull its plug",
                remedy="resume or stop it by hand, or set spec.shutdown.thenStop: true",
            )
        )
    step = Step(
        action=shutdown(want.name, guest, want.shutdown_timeout, force_stop=want.may_stop),
        reason=f"it is {guest.power.value} and should be stopped",
        impact=Impact.DOWNTIME,
        premise=premise_of(have, guest.power),
        takes=(f"node:{guest.node}",),
        disrupts=True,
    )
    return Steps(steps=(step,))


def _ha_hold(want: DesiredGuest, guest: ObservedGuest) -> Held:
    return Held(
        reason=Hold.HA_MANAGED,
        message=f"it is {guest.power.value}, should be {want.power.value}, and the HA manager"
        f" owns its power (state {guest.ha_state})",
        remedy="change its state in HA, or take it out of HA",
    )
