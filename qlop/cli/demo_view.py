"""Show a demonstration: the whole picture on a terminal, a line per event elsewhere."""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from qlop.cli import screen
from qlop.cli.asking import Answer
from qlop.cli.stage import Stage
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plain_value import Document, Plain

EVENTS_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One look at the daemon."""

    lines: tuple[Line, ...]
    headline: str
    is_converged: bool
    under_way: bool
    running_vmid: int | None

    @classmethod
    def of(cls, answer: Answer) -> Self | None:
        """Return what the daemon's status says; None if it is none."""
        document = answer.document
        if not isinstance(document, dict):
            return None
        ready, wanted = _number(document, "ready"), _number(document, "wanted")
        guests = document.get("guests")
        known = (
            [one for one in guests if isinstance(one, dict)] if isinstance(guests, list) else []
        )
        running = [one["vmid"] for one in known if one.get("power") == "running"]
        return cls(
            lines=answer.lines,
            headline=f"converged: {ready}/{wanted} guests",
            is_converged=bool(wanted) and ready == wanted and not document.get("stalled"),
            under_way=any(one.get("inflight") for one in known),
            running_vmid=next((one for one in running if isinstance(one, int)), None),
        )


class View(Protocol):
    """How a demonstration is shown."""

    def event(self, shown: Line) -> None:
        """Show that something happened."""
        ...

    def show(self, sight: Sight | None) -> None:
        """Show how things stand; None: the daemon does not answer."""
        ...


@contextmanager
def view_for(console: Console, ready: Stage) -> Iterator[View]:
    """Give the view that suits ``console``."""
    if not console.is_terminal:
        screen.write(console, _introduction(ready))
        yield Lines(console)
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield Picture(live, ready)
    screen.write(console, _introduction(ready))


def event_key(document: Plain) -> str:
    """Return by what an event is known when it is seen again."""
    if not isinstance(document, dict):
        return str(document)
    return "/".join(str(document.get(name)) for name in ("at", "kind", "subject", "message"))


class Lines:
    """A line per event, and one whenever the count changes."""

    def __init__(self, console: Console) -> None:
        """Write to ``console``."""
        self._console = console
        self._last = ""

    def event(self, shown: Line) -> None:
        """Write the event."""
        screen.write(self._console, [shown])

    def show(self, sight: Sight | None) -> None:
        """Write the count, if it is another one than before."""
        headline = sight.headline if sight is not None else "the daemon does not answer yet"
        if headline != self._last and not (sight is not None and sight.is_converged):
            screen.write(self._console, [line(Span(headline, Tone.DIM))])
        self._last = headline


class Picture:
    """Nodes, guests, what is under way, the last events, and what can be tried."""

    def __init__(self, live: Live, ready: Stage) -> None:
        """Draw on ``live``."""
        self._live = live
        self._ready = ready
        self._events: deque[Line] = deque(maxlen=EVENTS_SHOWN)
        self._seen: Sight | None = None

    def event(self, shown: Line) -> None:
        """Take the event in; it is drawn with the next look."""
        self._events.append(shown)

    def show(self, sight: Sight | None) -> None:
        """Draw everything."""
        self._seen = sight or self._seen
        parts = [
            *([] if sight is not None else [line(Span("The daemon does not answer.", Tone.BAD))]),
            *(self._seen.lines if self._seen is not None else ()),
        ]
        vmid = self._seen.running_vmid if self._seen is not None else None
        picture = Group(
            _panel("qlop", parts),
            _panel("what happened last", self._events),
            _panel("try, in another terminal", hints(self._ready, vmid)),
        )
        self._live.update(picture, refresh=True)


def hints(ready: Stage, vmid: int | None) -> list[Line]:
    """Return what a person can do to the cluster, and see answered."""
    guest = vmid or "VMID"
    qlop = program()
    return [
        line("stop a guest           ", Span(f'{qlop} sim do "guest {guest} stop"', Tone.STRONG)),
        line(
            "change one by hand     ",
            Span(f'{qlop} sim do "guest {guest} set tags=mine"', Tone.STRONG),
        ),
        line("edit a manifest        ", Span(f"in {ready.manifests}", Tone.STRONG)),
        line(
            "take a node down       ",
            Span(f'{qlop} sim do "node pve3 down"', Tone.STRONG),
            "  and up again",
        ),
        line("use any other command  ", Span(f"export QLOP_CONFIG={ready.settings}", Tone.STRONG)),
        line("look                   ", Span(f"{ready.page}  ({ready.page}metrics)", Tone.STRONG)),
        line(
            "ask                    ", Span(f"{qlop} sim do help", Tone.STRONG), "   Ctrl-C ends"
        ),
    ]


def program() -> str:
    """Return how this program is called from where one stands, whatever the ``PATH`` is."""
    script = Path(sys.executable).with_name("qlop")
    if not script.exists():
        return f"{sys.executable} -m qlop"
    here = Path.cwd()
    return str(script.relative_to(here) if script.is_relative_to(here) else script)


def _introduction(ready: Stage) -> list[Line]:
    return [
        line(f"manifests: {ready.manifests}"),
        line(f"daemon:    {ready.page} (log: {ready.log})"),
        *hints(ready, None),
        line(),
    ]


def _panel(title: str, lines: "deque[Line] | list[Line]") -> Panel:
    texts = [screen.text_of(one) for one in lines] or [Text("nothing yet", style="dim")]
    for text in texts:
        text.no_wrap, text.overflow = True, "ellipsis"
    return Panel(Group(*texts), title=title, title_align="left", border_style="dim")


def _number(document: Document, name: str) -> int:
    found = document.get(name)
    return found if isinstance(found, int) else 0
