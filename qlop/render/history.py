"""Show what was done: one line per action, from its intent to its end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.model.ids import ActionId, Upid
from qlop.model.units import format_span
from qlop.render.line import Line, Span, Tone, line
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


def entries(records: Iterable[JournalRecord], name: str | None = None) -> tuple[Entry, ...]:
    """Return the attempts, oldest first; with ``name`` those of that guest or service."""
    found: dict[tuple[ActionId, int], Entry] = {}
    for record in records:
        key = (record.action, record.attempt)
        match record:
            case Intended():
                if name is None or name in {record.subject, record.service}:
                    found[key] = Entry(intended=record, upid=None, finished=None)
            case Dispatched() if key in found:
                entry = found[key]
                found[key] = Entry(
                    intended=entry.intended, upid=record.upid, finished=entry.finished
                )
            case Finished() if key in found:
                entry = found[key]
                found[key] = Entry(intended=entry.intended, upid=entry.upid, finished=record)
            case _:
                pass
    return tuple(found.values())


def history_lines(found: Sequence[Entry], *, now: datetime) -> list[Line]:
    """Return a line per attempt, and below it why, and what went wrong if it did."""
    if not found:
        return [line("Nothing was done yet.")]
    return [one for entry in found for one in entry_lines(entry, now=now)]


def entry_lines(entry: Entry, *, now: datetime) -> list[Line]:
    """Return the lines of one attempt."""
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


def took_text(span: timedelta) -> str:
    """Return how long something took, without the milliseconds that nobody reads."""
    is_short = span < timedelta(seconds=1)
    return format_span(span if is_short else timedelta(seconds=round(span.total_seconds())))


def history_document(found: Sequence[Entry]) -> list[Document]:
    """Return the attempts for JSON, oldest first."""
    return [
        {
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
        for entry in found
    ]
