"""Read what a guest says of itself: its addresses, through the agent or the node. Pure."""

from ipaddress import ip_address

from qlop.model.guest import GuestKind
from qlop.model.reading import Known, Unknown
from qlop.ports import Json
from qlop.pve.payload import Misread, row_of, rows_of, text

_LOOPBACK = "lo"


def parse_addresses(kind: GuestKind, payload: Json) -> Known[tuple[str, ...]] | Unknown:
    """Return the addresses of a guest, IPv4 first, in the order of its interfaces.

    Those of the loopback interface and link-local ones are left out: nobody else can
    speak to them.
    """
    try:
        said = _of_agent(payload) if kind is GuestKind.VM else _of_container(payload)
        found = [ip_address(one) for one in said]
    except (Misread, ValueError) as error:
        return Unknown(f"interfaces not understood: {error}")
    usable = sorted((one for one in found if not one.is_link_local), key=lambda one: one.version)
    return Known(tuple(map(str, usable)))


def _of_agent(payload: Json) -> list[str]:
    """Read ``GET …/agent/network-get-interfaces``: the agent's own words in ``result``."""
    result = row_of(payload, "agent").get("result")
    found: list[str] = []
    for row in rows_of(result, "interfaces"):
        if text(row, "name") != _LOOPBACK:
            listed = row.get("ip-addresses", [])
            found += [text(one, "ip-address") for one in rows_of(listed, "addresses")]
    return found


def _of_container(payload: Json) -> list[str]:
    """Read ``GET /nodes/{node}/lxc/{vmid}/interfaces``: ``inet`` is ``10.0.0.1/24``.

    It is null while the container is stopped.
    """
    found: list[str] = []
    for row in rows_of(payload if payload is not None else [], "interfaces"):
        if text(row, "name") != _LOOPBACK:
            both = [text(row, "inet"), text(row, "inet6")]
            found += [one.partition("/")[0] for one in both if one]
    return found
