"""Describe a guest in PVE's own terms: options, disks, NICs, power.

Desired and observed guests meet here. Both are held in *canonical* form
(``model.option``), so that comparing them is comparing values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from qlop.model.ids import StorageId


class GuestKind(Enum):
    """The two kinds of guest; the value is the path segment of PVE's API."""

    VM = "qemu"
    CONTAINER = "lxc"


class Power(Enum):
    """What a guest is doing."""

    RUNNING = "running"
    STOPPED = "stopped"
    PAUSED = "paused"
    """Its processor stands still, its memory is kept."""
    SUSPENDED = "suspended"
    """Hibernated: stopped, with its memory on disk (``lock: suspended``)."""
    UNKNOWN = "unknown"
    """The node did not say; pvestatd's view is older than 300 s or not there yet."""


Properties = Mapping[str, str]
"""A property string (``virtio=…,bridge=vmbr0``), taken apart, each value canonical."""

OptionValue = str | Properties
"""A canonical option: a scalar's text, or a property string taken apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk, rootfs or mount point that a guest has.

    ``volume`` is PVE's volume id (``local-lvm:vm-110-disk-0``) or the host path of a
    bind mount; ``properties`` holds everything else as PVE gives it, what qlop does not
    model included, ``size`` excluded.
    """

    slot: str
    volume: str
    storage: StorageId | None
    size_bytes: int | None
    properties: Properties = field(default_factory=dict)

    @property
    def is_cdrom(self) -> bool:
        """Return whether it is an ISO or cloud-init drive rather than a disk."""
        return self.properties.get("media") == "cdrom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A network interface that a guest has; ``mac`` is upper case.

    ``properties`` holds ``model`` (VM), ``bridge``, ``tag``, ``firewall``, ``rate``,
    ``mtu``, ``name``, ``ip``, ``gw``, … and what qlop does not model; ``mac`` excluded.
    """

    slot: str
    mac: str
    properties: Properties = field(default_factory=dict)
