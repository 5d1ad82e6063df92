"""Whatever can be done can be called, said, counted and settled; import rules hold."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from qlop import planner
from qlop.executor import intent
from qlop.model.action import Action, Verb, verb_of
from qlop.model.history import Ending
from qlop.model.ids import CycleId
from qlop.pve import calls
from qlop.render.action import action_text
from qlop.telemetry.metrics import Metrics
from tests.builders import NOW
from tests.executor.planned import action_of, planned

ROOT = Path(__file__).parents[2]
ACTIONS = get_args(Action)


def test_every_action_has_a_verb_of_its_own() -> None:
    assert {verb_of(action_of(verb)) for verb in Verb} == set(Verb)
    assert {type(action_of(verb)) for verb in Verb} == set(ACTIONS)


@pytest.mark.parametrize("verb", Verb)
def test_every_action_is_one_mutation(verb: Verb) -> None:
    call = calls.call_for(action_of(verb))

    assert call.is_mutation
    assert "{" not in call.path


def test_no_two_actions_are_the_same_call() -> None:
    """But for the mark with which a replacement begins: a write of its own name."""
    verbs = [verb for verb in Verb if verb is not Verb.REPLACE]
    seen = {str((one.method, one.route)) for one in map(calls.call_for, map(action_of, verbs))}

    assert len(seen) == len(verbs)


@pytest.mark.parametrize("verb", Verb)
def test_every_action_can_be_said(verb: Verb) -> None:
    text = action_text(action_of(verb))

    assert "web" in text
    assert "hunter2" not in text


def test_no_two_actions_are_said_alike() -> None:
    assert len({action_text(action_of(verb)) for verb in Verb}) == len(Verb)


@pytest.mark.parametrize("verb", Verb)
def test_every_action_is_counted_from_the_start(verb: Verb) -> None:
    text = Metrics(version="0").render().decode()

    for ending in Ending:
        labels = f'{{ending="{ending.value}",verb="{verb.value}"}}'
        assert f"qlop_actions_total{labels} 0.0" in text


@pytest.mark.parametrize("verb", Verb)
def test_every_intent_says_what_it_is_about(verb: Verb) -> None:
    record = intent.intended_for(planned(verb), cycle=CycleId("c"), attempt=1, at=NOW)

    assert (record.verb, record.summary) == (verb, action_text(action_of(verb)))


def test_imports_keep_to_their_contracts() -> None:
    """The command that CI runs besides; here it fails with everything else."""
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout


def test_the_planner_says_first_what_it_decides() -> None:
    """A module's first line is what a reader has instead of its code."""
    for path in sorted(Path(str(planner.__file__)).parent.glob("*.py")):
        first = path.read_text().splitlines()[0]
        assert first.startswith('"""'), path
        assert first.rstrip('"').endswith((".", ":")), path
