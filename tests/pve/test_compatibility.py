"""Each call is valid in every PVE version from 8.2 on."""

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("version", VERSIONS)
def test_each_call_is_valid(version: str) -> None:
    schema = compatibility.load(version)

    refused = {
        (call.method.value, call.route): complaint
        for call in compatibility.every_call()
        if (complaint := compatibility.complaints(call, schema))
    }

    assert refused == {}


def test_the_page_says_what_was_found() -> None:
    assert PAGE.read_text(encoding="utf-8") == compatibility.page()
