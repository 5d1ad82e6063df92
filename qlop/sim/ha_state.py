"""Hold the HA stack's configuration and what its manager believes."""

from collections.abc import Callable
from dataclasses import dataclass, field


def _no_manager() -> None:
    """Begin nothing: there is no manager in a world that nobody has built."""


@dataclass(slots=True, kw_only=True)
class Service:
    """A guest under HA: what is asked of it and where its state machine stands.

    ``options`` are as configured. ``uid`` counts the manager's orders; a ``result`` (``ok``,
    ``error``) belongs to the present one. ``command`` waits to be taken up by the manager.
    """

    sid: str
    node: str
    options: dict[str, str] = field(default_factory=dict)
    state: str = ""
    """``request_start started request_stop stopped migrate relocate fence recovery error``;
    empty while the manager has not taken notice of the service."""
    is_running: bool = False
    target: str = ""
    command: tuple[str, str] | None = None
    uid: int = 0
    result: str = ""
    busy: str = ""
    """The UPID of the worker the local manager runs for it."""
    failed_starts: int = 0
    relocations: int = 0
    left_for_maintenance: str = ""
    stop_timeout: str = ""
    failed_nodes: list[str] = field(default_factory=list)

    @property
    def request(self) -> str:
        """Return the state asked for."""
        return self.options.get("state", "started")

    @property
    def vmid(self) -> int:
        """Return the guest's id."""
        return int(self.sid.partition(":")[2])

    def enter(self, state: str) -> None:
        """Give the local manager a new order."""
        self.state = state
        self.uid += 1
        self.result = ""
        self.is_running = False


@dataclass(slots=True, kw_only=True)
class HaState:
    """``resources.cfg``, ``rules.cfg`` and the manager's status."""

    services: dict[str, Service] = field(default_factory=dict)
    leaving: dict[str, Service] = field(default_factory=dict)
    """Services that are no longer configured, until the manager has noticed."""
    rules: dict[str, dict[str, str]] = field(default_factory=dict)
    master: str = ""
    active_nodes: set[str] = field(default_factory=set)
    maintenance: set[str] = field(default_factory=set)
    offline_since: dict[str, float] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Nodes for which maintenance was ever asked or ended."""
    looked_at: float = 0.0
    heard_at: dict[str, float] = field(default_factory=dict)
    """When each local manager last did its round."""
    ticking: bool = False
    beginnings: int = 0
    """Counts when the rounds were begun: rounds of an earlier beginning die out."""
    begin: Callable[[], None] = _no_manager
    """Starts the manager's rounds (``ha_crm``)."""
    is_manager_up: bool = True
    """Whether the HA services run at all: without them requests only pile up."""
    has_watchdog: bool = True
    """Whether nodes with services reset themselves when they lose the quorum."""

    def of(self, vmid: int) -> Service | None:
        """Return the service of a guest."""
        return self.services.get(f"vm:{vmid}") or self.services.get(f"ct:{vmid}")

    def remove(self, sid: str) -> None:
        """Take a service out of the configuration."""
        self.leaving[sid] = self.services.pop(sid)
