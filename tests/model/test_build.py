"""What a guest was built from has a name, and two names may mean the same."""

import pytest

from qlop.model.build import build_of, build_text, is_same_build
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

THERE = [(VmId(9000), "debian-12"), (VmId(9001), "debian-12"), (VmId(9100), "debian-13")]


@pytest.mark.parametrize(
    ("source", "build", "text"),
    [
        (CloneSource(template=VmId(9000)), "template:9000", "template 9000"),
        (CloneSource(template="debian-12", full=False), "template:debian-12", "template debian-12"),
        (ImageSource(volume="local:import/a.qcow2"), "image:local:import/a.qcow2",
         "image local:import/a.qcow2"),
        (ArchiveSource(volume="local:vztmpl/a.zst"), "archive:local:vztmpl/a.zst",
         "archive local:vztmpl/a.zst"),
        (IsoSource(volume="local:iso/a.iso"), "empty", "empty disks"),
        (EmptySource(), "empty", "empty disks"),
    ],
)  # fmt: skip
def test_a_build(source: Source, build: str, text: str) -> None:
    assert (build_of(source), build_text(build)) == (build, text)


def test_what_exists_was_built_from_who_knows_what() -> None:
    assert build_of(ExistingSource()) == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("empty", "empty", True),
        ("template:9000", "template:debian-12", True),
        ("template:debian-12", "template:9001", True),
        ("template:debian-12", "template:9100", False),
        ("template:9000", "template:9001", False),
        ("template:9000", "image:9000", False),
        ("template:debian-12", "template:debian-13", False),
    ],
)
def test_the_same_build(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - a table
    assert is_same_build(one, other, THERE) is same
