"""Hold the HA stack's configuration and what its manager believes."""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Service:
    """A guest under HA: what is asked of it and where its state machine stands."""

    sid: str
    node: str
    options: dict[str, str] = field(default_factory=dict)
    state: str = "queued"
    """``queued started starting request_stop stopping stopped migrate relocate error
    ignored disabled recovery``, as the manager's status names them."""
    target: str = ""
    busy: str = ""
    """The UPID of the worker the local manager runs for it."""
    restarts: int = 0
    since: float = 0.0

    @property
    def request(self) -> str:
        """Return the state asked for."""
        return self.options.get("state", "started")

    @property
    def vmid(self) -> int:
        """Return the guest's id."""
        return int(self.sid.partition(":")[2])


@dataclass(slots=True, kw_only=True)
class HaState:
    """``resources.cfg``, ``rules.cfg`` and the manager's status."""

    services: dict[str, Service] = field(default_factory=dict)
    rules: dict[str, dict[str, str]] = field(default_factory=dict)
    master: str = ""
    active_nodes: set[str] = field(default_factory=set)
    maintenance: set[str] = field(default_factory=set)
    ticking: bool = False
    is_manager_up: bool = True
    """Whether the HA services run at all: without them requests only pile up."""

    def of(self, vmid: int) -> Service | None:
        """Return the service of a guest."""
        return self.services.get(f"vm:{vmid}") or self.services.get(f"ct:{vmid}")
