"""Show a plan: per guest what is done, why, and what it costs; what is held, and why."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from qlop.model.action import (
    CloneGuest,
    CreateGuest,
    DestroyGuest,
    RebootGuest,
    ReplaceGuest,
    verb_of,
)
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.orders import approval_id
from qlop.model.plan import BlownFuse, Change, Plan, PlannedAction
from qlop.model.verdict import Act, Converged, Held, Hold, SubjectVerdict
from qlop.render.action import action_text
from qlop.render.finding import finding_document, findings_lines
from qlop.render.line import Line, Span, Tone, line, table
from qlop.render.plain_value import Document, plain_value

EMPTY = "(not set)"
VALUE_LENGTH_MAX = 60
"""A longer value (a key, notes) is shown by its two ends; JSON has all of it."""
NAMES_SHOWN_MAX = 4
"""More guests than this in one line are counted instead of named."""
IMPACT_WORDS: Mapping[Impact, str] = {
    Impact.NONE: "no impact",
    Impact.HOT: "hot",
    Impact.REBOOT: "reboot",
    Impact.DOWNTIME: "downtime",
    Impact.DATA_LOSS: "data loss",
}
IMPACT_TONES: Mapping[Impact, Tone] = {
    Impact.NONE: Tone.DIM,
    Impact.HOT: Tone.DIM,
    Impact.REBOOT: Tone.WARN,
    Impact.DOWNTIME: Tone.WARN,
    Impact.DATA_LOSS: Tone.BAD,
}
_SYMBOL_TONES = {"+": Tone.ADD, "-": Tone.REMOVE, "~": Tone.CHANGE, "±": Tone.CHANGE}


def plan_lines(plan: Plan) -> list[Line]:
    """Return the whole plan, guests in the order in which their first action stands."""
    lines: list[Line] = []
    for subject, actions in _by_subject(plan.actions).items():
        lines += [*_subject_lines(subject, actions, plan), line()]
    if plan.fuses:
        lines += [*fuse_lines(plan.fuses), line()]
    if plan.asks:
        head = line(Span("Waiting for approval", Tone.STRONG), ", each by `qlop approve ID`:")
        lines += [head, *asks_lines(plan.asks), line()]
    held = _held(plan)
    if held:
        lines.append(line(Span("Held:", Tone.STRONG)))
        lines += held_lines(_told_once(held, plan.asks))
        lines.append(line())
    notes = [
        (verdict.subject, verdict.verdict.note)
        for verdict in plan.verdicts.values()
        if isinstance(verdict.verdict, Converged) and verdict.verdict.note
    ]
    for subject, note in sorted(notes):
        lines.append(line(Span(f"note: {subject}: {note}", Tone.DIM)))
    for subject, verdict in sorted(plan.verdicts.items()):
        lines += [line(Span(f"warning: {subject}: {one}", Tone.WARN)) for one in verdict.warnings]
    if plan.findings:
        lines += [*findings_lines(plan.findings), line()]
    return [*lines, summary_line(plan)]


def summary_line(plan: Plan) -> Line:
    """Return how much is done, held and as it should be, and the worst impact."""
    counts = dict.fromkeys(("create", "change", "destroy"), 0)
    names = {"+": "create", "-": "destroy", "~": "change", "±": "change"}
    for actions in _by_subject(plan.actions).values():
        counts[names[_symbol(actions)]] += 1
    parts = [f"{count} to {word}" for word, count in counts.items() if count]
    if not parts:
        parts = ["nothing to do"]
    held = len(_held(plan))
    if held:
        parts.append(f"{held} held{_asked(plan)}")
    converged = sum(isinstance(one.verdict, Converged) for one in plan.verdicts.values())
    parts.append(f"{converged} converged")
    worst = max((planned.impact for planned in plan.actions), default=Impact.NONE)
    tail: list[str | Span] = [
        f" {len(plan.actions)} action{'s' if len(plan.actions) != 1 else ''}, worst impact: ",
        Span(IMPACT_WORDS[worst], IMPACT_TONES[worst]),
        ".",
    ]
    return line(
        Span("Plan: ", Tone.STRONG), f"{', '.join(parts)}.", *(tail if plan.actions else [])
    )


def _asked(plan: Plan) -> str:
    """Return how many of the held wait for an approval, and what that would cost at worst."""
    if not plan.asks:
        return ""
    waiting = len({planned.action.subject for planned in plan.asks})
    return f" ({waiting} for an approval, {_worst(plan.asks)})"


def _worst(asks: Sequence[PlannedAction]) -> str:
    return f"impact: {IMPACT_WORDS[max(planned.impact for planned in asks)]}"


def _told_once(
    held: Sequence[tuple[SubjectVerdict, Held]], asks: Sequence[PlannedAction]
) -> list[tuple[SubjectVerdict, Held]]:
    """Return the holds; those that say no more than what waits for approval refer to that."""
    reasons = {planned.action.subject: planned.reason for planned in asks}
    above = Held(reason=Hold.APPROVAL, message="waiting for approval, see above")
    return [
        (verdict, above if _says_no_more(why, reasons.get(verdict.subject)) else why)
        for verdict, why in held
    ]


def _says_no_more(held: Held, asked: str | None) -> bool:
    if held.reason is not Hold.APPROVAL or asked is None:
        return False
    return held.message.startswith(f"{asked}; to ") and held.message.endswith("an approval")


def held_lines(held: Sequence[tuple[SubjectVerdict, Held]]) -> list[Line]:
    """Return why guests are left as they are, and what a person can do.

    Guests that are held for one and the same reason share a line.
    """
    shared: dict[tuple[Hold, str, str], list[SubjectVerdict]] = {}
    for verdict, why in held:
        shared.setdefault((why.reason, why.message, why.remedy), []).append(verdict)
    lines: list[Line] = []
    for (reason, message, remedy), verdicts in shared.items():
        names = names_text([_name_text(verdict) for verdict in verdicts])
        lines.append(
            line(
                Span("  ! ", Tone.WARN),
                Span(names, Tone.STRONG),
                f": {message} ",
                Span(f"[{reason.value}]", Tone.DIM),
            )
        )
        if remedy:
            lines.append(line("      remedy: ", remedy))
    return lines


def fuse_lines(fuses: Iterable[BlownFuse]) -> list[Line]:
    """Return a line per blown fuse, loud, with the word that puts it back."""
    return [
        line(
            Span("Fuse: ", Tone.BAD),
            f"{fuse.message}; nothing is done until `qlop acknowledge {fuse.fingerprint}`",
        )
        for fuse in fuses
    ]


def asks_lines(asks: Iterable[PlannedAction]) -> list[Line]:
    """Return what waits for an approval: the id to approve it with, and what it changes."""
    lines: list[Line] = []
    for planned in asks:
        lines.append(
            line(
                "  ",
                Span(approval_id(planned.id), Tone.STRONG),
                f"  {action_text(planned.action)}",
                Span(f"  [{IMPACT_WORDS[planned.impact]}]", IMPACT_TONES[planned.impact]),
            )
        )
        lines.append(line("            ", Span(f"because {planned.reason}", Tone.DIM)))
        if isinstance(planned.action, RebootGuest) and planned.action.applies:
            applied = ", ".join(map(short, planned.action.applies))
            lines.append(line(f"            in effect then: {applied}"))
        if not isinstance(planned.action, ReplaceGuest):  # Its reason says all of it.
            lines += change_lines(planned.changes, indent="            ")
    return lines


def ask_document(planned: PlannedAction) -> Document:
    """Return what waits for an approval, for JSON."""
    return {
        "id": approval_id(planned.id),
        "action": planned.id,
        "subject": planned.action.subject,
        "summary": action_text(planned.action),
        "reason": planned.reason,
        "impact": plain_value(planned.impact),
        "changes": plain_value(planned.changes),
    }


def names_text(names: Sequence[str]) -> str:
    """Return the names, all of them if they are few."""
    if len(names) <= NAMES_SHOWN_MAX:
        return ", ".join(names)
    return f"{', '.join(names[: NAMES_SHOWN_MAX - 1])} and {len(names) - NAMES_SHOWN_MAX + 1} more"


def _name_text(verdict: SubjectVerdict) -> str:
    vmid = f" ({verdict.vmid})" if verdict.vmid is not None else ""
    return f"{verdict.subject}{vmid}"


def change_lines(changes: Sequence[Change], indent: str) -> list[Line]:
    """Return a row per field: what it is, what it will be, what that costs."""
    rows = []
    for change in changes:
        symbol = "+" if not change.old else "-" if not change.new else "~"
        old, new = short(change.old), short(change.new)
        value = f"{old} -> {new or EMPTY}" if old else new
        rows.append(
            (
                Span(symbol, _SYMBOL_TONES[symbol]),
                Span(change.field),
                Span(value),
                Span(IMPACT_WORDS[change.impact], IMPACT_TONES[change.impact]),
            )
        )
    return table(rows, indent=indent)


def short(value: str, length_max: int = VALUE_LENGTH_MAX) -> str:
    """Return ``value`` on one line, its middle left out if it is long."""
    one_line = "\\n".join(value.splitlines())
    if len(one_line) <= length_max:
        return one_line
    half = length_max // 2
    return f"{one_line[:half]}…{one_line[-half:]}"


def _subject_lines(subject: GuestName, actions: list[PlannedAction], plan: Plan) -> list[Line]:
    symbol = _symbol(actions)
    action = actions[0].action
    where = action.target if isinstance(action, CloneGuest) else action.node
    head = line(
        Span(f"{symbol} ", _SYMBOL_TONES[symbol]),
        Span(subject, Tone.STRONG),
        f" ({action.vmid} on {where})",
    )
    lines = [head]
    numbers = {planned.id: number for number, planned in enumerate(plan.actions, start=1)}
    for planned in actions:
        waits = sorted(numbers[one] for one in planned.after if one in numbers)
        after = f", after {', '.join(f'#{number}' for number in waits)}" if waits else ""
        lines.append(
            line(
                Span(f"    #{numbers[planned.id]} ", Tone.DIM),
                action_text(planned.action),
                Span(f"  [{IMPACT_WORDS[planned.impact]}]", IMPACT_TONES[planned.impact]),
                Span(after, Tone.DIM),
            )
        )
        if planned.reason:
            lines.append(line("       ", Span(f"because {planned.reason}", Tone.DIM)))
        lines += change_lines(planned.changes, indent="       ")
    verdict = plan.verdicts.get(subject)
    if verdict is not None and isinstance(verdict.verdict, Act) and verdict.verdict.held:
        lines.append(line("       ", Span("the rest is held, see below", Tone.WARN)))
    return lines


def _held(plan: Plan) -> list[tuple[SubjectVerdict, Held]]:
    found = []
    for _, verdict in sorted(plan.verdicts.items()):
        match verdict.verdict:
            case Held() as held:
                found.append((verdict, held))
            case Act(held=Held() as held):
                found.append((verdict, held))
            case _:
                pass
    return found


def _by_subject(actions: Iterable[PlannedAction]) -> dict[GuestName, list[PlannedAction]]:
    grouped: dict[GuestName, list[PlannedAction]] = {}
    for planned in actions:
        grouped.setdefault(planned.action.subject, []).append(planned)
    return grouped


def _symbol(actions: Sequence[PlannedAction]) -> str:
    creates = any(isinstance(one.action, CreateGuest | CloneGuest) for one in actions)
    destroys = any(isinstance(one.action, DestroyGuest) for one in actions)
    if creates and destroys:
        return "±"
    return "+" if creates else "-" if destroys else "~"


def plan_document(plan: Plan) -> Document:
    """Return the plan for JSON; its ``fingerprint`` is that of what would be done."""
    return {
        "fingerprint": plan_fingerprint(plan),
        "revision": plan.revision,
        "actions": [action_document(planned) for planned in plan.actions],
        "verdicts": [verdict_document(one) for _, one in sorted(plan.verdicts.items())],
        "unmanaged": plain_value(plan.unmanaged),
        "unknown": plain_value(plan.unknown),
        "asks": [ask_document(planned) for planned in plan.asks],
        "fuses": plain_value(plan.fuses),
        "findings": [finding_document(finding) for finding in plan.findings],
        "reconsider_at": plain_value(plan.reconsider_at),
    }


def plan_fingerprint(plan: Plan) -> str:
    """Return a digest of the actions, their changes and order, and of the revision."""
    essence = [
        plan.revision,
        *sorted(
            [planned.id, plain_value(planned.changes), sorted(planned.after)]
            for planned in plan.actions
        ),
    ]
    return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()


def verdict_document(verdict: SubjectVerdict) -> Document:
    """Return a verdict for JSON: ``converged``, ``act`` or ``held``, and its reason."""
    found: Document = {"subject": verdict.subject, "vmid": verdict.vmid}
    if verdict.warnings:
        found["warnings"] = [*verdict.warnings]
    match verdict.verdict:
        case Converged(note=note):
            return {**found, "verdict": "converged", "note": note}
        case Act(actions=actions, held=held):
            return {
                **found,
                "verdict": "act",
                "actions": [*actions],
                "held": None if held is None else plain_value(held),
            }
        case Held() as held:
            return {
                **found,
                "verdict": "held",
                "reason": held.reason.value,
                "message": held.message,
                "remedy": held.remedy,
            }
        case _ as never:
            assert_never(never)


def action_document(planned: PlannedAction) -> Document:
    """Return an action for JSON, its secrets masked."""
    action = planned.action
    details = plain_value(action)
    assert isinstance(details, dict)  # an action is a dataclass
    known = {"subject", "vmid", "kind", "node"}
    return {
        "id": planned.id,
        "verb": verb_of(action).value,
        "subject": action.subject,
        "vmid": action.vmid,
        "kind": action.kind.value,
        "node": action.node,
        "summary": action_text(action),
        "reason": planned.reason,
        "impact": plain_value(planned.impact),
        "changes": plain_value(planned.changes),
        "after": [*planned.after],
        "details": {name: value for name, value in details.items() if name not in known},
    }
