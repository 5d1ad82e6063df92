"""Name what a guest was built from, so that it is seen when that is to be something else."""

from collections.abc import Iterable

from qlop.model.desired import (
    ArchiveSource,
    CloneSource,
    EmptySource,
    ExistingSource,
    ImageSource,
    IsoSource,
    Source,
)
from qlop.model.ids import VmId

BY_HAND = "empty"
"""The build of a guest that began with empty disks: what is on them was put there by hand,
from whatever medium. Another medium is no reason to build it anew."""

_TEMPLATE = "template:"


def build_of(source: Source) -> str:
    """Return the build that a guest made from ``source`` will have, empty if none can be said.

    How it was copied (linked, to which storage) makes no other guest of it.
    """
    match source:
        case CloneSource(template=template):
            return f"{_TEMPLATE}{template}"
        case ImageSource(volume=volume):
            return f"image:{volume}"
        case ArchiveSource(volume=volume):
            return f"archive:{volume}"
        case IsoSource() | EmptySource():
            return BY_HAND
        case ExistingSource():
            return ""


def build_text(build: str) -> str:
    """Return a build for people: ``template debian-12``."""
    if build == BY_HAND:
        return "empty disks"
    kind, _, name = build.partition(":")
    return f"{kind} {name}"


def is_same_build(one: str, other: str, templates: Iterable[tuple[VmId, str]]) -> bool:
    """Return whether two builds are the same thing, perhaps under two names.

    A template may be named by VMID or by name; ``templates`` are those that there are. Two
    names of which one is a template's VMID and the other its name mean the same one.
    """
    if one == other:
        return True
    if not (one.startswith(_TEMPLATE) and other.startswith(_TEMPLATE)):
        return False
    names = {one.removeprefix(_TEMPLATE), other.removeprefix(_TEMPLATE)}
    return any(names == {str(vmid), name} for vmid, name in templates)
