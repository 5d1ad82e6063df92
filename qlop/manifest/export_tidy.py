"""Write a manifest the short way: slots and names that follow from the place are left out."""

from collections.abc import Mapping

from qlop.manifest.marks import Yaml
from qlop.model.guest import GuestKind


def tidy(spec: Mapping[str, Yaml], kind: GuestKind) -> dict[str, Yaml]:
    """Return what means the same as ``spec`` in fewer words."""
    found = dict(spec)
    networks, mounts, agent = (found.get(key) for key in ("networks", "mountPoints", "agent"))
    if isinstance(networks, list):
        found["networks"] = [
            _network(item, position, kind) for position, item in enumerate(networks)
        ]
    if isinstance(mounts, list):
        found["mountPoints"] = [
            _without(item, {"slot": f"mp{position}"}) for position, item in enumerate(mounts)
        ]
    if isinstance(agent, dict) and agent.keys() == {"enabled"}:
        found["agent"] = agent["enabled"]
    return found


def _network(item: Yaml, position: int, kind: GuestKind) -> Yaml:
    usual: dict[str, Yaml] = {"slot": f"net{position}"}
    if kind is GuestKind.VM:
        return _without(item, usual | {"model": "virtio"})
    return _without(item, usual | {"name": f"eth{position}"})


def _without(item: Yaml, usual: Mapping[str, Yaml]) -> Yaml:
    if not isinstance(item, dict):
        return item
    return {key: value for key, value in item.items() if usual.get(key) != value}
