"""Check the networks of a service against each other and against its guests."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface

from qlop.manifest import devices, facts
from qlop.manifest.marks import Path
from qlop.manifest.parts import Network
from qlop.manifest.placeholder import sample
from qlop.manifest.resolve import Scope
from qlop.manifest.schema import ServiceSpec
from qlop.model.finding import Finding
from qlop.model.units import counted


def check_networks(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    """Yield what is wrong with the networks of a service."""
    slots: dict[str, int] = {}
    names: dict[str, int] = {}
    for position, network in enumerate(spec.networks or ()):
        path: Path = ("networks", position)
        yield from _check_taken(scope, path, slots, devices.nic_slot(network, position))
        if spec.type == "container":
            yield from _check_taken(scope, path, names, network.name or f"eth{position}")
        yield from _check_mtu(scope, spec, network, path)
        yield from _check_lists(scope, spec, network, path)
        yield from _check_gateway(scope, path, "address", network.address, network.gateway)
        yield from _check_gateway(scope, path, "address6", network.address6, network.gateway6)
        if spec.type == "vm" and spec.cloud_init is None and scope.complete:
            yield from _check_reach(scope, network, path)


def _check_taken(scope: Scope, path: Path, taken: dict[str, int], name: str) -> Iterator[Finding]:
    position = path[-1]
    assert isinstance(position, int), "the path of a network ends in its position"
    if name in taken:
        message = f"{name} is taken by networks[{taken[name]}]"
        yield scope.error(path, "slot-collision", message, "use another one")
    taken.setdefault(name, position)


def _check_mtu(scope: Scope, spec: ServiceSpec, network: Network, path: Path) -> Iterator[Finding]:
    low, high = 1, facts.VM_MTU_MAX
    if spec.type == "container":
        low, high = facts.CONTAINER_MTU_MIN, facts.CONTAINER_MTU_MAX
    if network.mtu is not None and not low <= network.mtu <= high:
        message = f"the MTU of a {spec.type}'s interface goes from {low} to {high}"
        yield scope.error((*path, "mtu"), "out-of-range", message)


def _check_lists(
    scope: Scope, spec: ServiceSpec, network: Network, path: Path
) -> Iterator[Finding]:
    guests = spec.replicas or 1
    for key, values in (
        ("mac", network.mac),
        ("address", network.address),
        ("address6", network.address6),
    ):
        if values is not None and len(values) not in {1, guests}:
            message = f"{key} has {len(values)} entries for {counted(guests, 'guest')}"
            hint = "write one for all (with {index} in it), or one for each"
            yield scope.error((*path, key), "wrong-length", message, hint)


def _check_gateway(
    scope: Scope, path: Path, key: str, addresses: list[str] | None, gateway: str | None
) -> Iterator[Finding]:
    if gateway is None:
        return
    place: Path = (*path, key.replace("address", "gateway"))
    fixed = [sample(address) for address in addresses or () if "/" in address]
    if len(fixed) != len(addresses or ()) or not fixed:
        message = f"a gateway goes with a fixed {key} only"
        hint = f"write {key} with its prefix length, or leave the gateway out"
        yield scope.error(place, "gateway-without-address", message, hint)
        return
    router = ip_address(sample(gateway))
    for address in fixed:
        network = ip_interface(address).network
        if router.version != network.version:
            message = f"{gateway} is no IPv{network.version} address"
            yield scope.error(place, "malformed", message)
            return
        if router not in network:
            message = f"the gateway {gateway} is not in the network of {address}"
            yield scope.warning(place, "gateway-elsewhere", message, "check the prefix length")
            return


def _check_reach(scope: Scope, network: Network, path: Path) -> Iterator[Finding]:
    for key, values in (("address", network.address), ("address6", network.address6)):
        if values:
            message = f"{key} is told to a VM by cloud-init, and there is no cloudInit"
            hint = "add cloudInit, or set the address inside the VM and leave it out here"
            yield scope.error((*path, key), "no-cloud-init", message, hint)
