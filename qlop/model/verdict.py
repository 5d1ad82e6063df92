"""Say what the planner concluded about each subject, and why it leaves some alone."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from qlop.model.ids import ActionId, GuestName, VmId


class Hold(Enum):
    """Why a subject that is not converged is left as it is."""

    OBSERVATION_INCOMPLETE = "observation-incomplete"
    NO_QUORUM = "no-quorum"
    NODE_OFFLINE = "node-offline"
    CONFIG_UNREAD = "config-unread"
    POWER_UNKNOWN = "power-unknown"
    LOCKED = "locked"
    TASK_RUNNING = "task-running"
    IN_FLIGHT = "in-flight"
    AMBIGUOUS = "ambiguous"
    BACKOFF = "backoff"
    DENIED = "denied"
    NOT_OURS = "not-ours"
    ADOPTION = "adoption"
    HALF_MADE = "half-made"
    IDENTITY_MISMATCH = "identity-mismatch"
    DUPLICATE_MARK = "duplicate-mark"
    IS_TEMPLATE = "is-template"
    ORPHANED = "orphaned"
    TOMBSTONED = "tombstoned"
    BACKUP_NEEDED = "backup-needed"
    PROTECTED = "protected"
    FUSE = "fuse"
    ADDRESS_IN_USE = "address-in-use"
    HA_MANAGED = "ha-managed"
    NO_FREE_VMID = "no-free-vmid"
    NO_NODE = "no-node"
    NO_CAPACITY = "no-capacity"
    NO_STORAGE = "no-storage"
    NO_TEMPLATE = "no-template"
    WINDOW = "window"
    APPROVAL = "approval"
    REPLACEMENT = "replacement"
    SUSPENDED = "suspended"
    FROZEN = "frozen"
    INTERRUPTION_NEEDED = "interruption-needed"
    DATA_LOSS = "data-loss"
    UNSUPPORTED_CHANGE = "unsupported-change"
    BUDGET = "budget"
    ROLLOUT = "rollout"
    ROLLOUT_STALLED = "rollout-stalled"
    DEPENDENCY = "dependency"
    HEALTH_UNKNOWN = "health-unknown"
    NO_SNAPSHOT = "no-snapshot"
    VERIFYING = "verifying"
    REVISION_BAD = "revision-bad"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """It is as its manifest says."""

    note: str = ""
    """What a person may want to know all the same (an unmanaged disk)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """It is brought there by these actions of the plan; ``held`` parts stay behind."""

    actions: tuple[ActionId, ...]
    held: "Held | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """It is left as it is: ``reason`` for machines, ``message`` for people.

    ``message`` names the fact and the consequence; ``remedy`` what a person can do;
    ``until`` when time alone ends it, None if that is not known.
    """

    reason: Hold
    message: str
    remedy: str = ""
    until: datetime | None = None


Verdict = Converged | Act | Held


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectVerdict:
    """A verdict and whom it is about; ``vmid`` None while there is no guest."""

    subject: GuestName
    vmid: VmId | None
    verdict: Verdict
    warnings: tuple[str, ...] = ()
    """Differences that its manifest wants told and not mended (``changes: warn``)."""
