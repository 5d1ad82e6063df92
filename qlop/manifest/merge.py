"""Merge what a service inherits with what it says, and remember what came from where.

Mappings are merged key by key, everything else is replaced. Two exceptions: another kind
of ``source`` replaces the whole of it, and ``agent: true`` is ``agent: {enabled: true}``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qlop.manifest.document import Document
from qlop.manifest.marks import Path, Yaml

DEFAULTS_LABEL = "cluster defaults"
"""Where a field came from that the Cluster gives; no profile can be called so."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """Something to inherit from: a profile or the cluster's defaults.

    ``above`` is the path in ``document`` of what ``spec`` holds.
    """

    label: str
    spec: Mapping[str, Yaml]
    document: Document
    above: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Base:
    """Several layers, merged. ``leaves``: path of each value → label of its layer."""

    spec: Mapping[str, Yaml]
    leaves: Mapping[Path, str]


def merge_layers(layers: Iterable[Layer]) -> Base:
    """Return what the layers, the weakest first, amount to."""
    spec: dict[str, Yaml] = {}
    leaves: dict[Path, str] = {}
    for layer in layers:
        top = normal(layer.spec)
        leaves = {path: label for path, label in leaves.items() if not is_said(top, path)}
        leaves.update(dict.fromkeys(_leaves(top), layer.label))
        spec = overlay(spec, top)
    return Base(spec=spec, leaves=leaves)


def overlay(base: Mapping[str, Yaml], top: Mapping[str, Yaml]) -> dict[str, Yaml]:
    """Return ``base`` with what ``top`` says put over it; neither is changed."""
    found = dict(base)
    for key, value in top.items():
        below = found.get(key)
        if (
            isinstance(value, dict)
            and isinstance(below, dict)
            and not _replaces(key, value, below)
        ):
            found[key] = overlay(below, value)
        else:
            found[key] = value
    return found


def is_said(top: Mapping[str, Yaml], path: Path) -> bool:
    """Return whether ``top`` decides about the value at ``path`` of what is below it."""
    node: Yaml = dict(top)
    for depth, step in enumerate(path):
        if not isinstance(node, dict):
            return True
        if depth == 1 and path[0] == "source" and step not in node:
            return True
        if step not in node:
            return False
        node = node[str(step)]
    return True


def normal(spec: Mapping[str, Yaml]) -> dict[str, Yaml]:
    """Return ``spec`` with shorthands written out, so that mappings meet mappings."""
    found = dict(spec)
    agent = found.get("agent")
    if isinstance(agent, bool):
        found["agent"] = {"enabled": agent}
    return found


def _replaces(key: str, value: Mapping[str, Yaml], below: Mapping[str, Yaml]) -> bool:
    return key == "source" and not value.keys() & below.keys()


def _leaves(spec: Mapping[str, Yaml], above: Path = ()) -> Iterable[Path]:
    for key, value in spec.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)
