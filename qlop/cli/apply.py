"""``qlop apply``: bring the cluster there, once, and say how it ended."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from qlop import daemon
from qlop.cli import options, plan_file, screen, settling
from qlop.cli.door import Assembly, Door
from qlop.cli.plan import look
from qlop.cli.plan_file import Gate, KeptPlan
from qlop.cli.progress import Progress
from qlop.cli.settling import Settling
from qlop.controller.cycle import CycleResult
from qlop.model.event import Event
from qlop.model.finding import Severity
from qlop.render.finding import findings_lines
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plan import plan_fingerprint
from qlop.render.status import converged_text, held_of, status_document
from qlop.settings import Settings

EXIT_CODES = {
    Settling.CONVERGED: options.CONVERGED,
    Settling.HELD: options.HELD,
    Settling.FAILED: options.ERROR,
    Settling.WORKING: options.ERROR,
}

PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="Apply exactly what `qlop plan --out FILE` showed, to its end, or refuse.",
        show_default=False,
    ),
]


@dataclass(slots=True, kw_only=True)
class Applied:
    """How an ``apply`` ended; ``refused`` says what had moved, if that was why."""

    ending: Settling = Settling.WORKING
    last: CycleResult | None = None
    refused: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def apply(
    *,
    plan: PlanFile = None,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Bring the cluster to what the manifests say. 0: converged, 3: held, 1: error."""
    settings = options.settings_of(config, overrides)
    kept = plan_file.read(plan) if plan is not None else None
    with Progress(quiet=as_json) as progress:
        applied = asyncio.run(
            carried_out(daemon, settings, kept, on_event=progress.event, on_cycle=progress.cycle)
        )
    if as_json:
        screen.show_json(
            {
                "ending": applied.ending.value,
                "refused": [*applied.refused],
                "left_out": [*applied.left_out],
                "errors": [*applied.errors],
                "status": status_document(applied.last.status) if applied.last else None,
            }
        )
    else:
        screen.show(ending_lines(applied))
    return EXIT_CODES[applied.ending]


async def carried_out(
    door: Door,
    settings: Settings,
    kept: KeptPlan | None,
    *,
    on_event: Callable[[Event], None],
    on_cycle: Callable[[CycleResult], None],
) -> Applied:
    """Make cycles until nothing is left that can be done, and return how it ended."""
    applied = Applied()
    busy = _Business()

    def heard(event: Event) -> None:
        busy.happened()
        on_event(event)

    async with door.acting(settings, heard) as assembly:
        if kept is not None:
            assembly.engine.placements = kept.placements
            await look(assembly)  # As `qlop plan` did: the first plan is held to that.
        gate = _gate(assembly, kept)

        def told(result: CycleResult, _: float) -> None:
            applied.last = agreed = _agreed(result, gate)
            on_cycle(agreed)
            if gate is not None and gate.differences:
                applied.ending, applied.refused = Settling.FAILED, gate.differences
            else:
                quiet_for = busy.quiet_for(agreed)
                applied.ending = settling.judge(agreed, quiet_for=quiet_for)
                if gate is not None and _only_strangers_left(result, agreed, quiet_for):
                    applied.ending = Settling.HELD
            if applied.ending is not Settling.WORKING:
                assembly.stop()

        def failed(error: Exception) -> None:
            applied.errors.append(f"{type(error).__name__}: {error}")
            applied.ending = Settling.FAILED
            assembly.stop()

        await assembly.run(on_cycle=told, on_error=failed)
        if gate is not None:
            applied.left_out = [*gate.left_out.values()]
    return applied


@dataclass(slots=True)
class _Business:
    """Since when nothing happened: no event, and nothing under way."""

    last: float | None = None

    def happened(self) -> None:
        self.last = asyncio.get_running_loop().time()

    def quiet_for(self, result: CycleResult) -> timedelta:
        now = asyncio.get_running_loop().time()
        under_way = any(one.inflight is not None for one in result.status.subjects)
        if self.last is None or under_way or result.started:
            self.last = now
        return timedelta(seconds=now - self.last)


def _gate(assembly: Assembly, kept: KeptPlan | None) -> Gate | None:
    executor = assembly.engine.executor
    if kept is None or executor is None:
        return None
    gate = Gate(behind=executor, kept=kept)
    assembly.engine.executor = gate
    return gate


def _agreed(result: CycleResult, gate: Gate | None) -> CycleResult:
    """Return the result without what a kept plan does not allow."""
    if gate is None or result.plan is None:
        return result
    if gate.differences is None and plan_fingerprint(result.plan) != gate.kept.fingerprint:
        gate.differences = plan_file.moved(gate.kept, result.plan)
    return replace(result, plan=replace(result.plan, actions=gate.agreed(result.plan)))


def _only_strangers_left(found: CycleResult, agreed: CycleResult, quiet_for: timedelta) -> bool:
    """Return whether the kept plan is carried out, and there is more to do than it says.

    What it says of other guests may have to wait for one that comes up.
    """
    if found.plan is None or agreed.plan is None or found.started:
        return False
    under_way = any(one.inflight is not None for one in found.status.subjects)
    if not found.plan.actions or agreed.plan.actions or under_way:
        return False
    strange = {planned.action.subject for planned in found.plan.actions}
    return not settling.may_go_on(agreed, besides=strange, quiet_for=quiet_for)


def ending_lines(applied: Applied) -> list[Line]:
    """Return how it ended, what is held or failed, and what a person can do."""
    if applied.refused:
        return [
            line(Span("refused: ", Tone.BAD), "the world moved since this plan was made"),
            *(line("  ", difference) for difference in applied.refused),
            line("Nothing was changed. Look again with `qlop plan --out FILE`."),
        ]
    lines = [line(Span("error: ", Tone.BAD), error) for error in applied.errors]
    if applied.last is None:
        return lines
    now = applied.last.status
    if any(one.severity is Severity.ERROR for one in now.findings):
        lines += findings_lines(now.findings)
    if now.stalled:
        lines.append(line(Span("stalled: ", Tone.BAD), now.stalled))
    exhausted = settling.exhausted_failures(applied.last)
    for name, message in exhausted.items():
        lines.append(line(Span("failed: ", Tone.BAD), f"{name}: {message}"))
    for subject in now.subjects:
        held = held_of(subject)
        if held is None or subject.name in exhausted:
            continue
        lines.append(line(Span("held: ", Tone.WARN), f"{subject.name}: {held.message}"))
        if held.remedy:
            lines.append(line(f"  remedy: {held.remedy}"))
    lines += [line(f"not in the plan, not done: {text}") for text in applied.left_out]
    good = applied.ending is Settling.CONVERGED
    return [*lines, line(Span(converged_text(now), Tone.GOOD if good else Tone.WARN))]
