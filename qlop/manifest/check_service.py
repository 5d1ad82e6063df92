"""Check a resolved service on its own, and against the cluster it is for."""

from collections.abc import Iterable, Iterator

from qlop.manifest import facts, options, vocabulary
from qlop.manifest.check_care import check_care
from qlop.manifest.check_changes import check_changes
from qlop.manifest.check_container import check_container
from qlop.manifest.check_network import check_networks
from qlop.manifest.check_replacement import check_replacement
from qlop.manifest.check_vm import check_vm
from qlop.manifest.marks import Path
from qlop.manifest.resolve import Scope
from qlop.manifest.schema import DEFAULT_VMID_RANGE as DEFAULT_RANGE
from qlop.manifest.schema import ClusterSpec, ServiceSpec
from qlop.model.finding import Finding
from qlop.model.units import counted

_NAME_MAX = 63
"""Characters of a DNS label, which a guest's name is."""


def check_service(
    scope: Scope, spec: ServiceSpec, cluster: ClusterSpec | None
) -> Iterator[Finding]:
    """Yield what is wrong with a service; ``cluster`` is None if it can't be used."""
    yield from _check_needs(scope, spec)
    yield from _check_source(scope, spec)
    yield from _check_name(scope, spec)
    if spec.type == "vm":
        yield from check_vm(scope, spec)
    elif spec.type == "container":
        yield from check_container(scope, spec)
    yield from check_networks(scope, spec)
    yield from _check_own_range(scope, spec)
    yield from _check_hook(scope, spec)
    yield from _check_placement(scope, spec)
    yield from check_changes(scope, spec, cluster)
    yield from check_care(scope, spec)
    yield from check_replacement(scope, spec)
    if cluster is not None:
        yield from _check_vmids(scope, spec, cluster)
        yield from _check_nodes(scope, spec, cluster)
        yield from _check_storages(scope, spec, cluster)


