"""Decide how an action ended whose answer was lost, by what is seen afterwards.

A lost answer is never repeated blindly. Either the cluster shows the task or its effect,
or enough time has passed that neither can come any more: only then it is taken as not
having arrived.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from qlop.model.action import Verb
from qlop.model.guest import Power
from qlop.model.history import (
    EXPECTS_DIGEST,
    EXPECTS_HEIR,
    EXPECTS_SEAL,
    EXPECTS_SLOT,
    Ending,
    Inflight,
    Intended,
)
from qlop.model.ids import Upid, VmId
from qlop.model.observed import Observed, ObservedGuest, ObservedTask
from qlop.model.reading import Known

SETTLE = timedelta(seconds=60)
"""How long after it was sent a request may still take effect.

It is counted from when the answer was known to be lost: between intending and sending
there was a look, which a slow node may have drawn out.

pveproxy gives up on another node after 30 s (``PVE/APIServer/AnyEvent.pm``), and the
worker there may wait 10 s each for a configuration lock and for the cluster's lock.
"""

SKEW = timedelta(seconds=5)
"""How far a node's clock may be behind ours."""

_WORKERS: dict[Verb, frozenset[str]] = {
    Verb.CREATE: frozenset({"qmcreate", "vzcreate"}),
    Verb.CLONE: frozenset({"qmclone", "vzclone"}),
    Verb.CONFIGURE: frozenset({"qmconfig"}),
    Verb.HAND_OVER: frozenset({"qmmove", "move_volume"}),
    Verb.RESIZE: frozenset({"resize"}),
    Verb.START: frozenset({"qmstart", "vzstart", "hastart"}),
    Verb.RESUME: frozenset({"qmresume", "vzresume"}),
    Verb.SHUTDOWN: frozenset({"qmshutdown", "vzshutdown", "hastop"}),
    Verb.REBOOT: frozenset({"qmreboot", "vzreboot"}),
    Verb.MIGRATE: frozenset({"qmigrate", "vzmigrate", "hamigrate"}),
    Verb.SNAPSHOT: frozenset({"qmsnapshot", "vzsnapshot"}),
    Verb.DELETE_SNAPSHOT: frozenset({"qmdelsnapshot", "vzdelsnapshot"}),
    Verb.ROLLBACK: frozenset({"qmrollback", "vzrollback"}),
    Verb.DESTROY: frozenset({"qmdestroy", "vzdestroy"}),
}

_NOT_ARRIVED = "the request did not arrive"

_UNSEEN: dict[Verb, str] = {
    Verb.REGENERATE: "whether the drive was written can't be seen; to write the same again is"
    " harmless",
}
"""What leaves no trace to tell it by, and is done again: PVE makes the cloud-init drive of the
configuration alone, and puts it in anew (``vmconfig_update_cloudinit_drive`` in
PVE/QemuServer.pm, PVE/QemuServer/Cloudinit.pm)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """The task was found: it will say how the action ends."""

    upid: Upid


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """It is known how the action ended."""

    ending: Ending
    message: str


def settle(flying: Inflight, observed: Observed, now: datetime) -> Adopt | Settled | None:
    """Return how an ambiguous action ended, or None while that can't be told."""
    intended = flying.intended
    if observed.quorate != Known(True) or not observed.complete:
        return None
    guest = observed.guests.get(intended.vmid)
    tasks = _tasks_of(intended, observed)
    running = [task for task in tasks if not task.exit_status]
    if intended.verb is Verb.CREATE and len(running) == 1:
        # A container shows its mark before it is whole (`create_vm` in PVE/API2/LXC.pm).
        return Adopt(upid=running[0].upid)
    if _is_effect_seen(intended, guest) or _is_handed_over(intended, observed):
        return Settled(ending=Ending.SUCCEEDED, message="the answer was lost; its effect is there")
    if len(tasks) == 1:
        return Adopt(upid=tasks[0].upid)
    doubtful = flying.doubtful_since or intended.at
    if now - doubtful < SETTLE or observed.taken_at - doubtful < SETTLE:
        return None
    if intended.verb in {Verb.CREATE, Verb.CLONE} and guest is not None:
        return _settled_birth(guest, observed) if not running else None
    if tasks:
        return None
    return Settled(ending=Ending.FAILED, message=_UNSEEN.get(intended.verb, _NOT_ARRIVED))


