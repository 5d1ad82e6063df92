"""Say what the planner must respect, whatever the manifests of services want."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum


class Prune(Enum):
    """What happens to a guest of ours that no manifest names any more."""

    NEVER = "never"
    """It stays as it is, listed as orphaned."""
    STOP = "stop"
    """It is shut down and kept."""
    DESTROY = "destroy"
    """It is shut down and destroyed. The word that allows data to be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse:
    """How much one plan may take away before it is held whole.

    A plan that would destroy, stop or reboot more guests than the larger of ``guests``
    and ``share`` (0 to 1, of all guests that qlop owns) is not carried out.
    """

    guests: int = 3
    share: float = 0.1


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
class Policy:
    """The rules of a cluster, from its ``Cluster`` manifest."""

    prune: Prune = Prune.NEVER
    fuse: Fuse = field(default_factory=Fuse)
    limits: Limits = field(default_factory=Limits)
    memory_reserve_share: float = 0.1
    """The share of a node's memory that guests may not be placed into."""
    memory_overcommit: float = 1.0
    """How many bytes may be promised per byte that a node has."""
    storage_reserve_share: float = 0.05
    backoff_first: timedelta = timedelta(seconds=10)
    backoff_max: timedelta = timedelta(minutes=15)
