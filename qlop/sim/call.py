"""Carry one checked call to the function that answers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qlop.ports import Json
from qlop.sim import workers
from qlop.sim.access import Identity
from qlop.sim.engine import World, guest_lock
from qlop.sim.params import ARRAY_SEPARATOR
from qlop.sim.schema import Route
from qlop.sim.state import Guest, Kind, Task, Worker
from qlop.sim.wire import ApiError, Row, SimResponse, bad_parameters


@dataclass(slots=True, kw_only=True)
class Call:
    """A call whose caller is known and allowed, and whose parameters are checked.

    ``node`` is the node that answers. A handler may set ``delay_s`` (seconds the answer
    takes) and ``extra`` (fields beside ``data``).
    """

    world: World
    route: Route
    params: dict[str, str]
    who: Identity
    node: str
    contacted: str
    waited_s: float = 0.0
    upload: bytes = b""
    delay_s: float = 0.0
    extra: Row = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """Return a parameter, or ``None`` if it was not given."""
        return self.params.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter or a default."""
        return self.params.get(name, default)

    def number(self, name: str, default: int = 0) -> int:
        """Return an integer parameter or a default."""
        value = self.params.get(name)
        return default if value is None else int(value)

    def flag(self, name: str) -> bool:
        """Return whether a boolean parameter is given and true."""
        return self.params.get(name) == "1"

    def items(self, name: str) -> list[str]:
        """Return an array parameter."""
        value = self.params.get(name)
        return value.split(ARRAY_SEPARATOR) if value else []

    @property
    def vmid(self) -> int:
        """Return the guest the path names."""
        return int(self.params["vmid"])

    @property
    def kind(self) -> Kind:
        """Return the kind of guest the path names."""
        return Kind.LXC if "/lxc" in self.route.template else Kind.QEMU

    def guest(self) -> Guest:
        """Return the guest the path names, on the node the path names.

        Raises:
            ApiError: 500, there is no configuration file for it there.
        """
        return find_guest(self.world, self.vmid, self.kind, self.node)

    def enter(self, vmid: int | None = None) -> None:
        """Wait for the guest's lock file, as a synchronous call does."""
        self.world.enter(guest_lock(self.vmid if vmid is None else vmid), self.waited_s)

    def fork(self, kind: str, subject: str | int, work: Callable[[Task], Worker]) -> str:
        """Start a worker on the answering node, and return its UPID."""
        return workers.fork(
            self.world,
            node=self.node,
            kind=kind,
            subject=str(subject),
            user=self.who.full,
            work=work,
        )

    def target(self) -> str:
        """Return the node that guests are to be migrated to.

        Raises:
            ApiError: 400, it is this node; 500, there is none of that name, or no quorum.
        """
        target = self.params["target"]
        if target == self.node:
            raise bad_parameters({"target": "target is local node."})
        self.world.need_quorum()
        if target not in self.world.nodes:
            raise ApiError(f"no such cluster node '{target}'")
        return target

    def refuse_skiplock(self) -> None:
        """Refuse ``skiplock`` unless root itself asks."""
        if self.flag("skiplock") and not self.who.is_root:
            raise bad_parameters({"skiplock": "Only root may use this option."})

    def demand(self, path: str, *privileges: str) -> None:
        """Refuse the call unless the caller has all ``privileges`` at ``path``."""
        self.world.access.demand(self.who, path, *privileges)

    def may(self, path: str, *privileges: str) -> bool:
        """Return whether the caller has all ``privileges`` at ``path``."""
        return self.world.access.may(self.who, path, *privileges)


Handler = Callable[[Call], Json | SimResponse]
Handlers = Mapping[str, Handler]


def find_guest(world: World, vmid: int, kind: Kind, node: str) -> Guest:
    """Return a guest that is configured on ``node``.

    Raises:
        ApiError: 500, as PVE puts it when the configuration file is not there.
    """
    guest = world.guests.get(vmid)
    if guest is None or guest.kind is not kind or guest.node != node:
        folder = "qemu-server" if kind is Kind.QEMU else "lxc"
        raise ApiError(f"Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist")
    return guest


def check_lock(guest: Guest, *allowed: str) -> None:
    """Refuse to go on while the configuration carries a lock mark.

    Raises:
        ApiError: 500 ``VM is locked (backup)``.
    """
    if guest.lock is not None and guest.lock not in allowed:
        name = "VM" if guest.kind is Kind.QEMU else "CT"
        raise ApiError(f"{name} is locked ({guest.lock})")


def write(world: World, guest: Guest) -> None:
    """Write the guest's configuration file.

    Raises:
        ApiError: without quorum ``/etc/pve`` is read-only; the file says what it said.
    """
    if not world.is_quorate():
        guest.fall_back()
        path = f"/etc/pve/{guest.conf_path}.tmp.{world.new_pid(guest.node)}"
        raise ApiError(f"unable to open file '{path}' - Permission denied")
    world.wrote(guest)
