"""Sizes and spans: what people write, what PVE writes, and numbers."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.device import pve_size
from qlop.model.units import (
    GIB,
    KIB,
    MIB,
    TIB,
    counted,
    format_size,
    format_span,
    parse_pve_size,
    parse_size,
    parse_span,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 * GIB),
        ("512 MiB", 512 * MIB),
        (" 1.5TiB ", 1536 * GIB),
        ("0.5KiB", 512),
        ("7B", 7),
        ("0GiB", 0),
    ],
)
def test_a_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["8GB", "8G", "8", "GiB", "-1GiB", "1e3MiB", "8gib", "", "8 Gi B"]
)
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size; write a number"):
        parse_size(text)


def test_half_a_byte_is_no_size() -> None:
    with pytest.raises(ValueError, match="not a whole number of bytes"):
        parse_size("0.3KiB")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32G", 32 * GIB),
        ("528K", 528 * KIB),
        ("4194304", 4 * MIB),
        ("1.5T", 1536 * GIB),
        ("4M", 4 * MIB),
    ],
)
def test_a_size_of_pve(text: str, size: int) -> None:
    assert parse_pve_size(text) == size


@pytest.mark.parametrize("text", ["32GiB", "", "G", "32 G", "-1G", "32g"])
def test_no_size_of_pve(text: str) -> None:
    with pytest.raises(ValueError, match="not a size as PVE writes it"):
        parse_pve_size(text)


@given(st.integers(0, 100 * TIB))
def test_a_size_written_is_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size
    assert parse_pve_size(pve_size(size)) == size


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("250ms", timedelta(milliseconds=250)),
    ],
)
def test_a_span(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["90", "", "s", "1.5h", "-1s", "1h30", "1w", "10 minutes"])
def test_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="is no span of time"):
        parse_span(text)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(days=1, hours=2, minutes=3), "1d2h"),
        (timedelta(milliseconds=1500), "1s500ms"),
    ],
)
def test_a_span_written(span: timedelta, text: str) -> None:
    assert format_span(span) == text


@given(st.integers(0, 10**7))
def test_a_short_span_written_is_read_back(seconds: int) -> None:
    span = timedelta(seconds=seconds)

    assert abs(parse_span(format_span(span)) - span) < max(span / 24, timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 guests"), (1, "1 guest"), (2, "2 guests"), (11, "11 guests")]
)
def test_counted(number: int, text: str) -> None:
    assert counted(number, "guest") == text
