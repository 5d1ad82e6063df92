"""Write journal records as JSON, and read what this or an older qlop wrote.

A record of a newer format is refused: guessing at it could repeat a mutation. Fields
that are not known are skipped, so that one may be added without a new format. Each record
is written in the oldest format that can say it.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import TypeVar, assert_never

from qlop.model.action import Verb
from qlop.model.guest import GuestKind
from qlop.model.history import (
    ActionRecord,
    Dispatched,
    Ending,
    Finished,
    Intended,
    JournalRecord,
    Notice,
    Reprieve,
    Tombstone,
)
from qlop.model.ids import ActionId, CycleId, GuestName, NodeName, ServiceName, Upid, VmId
from qlop.model.impact import Impact
from qlop.model.trial import Judged, Judgment, Part

FORMAT = 2
"""Raised when a record of the new kind would be misread by an older qlop."""

_ACTION_FORMAT = 1
_NOTICE_FORMAT = 2

E = TypeVar("E", bound=Enum)

_Fields = Mapping[str, object]


class RecordError(ValueError):
    """A text is no journal record that this qlop understands."""


def encode(record: JournalRecord) -> str:
    """Return ``record`` as one line of JSON."""
    fields = (
        _notice_fields(record)
        if isinstance(record, Tombstone | Reprieve | Judged)
        else _fields(record)
    )
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> JournalRecord:
    """Return the record that ``encode`` made ``text`` of.

    Raises:
        RecordError: if it is no record, or one of a newer format.
    """
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise RecordError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RecordError("not a JSON object")
    version = fields.get("format")
    if type(version) is not int or version < 1:
        raise RecordError(f"no format number: {version!r}")
    if version > FORMAT:
        raise RecordError(
            f"format {version} is newer than this qlop reads ({FORMAT}); "
            "run the version of qlop that wrote it, or a later one"
        )
    known = _KINDS.get(str(fields.get("record")))
    if known is None:
        raise RecordError(f"unknown kind of record: {fields.get('record')!r}")
    return known(fields)


def _notice_fields(record: Notice) -> dict[str, object]:
    said: dict[str, object] = {
        "format": _NOTICE_FORMAT,
        "at": record.at.isoformat(),
        "service": record.service,
        "index": record.index,
    }
    match record:
        case Tombstone():
            return said | {
                "record": "tombstone",
                "vmid": record.vmid,
                "name": record.name,
                "witness": record.witness,
                "digest": record.digest,
            }
        case Reprieve():
            return said | {
                "record": "reprieve",
                "vmid": record.vmid,
                "name": record.name,
                "reason": record.reason,
            }
        case Judged():
            return said | {
                "record": "judged",
                "subject": record.subject,
                "fingerprint": record.fingerprint,
                "judgment": record.judgment.value,
                "reason": record.reason,
            }
        case _ as never:
            assert_never(never)


def _fields(record: ActionRecord) -> dict[str, object]:
    head: dict[str, object] = {
        "format": _ACTION_FORMAT,
        "at": record.at.isoformat(),
        "action": record.action,
        "attempt": record.attempt,
    }
    match record:
        case Intended():
            return head | _intended_fields(record)
        case Dispatched():
            return head | {"record": "dispatched", "upid": record.upid}
        case Finished():
            return head | {
                "record": "finished",
                "ending": record.ending.value,
                "error": record.error,
                "message": record.message,
            }
        case _ as never:
            assert_never(never)


def _intended_fields(record: Intended) -> dict[str, object]:
    return {
        "record": "intended",
        "cycle": record.cycle,
        "verb": record.verb.value,
        "subject": record.subject,
        "service": record.service,
        "index": record.index,
        "vmid": record.vmid,
        "kind": record.kind.value,
        "node": record.node,
        "target": record.target,
        "reason": record.reason,
        "summary": record.summary,
        "witness": record.witness,
        "source": record.source,
        "expects": dict(record.expects),
        "takes": list(record.takes),
    } | _trial_fields(record)


def _trial_fields(record: Intended) -> dict[str, object]:
    """Return what a record says of revisions and trials; most say nothing of it."""
    said: dict[str, object] = {}
    if record.impact is not Impact.NONE:
        said["impact"] = record.impact.name.lower()
    if record.fingerprint:
        said["fingerprint"] = record.fingerprint
    if record.part is not Part.NONE:
        said["part"] = record.part.value
    if record.before:
        said["before"] = dict(record.before)
    return said


def _intended(fields: _Fields) -> Intended:
    source = fields.get("source")
    return Intended(
        at=_instant(fields),
        cycle=CycleId(_text(fields, "cycle")),
        action=ActionId(_text(fields, "action")),
        attempt=_number(fields, "attempt"),
        verb=_member(fields, "verb", Verb),
        subject=GuestName(_text(fields, "subject")),
        service=ServiceName(_text(fields, "service")),
        index=_number(fields, "index"),
        vmid=VmId(_number(fields, "vmid")),
        kind=_member(fields, "kind", GuestKind),
        node=NodeName(_text(fields, "node")),
        target=NodeName(_text(fields, "target")),
        reason=_text(fields, "reason", ""),
        summary=_text(fields, "summary", ""),
        witness=_text(fields, "witness", ""),
        source=None if source is None else VmId(_number(fields, "source")),
        expects=_texts(fields, "expects"),
        takes=_list(fields, "takes"),
        impact=_impact(fields),
        fingerprint=_text(fields, "fingerprint", ""),
        part=_member(fields, "part", Part) if "part" in fields else Part.NONE,
        before=_texts(fields, "before"),
    )


def _dispatched(fields: _Fields) -> Dispatched:
    upid = _text(fields, "upid") if fields.get("upid") is not None else None
    return Dispatched(
        at=_instant(fields),
        action=ActionId(_text(fields, "action")),
        attempt=_number(fields, "attempt"),
        upid=None if upid is None else Upid(upid),
    )


def _finished(fields: _Fields) -> Finished:
    return Finished(
        at=_instant(fields),
        action=ActionId(_text(fields, "action")),
        attempt=_number(fields, "attempt"),
        ending=_member(fields, "ending", Ending),
        error=_text(fields, "error", ""),
        message=_text(fields, "message", ""),
    )


def _tombstone(fields: _Fields) -> Tombstone:
    return Tombstone(
        at=_instant(fields),
        service=ServiceName(_text(fields, "service")),
        index=_number(fields, "index"),
        vmid=VmId(_number(fields, "vmid")),
        name=GuestName(_text(fields, "name")),
        witness=_text(fields, "witness"),
        digest=_text(fields, "digest"),
    )


def _reprieve(fields: _Fields) -> Reprieve:
    return Reprieve(
        at=_instant(fields),
        service=ServiceName(_text(fields, "service")),
        index=_number(fields, "index"),
        vmid=VmId(_number(fields, "vmid")),
        name=GuestName(_text(fields, "name")),
        reason=_text(fields, "reason"),
    )


def _judged(fields: _Fields) -> Judged:
    return Judged(
        at=_instant(fields),
        subject=GuestName(_text(fields, "subject")),
        service=ServiceName(_text(fields, "service")),
        index=_number(fields, "index"),
        fingerprint=_text(fields, "fingerprint"),
        judgment=_member(fields, "judgment", Judgment),
        reason=_text(fields, "reason"),
    )


_KINDS: Mapping[str, Callable[[_Fields], JournalRecord]] = {
    "intended": _intended,
    "dispatched": _dispatched,
    "finished": _finished,
    "tombstone": _tombstone,
    "reprieve": _reprieve,
    "judged": _judged,
}


def _value(fields: _Fields, name: str, is_right: Callable[[object], bool]) -> object:
    if name not in fields:
        raise RecordError(f"{name} is missing")
    value = fields[name]
    if not is_right(value):
        raise RecordError(f"{name} can't be {value!r}")
    return value


def _text(fields: _Fields, name: str, default: str | None = None) -> str:
    if default is not None and name not in fields:
        return default
    return str(_value(fields, name, lambda value: isinstance(value, str)))


def _number(fields: _Fields, name: str) -> int:
    value = _value(fields, name, lambda value: type(value) is int)
    assert isinstance(value, int)
    return value


def _instant(fields: _Fields) -> datetime:
    text = _text(fields, "at")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordError(f"at can't be {text!r}") from error
    if instant.tzinfo is None:
        raise RecordError(f"at has no time zone: {text!r}")
    return instant


def _member(fields: _Fields, name: str, kind: type[E]) -> E:
    text = _text(fields, name)
    try:
        return kind(text)
    except ValueError as error:
        raise RecordError(f"{name} can't be {text!r}") from error


def _impact(fields: _Fields) -> Impact:
    text = _text(fields, "impact", "none")
    try:
        return Impact[text.upper()]
    except KeyError as error:
        raise RecordError(f"impact can't be {text!r}") from error


def _texts(fields: _Fields, name: str) -> Mapping[str, str]:
    if name not in fields:
        return {}
    value = _value(fields, name, lambda value: isinstance(value, dict))
    assert isinstance(value, dict)
    return {str(key): _text(value, key) for key in value}


def _list(fields: _Fields, name: str) -> tuple[str, ...]:
    if name not in fields:
        return ()
    value = _value(fields, name, lambda value: isinstance(value, list))
    assert isinstance(value, list)
    if not all(isinstance(item, str) for item in value):
        raise RecordError(f"{name} can't be {value!r}")
    return tuple(value)
