"""``qlop plan``: what would be done now?"""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from qlop import daemon
from qlop.cli import options, plan_file, screen
from qlop.cli.door import Assembly, Door
from qlop.controller.cycle import CycleResult
from qlop.controller.foresight import Foresight, foresee
from qlop.model.action import ResumeGuest, ShutdownGuest, StartGuest
from qlop.model.finding import Severity
from qlop.model.plan import Plan
from qlop.model.verdict import Act, Held, Hold
from qlop.render.finding import finding_document, findings_lines
from qlop.render.later import later_lines
from qlop.render.line import line
from qlop.render.plan import action_document, plan_document, plan_lines
from qlop.settings import Settings

LOOKED_AT_AGAIN_MAX = 50
"""Each costs a call or two; so many guests don't change their power by chance."""

HEARING_MAX = timedelta(seconds=10)
"""How long to wait for guests to say how they are; most do so in milliseconds."""
_OF_HEALTH = frozenset({Hold.HEALTH_UNKNOWN, Hold.DEPENDENCY, Hold.ROLLOUT, Hold.BUDGET})

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Keep the plan in this file, for `qlop apply --plan`."),
]


def plan(
    *,
    out: Out = None,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Show what would be done, and what that costs. 0: nothing, 2: changes, 1: error."""
    settings = options.settings_of(config, overrides)
    result, later = asyncio.run(foreseen(daemon, settings))
    if out is not None and result.plan is not None:
        plan_file.write(out, result.plan, later.actions, now=result.status.at)
    if as_json:
        _show_json(result, later)
    else:
        _show(result, later)
    return exit_code(result)


async def foreseen(door: Door, settings: Settings) -> tuple[CycleResult, Foresight]:
    """Return a look at the cluster, the plan made of it, and what will come after that."""
    async with door.looking(settings) as assembly:
        result = await look(assembly)
        if result.plan is None or result.source is None or problem_of(result):
            return result, Foresight()
        return result, foresee(result.source, result.plan, assembly.records())


async def looked(door: Door, settings: Settings) -> CycleResult:
    """Return a look at the cluster and the plan made of it; nothing is changed."""
    async with door.looking(settings) as assembly:
        return await look(assembly)


async def look(assembly: Assembly) -> CycleResult:
    """Return a look that shows what the plan depends on, if need be the third.

    The list of all guests tells their power up to ten seconds late (``pvestatd``): who
    looks but once would plan to start what was started a moment ago. And nobody has asked
    guests yet how they are, for which a change may have to wait.
    """
    result = await assembly.engine.cycle(read_manifests=True, act=False)
    doubted = [
        planned.action.vmid
        for planned in (result.plan.actions if result.plan is not None else ())
        if isinstance(planned.action, StartGuest | ResumeGuest | ShutdownGuest)
    ]
    if 0 < len(doubted) <= LOOKED_AT_AGAIN_MAX:
        for vmid in doubted:
            assembly.engine.observer.touch(vmid)
        result = await assembly.engine.cycle(read_manifests=False, act=False)
    if _waits_for_health(result.plan):
        await assembly.hear(HEARING_MAX)
        result = await assembly.engine.cycle(read_manifests=False, act=False)
    return result


def _waits_for_health(plan: Plan | None) -> bool:
    """Return whether anything is held that may go on once it is known how guests are."""
    verdicts = [one.verdict for one in plan.verdicts.values()] if plan is not None else []
    holds = [one.held if isinstance(one, Act) else one for one in verdicts]
    return any(isinstance(one, Held) and one.reason in _OF_HEALTH for one in holds)


def exit_code(result: CycleResult) -> int:
    """Return 1 if the plan can't be relied on, 2 if there is something to do, else 0."""
    if problem_of(result):
        return options.ERROR
    return options.CHANGES if result.plan is not None and result.plan.actions else 0


def problem_of(result: CycleResult) -> str:
    """Return why no plan could be made, or none to rely on; empty if it is sound."""
    if result.plan is None or result.source is None:
        return result.status.stalled or "no plan could be made"
    if any(one.severity is Severity.ERROR for one in result.status.findings):
        return "there are errors"
    if not result.source.observed.complete or not result.status.quorate:
        return result.status.stalled or "the cluster could not be seen whole"
    return ""


def _show(result: CycleResult, later: Foresight) -> None:
    problem = problem_of(result)
    shown = result.plan if result.source is not None and result.source.observed.complete else None
    if shown is None:
        screen.show(findings_lines(result.status.findings))
    else:
        own = {*shown.findings}
        screen.show(findings_lines([one for one in result.status.findings if one not in own]))
        *body, summary = plan_lines(shown)
        then = later_lines(shown, later.actions, whole=later.whole)
        screen.show([*body, *([*then, line()] if then else []), summary])
    blind = shown is None and result.source is not None
    errors = result.source.observed.gaps if blind and result.source is not None else ()
    for error in errors or ([problem] if problem else []):
        screen.complain(error)


def _show_json(result: CycleResult, later: Foresight) -> None:
    findings = [finding_document(one) for one in result.status.findings]
    base = plan_document(result.plan) if result.plan is not None else {}
    if result.plan is not None:
        base["later"] = [action_document(one) for one in later.actions]
        base["later_is_whole"] = later.whole
    screen.show_json({**base, "error": problem_of(result), "findings": [*findings]})
