"""Hold what a simulated cluster consists of: nodes, guests, volumes, tasks.

Nothing here acts; the noun modules change these values, always through ``engine.World``
where a change must be seen by others (versions, the log, the status daemon).
"""

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from qlop.sim import conffile


class Kind(Enum):
    """The two kinds of guests."""

    QEMU = "qemu"
    LXC = "lxc"


class Os(Enum):
    """What is installed on a volume, as far as the host can notice."""

    NONE = "none"
    """Nothing boots from it: ACPI is ignored, no agent answers, no device is let go."""
    PLAIN = "plain"
    """An operating system that obeys ACPI and has no guest agent."""
    AGENT = "agent"
    """An operating system with the QEMU guest agent."""


class App(Enum):
    """How a guest's application does its work."""

    OK = "ok"
    SLOW = "slow"
    """It answers well, and later than anybody waits."""
    WRONG = "wrong"
    """It answers with an error."""
    HUNG = "hung"
    """It takes connections and never answers."""
    DOWN = "down"
    """Nobody listens."""


@dataclass(slots=True, kw_only=True)
class Volume:
    """A disk image, an archive or an ISO on a storage.

    ``node`` is empty on shared storages. Sizes in bytes; ``used_bytes`` is what it takes
    on a thin storage.
    """

    volid: str
    node: str
    size_bytes: int
    used_bytes: int
    format: str
    content: str
    ctime: int
    vmid: int | None = None
    parent: str | None = None
    os: Os = Os.NONE
    notes: str = ""
    protected: bool = False
    config: str = ""
    """For a backup: the guest's configuration inside the archive."""
    snapshots: set[str] = field(default_factory=set)

    @property
    def storage(self) -> str:
        """Return the storage the volume is on."""
        return self.volid.partition(":")[0]

    @property
    def name(self) -> str:
        """Return the volume's name inside its storage."""
        return self.volid.partition(":")[2]


