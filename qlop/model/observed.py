"""Say what the cluster showed, and what it did not show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Power
from qlop.model.health import Health
from qlop.model.ids import NodeName, PoolId, StorageId, Upid, VmId
from qlop.model.node import ObservedNode, ObservedStorage
from qlop.model.owner import OwnerMark
from qlop.model.reading import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestConfig:
    """A guest's configuration, canonical, with what PVE keeps pending merged in.

    ``options`` holds neither disks nor NICs nor ``digest``. ``pending`` are the options
    whose running value differs. ``unused`` are detached volumes (``unused0`` → volume).
    ``mark`` and ``witness`` are read from it; ``witness`` is the one the guest *has*,
    in the form of ``OwnerMark.witness``.
    """

    digest: str
    options: Mapping[str, OptionValue]
    disks: Mapping[str, Disk]
    nics: Mapping[str, Nic]
    unused: Mapping[str, str]
    pending: frozenset[str]
    mark: OwnerMark | None
    witness: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSnapshot:
    """A snapshot of a guest; ``ours`` if its description carries our mark.

    ``stage`` is PVE's ``snapstate``, empty of a good one: ``prepare`` or ``delete`` if
    whatever made or deleted it never came to its end.
    """

    name: str
    taken_at: datetime | None
    ours: bool
    with_memory: bool
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedGuest:
    """A guest as the cluster shows it.

    ``power`` is already combined with the state of its node: on a node that is offline
    it is ``UNKNOWN``. ``memory_bytes`` is its maximum, 0 if not reported. ``lock`` and
    ``ha_state`` are empty if there is none.
    """

    vmid: VmId
    kind: GuestKind
    node: NodeName
    name: str
    power: Power
    template: bool
    lock: str
    tags: str
    pool: PoolId | None
    ha_state: str
    memory_bytes: int
    config: Reading[GuestConfig]
    snapshots: Reading[tuple[ObservedSnapshot, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTask:
    """A task of the cluster's task list; ``exit_status`` empty while it runs."""

    upid: Upid
    node: NodeName
    verb: str
    """PVE's worker type (``qmclone``, ``vzdump``)."""
    vmid: VmId | None
    user: str
    started_at: datetime
    exit_status: str = ""
    ended_at: datetime | None = None
    """None while it runs, and where PVE does not say."""


class Verification(Enum):
    """Whether a backup was read back and found whole."""

    GOOD = "good"
    FAILED = "failed"
    PENDING = "pending"
    """Its storage verifies backups, and has not come to this one."""
    NOT_OFFERED = "not-offered"
    """Its storage does not verify backups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedBackup:
    """A backup of a guest, as ``node`` sees it on ``storage``.

    ``taken_at`` is when it was begun, by the clock of whoever made it.
    """

    volume: str
    storage: StorageId
    node: NodeName
    kind: GuestKind
    taken_at: datetime
    verification: Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the cluster showed at ``taken_at``.

    ``complete`` is true only if the listing was answered by a node that is part of a
    quorate cluster: then, and only then, a VMID that is not in it does not exist.
    ``gaps`` says in words what could not be read. ``health`` is that of the guests that
    have checks; one that is not in it was not asked. ``backups`` likewise holds only guests
    for which they were asked for.
    """

    taken_at: datetime
    quorate: Reading[bool]
    complete: bool
    nodes: Mapping[NodeName, ObservedNode]
    guests: Mapping[VmId, ObservedGuest]
    storages: Mapping[tuple[StorageId, NodeName], ObservedStorage]
    tasks: tuple[ObservedTask, ...] = ()
    gaps: tuple[str, ...] = field(default=())
    health: Mapping[VmId, Health] = field(default_factory=dict)
    backups: Mapping[VmId, Reading[tuple[ObservedBackup, ...]]] = field(default_factory=dict)
