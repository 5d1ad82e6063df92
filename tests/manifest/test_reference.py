"""The manifest reference is what the schema says."""

from pathlib import Path

from qlop.manifest.reference import render_reference
from qlop.manifest.schema import KINDS

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "manifests.md").read_text()

    assert written == render_reference(), "run scripts/reference"


def test_every_key_of_every_kind_is_described() -> None:
    text = render_reference()

    for kind in KINDS:
        assert f"\n## {kind}\n" in text
    assert "|  |" not in text
