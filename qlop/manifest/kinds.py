"""Know what only VMs have and what only containers have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from qlop.manifest import facts
from qlop.manifest.marks import Path, Yaml

_NO_HARDWARE = "a container has no hardware of its own: leave it out"

_VM_ONLY: Mapping[tuple[str, ...], str] = {
    ("source", "image"): "a container comes from source.archive, clone or existing",
    ("source", "iso"): "a container comes from source.archive, clone or existing",
    ("source", "empty"): "a container comes from source.archive, clone or existing",
    ("cpu", "sockets"): "a container has cpu.cores",
    ("cpu", "type"): _NO_HARDWARE,
    ("cpu", "flags"): _NO_HARDWARE,
    ("cpu", "numa"): _NO_HARDWARE,
    ("cpu", "vcpus"): "a container has cpu.cores",
    ("balloon",): "a container gives memory back by itself: leave it out",
    ("machine",): _NO_HARDWARE,
    ("bios",): _NO_HARDWARE,
    ("efiDisk",): _NO_HARDWARE,
    ("tpm",): _NO_HARDWARE,
    ("scsiController",): _NO_HARDWARE,
    ("disks",): "a container has rootfs and mountPoints",
    ("cloudInit",): "a container has container.sshKeys, dns and networks[].address",
    ("agent",): "a container needs no agent: leave it out",
    ("bootOrder",): _NO_HARDWARE,
    ("display",): "a container has container.console and container.tty",
    ("serialPorts",): _NO_HARDWARE,
    ("rng",): _NO_HARDWARE,
    ("watchdog",): _NO_HARDWARE,
    ("hotplug",): "everything of a container may be changed while it runs: leave it out",
    ("tablet",): _NO_HARDWARE,
    ("kvm",): _NO_HARDWARE,
    ("snapshots", "memory"): "a container's memory is not kept: leave it out",
    ("rollback", "memory"): "a container's memory is not kept: leave it out",
    ("networks", "model"): "a container's interface has a name, not a model",
    ("networks", "queues"): _NO_HARDWARE,
}

_CONTAINER_ONLY: Mapping[tuple[str, ...], str] = {
    ("source", "archive"): "a VM comes from source.clone, image, iso, empty or existing",
    ("swap",): "swap of a VM is set up inside it; PVE gives it memory and balloon",
    ("rootfs",): "a VM has disks",
    ("mountPoints",): "a VM has disks",
    ("container",): "a VM has cloudInit for its keys, and agent",
    ("networks", "name"): "a VM names its interfaces itself: leave it out",
}

_OS: Mapping[str, frozenset[str]] = {
    "vm": frozenset(get_args(facts.VmOs)),
    "container": frozenset(get_args(facts.ContainerOs)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misplaced:
    """A key that the kind of guest does not have, and what to use instead."""

    path: Path
    instead: str


def misplaced(spec: Mapping[str, Yaml], guest_type: str) -> tuple[Misplaced, ...]:
    """Return what is said in ``spec`` that a guest of this type can't have."""
    table = _CONTAINER_ONLY if guest_type == "vm" else _VM_ONLY
    found = [
        Misplaced(path=path, instead=instead)
        for words, instead in table.items()
        for path in _present(spec, words)
    ]
    os_type = spec.get("osType")
    if isinstance(os_type, str) and os_type not in _OS[guest_type]:
        known = ", ".join(sorted(_OS[guest_type]))
        found.append(Misplaced(path=("osType",), instead=f"there are {known}"))
    return tuple(found)


def fitting(spec: Mapping[str, Yaml], guest_type: str) -> dict[str, Yaml]:
    """Return ``spec`` without what a guest of this type can't have."""
    found: Yaml = dict(spec)
    for wrong in misplaced(spec, guest_type):
        found = _without(found, wrong.path)
    assert isinstance(found, dict), "what was a mapping stays one"
    if spec.get("source") and not found["source"]:
        del found["source"]
    return found


def _present(spec: Mapping[str, Yaml], words: tuple[str, ...]) -> list[Path]:
    value = spec.get(words[0])
    if len(words) == 1:
        return [(words[0],)] if words[0] in spec else []
    if isinstance(value, dict):
        return [words] if words[1] in value else []
    if isinstance(value, list):
        return [
            (words[0], position, words[1])
            for position, item in enumerate(value)
            if isinstance(item, dict) and words[1] in item
        ]
    return []


def _without(node: Yaml, path: Path) -> Yaml:
    step, rest = path[0], path[1:]
    if isinstance(node, list):
        return [_without(item, rest) if at == step else item for at, item in enumerate(node)]
    assert isinstance(node, dict), "a path leads through mappings and lists"
    if rest:
        return {key: _without(item, rest) if key == step else item for key, item in node.items()}
    return {key: item for key, item in node.items() if key != step}
