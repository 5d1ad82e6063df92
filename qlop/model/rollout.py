"""Say how a change goes through the guests of a service, and what becomes of a bad one."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Order(Enum):
    """In which order a guest is replaced by one that is built anew."""

    STOP_FIRST = "stop-first"
    """The old one is down before the new one starts: they never run at one time."""
    START_FIRST = "start-first"
    """The new one runs and is healthy before the old one is shut down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """In which steps a change goes through a service's guests, by their numbers.

    First ``canary`` guests, then ``pause_after_canary``, then ``batch_size`` at a time; a
    step begins when the one before is as wanted and healthy. One that is not within
    ``progress_deadline`` of its last action stalls the rollout. Whatever the cause, no
    more than ``max_unavailable`` are taken down. ``order`` is that of replacements. A guest
    without checks is taken for ready ``ready_after`` so long after it was started.
    """

    batch_size: int = 1
    canary: int = 0
    pause_after_canary: timedelta = timedelta(0)
    max_unavailable: int = 1
    progress_deadline: timedelta = timedelta(minutes=15)
    ready_after: timedelta = timedelta(seconds=60)
    """As long as failures of checks don't count after a start: so long a guest may boot."""
    order: Order = Order.STOP_FIRST


class RollbackMode(Enum):
    """Whether a change that makes a guest unhealthy is undone."""

    NONE = "none"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What is done about a risky change, one that takes a guest down.

    With ``AUTO`` a snapshot is taken right before, with RAM if ``memory``; for as long as
    ``watch`` the guest is looked at, and if it is not healthy, its configuration is set
    back, and with ``disks`` its disks are rolled back, too.
    """

    mode: RollbackMode = RollbackMode.NONE
    memory: bool = False
    disks: bool = False
    watch: timedelta = timedelta(minutes=5)
