"""Account for what nodes and storages have to give, the plan so far included."""

from collections import Counter
from collections.abc import Mapping

from qlop.model.desired import Desired, DesiredGuest
from qlop.model.guest import Power
from qlop.model.ids import NodeName, ServiceName, StorageId
from qlop.model.node import ObservedStorage
from qlop.model.observed import Observed, ObservedGuest
from qlop.planner.ownership import Ownership

THIN_PLUGINS = frozenset(
    {"lvmthin", "zfspool", "rbd", "dir", "nfs", "cifs", "btrfs", "cephfs", "zfs"}
)
"""Storage types that allocate blocks when they are written, so an empty disk is free."""


class Capacity:
    """The books of one plan. The only mutable part of planning besides the draft."""

    def __init__(self, desired: Desired, observed: Observed, ownership: Ownership) -> None:
        self._desired = desired
        self._observed = observed
        self._memory: Counter[NodeName] = Counter()
        self._taken: Counter[str] = Counter()
        self.suspended: frozenset[NodeName] = frozenset()
        """Nodes that nothing may be brought to."""
        self.left: frozenset[NodeName] = frozenset()
        """Nodes that PVE is taking the guests from."""
        self.was_asked = False
        """Whether anything that was decided depends on these books."""
        self._services: dict[NodeName, Counter[ServiceName]] = {}
        self._apart = _apart(desired)
        wanted = {(guest.service, guest.index): guest for guest in desired.guests.values()}
        ours = [*ownership.owned.items(), *ownership.heirs.items()]
        places = {guest.vmid: place for place, guest in ours}
        for guest in observed.guests.values():
            if guest.template:
                continue
            place = places.get(guest.vmid)
            want = wanted.get(place) if place is not None else None
            self._memory[guest.node] += promised_bytes(guest, want)
            if place is not None:
                self._services.setdefault(guest.node, Counter())[place[0]] += 1

    def promise(self, node: NodeName, service: ServiceName, memory_bytes: int) -> None:
        """Book a guest that will be on ``node``."""
        self._memory[node] += memory_bytes
        self._services.setdefault(node, Counter())[service] += 1

    def leave(self, node: NodeName, service: ServiceName) -> None:
        """Note that a guest will leave ``node``.

        Its memory stays booked there: until it has left, which may take an hour or fail,
        nobody else can have it.
        """
        self._services.setdefault(node, Counter())[service] -= 1

    def vacate(self, node: NodeName, service: ServiceName, memory_bytes: int) -> None:
        """Book a guest out that is down before the one for whom this is done starts."""
        self.leave(node, service)
        self._memory[node] -= memory_bytes

    def take(self, storage: ObservedStorage, size_bytes: int) -> None:
        """Book bytes that will be written to ``storage``."""
        self._taken[queue_of(storage)] += size_bytes

    def memory_free(self, node: NodeName) -> int:
        """Return the bytes of memory that may still be promised on ``node``."""
        self.was_asked = True
        policy = self._desired.cluster.policy
        have = self._observed.nodes[node].memory_bytes
        usable = have * (1 - policy.memory_reserve_share) * policy.memory_overcommit
        return int(usable) - self._memory[node]

    def memory_promised(self, node: NodeName) -> int:
        """Return the bytes promised on ``node`` so far."""
        return self._memory[node]

    def storage_free(self, storage: ObservedStorage) -> int:
        """Return the bytes that may still be written to ``storage``."""
        self.was_asked = True
        reserve = self._desired.cluster.policy.storage_reserve_share * storage.total_bytes
        return int(storage.free_bytes - reserve) - self._taken[queue_of(storage)]

    def replicas(self, node: NodeName, service: ServiceName) -> int:
        """Return how many guests of ``service`` are or will be on ``node``."""
        counts = self._services.get(node)
        return counts[service] if counts is not None else 0

    def apart_from(self, service: ServiceName) -> frozenset[ServiceName]:
        """Return the services that ``service`` may share no node with."""
        return self._apart.get(service, frozenset())

    def services(self, node: NodeName) -> Mapping[ServiceName, int]:
        """Return how many guests of each service are or will be on ``node``."""
        return self._services.get(node, Counter())


def _apart(desired: Desired) -> Mapping[ServiceName, frozenset[ServiceName]]:
    """Return whom each service must be kept apart from, whichever of the two said so."""
    pairs = {
        pair
        for guest in desired.guests.values()
        for other in guest.placement.apart_from
        for pair in ((guest.service, other), (other, guest.service))
    }
    apart: dict[ServiceName, set[ServiceName]] = {}
    for service, other in pairs:
        apart.setdefault(service, set()).add(other)
    return {service: frozenset(others) for service, others in apart.items()}


def promised_bytes(guest: ObservedGuest, want: DesiredGuest | None) -> int:
    """Return the memory that a guest has on its node, or will have once it is as wanted."""
    if want is not None and want.power is Power.RUNNING:
        return max(guest.memory_bytes, want.memory_bytes)
    return 0 if guest.power is Power.STOPPED else guest.memory_bytes


def queue_of(storage: ObservedStorage) -> str:
    """Return the queue in which allocations on ``storage`` stand.

    A local storage has one lock per node, a shared one has one in the cluster
    (``PVE::Storage::Plugin::cluster_lock_storage``).
    """
    return f"storage:{storage.storage}" + ("" if storage.shared else f"@{storage.node}")


def storage_on(observed: Observed, storage: StorageId, node: NodeName) -> ObservedStorage | None:
    """Return ``storage`` as ``node`` sees it, None if it does not have it active."""
    found = observed.storages.get((storage, node))
    return found if found is not None and found.active else None
