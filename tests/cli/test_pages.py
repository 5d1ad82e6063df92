"""The documentation says what the program is."""

import re
from pathlib import Path

import pytest

from tests.cli import pages

ROOT = pages.DOCS.parent
DOCUMENTS = sorted([ROOT / "README.md", *pages.DOCS.rglob("*.md")])
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    expected = pages.PAGES[name]()

    assert (pages.DOCS / name).read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: str(one.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [
        target
        for target in _LINK.findall(document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]

    assert broken == []
