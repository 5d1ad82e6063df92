"""A rule of the simulator that is broken is noticed: by a recording, or by a story."""

import subprocess
import sys
from pathlib import Path

import pytest

import qlop.sim
from tests.breaking import broken
from tests.contract import recordings
from tests.sim.mutant_table import MUTANTS, Mutant
from tests.sim.mutants import as_break

ENOUGH = 30


def test_there_are_enough_of_them_and_each_rule_is_told_once() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= ENOUGH


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_rule_still_stands_where_it_is_broken(mutant: Mutant) -> None:
    text = (Path(qlop.sim.__file__).parent / f"{mutant.module}.py").read_text()

    assert broken(as_break(mutant), text) != text


@pytest.mark.real
@pytest.mark.slow  # Plays a story for each, in a process of its own.
@pytest.mark.recordings
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not recordings.FOLDER.is_dir(),
    reason=f"the recordings of the real API server are not at {recordings.FOLDER}",
)
def test_every_broken_rule_is_noticed() -> None:
    command = [sys.executable, "-m", "tests.sim.mutants"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)

    assert f"{len(MUTANTS)} of {len(MUTANTS)} broken rules are noticed" in done.stdout
    assert done.returncode == 0
