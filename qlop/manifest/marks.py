"""Find where in a file a value of a document stands.

A document keeps one number per node, in the order of the text, instead of a tree of
nodes: ten thousand documents cost a few megabytes. Only a finding walks them.
"""

from array import array
from dataclasses import dataclass
from typing import TypeAlias

Yaml = bool | int | float | str | list["Yaml"] | dict[str, "Yaml"] | None
"""What a document can hold; every key is text."""

Path = tuple[str | int, ...]
"""Keys and list positions from the top of a document to a value."""

Marks: TypeAlias = "array[int]"
"""Positions in pre-order: a node's own; for a mapping, then each key's and its value's."""

_COLUMN_BITS = 24
"""More columns than a file of the permitted size has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A line and column, counted from 1."""

    line: int
    column: int


def pack(line: int, column: int) -> int:
    """Return a position, counted from 0, as one number."""
    return line << _COLUMN_BITS | column


def spot_of(mark: int) -> Spot:
    """Return the position that a number stands for."""
    return Spot(line=(mark >> _COLUMN_BITS) + 1, column=(mark & (1 << _COLUMN_BITS) - 1) + 1)


def value_spot(data: Yaml, marks: Marks, path: Path) -> Spot:
    """Return where the value at ``path`` begins.

    A path that leads nowhere leads to what would hold the missing value: the key of the
    innermost mapping or list that is there.
    """
    node, at, _, missing = _walk(data, marks, path)
    return spot_of(marks[at] if not missing else node)


def key_spot(data: Yaml, marks: Marks, path: Path) -> Spot:
    """Return where the key of the value at ``path`` stands; a list item has none."""
    key, at, is_key, missing = _walk(data, marks, path)
    return spot_of(key if is_key or missing else marks[at])


def text_of(path: Path) -> str:
    """Return a path as people write it: ``spec.disks[0].size``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def _walk(data: Yaml, marks: Marks, path: Path) -> tuple[int, int, bool, bool]:
    """Return the last key's mark, the node's index, whether it has a key, whether it is absent."""
    node, at, key, is_key = data, 0, marks[0], False
    for step in path:
        found = _child(node, at, step)
        if found is None:
            return key, at, is_key, True
        node, at = found
        is_key = isinstance(step, str)
        key = marks[at - 1] if is_key else marks[at]
    return key, at, is_key, False


def _child(node: Yaml, at: int, step: str | int) -> tuple[Yaml, int] | None:
    at += 1
    if isinstance(node, dict):
        for name, value in node.items():
            if name == step:
                return value, at + 1
            at += 1 + _width(value)
    elif isinstance(node, list):
        for position, value in enumerate(node):
            if position == step:
                return value, at
            at += _width(value)
    return None


def _width(node: Yaml) -> int:
    """Return how many marks a node and everything in it has."""
    if isinstance(node, dict):
        return 1 + sum(1 + _width(value) for value in node.values())
    if isinstance(node, list):
        return 1 + sum(_width(value) for value in node)
    return 1
