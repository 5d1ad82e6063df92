"""``qlop demo``: a simulated cluster brought to its manifests, live."""

import signal
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from qlop.cli import asking, options, screen, stage
from qlop.cli.asking import Answer
from qlop.cli.demo_view import Sight, View, event_key, view_for
from qlop.cli.stage import Stage
from qlop.render.line import Span, Tone, line
from qlop.settings import DEFAULT_LISTEN_PORT

LOOK_S = 0.5
"""How often the daemon is asked: often enough to look alive."""
ONCE_LIMIT_S = 600.0
"""Ten minutes: many times what the demonstration takes on a slow machine."""
HELD_PATIENCE_S = 90.0
"""With nothing under way for so long, what is held will not resolve by itself."""

Once = Annotated[bool, typer.Option("--once", help="End when everything is converged.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the folder afterwards.")]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Where the daemon serves its page.")
]
Speed = Annotated[
    float, typer.Option("--speed", min=0.1, max=100, help="Simulated seconds in a second.")
]
Manifests = Annotated[
    Path, typer.Option("--desired-state", help="The manifests that are copied and applied.")
]
Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        help="The folder to work in; nothing is cleared from it. [default: a new one]",
        show_default=False,
    ),
]


class Ending(Enum):
    """How a demonstration ended."""

    CONVERGED = options.CONVERGED
    HELD = options.HELD
    FAILED = options.ERROR


@dataclass(slots=True, kw_only=True)
class _Course:
    """What was seen so far."""

    began: float = field(default_factory=time.monotonic)
    busy: float = field(default_factory=time.monotonic)
    told: set[str] = field(default_factory=set)
    sight: Sight | None = None


def demo(
    *,
    once: Once = False,
    keep: Keep = False,
    port: Port = DEFAULT_LISTEN_PORT,
    speed: Speed = 1.0,
    desired_state: Manifests = Path("desired-state"),
    directory: Directory = None,
) -> int:
    """Bring a simulated three-node cluster to what `desired-state` says, before your eyes."""
    signal.signal(signal.SIGTERM, _interrupted)
    with stage.set_up(
        manifests=desired_state,
        home=directory,
        port=port,
        speed=speed,
        keep=keep or directory is not None,
    ) as ready:
        with view_for(screen.console(), ready) as view:
            try:
                ending = _play(ready, view, once=once)
            except KeyboardInterrupt:
                return 0
        return _close(ready, ending)


def _interrupted(_signal: int, _frame: object) -> None:
    """End as Ctrl-C does, with the daemon and the cluster that belong to the demonstration."""
    raise KeyboardInterrupt


def _play(ready: Stage, view: View, *, once: bool) -> tuple[Ending, str]:
    course = _Course()
    while True:
        if ready.daemon.poll() is not None:
            return Ending.FAILED, f"the daemon ended by itself:\n{ready.last_words()}"
        _look(ready, view, course)
        ending = _ending(course) if once else None
        if ending is not None:
            return ending, course.sight.headline if course.sight else ""
        time.sleep(LOOK_S)


def _look(ready: Stage, view: View, course: _Course) -> None:
    events = asking.ask(ready.web, "events")
    if isinstance(events, Answer) and isinstance(events.document, list):
        for document, shown in zip(events.document, events.lines, strict=False):
            key = event_key(document)
            if key not in course.told:
                course.told.add(key)
                course.busy = time.monotonic()
                view.event(shown)
    status = asking.ask(ready.web, "status")
    course.sight = Sight.of(status) if isinstance(status, Answer) else None
    if course.sight is not None and course.sight.under_way:
        course.busy = time.monotonic()
    view.show(course.sight)


def _ending(course: _Course) -> Ending | None:
    now = time.monotonic()
    if course.sight is not None and course.sight.is_converged:
        return Ending.CONVERGED
    if now - course.began > ONCE_LIMIT_S:
        return Ending.FAILED
    if course.sight is not None and now - course.busy > HELD_PATIENCE_S:
        return Ending.HELD
    return None


def _close(ready: Stage, ended: tuple[Ending, str]) -> int:
    ending, text = ended
    if ending is Ending.FAILED:
        screen.complain(text or "the cluster did not converge in ten minutes")
        return int(ending.value)
    if ending is Ending.HELD:
        status = asking.ask(ready.web, "status")
        screen.show(status.lines if isinstance(status, Answer) else ())
    tone = Tone.GOOD if ending is Ending.CONVERGED else Tone.WARN
    screen.show([line(Span(text, tone))])
    return int(ending.value)
