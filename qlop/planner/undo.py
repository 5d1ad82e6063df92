"""Bring back what a guest was before a change that turned out bad."""

from qlop.model.action import (
    ConfigureGuest,
    RebootGuest,
    RollbackSnapshot,
    ShutdownGuest,
    StartGuest,
)
from qlop.model.desired import DesiredGuest, DesiredService
from qlop.model.device import CLOUD_INIT_VOLUME
from qlop.model.guest import Power
from qlop.model.history import EXPECTS_CLOUD_INIT, EXPECTS_DIGEST
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.plan import Change
from qlop.model.reading import Known, Unknown
from qlop.model.trial import Part, Trial
from qlop.model.verdict import Held, Hold
from qlop.planner import config, earlier, power
from qlop.planner.step import Step, Steps, premise_of


def steps_back(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    trial: Trial,
    service: DesiredService,
) -> Steps:
    """Return what is left to do; nothing if all is as it was.

    The disks first, if they are rolled back at all: with them comes the configuration of
    that time. Then the options that still differ, then the start that makes them count.
    """
    if guest.power not in {Power.RUNNING, Power.STOPPED, Power.PAUSED}:
        return Steps(
            held=Held(
                reason=Hold.POWER_UNKNOWN,
                message=f"its change is to be undone, and it is {guest.power.value}",
                remedy="wait for its node's statistics, or see to it by hand",
            )
        )
    if power.is_ha_managed(guest):
        return Steps(
            held=Held(
                reason=Hold.HA_MANAGED,
                message="its change is to be undone, and the HA manager owns its power",
                remedy="take it out of HA, or undo the change by hand",
            )
        )
    if service.rollback.disks and trial.applied_at is not None and not trial.rolled_back:
        rolled = _rollback(want, guest, have, trial)
        if rolled is not None:
            return rolled
    steps = list(_configure(want, guest, have, trial))
    steps += _power(want, guest, have, trial, written=bool(steps))
    return Steps(steps=tuple(steps))


def _rollback(
    want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, trial: Trial
) -> Steps | None:
    """Return the rollback of the disks; None if there is no snapshot to go back to."""
    if isinstance(guest.snapshots, Unknown):
        return Steps(
            held=Held(
                reason=Hold.OBSERVATION_INCOMPLETE,
                message="its disks are to be rolled back, and its snapshots could not be listed",
                remedy="see that the token may VM.Audit the guest and that its node answers",
            )
        )
    listed = guest.snapshots.value if isinstance(guest.snapshots, Known) else ()
    if not any(one.name == trial.snapshot and one.ours and not one.stage for one in listed):
        return None
    action = RollbackSnapshot(
        subject=want.name,
        vmid=guest.vmid,
        kind=want.kind,
        node=guest.node,
        snapshot=trial.snapshot,
        start=want.power is Power.RUNNING,
    )
    step = Step(
        action=action,
        reason=_reason(trial),
        impact=Impact.DATA_LOSS,
        premise=premise_of(have),
        takes=(f"node:{guest.node}",),
        disrupts=True,
        part=Part.UNDO,
    )
    return Steps(steps=(step,))


def _configure(
    want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, trial: Trial
) -> tuple[Step, ...]:
    found = earlier.differing(want.kind, trial.before, have)
    if not found:
        return ()
    expects = {EXPECTS_DIGEST: have.digest}
    drive = any(CLOUD_INIT_VOLUME in disk.volume for disk in have.disks.values())
    if drive and any(config.is_cloud_init(key) for key in found):
        expects[EXPECTS_CLOUD_INIT] = "changed"
    action = ConfigureGuest(
        subject=want.name,
        vmid=guest.vmid,
        kind=want.kind,
        node=guest.node,
        digest=have.digest,
        set={key: value for key, value in found.items() if value},
        delete=tuple(key for key, value in found.items() if not value),
    )
    changes = tuple(
        Change(
            field=key,
            old=earlier.value_of(want.kind, key, have),
            new=value,
            impact=Impact.REBOOT,
        )
        for key, value in found.items()
    )
    return (
        Step(
            action=action,
            reason=_reason(trial),
            impact=Impact.REBOOT if guest.power is Power.RUNNING else Impact.NONE,
            premise=premise_of(have),
            takes=(f"node:{guest.node}",),
            expects=expects,
            changes=changes,
            part=Part.UNDO,
        ),
    )


def _power(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    trial: Trial,
    *,
    written: bool,
) -> tuple[Step, ...]:
    """Return the start or reboot with which what was written counts."""
    if want.power is not Power.RUNNING:
        return ()
    takes = (f"node:{guest.node}",)
    if guest.power is Power.STOPPED:
        start = StartGuest(subject=want.name, vmid=guest.vmid, kind=want.kind, node=guest.node)
        return (
            Step(
                action=start,
                reason=_reason(trial),
                impact=Impact.HOT,
                premise=premise_of(have, Power.STOPPED),
                takes=takes,
                part=Part.UNDO,
            ),
        )
    pending = have.pending & set(trial.before)
    applied = trial.applied_at is not None and not trial.failed
    if not pending and not (written and applied):
        return ()
    return (
        Step(
            action=_down(want, guest, trial),
            reason=_reason(trial),
            impact=Impact.REBOOT,
            premise=premise_of(have, Power.RUNNING),
            takes=takes,
            disrupts=True,
            part=Part.UNDO,
        ),
    )


def _down(want: DesiredGuest, guest: ObservedGuest, trial: Trial) -> RebootGuest | ShutdownGuest:
    """Return how it goes down: what is unwell may not listen, and its plug may be pulled."""
    if want.may_stop:
        return power.shutdown(want.name, guest, want.shutdown_timeout, force_stop=True)
    return RebootGuest(
        subject=want.name,
        vmid=guest.vmid,
        kind=want.kind,
        node=guest.node,
        grace_s=int(want.shutdown_timeout.total_seconds()),
        applies=("what was before", *sorted(trial.before)),
    )


def _reason(trial: Trial) -> str:
    assert trial.bad is not None, "only what was judged bad is undone"
    return f"its change was bad: {trial.bad.reason}"
