"""The pages say what there is: every hold, every law, every key of the journal."""

import re
from pathlib import Path

import pytest

from qlop.model.verdict import Hold

ROOT = Path(__file__).parents[2]
HOLDS = (ROOT / "docs" / "holds.md").read_text()
LAWS = (ROOT / "docs" / "laws.md").read_text()
ROW = re.compile(r"^\| `([a-z-]+)` \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
NO_STORY = {
    "| What costs more is never freer.",  # of all that a manifest can say: a law
    "| A freeze can't be missed.",  # a broken book of orders is no part of a cluster
}
ENDS = {"time", "cluster", "manifest", "hand", "order", "a new release"}


def test_every_hold_is_explained_once_and_nothing_else() -> None:
    told = [row[1] for row in ROW.finditer(HOLDS)]

    assert sorted(told) == sorted(hold.value for hold in Hold)


def test_every_hold_says_who_ends_it_and_what_can_be_done() -> None:
    for row in ROW.finditer(HOLDS):
        assert set(row[2].split(", ")) <= ENDS, row[1]
        assert row[3].endswith("."), row[1]
        assert row[4].endswith("."), row[1]


@pytest.mark.parametrize("hold", Hold)
def test_every_hold_comes_from_somewhere(hold: Hold) -> None:
    sources = [
        *(ROOT / "qlop" / "planner").glob("*.py"),
        *(ROOT / "qlop" / "controller").glob("*.py"),
    ]

    assert any(f"Hold.{hold.name}" in path.read_text() for path in sources)


def test_every_law_names_a_test_that_there_is() -> None:
    named = set(re.findall(r"`(test_[a-z_]+)`", LAWS))

    assert named
    for name in sorted(named):
        assert (ROOT / "tests" / "laws" / f"{name}.py").is_file(), name


def test_every_law_tested_is_among_the_laws() -> None:
    named = set(re.findall(r"`(test_[a-z_]+)`", LAWS))

    assert {path.stem for path in (ROOT / "tests" / "laws").glob("test_*.py")} <= named


def test_every_proof_of_safety_is_there() -> None:
    safety = (ROOT / "docs" / "safety.md").read_text()
    rows = [row for row in safety.splitlines() if row.startswith("| ") and "`tests/" in row]

    assert rows
    for row in rows:
        for path in re.findall(r"`(tests/[^`]+)`", row):
            assert (ROOT / path).exists(), path
        for names in re.findall(r"stor(?:y|ies) ((?:`[a-z-]+`(?:, )?)+)", row):
            for name in re.findall(r"`([a-z-]+)`", names):
                assert (ROOT / "tests" / "scenarios" / name / "story.md").is_file(), name


def test_every_claim_of_safety_has_a_test_and_a_story() -> None:
    safety = (ROOT / "docs" / "safety.md").read_text()
    claims = [
        row.split(" | ")
        for table in safety.split("| claim | how | proven by |\n")[1:]
        for row in table.partition("\n\n")[0].splitlines()[1:]
    ]

    assert len(claims) > 30
    for claim, _, proof in claims:
        assert "`tests/" in proof, claim
        assert "stor" in proof.split("`tests/")[-1] or claim in NO_STORY, claim


def test_every_page_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f"(docs/{page.name})" in readme, page.name


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").glob("**/*.md")), ids=lambda path: path.stem
)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
