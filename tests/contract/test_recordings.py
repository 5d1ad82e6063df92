"""The simulated cluster answers as the real one was recorded to answer."""

import functools
import json
import sys
from pathlib import Path

import pytest

import qlop.sim
from tests.contract import recordings, schema_table
from tests.contract.report import Report, play_all

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(
        not recordings.FOLDER.is_dir(),
        reason=f"the recordings of the real API server are not at {recordings.FOLDER}",
    ),
]

GUEST_FLOORS = {"status": 99.8, "texts": 99.6, "config": 97.6, "outcome": 99.3, "answer": 98.5}
"""Percent. What was once reached may not be lost."""

FLOORS = {"status": 97.4, "texts": 97.7, "config": 97.6, "outcome": 99.3, "answer": 94.1}


@functools.cache
def report() -> Report:
    """Play all recordings once for all tests of this module."""
    return play_all()


@pytest.mark.slow  # plays 2,200 exchanges: about a second
@pytest.mark.parametrize("question", GUEST_FLOORS)
def test_what_is_about_guests_agrees_with_the_recordings(question: str) -> None:
    sys.stdout.write(report().text())
    assert report().core[question].percent >= GUEST_FLOORS[question]


@pytest.mark.parametrize("question", FLOORS)
def test_the_whole_api_agrees_with_the_recordings(question: str) -> None:
    assert report().all[question].percent >= FLOORS[question]


def test_whatever_is_not_modelled_is_on_the_list_with_a_reason() -> None:
    assert report().unexplained == []


def test_the_table_of_parameters_is_what_the_published_schema_says() -> None:
    schema = json.loads((recordings.SCHEMAS / "pve-9.1.5.json").read_text())
    shipped = (Path(qlop.sim.__file__).parent / "schema.json").read_text()
    assert schema_table.render(schema_table.table(schema)) == shipped