@dataclass(slots=True, kw_only=True)
class Run:
    """A guest's running process.

    ``booted_at`` is when its operating system answers the agent and ACPI; ``devices`` is
    the configuration the process was started or hot-plugged with.
    """

    pid: int
    started_at: float
    booted_at: float
    devices: dict[str, str]
    paused: str = ""
    """Empty while the CPUs run, else PVE's ``qmpstatus``."""
    machine: str = "pc-i440fx-10.0+pve1"
    agent_hung: bool = False
    acpi_deaf: bool = False
    frozen: bool = False
    processes: dict[int, dict[str, str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a node's status daemon last pushed about a guest."""

    status: str
    name: str
    template: bool
    cpus: float
    maxmem: int
    maxdisk: int
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a guest's configuration file says, as long as nobody writes it anew."""

    config: Mapping[str, str]
    pending: Mapping[str, str]
    deletes: Mapping[str, bool]
    snapshots: Mapping[str, Mapping[str, str]]


@dataclass(slots=True, kw_only=True)
class Guest:
    """A VM or container: its configuration file and its process."""

    vmid: int
    kind: Kind
    node: str
    config: dict[str, str]
    pending: dict[str, str] = field(default_factory=dict)
    deletes: dict[str, bool] = field(default_factory=dict)
    """Options whose removal is pending, with whether it was forced."""
    snapshots: dict[str, dict[str, str]] = field(default_factory=dict)
    cloudinit: dict[str, str] = field(default_factory=dict)
    """The cloud-init options the generated drive holds."""
    version: int = 0
    written: Written | None = None
    run: Run | None = None
    seen: Seen | None = None
    row: bytes | None = None
    """The encoded row of the resource list, while it is still right."""
    row_key: tuple[object, ...] = ()
    agent_hung: bool = False
    acpi_deaf: bool = False
    restarting: bool = False
    """An API reboot has stopped the process; ``qmeventd`` will start it again."""
    traffic: tuple[int, int, int, int] = (0, 0, 0, 0)
    app: App = App.OK
    app_needs: str = ""
    """``KEY=VALUE`` of its configuration without which its application answers wrongly."""
    address: str = ""
    """An address on the loopback network at which it answers on ``ports``, really."""
    ports: tuple[int, ...] = ()

    @property
    def lock(self) -> str | None:
        """Return the lock mark in the configuration, if any."""
        return self.config.get("lock")

    @property
    def is_template(self) -> bool:
        """Return whether the guest is a template."""
        return self.config.get("template") == "1"

    @property
    def is_running(self) -> bool:
        """Return whether the guest has a process."""
        return self.run is not None

    @property
    def conf_path(self) -> str:
        """Return the configuration file's path below ``/etc/pve``, as error texts have it."""
        folder = "qemu-server" if self.kind is Kind.QEMU else "lxc"
        return f"nodes/{self.node}/{folder}/{self.vmid}.conf"

    def text(self) -> str:
        """Return the configuration file."""
        return conffile.render(
            self.config,
            self.pending,
            self.deletes,
            self.snapshots,
            pending_header="PENDING" if self.kind is Kind.QEMU else "pve:pending",
        )

    def keep(self) -> None:
        """Take what the configuration is now for what its file says."""
        self.written = Written(
            config=dict(self.config),
            pending=dict(self.pending),
            deletes=dict(self.deletes),
            snapshots={name: dict(section) for name, section in self.snapshots.items()},
        )

    def fall_back(self) -> None:
        """Forget what was changed since the file was last written."""
        if self.written is None:
            return
        self.config, self.pending = dict(self.written.config), dict(self.written.pending)
        self.deletes = dict(self.written.deletes)
        self.snapshots = {name: dict(one) for name, one in self.written.snapshots.items()}

    def digest(self) -> str:
        """Return the SHA-1 of the configuration file, PVE's optimistic lock."""
        return hashlib.sha1(self.text().encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True, kw_only=True)
class Storage:
    """One entry of ``storage.cfg``."""

    name: str
    type: str
    content: list[str]
    total_bytes: int
    shared: bool = False
    nodes: list[str] = field(default_factory=list)
    """The nodes it is limited to; empty: all."""
    disabled: bool = False
    options: dict[str, str] = field(default_factory=dict)
    """Everything else of the section: path, thin pool, server."""
    fill_bytes: dict[str, int] = field(default_factory=dict)
    """What strangers use on it, by node (empty name on a shared storage)."""
    own_bytes: dict[str, int] = field(default_factory=dict)
    """What its volumes use, by node."""

    @property
    def has_files(self) -> bool:
        """Return whether volumes are files in a directory."""
        return self.type in {"dir", "nfs", "cifs", "cephfs", "btrfs"}


@dataclass(slots=True, kw_only=True)
class Node:
    """A host of the cluster."""

    name: str
    node_id: int
    cores: int
    memory_bytes: int
    version: str
    ip: str
    boot_at: float
    up: bool = True
    down_at: float = 0.0
    daemon_up: bool = True
    """Whether ``pvedaemon`` runs: without it, protected calls answer 595."""
    proxy_up: bool = True
    """Whether ``pveproxy`` runs: without it the node refuses connections."""
    pushed_at: float = 0.0
    next_pid: int = 1000
    bridges: list[str] = field(default_factory=lambda: ["vmbr0"])
    config: dict[str, str] = field(default_factory=dict)
    rootfs_bytes: int = 1_000_000_000_000
    has_kvm: bool = True
    """Whether the processor can virtualize; else only VMs with ``kvm: 0`` start."""
    hotplugs_containers: bool = True
    """Whether devices and mounts can be added to a running container."""


Worker = Generator[float, None, None]
"""A task's body: yields the seconds it takes until its next step."""


@dataclass(slots=True, kw_only=True)
class Task:
    """A worker process with its log."""

    upid: str
    node: str
    pid: int
    pstart: int
    start_at: float
    type: str
    id: str
    user: str
    """With the token's id, as in the UPID."""
    end_at: float | None = None
    exit: str | None = None
    log: list[str] = field(default_factory=list)
    warnings: int = 0
    held: set[str] = field(default_factory=set)
    """File locks the worker holds."""
    worker: Worker | None = None
    on_end: list[str] = field(default_factory=list)
    fails_at: float | None = None
    fails_with: str = ""
    spoiled_with: str = ""
    stopped: bool = False

    def say(self, text: str) -> None:
        """Append lines to the log."""
        self.log.extend(text.split("\n"))

    def warn(self, text: str) -> None:
        """Append a warning, which shows in the exit status."""
        self.warnings += 1
        self.log.append(f"WARN: {text}")


@dataclass(slots=True, kw_only=True)
class Replication:
    """A replication job, its state on the guest's node, and the log of its last run."""

    id: str
    options: dict[str, str]
    """``target``, ``source`` and what else is configured."""
    last_sync: int = 0
    last_try: int = 0
    fail_count: int = 0
    error: str = ""
    duration: float = 0.0
    pid: int = 0
    """Of the process that syncs it now; 0: none."""
    iteration: int = 0
    """The round of the scheduler in which it last ran."""
    log: list[str] = field(default_factory=list)

    @property
    def vmid(self) -> int:
        """Return the guest's id."""
        return int(self.id.partition("-")[0])

    @property
    def target(self) -> str:
        """Return the node that gets the copies."""
        return self.options["target"]

    @property
    def removal(self) -> str:
        """Return how it is to be removed (``full``, ``local``); empty if it is not."""
        return self.options.get("remove_job", "")
