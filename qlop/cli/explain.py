"""``qlop explain NAME``: why is this guest as it is, and what will become of it?"""

import asyncio
from typing import Annotated

import typer

from qlop import daemon
from qlop.cli import asking, options, plan, screen
from qlop.cli.door import Door
from qlop.cli.status import show_answer
from qlop.controller.cycle import CycleResult
from qlop.model.history import JournalRecord
from qlop.render import explain as rendering
from qlop.render.line import line
from qlop.settings import Settings

Name = Annotated[str, typer.Argument(help="A guest, a service, or a VMID.")]


def explain(
    name: Name,
    *,
    fresh: options.Fresh = False,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Show the verdict on a guest, why, what to do, and where each setting comes from."""
    if not fresh:
        answer = asking.ask(options.web_of(config, overrides), "explain", name)
        if answer is not None:
            return show_answer(answer, as_json=as_json)
    settings = options.settings_of(config, overrides)
    result, records = asyncio.run(looked_with_records(daemon, settings))
    if result.plan is None or result.source is None:
        screen.complain(result.status.stalled or "no plan could be made")
        return options.ERROR
    found = rendering.explain(name, given=result.source, plan=result.plan, records=records)
    if not found:
        known = ", ".join(rendering.known_names(result.source, result.plan))
        screen.complain(f"nothing is called {name}", f"there are: {known}")
        return options.ERROR
    if as_json:
        screen.show_json([rendering.explanation_document(one) for one in found])
        return 0
    for number, one in enumerate(found):
        screen.show([line()] if number else [])
        screen.show(rendering.explanation_lines(one, now=result.status.at))
    return 0


async def looked_with_records(
    door: Door, settings: Settings
) -> tuple[CycleResult, tuple[JournalRecord, ...]]:
    """Return one look at the cluster, and the journal."""
    async with door.looking(settings) as assembly:
        result = await plan.look(assembly)
        return result, tuple(assembly.records())
