"""The simulated cluster answers as the real one was recorded to answer."""

import functools
import json
import sys
from pathlib import Path

import pytest

import qlop.sim
from tests.contract import recordings, schema_table
from tests.contract.https import OverHttps
from tests.contract.inprocess import InProcess
from tests.contract.report import Report, play_all

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.real,
    pytest.mark.timeout(60),
    pytest.mark.skipif(
        not recordings.FOLDER.is_dir(),
        reason=f"the recordings of the real API server are not at {recordings.FOLDER}",
    ),
]

CARRIERS = {"https": OverHttps, "in-process": InProcess}

ASKED = {"status": 99.0, "texts": 97.0, "config": 97.0, "outcome": 99.0}
"""Percent, of what is about guests: below this the simulator is no use."""

GUEST_FLOORS = {"status": 99.8, "texts": 99.6, "config": 97.6, "outcome": 99.3, "answer": 98.5}
"""Percent. What was once reached may not be lost."""

FLOORS = {"status": 97.6, "texts": 98.9, "config": 97.6, "outcome": 99.3, "answer": 94.5}


@functools.cache
def report(carrier: str) -> Report:
    """Play all recordings once for all tests of this module."""
    return play_all(CARRIERS[carrier])


@pytest.mark.slow  # plays 2,200 exchanges: some seconds
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("question", GUEST_FLOORS)
def test_what_is_about_guests_agrees_with_the_recordings(question: str, carrier: str) -> None:
    assert GUEST_FLOORS[question] >= ASKED.get(question, 0)
    assert report(carrier).core[question].percent >= GUEST_FLOORS[question]


@pytest.mark.slow  # whichever comes first plays them
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("question", FLOORS)
def test_the_whole_api_agrees_with_the_recordings(question: str, carrier: str) -> None:
    assert report(carrier).all[question].percent >= FLOORS[question]


@pytest.mark.slow  # whichever comes first plays them
def test_the_headers_are_those_of_the_real_server() -> None:
    sys.stdout.write(report("https").text())
    headers = report("https").all["headers"]

    assert headers.percent >= 99.9
    assert headers.of > 2_000


@pytest.mark.slow  # whichever comes first plays them
@pytest.mark.parametrize("carrier", CARRIERS)
def test_whatever_is_not_modelled_is_on_the_list_with_a_reason(carrier: str) -> None:
    assert report(carrier).unexplained == []


def test_the_table_of_parameters_is_what_the_published_schema_says() -> None:
    schema = json.loads((recordings.SCHEMAS / "pve-9.1.5.json").read_text())
    shipped = (Path(qlop.sim.__file__).parent / "schema.json").read_text()
    assert schema_table.render(schema_table.table(schema)) == shipped
