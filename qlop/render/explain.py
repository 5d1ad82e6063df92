"""Explain a guest: what is wanted of it and by whom, what it is, what will happen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from qlop.model.desired import DesiredDisk, DesiredGuest, DesiredService, Placement
from qlop.model.guest import OptionValue, Properties
from qlop.model.health import Condition, Health, check_text
from qlop.model.history import JournalRecord
from qlop.model.ids import GuestName, ServiceName
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import render_properties
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.model.reading import Absent, Known, Unknown
from qlop.model.units import MIB, format_size, format_span
from qlop.model.verdict import Act, Converged, Held, SubjectVerdict
from qlop.render.action import action_text
from qlop.render.consent import consents_text, window_text
from qlop.render.history import Told, entries, entry_lines, history_document
from qlop.render.line import Line, Span, Tone, line, table
from qlop.render.plain_value import MASK, SECRET_KEYS, Document, plain_value
from qlop.render.plan import (
    IMPACT_TONES,
    IMPACT_WORDS,
    change_lines,
    short,
    verdict_document,
)
from qlop.render.status import CONDITION_WORDS, age_text

ENTRIES_SHOWN = 10
"""The newest attempts; ``qlop history NAME`` shows all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that bears on one guest."""

    name: GuestName
    verdict: SubjectVerdict | None
    want: DesiredGuest | None
    service: DesiredService | None
    have: ObservedGuest | None
    health: Health | None
    actions: tuple[PlannedAction, ...]
    entries: tuple[Told, ...]


def explain(
    name: str, *, given: PlanInput, plan: Plan, records: Iterable[JournalRecord]
) -> tuple[Explanation, ...]:
    """Return an explanation for each guest that ``name`` means; none if it means nothing.

    ``name`` is that of a guest or service, or a VMID.
    """
    kept = tuple(records)
    return tuple(
        _explain_guest(GuestName(guest), given=given, plan=plan, records=kept)
        for guest in _guests_called(name, given, plan)
    )


def known_names(given: PlanInput, plan: Plan) -> tuple[str, ...]:
    """Return every name that can be explained, sorted."""
    return tuple(sorted({*given.desired.services, *given.desired.guests, *plan.verdicts}))


def _guests_called(name: str, given: PlanInput, plan: Plan) -> list[str]:
    if name in plan.verdicts or name in given.desired.guests:
        return [name]
    service = given.desired.services.get(ServiceName(name))
    if service is not None:
        return [*service.guests]
    if name.isdigit():
        found: list[str] = [
            key for key, one in sorted(plan.verdicts.items()) if str(one.vmid) == name
        ]
        unowned = [str(vmid) for vmid in given.observed.guests if str(vmid) == name]
        return [*found] or unowned
    return [guest.name for guest in given.observed.guests.values() if guest.name == name][:1]


def _explain_guest(
    name: GuestName, *, given: PlanInput, plan: Plan, records: Sequence[JournalRecord]
) -> Explanation:
    verdict = plan.verdicts.get(name)
    want = given.desired.guests.get(name)
    if verdict is not None:
        have = given.observed.guests.get(verdict.vmid) if verdict.vmid is not None else None
    else:
        have = next(
            (one for one in given.observed.guests.values() if name in {one.name, str(one.vmid)}),
            None,
        )
    return Explanation(
        name=name,
        verdict=verdict,
        want=want,
        service=given.desired.services.get(want.service) if want else None,
        have=have,
        health=given.observed.health.get(have.vmid) if have is not None else None,
        actions=tuple(planned for planned in plan.actions if planned.action.subject == name),
        entries=entries(records, name),
    )


def explanation_lines(found: Explanation, *, now: datetime) -> list[Line]:
    """Return the explanation of one guest."""
    sections = [
        [*_verdict_lines(found, now=now), *_warning_lines(found)],
        _action_lines(found.actions),
        _wanted_lines(found.want, found.service),
        _seen_lines(found.have),
        _health_lines(found.health, now=now),
        _history_lines(found.entries, now=now),
    ]
    lines = _head(found)
    for section in sections:
        if section:
            lines += [*section, line()]
    return lines[:-1]


def _head(found: Explanation) -> list[Line]:
    if found.have is not None:
        where = f" ({found.have.vmid} on {found.have.node}, {found.have.power.value})"
    else:
        where = " (does not exist)" if found.want is not None else ""
    return [line(Span(found.name, Tone.STRONG), where)]


def _verdict_lines(found: Explanation, *, now: datetime) -> list[Line]:
    if found.verdict is None:
        return [line("  It is not ours: qlop never touches it, and reads no more of it.")]
    match found.verdict.verdict:
        case Converged(note=note):
            rest = f" ({note})" if note else ""
            return [line(Span(f"  Converged: it is as its manifest says{rest}.", Tone.GOOD))]
        case Act(held=held):
            first = line(Span("  It is being brought to what its manifest says.", Tone.CHANGE))
            return [first, *_held_lines(held, now=now)] if held else [first]
        case Held() as held:
            return _held_lines(held, now=now)
        case _ as never:
            assert_never(never)


def _warning_lines(found: Explanation) -> list[Line]:
    warnings = found.verdict.warnings if found.verdict is not None else ()
    return [line(Span("  Warning: ", Tone.WARN), one) for one in warnings]


def _held_lines(held: Held, *, now: datetime) -> list[Line]:
    first = line(
        Span("  Held: ", Tone.WARN), held.message, Span(f" [{held.reason.value}]", Tone.DIM)
    )
    remedy = [line(Span("  Remedy: ", Tone.STRONG), held.remedy)] if held.remedy else []
    left = [] if held.until is None else [line(f"  It ends in {age_text(held.until - now)}.")]
    return [first, *left, *remedy]


def _action_lines(actions: Sequence[PlannedAction]) -> list[Line]:
    lines: list[Line] = []
    for planned in actions:
        lines.append(
            line(
                f"    {action_text(planned.action)}",
                Span(f"  [{IMPACT_WORDS[planned.impact]}]", IMPACT_TONES[planned.impact]),
            )
        )
        if planned.reason:
            lines.append(line(Span(f"      because {planned.reason}", Tone.DIM)))
        lines += change_lines(planned.changes, indent="      ")
    return [_section("What will change"), *lines] if lines else []


def _wanted_lines(want: DesiredGuest | None, service: DesiredService | None) -> list[Line]:
    if want is None:
        return [line("  No manifest names it.")]
    rows = [
        *_field_rows("origin", str(want.origin)),
        *_field_rows("service", f"{want.service}, guest {want.index}"),
        *_field_rows("VMID", _vmid_text(want)),
        *_field_rows("power", want.power.value),
        *_field_rows("memory", format_size(want.memory_bytes)),
        *_field_rows("pool", want.pool or ""),
        *(row for disk in want.disks for row in _field_rows(disk.slot, _disk_text(disk))),
        *(
            row
            for nic in want.nics
            for row in _field_rows(nic.slot, _option_text(nic.slot, nic.properties))
        ),
        *(
            row
            for key, value in sorted(want.options.items())
            for row in _field_rows(key, _option_text(key, value))
        ),
        *_field_rows("may", _may_text(want)),
        *_field_rows("changes", consents_text(want.consents)),
        *_field_rows("windows", ", ".join(map(window_text, want.windows))),
        *_field_rows("placement", _placement_text(want.placement)),
        *_field_rows("depends on", ", ".join(sorted(service.depends_on)) if service else ""),
        *_field_rows("checks", ", ".join(map(check_text, service.checks)) if service else ""),
    ]
    lines = [_section("Wanted"), *table(rows, indent="    ")]
    if service is not None and service.inherited:
        inherited = [
            (Span(path), Span(_source_text(profile), Tone.DIM))
            for path, profile in sorted(service.inherited.items())
        ]
        lines += [_section("Inherited"), *table(inherited, indent="    ")]
    return lines


def _source_text(profile: str) -> str:
    return f"from {profile}" if " " in profile else f"from profile {profile}"


def _field_rows(name: str, value: str) -> list[tuple[Span, ...]]:
    return [(Span(name), Span(value))] if value else []


def _vmid_text(want: DesiredGuest) -> str:
    low, high = want.vmid_range
    return str(want.vmid) if want.vmid is not None else f"the lowest free of {low} to {high}"


def _disk_text(disk: DesiredDisk) -> str:
    parts = [
        f"at least {format_size(disk.size_bytes)}" if disk.size_bytes is not None else "",
        f"on {disk.storage}" if disk.storage else "",
        disk.volume or "",
        disk.format or "",
        render_properties(disk.properties),
    ]
    return " ".join(part for part in parts if part)


def _option_text(key: str, value: OptionValue | Properties) -> str:
    if key in SECRET_KEYS:
        return MASK
    return short(value if isinstance(value, str) else render_properties(value))


def _may_text(want: DesiredGuest) -> str:
    grace = format_span(want.shutdown_timeout)
    allowed = {
        f"be stopped by force after {grace}": want.may_stop,
    }
    return ", ".join(words for words, may in allowed.items() if may) or "not be interrupted"


def _placement_text(placement: Placement) -> str:
    parts = []
    if placement.allowed is not None:
        parts.append(f"only on {', '.join(sorted(placement.allowed))}")
    if placement.preferred:
        parts.append(f"rather on {', '.join(placement.preferred)}")
    if placement.apart_from:
        parts.append(f"apart from {', '.join(sorted(placement.apart_from))}")
    if placement.together_with:
        parts.append(f"together with {', '.join(sorted(placement.together_with))}")
    if placement.spread:
        parts.append("replicas spread over nodes")
    return "; ".join(parts) or "on any node"


def _seen_lines(have: ObservedGuest | None) -> list[Line]:
    if have is None:
        return []
    rows = [
        *_field_rows("memory", f"{have.memory_bytes // MIB} MiB" if have.memory_bytes else ""),
        *_field_rows("lock", have.lock),
        *_field_rows("HA", have.ha_state),
        *_field_rows("pool", have.pool or ""),
        *_field_rows("tags", have.tags),
        *_config_rows(have),
    ]
    return [_section("Seen"), *table(rows, indent="    ")]


_TONES = {
    Condition.HEALTHY: Tone.GOOD,
    Condition.UNHEALTHY: Tone.BAD,
    Condition.UNKNOWN: Tone.WARN,
}


def _health_lines(health: Health | None, *, now: datetime) -> list[Line]:
    if health is None:
        return []
    rows = [
        (
            Span(state.check),
            Span(CONDITION_WORDS[state.condition], _TONES[state.condition]),
            Span(f"for {age_text(now - state.since)}", Tone.DIM),
            Span(state.message),
        )
        for state in health.checks
    ]
    return [_section("Health"), *table(rows, indent="    ")]


def _config_rows(have: ObservedGuest) -> list[tuple[Span, ...]]:
    match have.config:
        case Known(value=config):
            return _identity_rows(config)
        case Unknown(reason=reason):
            return _field_rows("config", f"not read: {reason}")
        case Absent():
            return _field_rows("config", "there is none")
        case _ as never:
            assert_never(never)


def _identity_rows(config: GuestConfig) -> list[tuple[Span, ...]]:
    mark = config.mark
    pending = ", ".join(sorted(config.pending))
    if mark is None:
        owner = "no mark in its notes"
    else:
        owner = f"cluster {mark.cluster}, service {mark.service}, guest {mark.index}, {mark.vmid}"
    agrees = mark is not None and mark.witness == config.witness
    return [
        *_field_rows("owner mark", owner),
        *_field_rows("witness", f"{config.witness} ({'agrees' if agrees else 'does not agree'})"),
        *_field_rows("digest", config.digest),
        *_field_rows("pending", pending),
    ]


def _history_lines(found: Sequence[Told], *, now: datetime) -> list[Line]:
    if not found:
        return []
    shown = found[-ENTRIES_SHOWN:]
    return [
        _section("History"),
        *(line("    ", *one) for entry in shown for one in entry_lines(entry, now=now)),
    ]


def _section(title: str) -> Line:
    return line("  ", Span(title, Tone.STRONG))


def explanation_document(found: Explanation) -> Document:
    """Return the explanation for JSON."""
    inherited: Mapping[str, str] = found.service.inherited if found.service else {}
    return {
        "name": found.name,
        "verdict": verdict_document(found.verdict) if found.verdict else None,
        "wanted": plain_value(found.want),
        "inherited": plain_value(inherited),
        "seen": plain_value(found.have),
        "health": plain_value(found.health),
        "actions": [
            {
                "id": planned.id,
                "summary": action_text(planned.action),
                "reason": planned.reason,
                "impact": plain_value(planned.impact),
                "changes": plain_value(planned.changes),
            }
            for planned in found.actions
        ],
        "history": [*history_document(found.entries)],
    }
