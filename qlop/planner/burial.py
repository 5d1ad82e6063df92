"""Keep tombstones: set one on an orphan that is stopped, take it away when it is not to go.

A tombstone stands for one guest as it was when it was seen stopped. Whoever changes the
guest, starts it, or puts its manifest back takes the ground from under it; so does a
journal that is lost. The time of grace then begins anew.
"""

from qlop.model.action import DestroyGuest, RebootGuest, ShutdownGuest, Verb
from qlop.model.guest import Power
from qlop.model.history import Reprieve, Tombstone
from qlop.model.ids import GuestName
from qlop.model.observed import GuestConfig, ObservedBackup, ObservedGuest
from qlop.model.policy import Prune
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place
from qlop.planner.step import orphan_name

GIVEN_UP = "no manifest names it any more"
"""Why most orphans are orphans."""


def known_as(draft: Draft, guest: ObservedGuest, place: Place) -> GuestName:
    """Return what people called an orphan while a manifest named it.

    The journal knows. Without it, the first guest of a service that has the service's
    name in PVE was called like its service.
    """
    service, index = place
    reserved = draft.source.history.reservations.get(place)
    name = orphan_name(service, index)
    if reserved is not None and reserved.vmid == guest.vmid and reserved.name:
        name = reserved.name
    elif index == 1 and guest.name == service:
        name = GuestName(service)
    if name in draft.source.desired.guests or name in draft.verdicts:
        return GuestName(f"{name}@{guest.vmid}")
    return name


def standing(
    draft: Draft, place: Place, guest: ObservedGuest, have: GuestConfig
) -> Tombstone | None:
    """Return the tombstone of exactly this guest as it is now, None if there is none."""
    stone = draft.source.history.tombstones.get(guest.vmid)
    if stone is None or (stone.service, stone.index) != place:
        return None
    return stone if (stone.witness, stone.digest) == (have.witness, have.digest) else None


def tombstone(
    draft: Draft, name: GuestName, place: Place, guest: ObservedGuest, have: GuestConfig
) -> Tombstone:
    """Return a tombstone that begins now."""
    return Tombstone(
        at=draft.source.now,
        service=place[0],
        index=place[1],
        vmid=guest.vmid,
        name=name,
        witness=have.witness,
        digest=have.digest,
    )


def grace_hold(
    draft: Draft, stone: Tombstone, backup: ObservedBackup | Held | None, why: str
) -> Held:
    """Return the hold of a guest in its time of grace; ``backup`` is what will be asked for."""
    until = stone.at + draft.source.desired.cluster.policy.prune.grace
    draft.wake(until)
    lacks = ""
    if isinstance(backup, Held) and backup.reason is Hold.BACKUP_NEEDED:
        lacks = f"; and then only with a backup: {backup.message}"
    return Held(
        reason=Hold.TOMBSTONED,
        message=f"{why}; it is stopped, kept until"
        f" {until:%Y-%m-%d %H:%M} UTC, and then destroyed with its disks{lacks}",
        remedy="to keep it: "
        + ("put its manifest back, or " if why == GIVEN_UP else "")
        + f"qlop undelete {stone.name}",
        until=until,
    )


def turn_hold(draft: Draft, guest: ObservedGuest) -> Held | None:
    """Return why it is not a guest's turn to be destroyed, None if it is.

    One at a time on a node, no more than the fuse lets pass, and none while this plan
    takes any other guest from its users: nobody waits for a destruction.
    """
    policy = draft.source.desired.cluster.policy
    struck = [
        planned.action
        for chain in draft.actions.values()
        for planned in chain
        if isinstance(planned.action, DestroyGuest | ShutdownGuest | RebootGuest)
    ]
    flying = [
        one.intended.node
        for one in draft.source.history.inflight.values()
        if one.intended.verb is Verb.DESTROY
    ]
    going = [one.node for one in struck if isinstance(one, DestroyGuest)]
    limit = max(policy.fuse.guests, int(policy.fuse.share * len(draft.ownership.owned)), 1)
    owned = draft.ownership.owned.values()
    unsure = sorted(one.vmid for one in owned if one.power is Power.UNKNOWN)
    if unsure:
        return Held(
            reason=Hold.POWER_UNKNOWN,
            message="its time of grace is over; nobody is destroyed before it is known what"
            f" {', '.join(map(str, unsure[:5]))} is doing",
        )
    if len(going) == len(struck) < limit and guest.node not in {*flying, *going}:
        return None
    return Held(
        reason=Hold.BUDGET,
        message="its time of grace is over; it is destroyed when no other guest is being"
        f" destroyed on {guest.node}, and none shut down or rebooted",
    )


def reprieves(draft: Draft) -> list[Reprieve]:
    """Return what takes away the tombstones that no longer stand."""
    history = draft.source.history
    found: list[Reprieve] = []
    flying = {vmid for one in history.inflight.values() for vmid in one.intended.touches}
    for stone in history.tombstones.values():
        if stone.vmid in flying:
            continue
        reason = _reprieved_by(draft, stone)
        if reason:
            found.append(
                Reprieve(
                    at=draft.source.now,
                    service=stone.service,
                    index=stone.index,
                    vmid=stone.vmid,
                    name=stone.name,
                    reason=reason,
                )
            )
    return sorted(found, key=lambda one: one.vmid)


def _reprieved_by(draft: Draft, stone: Tombstone) -> str:
    """Return why a tombstone no longer stands; empty if it does, or if that can't be told."""
    place = (stone.service, stone.index)
    guest = draft.source.observed.guests.get(stone.vmid)
    if guest is None:
        return "the guest is gone"
    if not isinstance(guest.config, Known):
        return ""
    owners = draft.ownership
    others = {one.vmid for one in owners.formers.get(place, ())}
    others |= {owners.heirs[place].vmid} if place in owners.heirs else set()
    if owners.owned.get(place) is not guest and guest.vmid not in others:
        return "the guest is another one, or no longer ours"
    if guest.vmid not in others and any(
        (want.service, want.index) == place for want in draft.source.desired.guests.values()
    ):
        return "a manifest names it again"
    if draft.source.desired.cluster.policy.prune.mode is not Prune.DESTROY:
        return "the policy keeps it"
    if place in draft.orders.undeleted:
        return f"{draft.orders.undeleted[place].by} undeleted it"
    if guest.power in {Power.RUNNING, Power.PAUSED}:
        return "somebody started it"
    return ""
