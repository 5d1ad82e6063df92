"""Say, as data, what shall go wrong with which calls.

A ``Fault`` is armed with ``Cluster.arm`` (or the script command ``fault``) and strikes the
calls it matches. Chance comes from the cluster's own seed, so two runs fail alike.
"""

import fnmatch
from collections.abc import Container
from dataclasses import dataclass, field
from enum import Enum


class Effect(Enum):
    """What happens to a matching call."""

    REFUSE = "refuse"
    """The contacted node refuses the connection; nothing is done."""
    CONNECT = "595"
    """The proxy can't reach the node it should pass the call on to; nothing is done."""
    PIPE = "596"
    """The connection between proxy and daemon breaks: 596 ``Broken pipe``; the call was
    carried out."""
    SERVER = "5xx"
    """An error status (``status``, ``text``); nothing is done."""
    SLOW = "slow"
    """The answer takes ``seconds`` longer."""
    HALF = "half"
    """The call is carried out; the answer breaks off in the middle."""
    LOSE = "lose-answer"
    """The call is carried out; no answer comes."""
    LOCKED = "locked"
    """The guest's lock file is not to be had: 500 after 10 s; nothing is done."""
    NODE_DOWN = "node-down"
    """The node of the call loses power for ``seconds``, before the call is looked at."""
    QUORUM_LOST = "quorum-lost"
    """The cluster loses its quorum for ``seconds``."""
    STALE = "stale-list"
    """The resource list stays as it is for ``seconds``."""
    UNKNOWN = "unknown-status"
    """The resource list says ``unknown`` of the guest ``vmid`` (of all without one)."""
    TASK = "task-fails"
    """A task of the type ``task`` dies after ``seconds``, half-way, with ``text``."""
    SPOIL = "task-spoiled"
    """A task of the type ``task`` does its work, and ends with ``text`` all the same."""
    FULL = "storage-full"
    """The storage ``storage`` has no space left for ``seconds``."""
    CLOCK = "clock-jump"
    """The cluster's clocks jump by ``seconds``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which calls (or tasks) a fault strikes; what is left out matches everything.

    ``route`` is a shell pattern over ``METHOD /path/{template}`` or ``METHOD /real/path``;
    ``node`` is the one that was contacted or the one that the path names.
    """

    route: str = "*"
    node: str = ""
    vmid: int | None = None
    task: str = "*"
    storage: str = ""

    def strikes_call(self, method: str, template: str, path: str, nodes: Container[str]) -> bool:
        """Return whether a call is meant."""
        names = (f"{method} {template}", f"{method} {path}")
        if not any(fnmatch.fnmatchcase(name, self.route) for name in names):
            return False
        if self.node and self.node not in nodes:
            return False
        return self.vmid is None or f"/{self.vmid}/" in f"{path}/"

    def strikes_task(self, kind: str, subject: str, node: str) -> bool:
        """Return whether a task is meant."""
        if not fnmatch.fnmatchcase(kind, self.task):
            return False
        if self.node and self.node != node:
            return False
        return self.vmid is None or subject == str(self.vmid)


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that goes wrong: ``effect`` on what ``match`` names.

    It passes over the first ``skip`` matches, then strikes ``times`` of them (``None``:
    all), each with probability ``share``. ``hits`` counts what it struck.
    """

    effect: Effect
    match: Match = field(default_factory=Match)
    times: int | None = 1
    skip: int = 0
    share: float = 1.0
    seconds: float = 30.0
    status: int = 500
    text: str = ""
    hits: int = 0
    seen: int = 0

    def draws(self, chance: float) -> bool:
        """Return whether it strikes this match, given a random number in [0, 1)."""
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        if chance >= self.share:
            return False
        self.hits += 1
        return True
