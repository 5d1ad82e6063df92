"""Plain scalars mean the same to every tool, or are refused."""

import pytest

from qlop.manifest.scalar import Refused, parse_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("0", 0),
        ("42", 42),
        ("-7", -7),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("", None),
        ("~", None),
        ("null", None),
        ("word", "word"),
        ("8GiB", "8GiB"),
        ("10000-10999", "10000-10999"),
        ("10.0.20.11/24", "10.0.20.11/24"),
        ("2026-11-24", "2026-11-24"),
        ("12:34:56:00:11:22", "12:34:56:00:11:22"),
        ("10%", "10%"),
        ("-", "-"),
        (".hidden", ".hidden"),
        ("nobody", "nobody"),
        ("٣", "٣"),
    ],
)
def test_a_plain_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    found = parse_plain(text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("yes", "ambiguous-boolean"),
        ("No", "ambiguous-boolean"),
        ("on", "ambiguous-boolean"),
        ("OFF", "ambiguous-boolean"),
        ("y", "ambiguous-boolean"),
        ("True", "ambiguous-boolean"),
        ("FALSE", "ambiguous-boolean"),
        ("010", "ambiguous-number"),
        ("0o10", "ambiguous-number"),
        ("0x1F", "ambiguous-number"),
        ("0b11", "ambiguous-number"),
        ("1_000", "ambiguous-number"),
        ("+5", "ambiguous-number"),
        (".5", "ambiguous-number"),
        ("5.", "ambiguous-number"),
        ("1e3", "ambiguous-number"),
        ("1.5e3", "ambiguous-number"),
        (".inf", "ambiguous-number"),
        ("-.INF", "ambiguous-number"),
        (".nan", "ambiguous-number"),
        ("12:30:45", "ambiguous-number"),
        ("1:30", "ambiguous-number"),
        ("9" * 400, "number-too-long"),
        ("0." + "1" * 50, "number-too-long"),
    ],
)
def test_what_yaml_versions_read_differently_is_refused(text: str, code: str) -> None:
    found = parse_plain(text)

    assert isinstance(found, Refused)
    assert found.code == code
    assert found.hint


def test_the_hint_for_a_boolean_says_which_one() -> None:
    found = parse_plain("off")

    assert isinstance(found, Refused)
    assert found.hint == 'write false if it is a boolean, "off" in quotes if it is text'
