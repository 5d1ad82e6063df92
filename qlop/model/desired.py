"""Say what should run, with every default filled in and every unit resolved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from qlop.model.consent import Consents
from qlop.model.finding import Origin
from qlop.model.guest import GuestKind, OptionValue, Power, Properties
from qlop.model.health import Check
from qlop.model.ids import (
    ClusterName,
    GuestName,
    NodeName,
    PoolId,
    Revision,
    ServiceName,
    StorageId,
    VmId,
)
from qlop.model.policy import Policy
from qlop.model.rollout import Rollback, Update
from qlop.model.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneSource:
    """Clone of a template, named by VMID or by name.

    By name means any template so called: one on the node chosen if there is one there,
    else one whose disks that node can reach.
    """

    template: VmId | str
    full: bool = True
    storage: StorageId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A cloud image imported into the first disk (``import-from``)."""

    volume: str
    """PVE's volume id, ``local:import/debian-12-generic-amd64.qcow2``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoSource:
    """An installation medium in a virtual drive (``slot``, usually ``ide2``)."""

    volume: str
    slot: str = "ide2"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSource:
    """A container template archive (``local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst``)."""

    volume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptySource:
    """Nothing: empty disks, to be booted from the network or installed by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingSource:
    """A guest that is there already: it can be adopted and never made anew."""


Source = CloneSource | ImageSource | IsoSource | ArchiveSource | EmptySource | ExistingSource


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredDisk:
    """A disk, rootfs or mount point.

    ``size_bytes`` is a lower bound: qlop grows, never shrinks. ``storage`` is None where
    the disk comes with the source and stays where the clone puts it. ``volume`` is set
    for bind mounts and existing volumes only. ``properties`` are those that are declared;
    others on the guest are left alone. A ``persistent`` one outlives its guest: it is
    handed to the guest that is built in its place.
    """

    slot: str
    size_bytes: int | None
    storage: StorageId | None = None
    format: str | None = None
    volume: str | None = None
    persistent: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredNic:
    """A network interface; ``mac`` None means: whatever it has."""

    slot: str
    mac: str | None
    properties: Properties


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where guests of a service may, should and should not run.

    ``allowed`` None means every node of the cluster. ``spread``: replicas go to
    different nodes as far as there are any. ``apart_from`` and ``together_with`` name
    services.
    """

    allowed: frozenset[NodeName] | None = None
    preferred: tuple[NodeName, ...] = ()
    spread: bool = True
    apart_from: frozenset[ServiceName] = frozenset()
    together_with: frozenset[ServiceName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """The snapshots that a guest should have.

    ``keep`` names them; those qlop made and that are no longer named are deleted only
    with ``prune``. ``memory``: take RAM of running VMs along.
    """

    keep: tuple[str, ...] = ()
    prune: bool = False
    memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredGuest:
    """One guest, complete.

    ``options`` are canonical (``model.option``) and only those that are declared, disks,
    NICs, name and description included elsewhere; ``name``/``hostname``, ``description``
    (without the mark) and ``tags`` are among them. ``networks_declared``: the list of
    NICs is the whole list, others are removed; otherwise NICs are left alone.
    """

    name: GuestName
    service: ServiceName
    index: int
    kind: GuestKind
    source: Source
    vmid: VmId | None
    """A VMID asked for by name; None: the lowest free one of ``vmid_range``."""
    vmid_range: tuple[int, int]
    options: Mapping[str, OptionValue]
    disks: tuple[DesiredDisk, ...]
    nics: tuple[DesiredNic, ...]
    networks_declared: bool
    create_options: Mapping[str, str] = field(default_factory=dict)
    """What PVE takes at creation only and never shows again (``ssh-public-keys``)."""
    pool: PoolId | None
    power: Power
    placement: Placement
    snapshots: Snapshots
    shutdown_timeout: timedelta
    may_stop: bool
    """After a shutdown that timed out, pull the plug."""
    consents: Consents = field(default_factory=Consents)
    """What may be changed, and when."""
    windows: tuple[Window, ...] = ()
    """When that may be done which waits for a window."""
    memory_bytes: int
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredService:
    """A service: its guests, and what is to be done for all of them together.

    ``fingerprint`` is that of what its guests are to be, whatever they are called and
    wherever they run: a change that turned out bad is known by it.
    """

    name: ServiceName
    guests: tuple[GuestName, ...]
    update: Update = field(default_factory=Update)
    checks: tuple[Check, ...] = ()
    rollback: Rollback = field(default_factory=Rollback)
    depends_on: frozenset[ServiceName] = frozenset()
    fingerprint: str = ""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    profiles: tuple[str, ...]
    inherited: Mapping[str, str]
    """Field path → name of the profile it came from, for ``qlop explain``."""
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredCluster:
    """The cluster that the manifests are about."""

    name: ClusterName
    nodes: tuple[NodeName, ...]
    storages: tuple[StorageId, ...]
    policy: Policy
    interval: timedelta
    vmid_range: tuple[int, int]
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything the manifests want, of one revision."""

    revision: Revision
    cluster: DesiredCluster
    services: Mapping[ServiceName, DesiredService]
    guests: Mapping[GuestName, DesiredGuest]
