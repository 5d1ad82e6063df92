"""Each call is valid in every PVE version from 8.2 on, and of the others qlop says so."""

import inspect
from pathlib import Path

import pytest

from qlop.ports import PveCall
from qlop.pve import calls, versions
from tests.pve import compatibility
from tests.pve.compatibility import REFERENCE, VERSIONS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"

pytestmark = [
    pytest.mark.skipif(
        not (REFERENCE / "schema").is_dir(),
        reason=f"did not run: PVE's API descriptions are not in {REFERENCE / 'schema'}",
    ),
    pytest.mark.recordings,
]


def numbered(version: str) -> tuple[int, int, int]:
    """Return a version as the cluster tells it, ``9.2.11`` or ``8.2``."""
    major, minor, patch = (int(part) for part in f"{version}.0".split(".")[:3])
    return major, minor, patch


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_is_remarked_on_exactly_if_it_would_refuse_a_call(version: str) -> None:
    remark = versions.remark_on(numbered(version))
    refused = compatibility.refused(version)

    assert bool(refused) is bool(remark), (refused, remark)


def test_the_oldest_and_the_newest_version_that_qlop_knows_were_checked() -> None:
    known = [numbered(version)[:2] for version in VERSIONS]

    assert versions.OLDEST in known
    assert max(known) == versions.NEWEST


def test_a_parameter_that_a_version_lacks_or_demands_is_found() -> None:
    schema = {
        "/version": {
            "GET": {
                "parameters": {
                    "properties": {
                        "node": {"type": "string"},
                        "lines": {"type": "integer", "maximum": 5, "optional": 1},
                    }
                }
            }
        }
    }
    call = PveCall(
        method=calls.version().method, route="/version", params={"lines": 9, "colour": "red"}
    )

    assert compatibility.complaints(call, schema) == [
        "node is missing",
        "lines=9 is not of its type",
        "colour is unknown",
    ]


def test_no_call_is_forgotten() -> None:
    made = {call.route for call in compatibility.every_call()}
    reads = {
        name
        for name, function in inspect.getmembers(calls, inspect.isfunction)
        if not name.startswith("_")
        and function.__module__ == calls.__name__
        and name != calls.call_for.__name__
    }
    source = inspect.getsource(compatibility.every_call)

    assert {name for name in reads if f"calls.{name}(" not in source} == set()
    assert len(made) > 30


def test_the_page_says_what_was_found() -> None:
    assert PAGE.read_text(encoding="utf-8") == compatibility.page()
