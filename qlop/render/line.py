"""Hold text for people: lines of spans, each with a tone, without any terminal's codes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Tone(Enum):
    """How a span is meant; the terminal chooses the color, plain text drops it."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Span:
    """Some text in one tone.

    What can't be printed is shown as an escape: notes and names come from the cluster,
    and none of them may move a terminal's cursor or color a log.
    """

    text: str
    tone: Tone = Tone.PLAIN

    def __post_init__(self) -> None:
        if not self.text.isprintable():
            shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in self.text)
            object.__setattr__(self, "text", shown)


Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """Return a line of ``parts``, plain where nothing else is said."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def plain(lines: Iterable[Line]) -> str:
    """Return ``lines`` as text, each with its newline, without white space at its end."""
    return "".join(f"{''.join(span.text for span in one).rstrip()}\n" for one in lines)


def table(rows: Iterable[tuple[Span, ...]], *, gap: str = "  ", indent: str = "") -> list[Line]:
    """Return ``rows`` as lines whose columns stand below each other."""
    kept = [tuple(row) for row in rows]
    widths: dict[int, int] = {}
    for row in kept:
        for column, span in enumerate(row):
            widths[column] = max(widths.get(column, 0), len(span.text))
    return [
        (
            Span(indent),
            *(
                Span(span.text.ljust(widths[column]) + gap, span.tone)
                for column, span in enumerate(row)
            ),
        )
        for row in kept
    ]


def document(lines: Iterable[Line]) -> list[list[list[str]]]:
    """Return ``lines`` for JSON, as ``parse`` reads them."""
    return [[[span.text, span.tone.value] for span in one] for one in lines]


def parse(found: object) -> tuple[Line, ...]:
    """Return the lines that ``document`` made; what is no line is left out."""
    if not isinstance(found, list):
        return ()
    return tuple(
        tuple(
            Span(str(text), Tone(tone))
            for text, tone in (part for part in one if isinstance(part, list) and len(part) == 2)
            if tone in {known.value for known in Tone}
        )
        for one in found
        if isinstance(one, list)
    )