def _settled_birth(guest: ObservedGuest, observed: Observed) -> Settled | None:
    """Return what became of a creation that no task is at any more, and whose VMID is taken."""
    if not isinstance(guest.config, Known):
        return None
    if not guest.lock:
        return Settled(ending=Ending.FAILED, message=f"VMID {guest.vmid} went to somebody else")
    node = observed.nodes.get(guest.node)
    at_work = any(task.vmid == guest.vmid and not task.exit_status for task in observed.tasks)
    if node is None or not node.online or at_work:
        return None
    return Settled(
        ending=Ending.FAILED,
        message=f"it broke off: guest {guest.vmid} is left locked ({guest.lock}), and no task is"
        " at work on it",
    )


def _tasks_of(intended: Intended, observed: Observed) -> tuple[ObservedTask, ...]:
    """Return the tasks that may be this action's.

    A clone's task names the template, not the new guest: with several clones of one
    template under way more than one may fit, and only the mark on the guest tells. That
    of a hand-over names slots and heir: several disks of one guest go quickly one by one.
    """
    workers = _WORKERS.get(intended.verb, frozenset())
    slot, heir = intended.expects.get(EXPECTS_SLOT), intended.expects.get(EXPECTS_HEIR)
    handed = None if heir is None else f":{intended.vmid}-{slot}>{heir}-{slot}:"
    vmid = intended.source if intended.verb is Verb.CLONE else intended.vmid
    return tuple(
        task
        for task in observed.tasks
        if (handed is None or handed in task.upid)
        and task.verb in workers
        and task.vmid == vmid
        and task.started_at >= intended.at - SKEW
    )


def _is_effect_seen(intended: Intended, guest: ObservedGuest | None) -> bool:
    if guest is None:
        return intended.verb is Verb.DESTROY
    match intended.verb:
        case Verb.CREATE | Verb.CLONE:
            return not guest.lock and _has_our_mark(intended, guest)
        case Verb.CONFIGURE if EXPECTS_SEAL in intended.expects:
            return _is_sealed(guest, intended.expects[EXPECTS_SEAL])
        case Verb.CONFIGURE | Verb.RESIZE | Verb.REPLACE:
            before = intended.expects.get(EXPECTS_DIGEST, "")
            return (
                bool(before)
                and isinstance(guest.config, Known)
                and (guest.config.value.digest != before)
            )
        case Verb.START | Verb.RESUME:
            return guest.power is Power.RUNNING
        case Verb.SHUTDOWN:
            return guest.power is Power.STOPPED
        case Verb.MIGRATE:
            return guest.node == intended.target and not guest.lock
        case Verb.SNAPSHOT | Verb.DELETE_SNAPSHOT | Verb.ROLLBACK | Verb.REBOOT:
            return False
        case Verb.REGENERATE | Verb.ASSIGN_POOL | Verb.DESTROY | Verb.HAND_OVER:
            return False


def _is_handed_over(intended: Intended, observed: Observed) -> bool:
    """Return whether a disk that was to be handed over is the heir's."""
    if intended.verb is not Verb.HAND_OVER:
        return False
    slot, heir = intended.expects.get(EXPECTS_SLOT, ""), intended.expects.get(EXPECTS_HEIR, "")
    giver, taker = (
        _slots(observed.guests.get(VmId(int(vmid or 0)))) for vmid in (intended.vmid, heir)
    )
    return giver is not None and taker is not None and slot not in giver and slot in taker


def _slots(guest: ObservedGuest | None) -> frozenset[str] | None:
    """Return the slots in which a guest has disks, None if that is not known."""
    if guest is None or not isinstance(guest.config, Known):
        return None
    return frozenset(guest.config.value.disks)


def _is_sealed(guest: ObservedGuest, seal: str) -> bool:
    """Return whether guest and mark have the witness that sealing gives them.

    Another's write changes the digest too, and a seal taken for done is never set.
    """
    if not isinstance(guest.config, Known):
        return False
    config = guest.config.value
    return config.witness == seal and config.mark is not None and config.mark.witness == seal


def _has_our_mark(intended: Intended, guest: ObservedGuest) -> bool:
    if not isinstance(guest.config, Known):
        return False
    mark = guest.config.value.mark
    return (
        mark is not None
        and (mark.service, mark.index) == (intended.service, intended.index)
        and mark.vmid == guest.vmid
    )
