"""Put lines on the terminal: in color where there is one, plain where there is none."""

import json
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.text import Text

from qlop.render.line import Line, Span, Tone, line
from qlop.render.plain_value import Plain

_STYLES: Final = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.DIM: "dim",
    Tone.ADD: "green",
    Tone.CHANGE: "cyan",
    Tone.REMOVE: "red",
    Tone.GOOD: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
}


def console() -> Console:
    """Return standard output as a terminal, or as what it is."""
    return Console(highlight=False, soft_wrap=True)


def error_console() -> Console:
    """Return standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def text_of(one: Line) -> Text:
    """Return a line in the terminal's colors."""
    return Text.assemble(*((span.text, _STYLES[span.tone]) for span in one))


def show(lines: Iterable[Line]) -> None:
    """Write lines to standard output."""
    write(console(), lines)


def tell(lines: Iterable[Line]) -> None:
    """Write lines to standard error: what is not the result that was asked for."""
    write(error_console(), lines)


def write(where: Console, lines: Iterable[Line]) -> None:
    """Write lines to a console, without white space at their ends."""
    for one in lines:
        text = text_of(one)
        text.rstrip()
        where.print(text, soft_wrap=True)


def show_json(document: Plain) -> None:
    """Write a document to standard output, as one JSON value."""
    console().out(json.dumps(document, indent=2, ensure_ascii=False), highlight=False)


def complain(message: str, remedy: str = "") -> None:
    """Say on standard error what went wrong, and what can be done."""
    tell([line(Span("error: ", Tone.BAD), message), *([line(f"  {remedy}")] if remedy else [])])
