"""The list of what is modelled (README.md) names proofs that there are, and every fault."""

import re
from pathlib import Path

from qlop.sim.faults import Effect
from tests.sim.mutant_table import MUTANTS

HERE = Path(__file__).parent
TEXT = (HERE / "README.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and "| ---" not in line]
TESTS = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
RULES = re.compile(r"rule: (.+?)(?=, rule: |, story: |, `| \|)")
STORIES = re.compile(r"story: ([a-z0-9-]+)")


def test_every_test_that_is_named_is_there() -> None:
    missing = [
        name
        for file, name in TESTS.findall(TEXT)
        if not re.search(rf"def {name}\(", (HERE / file).read_text(encoding="utf-8"))
    ]

    assert missing == []


def test_every_story_and_every_rule_that_is_named_is_there() -> None:
    stories = {folder.name for folder in (HERE.parent / "scenarios").iterdir()}

    assert set(STORIES.findall(TEXT)) - stories == set()
    assert set(RULES.findall(TEXT)) - {mutant.name for mutant in MUTANTS} == set()


def test_every_row_has_a_proof() -> None:
    unproved = [
        row
        for row in ROWS
        if not (TESTS.search(row) or RULES.search(row) or STORIES.search(row))
        and not row.startswith(("| behaviour", "| fault"))
    ]

    assert unproved == []
    assert len(ROWS) > 40


def test_every_fault_is_on_the_list() -> None:
    faults = TEXT.partition("## Faults")[2]

    assert {effect.value for effect in Effect} - set(
        re.findall(r"`([a-z0-9-]+)`", faults)
    ) == set()
