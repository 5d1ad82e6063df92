"""Take out of a manifest what the checks refuse, as little as leaves a good one."""

import re
from collections.abc import Collection, Mapping

from qlop.manifest.marks import Path, Yaml, text_of

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")

_NEEDED: Mapping[tuple[str, str], Path] = {
    ("networks", "bridge"): ("networks",),
    ("rng", "source"): ("rng",),
}
"""Keys without which what is around them can't be: that goes instead. NICs that are not
in the list would be removed, so all of the list goes."""

_ITEMS_APART = frozenset({"disks", "mountPoints"})
"""Lists that leave alone what they don't have: one item may go by itself."""


def path_of(text: str) -> Path:
    """Return the path that ``spec.disks[0].size`` writes."""
    return tuple(int(index) if index else key for key, index in _STEP.findall(text))


def whole_of(path: Path) -> Path:
    """Return what has to go so that what is at ``path`` is gone and the rest is good."""
    head, last = str(path[0]), str(path[-1])
    needed = _NEEDED.get((head, last))
    if needed is not None:
        return needed
    if head in _ITEMS_APART and len(path) >= 2:
        is_item = last in {"hostPath", "path", "slot"} or len(path) == 2
        return path[:2] if is_item else _list_around(path, keep=2)
    if head == "networks" and len(path) > 2:
        return _list_around(path, keep=2)
    return _list_around(path, keep=0)


def is_item(path: Path) -> bool:
    """Return whether ``path`` is that of an item of a list: those after it move up."""
    return isinstance(path[-1], int)


def has(spec: Mapping[str, Yaml], path: Path) -> bool:
    """Return whether there is anything at ``path``."""
    node: Yaml = dict(spec)
    for step in path:
        if isinstance(node, dict) and step in node:
            node = node[str(step)]
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            return False
    return True


def label_of(spec: Mapping[str, Yaml], path: Path) -> str:
    """Return ``path`` for people: an item by its slot, which stays when items move up."""
    items, position = spec.get(str(path[0])), path[1] if len(path) > 1 else None
    item = items[position] if isinstance(items, list) and isinstance(position, int) else None
    if isinstance(item, dict) and "slot" in item:
        return text_of((str(item["slot"]), *path[2:]))
    return text_of(path)


def without(spec: Mapping[str, Yaml], gone: Collection[Path]) -> dict[str, Yaml]:
    """Return ``spec`` without what is at the paths ``gone``, and without what that empties."""
    found = _pruned(dict(spec), (), gone)
    assert isinstance(found, dict), "what was a mapping stays one"
    return found


def _list_around(path: Path, *, keep: int) -> Path:
    """Return the path of the list that an item is in: without the item it is another one."""
    for depth, step in enumerate(path):
        if isinstance(step, int) and depth >= keep:
            return path[:depth]
    return path


def _pruned(node: Yaml, at: Path, gone: Collection[Path]) -> Yaml:
    if isinstance(node, dict):
        found = {
            key: _pruned(value, (*at, key), gone)
            for key, value in node.items()
            if (*at, key) not in gone
        }
        return {key: value for key, value in found.items() if value != {} or node[key] == {}}
    if isinstance(node, list):
        return [
            _pruned(item, (*at, position), gone)
            for position, item in enumerate(node)
            if (*at, position) not in gone
        ]
    return node
