"""Say what the planner must respect, whatever the manifests of services want."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from qlop.model.window import Blackout, Window


class Prune(Enum):
    """What happens to a guest of ours that no manifest names any more."""

    NEVER = "never"
    """It stays as it is, listed as orphaned."""
    STOP = "stop"
    """It is shut down and kept."""
    DESTROY = "destroy"
    """It is shut down, kept for a time, and destroyed. The word that allows data to be lost."""


class BackupNeed(Enum):
    """What must be there before a guest is destroyed."""

    REQUIRED = "required"
    """A backup of it that was begun after it was stopped."""
    NOT_NEEDED = "notNeeded"
    """Nothing: somebody has said so in as many words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What becomes of guests that no manifest names any more.

    ``grace``: how long a guest that was shut down is kept before it is destroyed.
    """

    mode: Prune = Prune.NEVER
    grace: timedelta = timedelta(days=7)
    backup: BackupNeed = BackupNeed.REQUIRED


class Strike(Enum):
    """What a fuse counts: the ways in which a guest is taken from those who use it."""

    DESTROY = "destroy"
    STOP = "stop"
    REBOOT = "reboot"
    MOVE = "move"
    """Moved with an interruption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseLimit:
    """The larger of ``guests`` and ``share`` (0 to 1, of all guests that qlop owns)."""

    guests: int = 0
    share: float = 0.0

    def of(self, owned: int) -> int:
        """Return how many guests that is."""
        return max(self.guests, int(self.share * owned))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse:
    """How much one plan may take away before it is held whole.

    A plan that would strike more guests than the larger of ``guests`` and ``share`` (0 to
    1, of all guests that qlop owns) is not carried out. A kind of strike with a limit of
    its own in ``kinds`` is counted apart. So is one made of a desired state that lost more
    services than ``lost_services``, and more than ``lost_share`` of those qlop owns.
    """

    guests: int = 3
    share: float = 0.1
    kinds: Mapping[Strike, FuseLimit] = field(default_factory=dict)
    lost_services: int = 3
    lost_share: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many actions may be under way at once."""

    cluster: int = 24
    node: int = 6
    node_migrations: int = 2
    """PVE copies memory and disks over one network: more at once makes each slower."""
    storage_clones: int = 1
    """Allocation takes the storage's lock, one per storage and node for local ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many guests may be down at once, whatever the cause; None: no such limit."""

    node: int | None = None
    """Of those on one node."""
    cluster: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of a cluster, from its ``Cluster`` manifest."""

    prune: Pruning = field(default_factory=Pruning)
    fuse: Fuse = field(default_factory=Fuse)
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget)
    memory_reserve_share: float = 0.1
    """The share of a node's memory that guests may not be placed into."""
    memory_overcommit: float = 1.0
    """How many bytes may be promised per byte that a node has."""
    storage_reserve_share: float = 0.05
    backoff_first: timedelta = timedelta(seconds=10)
    backoff_max: timedelta = timedelta(minutes=15)
    windows: tuple[Window, ...] = ()
    """Those of services that name none."""
    blackouts: tuple[Blackout, ...] = ()
