"""Show what was done: one line per action, from its intent to its end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from qlop.model.history import (
    Dispatched,
    Ending,
    Finished,
    Intended,
    JournalRecord,
    Notice,
    Reprieve,
    Tombstone,
)
from qlop.model.ids import ActionId, GuestName, Upid
from qlop.model.orders import Order
from qlop.model.trial import Judged
from qlop.model.units import format_span
from qlop.render.line import Line, Span, Tone, line
from qlop.render.order import about, order_document, order_text
from qlop.render.plain_value import Document, plain_value
from qlop.render.status import age_text

_TONES = {
    Ending.SUCCEEDED: Tone.GOOD,
    Ending.FAILED: Tone.BAD,
    Ending.SUPERSEDED: Tone.WARN,
    Ending.UNKNOWN: Tone.BAD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt at an action; ``finished`` None while its end is not known."""

    intended: Intended
    upid: Upid | None
    finished: Finished | None


Told = Entry | Notice | Order
"""What a line of history is about."""


def with_orders(
    told: Iterable[Told], orders: Iterable[Order], name: str | None = None
) -> tuple[Told, ...]:
    """Return what was done, noted and ordered, oldest first; with ``name`` what is about it."""
    mine = [one for one in orders if name is None or about(one) == name]
    return tuple(sorted([*told, *mine], key=_at))


def _at(told: Told) -> datetime:
    return told.intended.at if isinstance(told, Entry) else told.at


def entries(records: Iterable[JournalRecord], name: str | None = None) -> tuple[Told, ...]:
    """Return what was done and noted, oldest first; with ``name`` of that guest or service."""
    found: dict[tuple[ActionId, int], Told] = {}
    for place, record in enumerate(records):
        match record:
            case Intended():
                if name is None or name in {record.subject, record.service}:
                    key = (record.action, record.attempt)
                    found[key] = Entry(intended=record, upid=None, finished=None)
            case Dispatched() | Finished():
                key = (record.action, record.attempt)
                entry = found.get(key)
                if isinstance(entry, Entry):
                    found[key] = _continued(entry, record)
            case Tombstone() | Reprieve() | Judged():
                if name is None or name in {_subject_of(record), record.service}:
                    found[ActionId(""), place] = record
    return tuple(found.values())


def _continued(entry: Entry, record: Dispatched | Finished) -> Entry:
    if isinstance(record, Dispatched):
        return Entry(intended=entry.intended, upid=record.upid, finished=entry.finished)
    return Entry(intended=entry.intended, upid=entry.upid, finished=record)


def history_lines(found: Sequence[Told], *, now: datetime) -> list[Line]:
    """Return a line per attempt, and below it why, and what went wrong if it did."""
    if not found:
        return [line("Nothing was done yet.")]
    return [one for entry in found for one in entry_lines(entry, now=now)]


def entry_lines(entry: Told, *, now: datetime) -> list[Line]:
    """Return the lines of one attempt or notice."""
    if isinstance(entry, Order):
        when = Span(f"{entry.at:%Y-%m-%d %H:%M:%S}Z  ", Tone.DIM)
        return [line(when, Span("order: ", Tone.STRONG), order_text(entry))]
    if not isinstance(entry, Entry):
        when = Span(f"{entry.at:%Y-%m-%d %H:%M:%S}Z  ", Tone.DIM)
        return [line(when, notice_text(entry))]
    intended, finished = entry.intended, entry.finished
    again = f", attempt {intended.attempt}" if intended.attempt > 1 else ""
    if finished is None:
        end = Span(f"under way for {age_text(now - intended.at)}", Tone.CHANGE)
    else:
        took = took_text(finished.at - intended.at)
        end = Span(f"{finished.ending.value} after {took}", _TONES[finished.ending])
    first = line(
        Span(f"{intended.at:%Y-%m-%d %H:%M:%S}Z  ", Tone.DIM),
        f"{intended.summary or intended.action}{again}: ",
        end,
    )
    lines = [first]
    if intended.reason:
        lines.append(line(Span(f"    because {intended.reason}", Tone.DIM)))
    if finished is not None and finished.message:
        lines.append(line(f"    {finished.message}"))
    return lines


def notice_text(notice: Notice) -> str:
    """Return what was noted."""
    match notice:
        case Tombstone(name=name, vmid=vmid):
            return f"tombstone of {name} ({vmid}): it is given up, and down"
        case Reprieve(name=name, vmid=vmid, reason=reason):
            return f"tombstone of {name} ({vmid}) taken away: {reason}"
        case Judged(subject=name, judgment=judgment, reason=reason):
            return f"trial of {name}: {judgment.value}{f': {reason}' if reason else ''}"
        case _ as never:
            assert_never(never)


def _subject_of(notice: Notice) -> GuestName:
    return notice.subject if isinstance(notice, Judged) else notice.name


def took_text(span: timedelta) -> str:
    """Return how long something took, without the milliseconds that nobody reads."""
    is_short = span < timedelta(seconds=1)
    return format_span(span if is_short else timedelta(seconds=round(span.total_seconds())))


def history_document(found: Sequence[Told]) -> list[Document]:
    """Return what was done and noted for JSON, oldest first."""
    return [_told_document(one) for one in found]


def _told_document(told: Told) -> Document:
    if isinstance(told, Order):
        return order_document(told)
    return _entry_document(told) if isinstance(told, Entry) else _notice_document(told)


def _notice_document(notice: Notice) -> Document:
    return {
        "at": plain_value(notice.at),
        "notice": type(notice).__name__.lower(),
        "subject": _subject_of(notice),
        "service": notice.service,
        "summary": notice_text(notice),
    }


def _entry_document(entry: Entry) -> Document:
    return {
        "at": plain_value(entry.intended.at),
        "cycle": entry.intended.cycle,
        "action": entry.intended.action,
        "attempt": entry.intended.attempt,
        "verb": entry.intended.verb.value,
        "subject": entry.intended.subject,
        "service": entry.intended.service,
        "vmid": entry.intended.vmid,
        "node": entry.intended.node,
        "target": entry.intended.target,
        "summary": entry.intended.summary,
        "reason": entry.intended.reason,
        "upid": entry.upid,
        "ending": entry.finished.ending.value if entry.finished else None,
        "finished_at": plain_value(entry.finished.at) if entry.finished else None,
        "error": entry.finished.error if entry.finished else "",
        "message": entry.finished.message if entry.finished else "",
    }
