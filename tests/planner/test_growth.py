"""A disk whose configuration says less than its volume has is read, or told to a person."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import Action, ConfigureGuest, ResizeDisk
from qlop.model.desired import DesiredDisk
from qlop.model.guest import GuestKind, Power
from qlop.model.history import WITHOUT_EFFECT, Failure, History, Repetition
from qlop.model.plan import Plan
from qlop.model.units import GIB
from qlop.model.verdict import Hold
from qlop.planner.step import action_id
from tests import builders as b
from tests.planner import look

VM, CT = GuestKind.VM, GuestKind.CONTAINER
ENDED_WELL = f"{WITHOUT_EFFECT} scsi0 has only 3221225472 bytes"
SHRINKS = "shrinking disks is not supported"
ALREADY = "disk is already at specified size"
AGO = b.NOW - timedelta(minutes=20)


def planned(kind: GuestKind, history: History) -> Plan:
    slot, config = "scsi0", b.config(b.mark(), disks=[b.disk(cache="none")])
    if kind is CT:
        slot = "rootfs"
        disks, nics = [b.disk("rootfs")], [b.container_nic()]
        config = b.config(b.container_mark(), disks=disks, nics=nics)
    want = b.desired_guest(kind=kind, disks=(DesiredDisk(slot=slot, size_bytes=8 * GIB),))
    guest = b.guest(kind=kind, power=Power.RUNNING, config=config)
    return look.plan_of(b.desired(want), b.observed(guest), history)


def growth(kind: GuestKind = VM) -> ResizeDisk:
    (action,) = look.actions(planned(kind, History()))
    assert isinstance(action, ResizeDisk)
    return action


def failed(action: Action, message: str, count: int = 1) -> History:
    failure = Failure(count=count, at=AGO, error="transient", message=message)
    return History(failures={action_id(action): failure})


@pytest.mark.parametrize("message", [ENDED_WELL, SHRINKS, f"500 {ALREADY}"])
def test_a_disk_that_pve_takes_for_large_enough_is_written_as_it_is(message: str) -> None:
    """With that PVE reads the size of the volume."""
    plan = planned(VM, failed(growth(), message))

    (read,) = plan.actions
    assert isinstance(read.action, ConfigureGuest)
    assert read.action.set == {"scsi0": "nas:vm-10000-disk-0,cache=none,size=8G"}
    assert (read.action.delete, read.action.digest) == ((), "d1")
    assert read.reason == "scsi0 should be 8GiB, and may be: PVE is to read its size"


def test_a_disk_that_could_not_grow_for_another_reason_is_grown_again() -> None:
    plan = planned(VM, failed(growth(), "insufficient free space"))

    assert look.verbs(plan) == ("resize",)


def test_a_disk_whose_size_was_read_since_is_grown_again() -> None:
    history = failed(growth(), ENDED_WELL)
    (read,) = planned(VM, history).actions
    done = Repetition(count=1, at=AGO + timedelta(minutes=1))

    plan = planned(VM, replace(history, repetitions={read.id: done}))

    assert look.verbs(plan) == ("resize",)


def test_a_container_s_volume_that_is_large_enough_is_told() -> None:
    """What is written of its disk would wait for a reboot."""
    plan = planned(CT, failed(growth(CT), f"500 {ALREADY}"))

    held = look.held(plan)
    assert look.actions(plan) == ()
    assert held.reason is Hold.UNSUPPORTED_CHANGE
    assert held.message == (
        "rootfs is 3GiB by its configuration and should be 8GiB, and PVE says of its volume:"
        " 500 disk is already at specified size"
    )
    assert held.remedy.startswith(f"`pct rescan --vmid {b.WEB_VMID}` on pve1")
    assert plan.reconsider_at == held.until == AGO + timedelta(hours=1)
    assert plan.unsure == {b.WEB_VMID}


def test_a_container_s_volume_is_asked_to_grow_again_after_an_hour() -> None:
    """It may have been rolled back since, to a size at which it has to grow."""
    history = failed(growth(CT), ALREADY)
    (grow,) = history.failures
    long_ago = replace(history.failures[grow], at=b.NOW - timedelta(hours=1))

    assert look.verbs(planned(CT, History(failures={grow: long_ago}))) == ("resize",)
