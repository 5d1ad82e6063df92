"""``qlop status``: how do things stand?"""

import asyncio
from typing import Annotated

import typer

from qlop import daemon
from qlop.cli import asking, options, plan, screen
from qlop.cli.asking import Answer, Refusal
from qlop.controller.loop import DEFAULT_INTERVAL
from qlop.render.line import Span, Tone, line
from qlop.render.status import (
    parse_unmanaged,
    status_document,
    status_lines,
    unmanaged_lines,
)

Unmanaged = Annotated[
    bool, typer.Option("--unmanaged", help="Only list the guests that are not ours, and why.")
]


def status(
    *,
    unmanaged: Unmanaged = False,
    fresh: options.Fresh = False,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Show the cluster, its nodes and every guest. Asks the daemon if one is running."""
    if not fresh:
        answer = asking.ask(options.web_of(config, overrides), "status")
        if answer is not None:
            return show_answer(_narrowed(answer) if unmanaged else answer, as_json=as_json)
    result = asyncio.run(plan.looked(daemon, options.settings_of(config, overrides)))
    told = Answer(
        document=status_document(result.status),
        lines=tuple(
            status_lines(result.status, now=result.status.at, stale_after=DEFAULT_INTERVAL)
        ),
    )
    if not (fresh or as_json):
        screen.tell([line(Span("no daemon answers; looked afresh", Tone.DIM))])
    show_answer(_narrowed(told) if unmanaged else told, as_json=as_json)
    return options.ERROR if plan.problem_of(result) else 0


def _narrowed(answer: Answer | Refusal) -> Answer | Refusal:
    """Return of the status only the guests that are not ours, all of them."""
    if isinstance(answer, Refusal) or not isinstance(answer.document, dict):
        return answer
    found = answer.document.get("unmanaged", [])
    lines = unmanaged_lines(parse_unmanaged(found))
    return Answer(document=found, lines=tuple(lines or [line("every guest is ours")]))


def show_answer(answer: Answer | Refusal, *, as_json: bool) -> int:
    """Show what a daemon answered, and return the exit code."""
    if isinstance(answer, Refusal):
        screen.complain(answer.message)
        return options.ERROR
    if as_json:
        screen.show_json(answer.document)
    else:
        screen.show(answer.lines)
    return 0
