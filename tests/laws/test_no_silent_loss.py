"""No silent loss: what could lose data needs a word in a manifest."""

import re

from hypothesis import given

from qlop.model.action import (
    Action,
    ConfigureGuest,
    DeleteSnapshot,
    DestroyGuest,
    ResizeDisk,
)
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.policy import Prune
from qlop.model.reading import Known
from qlop.planner import planner
from tests.strategies import World, worlds

_DISK = re.compile(r"(scsi|virtio|sata|ide|efidisk|tpmstate|mp)\d+|rootfs|unused\d+")


@given(worlds())
def test_only_pruning_loses_data_and_only_by_its_word(world: World) -> None:
    prune = world.desired.cluster.policy.prune.mode
    for planned in planner.plan(world.source).actions:
        match planned.action:
            case DestroyGuest(vmid=vmid):
                assert prune is Prune.DESTROY
                assert not _is_protected(world.observed.guests[vmid])
                wanted = {(one.service, one.index) for one in world.desired.guests.values()}
                assert (planned.service, planned.index) not in wanted
            case DeleteSnapshot(subject=name, snapshot=snapshot, vmid=vmid):
                want = world.desired.guests[name].snapshots
                assert want.prune
                assert snapshot not in want.keep
                listed = world.observed.guests[vmid].snapshots
                assert isinstance(listed, Known)
                assert all(one.ours for one in listed.value if one.name == snapshot)
            case _:
                assert planned.impact is not Impact.DATA_LOSS


def _is_protected(guest: ObservedGuest) -> bool:
    return isinstance(guest.config, Known) and guest.config.value.options.get("protection") == "1"


@given(worlds())
def test_no_disk_shrinks_goes_or_is_replaced(world: World) -> None:
    for planned in planner.plan(world.source).actions:
        guest = world.observed.guests.get(planned.action.vmid)
        if guest is not None:
            _check_disks(planned.action, guest)


def _check_disks(action: Action, guest: ObservedGuest) -> None:
    assert isinstance(guest.config, Known)
    disks = guest.config.value.disks
    match action:
        case ResizeDisk(slot=slot, size_bytes=size):
            assert size > (disks[slot].size_bytes or 0)
        case ConfigureGuest(set=values, delete=gone):
            assert not any(_DISK.fullmatch(key) for key in gone)
            for key in set(values) & set(disks):
                assert values[key].partition(",")[0] == disks[key].volume
        case _:
            pass
