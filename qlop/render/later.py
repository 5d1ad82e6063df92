"""Show what is done after a plan, if all of it goes well: shorter than the plan itself."""

from collections.abc import Sequence

from qlop.model.action import (
    Action,
    CloneGuest,
    CreateGuest,
    CreateSnapshot,
    DeleteSnapshot,
    HandOverDisk,
    ResizeDisk,
    verb_of,
)
from qlop.model.plan import Plan, PlannedAction
from qlop.render.action import action_text
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plan import IMPACT_TONES, IMPACT_WORDS, change_lines

UNFORESEEN = "and more after that, which nobody can foresee yet: look again then"


def later_lines(plan: Plan, later: Sequence[PlannedAction], *, whole: bool) -> list[Line]:
    """Return a line per action that was foreseen after ``plan``, none if there are none.

    What the plan itself says of a guest that is yet to be built is not said again. With
    ``whole`` nothing comes after them.
    """
    told = news(plan, later)
    if not told and whole:
        return []
    lines = [line(Span("Then", Tone.STRONG), ", if all goes well:")]
    for planned in told:
        lines.append(
            line(
                "    ",
                action_text(planned.action),
                Span(f"  [{IMPACT_WORDS[planned.impact]}]", IMPACT_TONES[planned.impact]),
            )
        )
        lines += change_lines(planned.changes, indent="       ")
    if not whole:
        lines.append(line("    ", Span(UNFORESEEN, Tone.WARN)))
    return lines


def news(plan: Plan, later: Sequence[PlannedAction]) -> list[PlannedAction]:
    """Return what ``plan`` does not say yet of ``later``.

    It says of a guest that it builds what will be written to it, as far as that is known.
    """
    built = {
        planned.action.subject
        for planned in plan.actions
        if isinstance(planned.action, CreateGuest | CloneGuest)
    }
    said: dict[tuple[str, str, str], set[str]] = {}
    for planned in plan.actions:
        if planned.action.subject in built:
            fields = {change.field for change in planned.changes}
            said.setdefault(_what(planned.action), set(_SIGNS)).update(fields)
    return [planned for planned in later if not _is_said(planned, said.get(_what(planned.action)))]


_SIGNS = frozenset({"smbios1", "owner mark"})
"""By which a guest that was built is known again; every one gets them."""


def _is_said(planned: PlannedAction, fields: set[str] | None) -> bool:
    return fields is not None and fields.issuperset(one.field for one in planned.changes)


def _what(action: Action) -> tuple[str, str, str]:
    match action:
        case ResizeDisk() | HandOverDisk():
            part = action.slot
        case CreateSnapshot() | DeleteSnapshot():
            part = action.snapshot
        case _:
            part = ""
    return action.subject, verb_of(action).value, part
