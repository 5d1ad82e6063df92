"""The pinned packages: names and versions, whole, and those that are installed."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
_LINE = re.compile(r"#.*|-r [a-z]+\.txt|[A-Za-z0-9._-]+==[0-9A-Za-z.]+")


def pins(*names: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        for line in (ROOT / "requirements" / name).read_text().splitlines():
            package, pinned, version = line.partition("==")
            if pinned:
                found[canonicalize_name(package)] = version
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_there_are_names_and_versions_and_no_addresses(file: Path) -> None:
    lines = file.read_text().splitlines()

    assert [line for line in lines if not _LINE.fullmatch(line)] == []


def test_all_that_qlop_needs_is_pinned_with_all_that_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = pins("base.txt")
    pending = [Requirement(one) for one in project["dependencies"]]
    seen: set[str] = set()
    while pending:
        one = pending.pop()
        name = canonicalize_name(one.name)
        assert name in base, name
        assert one.specifier.contains(base[name]), one
        if name not in seen:
            seen.add(name)
            needs = (Requirement(text) for text in distribution(name).requires or ())
            pending += [
                need for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
            ]


def test_what_is_installed_is_what_is_pinned() -> None:
    pinned = pins("base.txt", "build.txt", "dev.txt")

    assert {name: distribution(name).version for name in pinned} == pinned
