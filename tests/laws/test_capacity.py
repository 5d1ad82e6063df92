"""Capacity: no prefix of a plan promises more than a node or a storage has."""

from collections import Counter
from collections.abc import Iterator

from hypothesis import given

from qlop.model.action import Action, CloneGuest, CreateGuest, MigrateGuest
from qlop.model.guest import Power
from qlop.model.ids import NodeName, StorageId, VmId
from qlop.model.node import ObservedStorage
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Known
from qlop.model.units import GIB
from qlop.planner import planner
from tests.laws.test_owned_only import is_ours
from tests.strategies import THICK, World, worlds


def promised(guest: ObservedGuest, world: World) -> int:
    """What a guest has, or will have when it is as wanted."""
    if guest.template:
        return 0
    want_bytes = 0
    if isinstance(guest.config, Known) and is_ours(guest, world):
        mark = guest.config.value.mark
        assert mark is not None
        for want in world.desired.guests.values():
            if (want.service, want.index) == (mark.service, mark.index):
                if want.power is not Power.RUNNING:
                    break
                want_bytes = want.memory_bytes
                return max(guest.memory_bytes, want_bytes)
    return 0 if guest.power is Power.STOPPED else guest.memory_bytes


def arrivals(world: World) -> Iterator[tuple[Action, NodeName, int]]:
    """What each action of the plan brings to a node, in the plan's order."""
    for planned in planner.plan(world.source).actions:
        action = planned.action
        want = world.desired.guests.get(action.subject)
        match action:
            case CreateGuest(node=node) | CloneGuest(target=node):
                assert want is not None
                running = want.power is Power.RUNNING
                yield action, node, want.memory_bytes if running else 0
            case MigrateGuest(target=node, vmid=vmid):
                yield action, node, promised(world.observed.guests[vmid], world)
            case _:
                pass


@given(worlds())
def test_no_prefix_promises_more_memory_than_there_is(world: World) -> None:
    """What leaves a node is counted there as well: it may take an hour, or fail."""
    policy = world.desired.cluster.policy
    booked: Counter[NodeName] = Counter()
    for guest in world.observed.guests.values():
        booked[guest.node] += promised(guest, world)
    for flying in world.source.history.inflight.values():
        want = world.desired.guests.get(flying.intended.subject)
        vmid = flying.intended.vmid
        if want is not None and vmid not in world.observed.guests and want.power is Power.RUNNING:
            booked[flying.intended.target] += want.memory_bytes

    for action, node, memory in arrivals(world):
        booked[node] += memory
        have = world.observed.nodes[node].memory_bytes
        usable = have * (1 - policy.memory_reserve_share) * policy.memory_overcommit
        assert memory == 0 or booked[node] <= usable, action


def written(action: Action, world: World) -> dict[StorageId, int]:
    """What an action writes to thick storage, or copies to any."""
    sizes: Counter[StorageId] = Counter()
    want = world.desired.guests.get(action.subject)
    match action:
        case CreateGuest():
            assert want is not None
            for disk in want.disks:
                if disk.storage == THICK:
                    sizes[THICK] += disk.size_bytes or 0
        case CloneGuest(full=True, storage=storage, source=source):
            sizes[storage or _storage_of(world, source)] += 3 * GIB
        case MigrateGuest(vmid=vmid, node=node):
            config = world.observed.guests[vmid].config
            assert isinstance(config, Known)
            for stored in config.value.disks.values():
                store = world.observed.storages.get((stored.storage or StorageId(""), node))
                if store is not None and not store.shared and not stored.is_cdrom:
                    sizes[store.storage] += stored.size_bytes or 0
        case _:
            pass
    return sizes


def _storage_of(world: World, template: VmId) -> StorageId:
    config = world.observed.guests[template].config
    assert isinstance(config, Known)
    (disk,) = config.value.disks.values()
    assert disk.storage is not None
    return disk.storage


def _room(store: ObservedStorage, world: World) -> float:
    reserve = world.desired.cluster.policy.storage_reserve_share * store.total_bytes
    return store.free_bytes - reserve


@given(worlds())
def test_no_prefix_writes_more_than_a_storage_has_room_for(world: World) -> None:
    taken: Counter[tuple[StorageId, NodeName | None]] = Counter()
    for action, node, _ in arrivals(world):
        for storage, size in written(action, world).items():
            store = world.observed.storages[storage, node]
            place = (storage, None if store.shared else node)
            taken[place] += size
            assert taken[place] <= _room(store, world), action
