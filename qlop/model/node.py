"""Describe a node and what it has to give."""

from dataclasses import dataclass

from qlop.model.ids import NodeName, StorageId


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedNode:
    """A PVE host as the cluster shows it.

    ``memory_bytes``, ``cores`` and ``uptime_s`` are 0 if the node has not reported them.
    """

    name: NodeName
    online: bool
    cores: int = 0
    memory_bytes: int = 0
    memory_used_bytes: int = 0
    maintenance: bool = False
    uptime_s: int = 0
    """Since its boot, as of its last report, which may be some 10 s old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedStorage:
    """A storage as one node sees it; sizes are 0 if it is not active there."""

    storage: StorageId
    node: NodeName
    shared: bool
    active: bool
    content: frozenset[str]
    plugin: str
    total_bytes: int = 0
    used_bytes: int = 0

    @property
    def free_bytes(self) -> int:
        """Return what is left, never less than 0."""
        return max(0, self.total_bytes - self.used_bytes)
