"""Own the simulated world: its time, its events, its locks, and what everybody sees change.

``World`` is the one mutable thing. The noun modules change it through the methods here, so
that configuration versions, the cluster log and the status daemons' lag stay true.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from qlop.sim.access import Access
from qlop.sim.faults import Fault
from qlop.sim.ha_state import HaState
from qlop.sim.state import Guest, Kind, Node, Replication, Seen, Storage, Task, Volume, Worker
from qlop.sim.wire import ApiError, LockWait, TaskError
from qlop.sim.world import ClusterSpec

LOCK_WAIT_S = 10.0
"""How long PVE waits for a guest's or a storage's lock file (``lock_file`` callers)."""

_POLL_S = 0.25
"""How often a waiting worker looks at a lock again."""

_LOG_MAX = 5_000
"""Entries kept of the cluster log; the real one is a ring of some hundred kilobytes."""

_TASKS_MAX = 20_000
"""Finished tasks kept; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line of the cluster log."""

    uid: int
    at: float
    node: str
    pid: int
    user: str
    tag: str
    priority: int
    text: str


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that exists in the simulated cluster at ``now`` (epoch seconds)."""

    spec: ClusterSpec
    random: random.Random
    now: float
    started_at: float
    nodes: dict[str, Node] = field(default_factory=dict)
    guests: dict[int, Guest] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    volumes: dict[tuple[str, str], Volume] = field(default_factory=dict)
    """By volume id and node; the node is empty on shared storages."""
    stems: set[tuple[str, str, str]] = field(default_factory=set)
    """Image names in use, by storage, node and name without prefix (``101-disk-0``)."""
    tasks: dict[str, Task] = field(default_factory=dict)
    pools: dict[str, "Pool"] = field(default_factory=dict)
    access: Access = field(default_factory=Access)
    ha: HaState = field(default_factory=HaState)
    options: dict[str, str] = field(default_factory=dict)
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=_LOG_MAX))
    faults: list[Fault] = field(default_factory=list)
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Backup jobs by id."""
    replications: dict[str, Replication] = field(default_factory=dict)
    firewall: dict[str, dict[str, str]] = field(default_factory=dict)
    """Firewall options by scope (``cluster``, ``node/pve1``, ``guest/100``)."""
    rules: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    locks: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Held lock files: by key, the holders with whether each shares it."""
    vmlist_version: int = 1
    file_versions: dict[str, int] = field(default_factory=dict)
    forced_quorum: bool | None = None
    zones: dict[str, dict[str, str]] = field(default_factory=dict)
    mappings: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """Mappings of devices and directories, by kind and name."""
    vnets: dict[str, dict[str, str]] = field(default_factory=dict)
    frozen_list: dict[str, bytes] | None = None
    dirty: dict[str, set[int]] = field(default_factory=dict)
    """Guests whose status the next push of their node will change."""
    clock_offset_s: float = 0.0
    lost: list[Worker] = field(default_factory=list)
    """Workers that died with their node. They are kept, for what is dropped is closed, and
    would clean up after itself."""
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _sequence: int = 0
    _log_uid: int = 0

    def schedule(self, after_s: float, action: Callable[[], None]) -> None:
        """Let ``action`` happen ``after_s`` seconds from now."""
        self._sequence += 1
        heapq.heappush(self._events, (self.now + after_s, self._sequence, action))

    def next_event_at(self) -> float | None:
        """Return when the next thing will happen by itself."""
        return self._events[0][0] if self._events else None

    def advance(self, now: float) -> None:
        """Let everything happen that is due until ``now``; time never runs backwards."""
        while self._events and self._events[0][0] <= now:
            at, _, action = heapq.heappop(self._events)
            self.now = max(self.now, at)
            action()
        self.now = max(self.now, now)

    def stamp(self) -> int:
        """Return the time as the cluster's own clocks show it."""
        return int(self.now + self.clock_offset_s)

    def is_reachable(self, node: str) -> bool:
        """Return whether a connection to ``node``'s proxy would be accepted."""
        host = self.nodes[node]
        return host.up and host.proxy_up

    def is_online(self, node: str) -> bool:
        """Return whether the rest of the cluster still counts ``node`` as a member."""
        host = self.nodes[node]
        return host.up or self.now - host.down_at < self.spec.timing.detect_s

    def is_quorate(self) -> bool:
        """Return whether more than half of the nodes are members."""
        if self.forced_quorum is not None:
            return self.forced_quorum
        return 2 * sum(self.is_online(name) for name in self.nodes) > len(self.nodes)

    def need_quorum(self, what: str = "") -> None:
        """Refuse a change without quorum.

        ``what`` names the configuration file behind a cluster lock, if one is involved;
        those wait 9 s first and complain with their own text.
        """
        if self.is_quorate():
            return
        if what:
            raise ApiError(f"cfs-lock '{what}' error: no quorum!", delay_s=9.0)
        raise ApiError("cluster not ready - no quorum?")

    def need_quorum_prefixed(self, prefix: str, what: str) -> None:
        """Refuse a change without quorum, in the words of the call that wants it."""
        try:
            self.need_quorum(what)
        except ApiError as error:
            raise ApiError(prefix + error.text, delay_s=error.delay_s) from error

    def new_pid(self, node: str) -> int:
        """Return a process id on ``node`` that was not given before."""
        host = self.nodes[node]
        host.next_pid += 1 + self.random.randrange(7)
        return host.next_pid

    def wrote(self, guest: Guest) -> None:
        """Record that the guest's configuration file was written."""
        self.vmlist_version += 1
        guest.version = self.vmlist_version
        guest.keep()
        self.changed(guest)

    def changed(self, guest: Guest) -> None:
        """Record that the guest's status may look different at the next push."""
        guest.row = None
        self.dirty.setdefault(guest.node, set()).add(guest.vmid)

    def wrote_file(self, name: str) -> None:
        """Record that a cluster-wide configuration file was written."""
        self.file_versions[name] = self.file_versions.get(name, 1) + 1

    def note(self, node: str, user: str, text: str, *, priority: int = 6, pid: int = 0) -> None:
        """Append a line to the cluster log."""
        self._log_uid += 1
        entry = LogEntry(
            uid=self._log_uid,
            at=self.now,
            node=node,
            pid=pid or self.nodes[node].next_pid,
            user=user,
            tag="pvedaemon",
            priority=priority,
            text=text,
        )
        self.log.append(entry)

    def push(self, node: str, see: Callable[[Guest], Seen]) -> None:
        """Let the node's status daemon publish what it sees, now and in its rhythm."""
        self.schedule(self.spec.timing.push_s, lambda: self.push(node, see))
        self.publish(node, see)

    def publish(self, node: str, see: Callable[[Guest], Seen]) -> None:
        """Publish what a node's status daemon sees now, outside its rhythm."""
        host = self.nodes[node]
        if not host.up:
            return
        host.pushed_at = self.now
        for vmid in self.dirty.pop(node, ()):
            guest = self.guests.get(vmid)
            if guest is not None and guest.node == node:
                guest.seen = see(guest)
                guest.row = None

    def enter(self, key: str, waited_s: float, *, wait_s: float = LOCK_WAIT_S) -> None:
        """Let a synchronous call pass, which holds the lock only for that instant.

        Raises:
            LockWait: somebody holds it, and the call has not waited long enough yet.
            ApiError: it has.
        """
        if self._is_free(key, shared=False):
            return
        if waited_s < wait_s:
            raise LockWait
        raise ApiError(self._lock_text(key))

    def hold(
        self, task: Task, key: str, *, shared: bool = False, wait_s: float = LOCK_WAIT_S
    ) -> Worker:
        """Wait for a lock file and hold it until ``let_go`` or the task's end.

        Raises:
            TaskError: it was not free for ``wait_s`` seconds.
        """
        waited_s = 0.0
        while not self._is_free(key, shared=shared, holder=task.upid):
            if waited_s >= wait_s:
                raise TaskError(self._lock_text(key))
            yield _POLL_S
            waited_s += _POLL_S
        self.locks.setdefault(key, {})[task.upid] = shared
        task.held.add(key)

    def let_go(self, task: Task, key: str) -> None:
        """Release a lock file."""
        task.held.discard(key)
        holders = self.locks.get(key, {})
        holders.pop(task.upid, None)
        if not holders:
            self.locks.pop(key, None)

    def _is_free(self, key: str, *, shared: bool, holder: str = "") -> bool:
        holders = {name: mode for name, mode in self.locks.get(key, {}).items() if name != holder}
        return not holders or (shared and all(holders.values()))

    def _lock_text(self, key: str) -> str:
        kind, _, name = key.partition("/")
        if kind == "guest":
            guest = self.guests.get(int(name))
            if guest is not None and guest.kind is Kind.LXC:
                path = f"/run/lock/lxc/pve-config-{name}.lock"
            else:
                path = f"/var/lock/qemu-server/lock-{name}.conf"
            return f"can't lock file '{path}' - got timeout"
        if kind == "migrate":
            vmid = name.rpartition("/")[2]
            return f"can't lock file '/var/lock/pve-manager/pve-migrate-{vmid}' - got timeout"
        node, _, storage = name.rpartition("/")
        if node:
            return f"can't lock file '/var/lock/pve-manager/pve-storage-{storage}' - got timeout"
        return f"cfs-lock 'storage-{storage}' error: got lock request timeout"

    def forget_old_tasks(self) -> None:
        """Drop the oldest finished tasks beyond the limit."""
        if len(self.tasks) <= _TASKS_MAX:
            return
        done = [upid for upid, task in self.tasks.items() if task.end_at is not None]
        for upid in done[: len(self.tasks) - _TASKS_MAX]:
            del self.tasks[upid]


@dataclass(slots=True, kw_only=True)
class Pool:
    """A resource pool."""

    poolid: str
    comment: str = ""
    guests: set[int] = field(default_factory=set)
    storages: set[str] = field(default_factory=set)


def guest_lock(vmid: int) -> str:
    """Return the key of a guest's lock file."""
    return f"guest/{vmid}"


def migration_lock(vmid: int, node: str) -> str:
    """Return the key of the lock that migrations and rollbacks of a guest hold on a node."""
    return f"migrate/{node}/{vmid}"


def storage_lock(storage: Storage, node: str) -> str:
    """Return the key of a storage's lock: one a node, or one for all if it is shared."""
    return f"storage/{'' if storage.shared else node}/{storage.name}"
