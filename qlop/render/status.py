"""Show how things stand: the cluster, its nodes, every guest and what is done about it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

from qlop.model.guest import GuestKind
from qlop.model.health import Condition
from qlop.model.ids import NodeName, VmId
from qlop.model.status import NodeStatus, Status, SubjectStatus
from qlop.model.units import format_span
from qlop.model.unmanaged import Unmanaged
from qlop.model.verdict import Act, Converged, Held, Hold, SubjectVerdict
from qlop.render.finding import finding_document, findings_lines
from qlop.render.line import Line, Span, Tone, line, table
from qlop.render.order import order_document, order_lines
from qlop.render.plain_value import Document, Plain, plain_value
from qlop.render.plan import (
    ask_document,
    asks_lines,
    fuse_lines,
    names_text,
    short,
    verdict_document,
)

GIB = 1024**3
CONDITION_WORDS = {
    Condition.HEALTHY: "healthy",
    Condition.UNHEALTHY: "unhealthy",
    Condition.UNKNOWN: "health unknown",
}
NO_QUORUM = "The cluster has no quorum: qlop only observes."
_BLIND = frozenset({Hold.OBSERVATION_INCOMPLETE, Hold.CONFIG_UNREAD, Hold.AMBIGUOUS})
"""Holds with which a guest that is not seen may exist all the same."""
UNMANAGED_SHOWN = 10
"""Of so many guests that are not ours the status tells; ``--unmanaged`` tells of all."""
MESSAGE_LENGTH_MAX = 100
"""In a table a longer message is shown by its two ends; `qlop explain` has all of it."""


def status_lines(status: Status, *, now: datetime, stale_after: timedelta) -> list[Line]:
    """Return the whole status; what is older than ``stale_after`` is said to be so."""
    lines = [headline(status), line(*freshness(status, now=now, stale_after=stale_after))]
    if status.stalled:
        lines.append(line(Span("Stalled: ", Tone.BAD), status.stalled))
    elif not status.quorate:
        lines.append(line(Span(NO_QUORUM, Tone.BAD)))
    lines += [line(Span("gap: ", Tone.WARN), gap) for gap in status.gaps]
    lines += fuse_lines(status.fuses)
    if status.orders:
        lines += [line(), line(Span("Orders", Tone.STRONG))]
        lines += order_lines(status.orders, now=now)
    if status.asks:
        lines += [line(), line(Span("Waiting for approval", Tone.STRONG))]
        lines += asks_lines(status.asks)
    if status.nodes:
        lines += [line(), line(Span("Nodes", Tone.STRONG)), *nodes_lines(status)]
    if status.subjects:
        lines += [line(), line(Span("Guests", Tone.STRONG)), *subjects_lines(status.subjects)]
    lines += _told("Not healthy", unwell_rows(status.subjects, now))
    lines += _told("Tombstones", tombstone_rows(status.subjects, now))
    lines += _told("What you can do", remedy_rows(status.subjects))
    lines += _guests_told("Whose they are is not known", status.unknown, "qlop status --json")
    lines += _guests_told("Not managed, left alone", status.unmanaged, "qlop status --unmanaged")
    if status.findings:
        lines += [line(), *findings_lines(status.findings)]
    return lines


def _told(title: str, rows: Sequence[tuple[str, str]]) -> list[Line]:
    """Return a paragraph that tells something of some guests; nothing if it is of none."""
    if not rows:
        return []
    told = [line("  ", Span(names, Tone.STRONG), f": {text}") for names, text in rows]
    return [line(), line(Span(title, Tone.STRONG)), *told]


def _guests_told(title: str, guests: Sequence[Unmanaged], see: str) -> list[Line]:
    """Return a paragraph of some guests that are not ours, and where to ``see`` the others."""
    if not guests:
        return []
    told = [line(), line(Span(title, Tone.STRONG)), *unmanaged_lines(guests[:UNMANAGED_SHOWN])]
    more = len(guests) - UNMANAGED_SHOWN
    if more > 0:
        told.append(line(Span(f"  and {more} more: {see}", Tone.DIM)))
    return told


def unmanaged_lines(unmanaged: Sequence[Unmanaged]) -> list[Line]:
    """Return a row per guest that is not ours: who and where it is, and why it is not."""
    rows = [
        (
            Span(str(one.vmid)),
            Span(one.name or "unnamed"),
            Span("VM" if one.kind is GuestKind.VM else "container"),
            Span(one.node),
            Span(one.why, Tone.DIM),
        )
        for one in unmanaged
    ]
    return table(rows, indent="  ")


def parse_unmanaged(document: Plain) -> tuple[Unmanaged, ...]:
    """Return the guests of ``status_document`` that are not ours; what is none is left out."""
    rows = document if isinstance(document, list) else []
    return tuple(
        Unmanaged(
            vmid=VmId(vmid),
            name=str(row.get("name", "")),
            kind=GuestKind(row.get("kind")),
            node=NodeName(str(row.get("node", ""))),
            why=str(row.get("why", "")),
        )
        for row in rows
        if isinstance(row, dict) and isinstance(vmid := row.get("vmid"), int)
    )


def headline(status: Status) -> Line:
    """Return ``converged: 14/15 guests`` and the revision that is in force."""
    total = len(status.subjects)
    good = status.ready == total and not status.stalled
    return line(
        Span(converged_text(status), Tone.GOOD if good else Tone.WARN),
        f" · revision {short_revision(status)}",
        " · leading" if status.leading else " · not leading: another qlop acts",
    )


def converged_text(status: Status) -> str:
    """Return ``converged: N/N guests``."""
    return f"converged: {status.ready}/{len(status.subjects)} guests"


def short_revision(status: Status) -> str:
    """Return the first digits of the revision in force, ``none`` if there is none."""
    return status.revision[:12] if status.revision else "none"


def freshness(status: Status, *, now: datetime, stale_after: timedelta) -> list[Span]:
    """Return how old the last observation and cycle are, loud if too old."""
    if status.observed_at is None:
        return [Span("The cluster was never observed.", Tone.BAD)]
    parts = [_age_span("observed", now - status.observed_at, stale_after)]
    if status.reconciled_at is None:
        return [*parts, Span(" · "), Span("never reconciled", Tone.WARN)]
    reconciled = _age_span("reconciled", now - status.reconciled_at, stale_after)
    return [*parts, Span(" · "), reconciled]


def _age_span(word: str, age: timedelta, stale_after: timedelta) -> Span:
    if age > stale_after:
        return Span(f"{word} {age_text(age)} ago: what follows is OLD", Tone.BAD)
    return Span(f"{word} {age_text(age)} ago", Tone.DIM)


def age_text(age: timedelta) -> str:
    """Return ``age`` in whole seconds, never negative."""
    return format_span(timedelta(seconds=max(0, int(age.total_seconds()))))


def nodes_lines(status: Status) -> list[Line]:
    """Return a row per node: online or not, guests, memory promised of what it has."""
    rows = [
        (
            Span(node.name),
            node_span(status, node),
            Span(f"{node.guests} guest{'s' if node.guests != 1 else ''}"),
            Span(_memory_text(node)),
        )
        for node in status.nodes
    ]
    return table(rows, indent="  ")


def node_span(status: Status, node: NodeStatus) -> Span:
    """Return whether a node is online, as far as that is known.

    A cycle that did not see the cluster whole says nothing about nodes that are not there.
    """
    if not node.seen:
        return Span("not seen", Tone.WARN)
    if node.online:
        return Span("online", Tone.GOOD)
    if status.reconciled_at != status.at:
        return Span("not seen", Tone.WARN)
    return Span("OFFLINE", Tone.BAD)


def _memory_text(node: NodeStatus) -> str:
    if not node.memory_bytes:
        return "memory not reported"
    return f"{node.memory_promised_bytes / GIB:.1f} of {node.memory_bytes / GIB:.1f} GiB promised"


def subjects_lines(subjects: Sequence[SubjectStatus]) -> list[Line]:
    """Return a row per guest: where it is, its power, what the planner says."""
    rows = [
        (
            Span(subject.name),
            Span(str(subject.vmid or "-")),
            Span(subject.node or "-"),
            Span(power_text(subject)),
            *verdict_spans(subject),
        )
        for subject in subjects
    ]
    return table(rows, indent="  ")


def power_text(subject: SubjectStatus) -> str:
    """Return what the guest is doing, ``absent`` only if it is known not to exist.

    How it is stands beside it if it was asked: ``running, unhealthy``.
    """
    if subject.power is not None and subject.health is not None:
        return f"{subject.power.value}, {CONDITION_WORDS[subject.health.condition]}"
    if subject.power is not None:
        return subject.power.value
    held = held_of(subject)
    blind = held is not None and held.reason in _BLIND
    return "not seen" if blind else "absent"


def unwell_rows(subjects: Sequence[SubjectStatus], now: datetime) -> list[tuple[str, str]]:
    """Return each guest that is not healthy, with what is wrong and since when."""
    return [
        (subject.name, f"{health.message}, for {age_text(now - health.since)}")
        for subject in subjects
        if (health := subject.health) is not None and health.condition is not Condition.HEALTHY
    ]


def tombstone_rows(subjects: Sequence[SubjectStatus], now: datetime) -> list[tuple[str, str]]:
    """Return each guest that will be destroyed, and how long it is kept; the next one first."""
    kept = [
        (held.until, subject)
        for subject in subjects
        if (held := held_of(subject)) is not None
        and held.reason is Hold.TOMBSTONED
        and held.until is not None
    ]
    return [
        (
            f"{subject.name} ({subject.vmid})",
            f"{age_text(until - now)} left, until {until:%Y-%m-%d %H:%M} UTC",
        )
        for until, subject in sorted(kept, key=lambda one: (one[0], one[1].name))
    ]


def remedy_rows(subjects: Sequence[SubjectStatus]) -> list[tuple[str, str]]:
    """Return what a person can do: the guests it is about, and the remedy they share."""
    shared: dict[str, list[str]] = {}
    for subject in subjects:
        held = held_of(subject)
        if held is not None and held.remedy:
            shared.setdefault(held.remedy, []).append(subject.name)
    return [(names_text(names), remedy) for remedy, names in shared.items()]


def verdict_spans(subject: SubjectStatus) -> tuple[Span, Span]:
    """Return the verdict in one word, and what a person should know of it."""
    doing = subject.inflight.intended.summary if subject.inflight else ""
    match subject.verdict:
        case Converged(note=note):
            told = "; ".join(part for part in (*subject.warnings, note) if part)
            tone = Tone.WARN if subject.warnings else Tone.DIM
            return Span("converged", Tone.GOOD), Span(told, tone)
        case Act(actions=actions, held=held):
            why = short(held.message, MESSAGE_LENGTH_MAX) if held else ""
            rest = f"; the rest is held: {why}" if held else ""
            count = f"{len(actions)} action{'s' if len(actions) != 1 else ''} planned"
            return Span("acting", Tone.CHANGE), Span(f"{doing or count}{rest}")
        case Held(message=message) as held:
            word = Span("in flight", Tone.CHANGE) if doing else Span("held", Tone.WARN)
            told = f"{short(message, MESSAGE_LENGTH_MAX)} [{held.reason.value}]"
            return word, Span(doing or told)
        case _ as never:
            assert_never(never)


def held_of(subject: SubjectStatus) -> Held | None:
    """Return why the guest, or a part of what it needs, is held; None if it isn't."""
    match subject.verdict:
        case Held() as held:
            return held
        case Act(held=held):
            return held
        case Converged():
            return None
        case _ as never:
            assert_never(never)


