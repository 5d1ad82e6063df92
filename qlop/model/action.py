"""List everything qlop can do to a cluster: one action is one mutation.

Parameters are in the form PVE takes them, so that nothing is left to decide when an
action is carried out. Every action names its guest, the VMID and the node it goes to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName, NodeName, PoolId, StorageId, VmId


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnGuest:
    """What every action says. Not a type to be used: a list of fields."""

    subject: GuestName
    vmid: VmId
    kind: GuestKind
    node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGuest(_OnGuest):
    """Create a VM or container, from nothing, an ISO, an image or an archive.

    ``params`` are those of PVE's create call but for ``vmid``, the owner mark in
    ``description`` included. ``storages``: where volumes will be allocated.
    """

    params: Mapping[str, str]
    storages: frozenset[StorageId]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneGuest(_OnGuest):
    """Clone a template. ``node`` is the template's; ``vmid`` is the new guest's."""

    source: VmId
    target: NodeName
    full: bool
    name: str
    description: str
    storage: StorageId | None = None
    pool: PoolId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureGuest(_OnGuest):
    """Write configuration, provided it still is what ``digest`` says."""

    digest: str
    set: Mapping[str, str] = field(default_factory=dict)
    delete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceGuest(_OnGuest):
    """Sign a guest as giving way to one built anew, provided it still is what ``digest`` says.

    With it a replacement begins. ``build`` is what the new one is built from, ``carries``
    the slots whose disks it will be handed; ``writes`` is what is written for that: the
    mark, and that the guest no longer starts with its node.
    """

    digest: str
    build: str
    carries: tuple[str, ...]
    writes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverDisk(_OnGuest):
    """Give the disk in ``slot`` of a stopped guest to the guest ``heir`` of the same node."""

    slot: str
    heir: VmId
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeDisk(_OnGuest):
    """Grow a disk to ``size_bytes``."""

    slot: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegenerateCloudInit(_OnGuest):
    """Write the cloud-init drive anew from the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignPool(_OnGuest):
    """Put the guest into a pool, out of the one it may be in."""

    pool: PoolId


@dataclass(frozen=True, slots=True, kw_only=True)
class StartGuest(_OnGuest):
    """Start a stopped or hibernated guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeGuest(_OnGuest):
    """Let a paused VM go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownGuest(_OnGuest):
    """Ask the guest to power off; with ``force_stop`` pull the plug after ``grace_s``."""

    grace_s: int
    force_stop: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootGuest(_OnGuest):
    """Shut the guest down and start it again, which applies what is pending.

    ``applies`` says what that is (``cores=4``): a reboot for another reason is another
    action, and was not approved with it.
    """

    grace_s: int
    applies: tuple[str, ...] = ()


class MigrationMode(Enum):
    """How a guest moves."""

    ONLINE = "online"
    """A running VM, without interruption."""
    OFFLINE = "offline"
    """A stopped guest."""
    RESTART = "restart"
    """A running container: stopped, moved, started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateGuest(_OnGuest):
    """Move the guest from ``node`` to ``target``."""

    target: NodeName
    mode: MigrationMode
    with_local_disks: bool
    grace_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSnapshot(_OnGuest):
    """Take a snapshot called ``snapshot``; its description carries our mark."""

    snapshot: str
    description: str
    memory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSnapshot(_OnGuest):
    """Delete a snapshot that qlop made."""

    snapshot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackSnapshot(_OnGuest):
    """Bring disks and configuration back to a snapshot; what was written since is lost.

    PVE stops the guest for it. ``start`` it afterwards; one whose RAM the snapshot holds
    goes on by itself.
    """

    snapshot: str
    start: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyGuest(_OnGuest):
    """Destroy a stopped guest and its volumes, and purge it from jobs and HA."""


Action = (
    CreateGuest
    | CloneGuest
    | ConfigureGuest
    | ReplaceGuest
    | HandOverDisk
    | ResizeDisk
    | RegenerateCloudInit
    | AssignPool
    | StartGuest
    | ResumeGuest
    | ShutdownGuest
    | RebootGuest
    | MigrateGuest
    | CreateSnapshot
    | DeleteSnapshot
    | RollbackSnapshot
    | DestroyGuest
)


class Verb(Enum):
    """One word per action, for ids, metrics, the journal and people."""

    CREATE = "create"
    CLONE = "clone"
    CONFIGURE = "configure"
    REPLACE = "replace"
    HAND_OVER = "hand-over"
    RESIZE = "resize"
    REGENERATE = "regenerate-cloud-init"
    ASSIGN_POOL = "assign-pool"
    START = "start"
    RESUME = "resume"
    SHUTDOWN = "shutdown"
    REBOOT = "reboot"
    MIGRATE = "migrate"
    SNAPSHOT = "snapshot"
    DELETE_SNAPSHOT = "delete-snapshot"
    ROLLBACK = "rollback"
    DESTROY = "destroy"


_VERBS: Mapping[type, Verb] = {
    CreateGuest: Verb.CREATE,
    CloneGuest: Verb.CLONE,
    ConfigureGuest: Verb.CONFIGURE,
    ReplaceGuest: Verb.REPLACE,
    HandOverDisk: Verb.HAND_OVER,
    ResizeDisk: Verb.RESIZE,
    RegenerateCloudInit: Verb.REGENERATE,
    AssignPool: Verb.ASSIGN_POOL,
    StartGuest: Verb.START,
    ResumeGuest: Verb.RESUME,
    ShutdownGuest: Verb.SHUTDOWN,
    RebootGuest: Verb.REBOOT,
    MigrateGuest: Verb.MIGRATE,
    CreateSnapshot: Verb.SNAPSHOT,
    DeleteSnapshot: Verb.DELETE_SNAPSHOT,
    RollbackSnapshot: Verb.ROLLBACK,
    DestroyGuest: Verb.DESTROY,
}


def verb_of(action: Action) -> Verb:
    """Return the word for what ``action`` does."""
    return _VERBS[type(action)]
