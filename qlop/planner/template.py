"""Find the template a guest is cloned from, on a given node."""

from collections import Counter
from collections.abc import Mapping, Sequence

from qlop.model.desired import CloneSource, DesiredGuest
from qlop.model.device import is_local_path
from qlop.model.ids import NodeName, StorageId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.reading import Known
from qlop.planner.capacity import storage_on


def find(
    guest: DesiredGuest,
    source: CloneSource,
    node: NodeName,
    observed: Observed,
    templates: Sequence[ObservedGuest],
) -> ObservedGuest | str:
    """Return the template to clone ``guest`` from so that it comes to be on ``node``.

    A clone comes to be on another node than its template only if both the template's
    disks and the new ones are on storages that the two share (``clone_vm`` in
    ``PVE/API2/Qemu.pm`` and ``PVE/API2/LXC.pm``). Templates on the node itself come
    first, then the lowest VMID. If there is none, the reason is returned.
    """
    found = [
        candidate
        for candidate in templates
        if candidate.kind is guest.kind and source.template in {candidate.vmid, candidate.name}
    ]
    if not found:
        return f"finds no template {source.template} in the cluster"
    reasons: list[str] = []
    for candidate in sorted(found, key=lambda one: (one.node != node, one.vmid)):
        reason = _unreachable(candidate, source, node, observed)
        if reason is None:
            return candidate
        reasons.append(reason)
    return reasons[0]


def storages(template: ObservedGuest) -> frozenset[StorageId]:
    """Return the storages that the disks of a template are on."""
    assert isinstance(template.config, Known), "only a template that was read is cloned"
    return frozenset(
        disk.storage
        for disk in template.config.value.disks.values()
        if disk.storage is not None and not disk.is_cdrom
    )


def sizes(template: ObservedGuest) -> Mapping[StorageId, int]:
    """Return how many bytes a full clone of a template may write, by the disks' storage."""
    assert isinstance(template.config, Known), "only a template that was read is cloned"
    found: Counter[StorageId] = Counter()
    for disk in template.config.value.disks.values():
        if disk.storage is not None and not disk.is_cdrom:
            found[disk.storage] += disk.size_bytes or 0
    return found


def slots(template: ObservedGuest) -> frozenset[str]:
    """Return the slots that a clone of a template has a disk in."""
    assert isinstance(template.config, Known), "only a template that was read is cloned"
    return frozenset(template.config.value.disks)


def _unreachable(
    template: ObservedGuest, source: CloneSource, node: NodeName, observed: Observed
) -> str | None:
    if not isinstance(template.config, Known):
        return f"can't use template {template.vmid}: its configuration could not be read"
    host = observed.nodes.get(template.node)
    if host is None or not host.online:
        return f"can't use template {template.vmid}: its node {template.node} is offline"
    if template.lock:
        return f"can't use template {template.vmid}: it is locked ({template.lock})"
    if template.node == node:
        return None
    if any(is_local_path(disk) for disk in template.config.value.disks.values()):
        return f"can't reach template {template.vmid}: it uses paths of {template.node}"
    needed = set(storages(template))
    if source.full and source.storage is not None:
        needed.add(source.storage)
    for storage in sorted(needed):
        seen = storage_on(observed, storage, node)
        if seen is None or not seen.shared:
            return (
                f"can't reach template {template.vmid} on {template.node}:"
                f" storage {storage} is not shared with it"
            )
    return None
