"""Decide for which guests a manifest can be written now, and say of the others why not."""

from collections.abc import Iterable
from dataclasses import dataclass

from qlop.manifest import export
from qlop.manifest.export import Skipped
from qlop.manifest.load import Loaded
from qlop.model.guest import GuestKind
from qlop.model.history import History
from qlop.model.ids import GuestName, NodeName, PoolId, VmId
from qlop.model.observed import Observed, ObservedGuest, ObservedTask
from qlop.model.reading import Absent, Known, Unknown
from qlop.planner import ownership
from qlop.planner.draft import CONSOLES
from qlop.planner.ownership import Ownership

_READERS = CONSOLES | {"vzdump"}
"""Tasks that leave a guest's configuration as it is."""
_HARMLESS_LOCKS = frozenset({"backup", "suspended"})
"""Locks under which the configuration stands: it may be written down, and adopted later."""

_BEING_MADE = frozenset({"clone", "create"})
"""Locks of a guest that is not whole yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which guests are wanted: those that meet each of these that is not empty."""

    vmids: frozenset[VmId] = frozenset()
    pools: frozenset[PoolId] = frozenset()
    nodes: frozenset[NodeName] = frozenset()
    tags: frozenset[str] = frozenset()

    def covers(self, guest: ObservedGuest) -> bool:
        """Return whether ``guest`` is wanted."""
        return (
            (not self.vmids or guest.vmid in self.vmids)
            and (not self.pools or guest.pool in self.pools)
            and (not self.nodes or guest.node in self.nodes)
            and (not self.tags or bool(self.tags & _tags(guest)))
        )


def unmet(choice: Choice, observed: Observed) -> tuple[str, ...]:
    """Return of what was asked for by name, and is not there, that it is not.

    ``observed`` has to be complete: from another view nothing is known to be absent.
    """
    guests = observed.guests.values()
    pools = {guest.pool for guest in guests}
    tags = frozenset[str]().union(*map(_tags, guests))
    nodes = ", ".join(sorted(observed.nodes))
    return (
        *(f"no guest has VMID {vmid}" for vmid in sorted(choice.vmids - observed.guests.keys())),
        *(
            f"there is no node {node}: there are {nodes}"
            for node in sorted(choice.nodes - observed.nodes.keys())
        ),
        *(f"no guest is in a pool {pool}" for pool in sorted(choice.pools - pools)),
        *(f"no guest has a tag {tag}" for tag in sorted(choice.tags - tags)),
    )


def blind(observed: Observed) -> str:
    """Return why nothing may be written from this view, empty if it is whole.

    Which guests there are, which nodes a cluster has, and which VMIDs nobody has can be
    told from a whole view only.
    """
    if observed.complete:
        return ""
    if observed.quorate == Known(value=False):
        return "the node that answered is in no quorate cluster: what it shows may be old"
    return "the cluster could not be seen whole"


def sort_out(
    loaded: Loaded, observed: Observed, history: History, choice: Choice
) -> tuple[list[ObservedGuest], list[Skipped]]:
    """Return the guests to be imported, and those that were asked for and can't be.

    Templates, and guests that are ours, are told of only if they were asked for by VMID.
    """
    assert loaded.desired is not None, "the manifests are free of errors"
    found = ownership.index(loaded.desired.cluster.name, observed, history)
    ours = _ours(found)
    claimed = export.claimed(loaded)
    tasks = _tasks(observed)
    wanted: list[ObservedGuest] = []
    skipped: list[Skipped] = []
    for guest in sorted(observed.guests.values(), key=lambda one: one.vmid):
        if not choice.covers(guest):
            continue
        needless = _needless(guest, ours, claimed.get(guest.vmid))
        if needless:
            if guest.vmid in choice.vmids or guest.vmid in claimed:
                skipped.append(Skipped(guest=guest, why=needless, is_needless=True))
            continue
        why = (
            _in_our_hands(guest, found, history)
            or _in_their_hands(guest, tasks.get(guest.vmid))
            or _unread(guest, observed)
        )
        if why:
            skipped.append(Skipped(guest=guest, why=why))
        else:
            wanted.append(guest)
    return wanted, skipped


def _ours(found: Ownership) -> dict[VmId, str]:
    """Return what each guest of ours is to us."""
    ours = {vmid: "a guest of ours" for vmids in found.doubled.values() for vmid in vmids}
    for (service, index), guest in found.owned.items():
        ours[guest.vmid] = f"guest {index} of {service}"
    for (service, index), guest in found.heirs.items():
        ours[guest.vmid] = f"what is to take the place of guest {index} of {service}"
    for (service, index), guests in found.formers.items():
        for guest in guests:
            ours[guest.vmid] = f"what was guest {index} of {service}"
    return ours


def _needless(guest: ObservedGuest, ours: dict[VmId, str], claimed: GuestName | None) -> str:
    """Return why a guest needs no manifest, empty if it does."""
    if guest.template:
        return "it is a template: a manifest names it as a source"
    if guest.vmid in ours:
        return f"it is ours already: {ours[guest.vmid]}"
    if claimed is not None:
        return f"it has a manifest already: {claimed} asks for its VMID"
    return ""


def _in_our_hands(guest: ObservedGuest, found: Ownership, history: History) -> str:
    """Return what qlop itself has to do with a guest that is not ours, or not ours yet."""
    for flying in history.inflight.values():
        if guest.vmid in flying.intended.touches:
            return (
                f"qlop's own {flying.intended.verb.value} of it has not been seen to its end;"
                " import it after that"
            )
    left = history.half_made.get(guest.vmid)
    if left is not None and left.kind is guest.kind and guest.lock in _BEING_MADE:
        return f"it is what qlop's {left.verb.value} of {left.name} left when it broke off"
    for (service, _), reserved in history.reservations.items():
        if reserved.vmid == guest.vmid and reserved.made and not reserved.sealed:
            return f"qlop made it for {service}, and has not marked it yet"
    if any(one is guest for one in found.mismatched.values()):
        return "it carries the mark of a guest of ours that had another UUID or MAC"
    return ""


def _in_their_hands(guest: ObservedGuest, task: ObservedTask | None) -> str:
    """Return what PVE does to a guest that may change what its configuration says."""
    by = f"{task.user} runs {task.verb} on it" if task is not None else ""
    if guest.lock and guest.lock not in _HARMLESS_LOCKS:
        locked = f"PVE holds it locked ({guest.lock})"
        if by:
            return f"{locked}: {by}; import it when that has ended"
        tool = "qm" if guest.kind is GuestKind.VM else "pct"
        return (
            f"{locked}, and no task that works on it is to be seen; if none does:"
            f" `{tool} unlock {guest.vmid}` on {guest.node}"
        )
    return f"{by}; import it when that has ended" if by else ""


def _unread(guest: ObservedGuest, observed: Observed) -> str:
    """Return why a guest's configuration is not known, empty if it is."""
    match guest.config:
        case Known():
            return ""
        case Absent():
            return "PVE lists it and has no configuration of it"
        case Unknown(reason=reason):
            node = observed.nodes.get(guest.node)
            if node is None or not node.online:
                return f"its configuration could not be read: {guest.node} is offline"
            return f"its configuration could not be read: {reason}"


def _tasks(observed: Observed) -> dict[VmId, ObservedTask]:
    running: Iterable[ObservedTask] = (
        task for task in observed.tasks if not task.exit_status and task.verb not in _READERS
    )
    return {task.vmid: task for task in running if task.vmid is not None}


def _tags(guest: ObservedGuest) -> frozenset[str]:
    return frozenset(filter(None, guest.tags.lower().replace(",", ";").split(";")))
