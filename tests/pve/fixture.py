"""Read the recorded payloads that the tests carry."""

from pathlib import Path
from typing import TypeVar

import orjson

from qlop.model.reading import Known, Unknown
from qlop.ports import Json

T = TypeVar("T")
FIXTURES = Path(__file__).parent / "fixtures"


def payload(name: str) -> Json:
    """Return the ``data`` of an answer of PVE 9.1.5."""
    data: Json = orjson.loads((FIXTURES / f"{name}.json").read_bytes())
    return data


def rows(name: str) -> list[dict[str, Json]]:
    """Return an answer that is a list of objects."""
    data = payload(name)
    assert isinstance(data, list)
    return [row for row in data if isinstance(row, dict)]


def known(reading: Known[T] | Unknown) -> T:
    """Return what was read, which must have been understood."""
    assert isinstance(reading, Known), reading
    return reading.value