def _check_needs(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    if not scope.complete:
        return
    for key, value, hint in (
        ("type", spec.type, "write type: vm or type: container"),
        ("source", spec.source, "write source: {clone: {template: …}}, or another source"),
        ("memory", spec.memory, "write memory: 2GiB; placement counts with it"),
    ):
        if value is None:
            message = f"{key} is missing: neither the service nor what it inherits says it"
            yield scope.error((), "missing", message, hint)


def _check_source(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    source = spec.source
    if source is None:
        return
    named = [
        key
        for key, value in (
            ("clone", source.clone),
            ("image", source.image),
            ("iso", source.iso),
            ("archive", source.archive),
            ("empty", source.empty),
            ("existing", source.existing),
        )
        if value is not None
    ]
    if len(named) != 1:
        message = f"source names {' and '.join(named) or 'nothing'}; a guest comes from one place"
        hint = "name one of clone, image, iso, archive, empty and existing"
        yield scope.error(("source",), "one-source", message, hint)
    if source.existing and spec.vmid is None:
        message = "source.existing without vmid: which guest is meant?"
        yield scope.error(("source", "existing"), "missing", message, "write vmid: and its VMID")
    clone = source.clone
    if clone is not None and clone.template is None and scope.complete:
        message = "the template to clone is missing"
        hint = "write template: and its VMID or its name"
        yield scope.error(("source", "clone"), "missing", message, hint)
    if clone is not None and clone.full is False and clone.storage is not None:
        message = "a linked clone stays on its template's storage"
        hint = "leave storage out, or write full: true"
        yield scope.error(("source", "clone", "storage"), "linked-clone-storage", message, hint)


def _check_name(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    longest = scope.entry.name if spec.replicas is None else f"{scope.entry.name}-{spec.replicas}"
    if len(longest) > _NAME_MAX:
        message = f"the guest name {longest} is longer than {_NAME_MAX} characters"
        yield scope.error(("replicas",), "name-too-long", message, "shorten the service's name")


def _check_own_range(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    guests = spec.replicas or 1
    if spec.vmid is not None and spec.vmid + guests - 1 > facts.VMID_MAX:
        yield scope.error(("vmid",), "out-of-range", f"VMIDs end at {facts.VMID_MAX}")
    if spec.vmid_range is None:
        return
    first, last = spec.vmid_range
    if last - first + 1 < guests:
        message = (
            f"vmidRange has room for {counted(last - first + 1, 'guest')}, and there are {guests}"
        )
        yield scope.error(("vmidRange",), "range-too-small", message, "widen it")
    if options.is_existing(spec):
        return
    if spec.vmid is not None and not first <= spec.vmid <= last - guests + 1:
        message = f"vmid {spec.vmid} with {counted(guests, 'guest')} is outside of vmidRange {first}-{last}"
        yield scope.error(("vmid",), "vmid-outside-range", message, "leave one of them out")


def _check_hook(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    """Yield that PVE won't take a hook script from a token, as which qlop calls it.

    Of a guest that is adopted the same is there already.
    """
    if spec.hook_script is None or (spec.source is not None and spec.source.existing):
        return
    # `$check_vm_modify_config_perm` in qemu-server src/PVE/API2/Qemu.pm ("only root can set"),
    # `check_ct_modify_config_perm` in pve-container src/PVE/LXC.pm: root@pam, and no token of it.
    message = "PVE lets root@pam alone set hookScript, and no API token, as qlop has"
    hint = "set it by hand in the template or on the guest, or leave it out: all else is written,"
    hint += " and a new guest is not started before it is there"
    yield scope.warning(("hookScript",), "root-only", message, hint)


def _check_placement(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    placement = spec.placement
    if placement is None:
        return
    allowed = placement.nodes
    for position, node in enumerate(placement.preferred or ()):
        if allowed is not None and node not in allowed:
            message = f"{node} is preferred, but placement.nodes does not allow it"
            path: Path = ("placement", "preferred", position)
            yield scope.warning(path, "no-effect", message, "add it to placement.nodes")
    for key, services in (
        ("apartFrom", placement.apart_from),
        ("togetherWith", placement.together_with),
    ):
        for position, service in enumerate(services or ()):
            if service == scope.entry.name:
                path = ("placement", key, position)
                hint = "for its own guests use placement.spread"
                yield scope.error(path, "itself", f"{key} names the service itself", hint)


def _check_vmids(scope: Scope, spec: ServiceSpec, cluster: ClusterSpec) -> Iterator[Finding]:
    if options.is_existing(spec):  # Its VMID is a fact, whatever range there is for new guests.
        return
    first, last = cluster.vmid_range or DEFAULT_RANGE
    guests = spec.replicas or 1
    if spec.vmid is not None and spec.vmid_range is None:
        if not first <= spec.vmid <= last - guests + 1:
            message = f"vmid {spec.vmid} is outside of the cluster's vmidRange {first}-{last}"
            hint = "give the service a vmidRange of its own if it is meant"
            yield scope.warning(("vmid",), "vmid-outside-range", message, hint)
    elif spec.vmid is None and spec.vmid_range is None and last - first + 1 < guests:
        message = f"the cluster's vmidRange has room for {last - first + 1} guests"
        yield scope.error(("replicas",), "range-too-small", message, "widen it")


def _check_nodes(scope: Scope, spec: ServiceSpec, cluster: ClusterSpec) -> Iterator[Finding]:
    placement = spec.placement
    if placement is None:
        return
    for key, nodes in (("nodes", placement.nodes), ("preferred", placement.preferred)):
        for position, node in enumerate(nodes or ()):
            if node not in cluster.nodes:
                message = f"there is no node {node} in the cluster"
                path: Path = ("placement", key, position)
                yield scope.error(path, "unknown-node", message, _near(node, cluster.nodes))
    nodes = placement.nodes if placement.nodes is not None else cluster.nodes
    if placement.spread and (spec.replicas or 1) > len(nodes):
        message = f"{spec.replicas} guests can't be on different nodes: {len(nodes)} are allowed"
        hint = "some nodes will have several; allow more nodes, or have fewer replicas"
        yield scope.warning(("placement", "spread"), "not-enough-nodes", message, hint)


def _check_storages(scope: Scope, spec: ServiceSpec, cluster: ClusterSpec) -> Iterator[Finding]:
    if cluster.storages is None:
        return
    for path, storage in _storages(spec):
        if storage not in cluster.storages:
            message = f"there is no storage {storage} in the cluster"
            hint = _near(storage, cluster.storages)
            yield scope.error(path, "unknown-storage", message, hint)


def _storages(spec: ServiceSpec) -> Iterator[tuple[Path, str]]:
    """Yield every storage that a service names."""
    for path, storage in _own_storages(spec):
        if storage is not None:
            yield path, storage
    for path, volume in _volumes(spec):
        if volume is not None:
            yield path, volume.partition(":")[0]


def _own_storages(spec: ServiceSpec) -> Iterator[tuple[Path, str | None]]:
    if spec.source is not None and spec.source.clone is not None:
        yield ("source", "clone", "storage"), spec.source.clone.storage
    for position, disk in enumerate(spec.disks or ()):
        yield ("disks", position, "storage"), disk.storage
    for position, mount in enumerate(spec.mount_points or ()):
        yield ("mountPoints", position, "storage"), mount.storage
    for key, part in (
        ("rootfs", spec.rootfs),
        ("efiDisk", spec.efi_disk),
        ("tpm", spec.tpm),
        ("cloudInit", spec.cloud_init),
    ):
        if part is not None:
            yield (key, "storage"), part.storage


def _volumes(spec: ServiceSpec) -> Iterator[tuple[Path, str | None]]:
    yield ("hookScript",), spec.hook_script
    if spec.source is not None:
        yield ("source", "image"), spec.source.image
        yield ("source", "iso"), spec.source.iso
        yield ("source", "archive"), spec.source.archive
    if spec.cloud_init is not None:
        yield ("cloudInit", "userData"), spec.cloud_init.user_data
        yield ("cloudInit", "vendorData"), spec.cloud_init.vendor_data
        yield ("cloudInit", "networkData"), spec.cloud_init.network_data
        yield ("cloudInit", "metaData"), spec.cloud_init.meta_data


def _near(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = vocabulary.alike(word, names)
    return f"did you mean {near}?" if near else f"there are {', '.join(names)}"
