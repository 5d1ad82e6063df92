"""A record is read back as it was written, and what can't be understood is refused."""

import json

import pytest

from qlop.journal import record
from qlop.model.action import Verb
from qlop.model.history import Ending, JournalRecord
from tests.journal.records import dispatched, finished, intended, reprieve, tombstone

CLONE = intended(0, Verb.CLONE, expects={"kept": "é\n"})
RECORDS: tuple[JournalRecord, ...] = (
    CLONE,
    dispatched(1, CLONE),
    dispatched(1, CLONE, None),
    finished(2, CLONE),
    finished(2, CLONE, Ending.FAILED, "transient"),
    tombstone(3),
    reprieve(4),
)
WRITTEN_BY_0_1 = (
    '{"format":1,"at":"2026-11-24T04:00:00+00:00","action":"simrs-1/clone/a1","attempt":1,'
    '"record":"intended","cycle":"c1","verb":"clone","subject":"simrs-1","service":"simrs",'
    '"index":1,"vmid":10001,"kind":"qemu","node":"pve1","target":"pve2",'
    '"reason":"it should run","summary":"clone simrs-1",'
    '"witness":"uuid:11111111-2222-5333-8444-555555555555","source":9000,'
    '"expects":{"kept":"é\\n"},"takes":["node:pve1"]}'
)


@pytest.mark.parametrize("entry", RECORDS)
def test_a_record_is_read_back_as_it_was_written(entry: JournalRecord) -> None:
    assert record.decode(record.encode(entry)) == entry


@pytest.mark.parametrize("verb", Verb)
def test_every_verb_has_a_word(verb: Verb) -> None:
    entry = intended(0, verb)

    assert record.decode(record.encode(entry)) == entry


def test_the_format_is_the_one_that_files_out_there_have() -> None:
    assert record.encode(CLONE) == WRITTEN_BY_0_1


def test_an_older_qlop_refuses_a_tombstone_and_nothing_before_it() -> None:
    formats = [json.loads(record.encode(entry))["format"] for entry in RECORDS]

    assert formats == [1, 1, 1, 1, 1, 2, 2]


def test_fields_that_are_not_known_are_skipped() -> None:
    fields = json.loads(WRITTEN_BY_0_1) | {"mood": "good"}

    assert record.decode(json.dumps(fields)) == CLONE


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"format": 3}, "format 3 is newer than this qlop reads (2)", id="newer"),
        pytest.param({"format": True}, "no format number: True", id="no-format"),
        pytest.param({"record": "regretted"}, "unknown kind of record", id="unknown-kind"),
        pytest.param({"verb": "explode"}, "verb can't be 'explode'", id="unknown-verb"),
        pytest.param({"vmid": "10001"}, "vmid can't be '10001'", id="wrong-type"),
        pytest.param({"at": "2026-11-24T04:00:00"}, "at has no time zone", id="naive-instant"),
        pytest.param({"at": "today"}, "at can't be 'today'", id="no-instant"),
        pytest.param({"takes": [1]}, "takes can't be [1]", id="wrong-item"),
        pytest.param({"expects": {"a": 1}}, "a can't be 1", id="wrong-value"),
    ],
)
def test_a_record_that_is_not_understood_is_refused(
    change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(record.RecordError) as refusal:
        record.decode(json.dumps(json.loads(WRITTEN_BY_0_1) | change))

    assert complaint in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format":1,"record":"finished"}'])
def test_a_torn_record_is_refused(text: str) -> None:
    with pytest.raises(record.RecordError):
        record.decode(text)
