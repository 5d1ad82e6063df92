"""Let guests serve: what their applications answer, and at which address.

A guest answers while it runs and has booted. What it answers can be changed by hand: it
may be slow, wrong, hung or down, or need a certain configuration to be well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from qlop.sim import drives
from qlop.sim.engine import World
from qlop.sim.state import App, Guest, Kind

SLOW_S = 30.0
"""How long a slow application takes: longer than anybody waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What an application answers to a request: a status, after some time.

    ``status`` None: it never answers. That it takes a connection is said already by there
    being one of these.
    """

    status: int | None
    delay_s: float = 0.0


def serves(world: World, guest: Guest) -> Served | None:
    """Return what a guest's application would answer now; None: nobody listens."""
    run = guest.run
    if run is None or run.paused or world.now < run.booted_at or guest.app is App.DOWN:
        return None
    key, equals, value = guest.app_needs.partition("=")
    if equals and run.devices.get(key, "") != value:
        return Served(status=500)
    match guest.app:
        case App.WRONG:
            return Served(status=500)
        case App.HUNG:
            return Served(status=None)
        case App.SLOW:
            return Served(status=200, delay_s=SLOW_S)
        case _:
            return Served(status=200)


def addresses(guest: Guest) -> Iterator[tuple[str, str, int]]:
    """Yield the address of each interface: its name, the address, the prefix length."""
    for key in drives.numbered(guest.config, "net"):
        number = key[3:]
        if guest.kind is Kind.LXC:
            wanted = drives.parse(guest.config[key], "name").get("ip", "dhcp")
        else:
            wanted = drives.parse(guest.config.get(f"ipconfig{number}", ""), "ip").get(
                "ip", "dhcp"
            )
        ip, _, prefix = wanted.partition("/")
        if not prefix:
            ip = f"10.{guest.vmid // 62500 % 250}.{guest.vmid // 250 % 250}.{guest.vmid % 250 + 2}"
        if guest.address and number == "0":
            ip, prefix = guest.address, "8"
        yield f"eth{number}", ip, int(prefix or "24")


def guest_at(world: World, address: str) -> Guest | None:
    """Return the running guest that has ``address``."""
    for guest in world.guests.values():
        if guest.is_running and any(address == ip for _, ip, _ in addresses(guest)):
            return guest
    return None


def command(guest: Guest, verb: str, words: list[str]) -> str:
    """Carry out ``guest VMID app …`` and ``guest VMID address …``; return what happened.

    Raises:
        ValueError: the words make no sense.
    """
    if verb == "address":
        if not ip_address(words[0]).is_loopback:
            raise ValueError(f"{words[0]} is not on the loopback network (127.A.B.C)")
        guest.address, guest.ports = words[0], tuple(int(port) for port in words[1:])
        return f"guest {guest.vmid} answers at {words[0]}, on ports {' '.join(words[1:])}"
    if words[0] == "needs":
        guest.app_needs = words[1]
        return f"guest {guest.vmid}: its application needs {words[1]}"
    guest.app = App(words[0])
    return f"guest {guest.vmid}: its application is {words[0]}"
