"""Find the address at which a guest can be spoken to, where its manifest gives one."""

from qlop.model.desired import DesiredGuest, DesiredNic
from qlop.model.guest import GuestKind, Properties


def static_address(want: DesiredGuest) -> str:
    """Return the first fixed address of a guest, IPv4 before IPv6; empty if it has none."""
    for key in ("ip", "ip6"):
        for nic in want.nics:
            address, slash, _ = ip_config(want, nic).get(key, "").partition("/")
            if slash:
                return address
    return ""


def ip_config(want: DesiredGuest, nic: DesiredNic) -> Properties:
    """Return what a guest's interface is told of addresses (``ip``, ``gw``, ``ip6``, …).

    A container has it in the interface itself, a VM in its cloud-init options.
    """
    if want.kind is GuestKind.CONTAINER:
        return nic.properties
    said = want.options.get(nic.slot.replace("net", "ipconfig"), {})
    return {} if isinstance(said, str) else said
