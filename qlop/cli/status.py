"""``qlop status``: how do things stand?"""

import asyncio

from qlop import daemon
from qlop.cli import asking, options, plan, screen
from qlop.cli.asking import Answer, Refusal
from qlop.controller.loop import DEFAULT_INTERVAL
from qlop.render.line import Span, Tone, line
from qlop.render.status import status_document, status_lines


def status(
    *,
    fresh: options.Fresh = False,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Show the cluster, its nodes and every guest. Asks the daemon if one is running."""
    if not fresh:
        answer = asking.ask(options.web_of(config, overrides), "status")
        if answer is not None:
            return show_answer(answer, as_json=as_json)
    result = asyncio.run(plan.looked(daemon, options.settings_of(config, overrides)))
    if as_json:
        screen.show_json(status_document(result.status))
    else:
        if not fresh:
            screen.tell([line(Span("no daemon answers; looked afresh", Tone.DIM))])
        screen.show(
            status_lines(result.status, now=result.status.at, stale_after=DEFAULT_INTERVAL)
        )
    return options.ERROR if plan.problem_of(result) else 0


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