def status_document(status: Status) -> Document:
    """Return the status for JSON."""
    return {
        "at": plain_value(status.at),
        "cycle": status.cycle,
        "revision": status.revision,
        "observed_at": plain_value(status.observed_at),
        "reconciled_at": plain_value(status.reconciled_at),
        "leading": status.leading,
        "stalled": status.stalled,
        "quorate": status.quorate,
        "ready": status.ready,
        "wanted": len(status.subjects),
        "nodes": plain_value(status.nodes),
        "guests": [_subject_document(subject) for subject in status.subjects],
        "unmanaged": plain_value(status.unmanaged),
        "unknown": plain_value(status.unknown),
        "findings": [finding_document(finding) for finding in status.findings],
        "gaps": [*status.gaps],
        "orders": [order_document(order) for order in status.orders],
        "asks": [ask_document(planned) for planned in status.asks],
        "fuses": plain_value(status.fuses),
    }


def _subject_document(subject: SubjectStatus) -> Document:
    verdict = SubjectVerdict(
        subject=subject.name,
        vmid=subject.vmid,
        verdict=subject.verdict,
        warnings=subject.warnings,
    )
    return {
        "name": subject.name,
        "service": subject.service,
        "index": subject.index,
        "orphan": subject.orphan,
        "node": subject.node,
        "power": plain_value(subject.power),
        "health": plain_value(subject.health),
        "inflight": _inflight_document(subject),
        **{key: value for key, value in verdict_document(verdict).items() if key != "subject"},
    }


def _inflight_document(subject: SubjectStatus) -> Document | None:
    if subject.inflight is None:
        return None
    intended = subject.inflight.intended
    return {
        "action": intended.action,
        "verb": intended.verb.value,
        "summary": intended.summary,
        "since": plain_value(intended.at),
        "upid": subject.inflight.upid,
        "ambiguous": subject.inflight.ambiguous,
    }
