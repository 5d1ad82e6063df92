"""Fold the journal into what the planner must remember.

The journal is a list of records; ``fold`` makes a ``History`` of any prefix of it. An
action that was intended and has no end is *in flight*: nothing else happens to its
guest until looking has shown how it ended.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from qlop.model.action import Verb
from qlop.model.belonging import Belonging
from qlop.model.halfmade import HalfMade
from qlop.model.history import (
    EXPECTS_CLOUD_INIT,
    EXPECTS_COMPLETION,
    EXPECTS_OWNER,
    EXPECTS_SEAL,
    EXPECTS_SNAPSHOT,
    LASTING,
    LONGEST_LOOK,
    NOBODYS,
    OURS,
    Dispatched,
    Ending,
    Failure,
    Finished,
    History,
    Inflight,
    Intended,
    JournalRecord,
    Repetition,
    Reprieve,
    Reservation,
    Tombstone,
)
from qlop.model.ids import ActionId, GuestName, ServiceName, VmId
from qlop.model.owner import OPEN_WITNESS
from qlop.model.trial import Attempt, Judged, Trials


def fold(records: Iterable[JournalRecord]) -> History:
    """Return what the records, oldest first, amount to."""
    folding = Folding()
    for record in records:
        folding.add(record)
    return folding.history()


class Folding:
    """The fold, kept open so that a daemon need not begin anew with every record."""

    def __init__(self) -> None:
        self._inflight: dict[GuestName, Inflight] = {}
        self._failures: dict[ActionId, Failure] = {}
        self._failing: dict[tuple[GuestName, Verb], ActionId] = {}
        self._unsent: dict[GuestName, tuple[ActionId, Failure]] = {}
        self._reservations: dict[tuple[ServiceName, int], Reservation] = {}
        self._former: dict[tuple[ServiceName, int], Reservation] = {}
        self._repetitions: dict[ActionId, Repetition] = {}
        self._attempts: dict[ActionId, int] = {}
        self._subjects: dict[ActionId, GuestName] = {}
        self._owing: set[GuestName] = set()
        self._trying = Trials()
        self._tombstones: dict[VmId, Tombstone] = {}
        self._half_made: dict[VmId, HalfMade] = {}
        self._belongings: dict[VmId, Belonging] = {}
        self._ended: dict[GuestName, Inflight] = {}
        self._history: History | None = None

    def add(self, record: JournalRecord) -> None:
        """Take one more record in."""
        self._history = None
        match record:
            case Intended():
                self._intend(record)
            case Dispatched():
                self._dispatch(record)
            case Finished():
                self._finish(record)
            case Judged():
                self._trying.judge(record)
            case Tombstone():
                self._tombstones[record.vmid] = record
            case Reprieve():
                self._tombstones.pop(record.vmid, None)

    def history(self) -> History:
        """Return the history so far; the same value until the next record."""
        if self._history is None:
            self._history = History(
                inflight=dict(self._inflight),
                failures=dict(self._failures),
                unsent=dict(self._unsent.values()),
                reservations=dict(self._reservations),
                repetitions=dict(self._repetitions),
                attempts=dict(self._attempts),
                owes_regeneration=frozenset(self._owing),
                **self._trying.folded(),
                tombstones=dict(self._tombstones),
                half_made=dict(self._half_made),
                belongings=dict(self._belongings),
                ended=dict(self._ended),
            )
        return self._history

    def _intend(self, record: Intended) -> None:
        self._inflight[record.subject] = Inflight(intended=record)
        self._attempts[record.action] = record.attempt
        self._subjects[record.action] = record.subject
        if record.verb in {Verb.CREATE, Verb.CLONE}:
            place = (record.service, record.index)
            reserved = self._reservations.get(place)
            if reserved is not None and reserved.made:
                self._former[place] = reserved
            self._reservations[place] = Reservation(
                vmid=record.vmid,
                witness=record.witness,
                node=record.target,
                by=record.verb,
                name=record.subject,
            )

    def _dispatch(self, record: Dispatched) -> None:
        flying = self._flying(record)
        if flying is not None:
            self._inflight[flying.intended.subject] = Inflight(
                intended=flying.intended, upid=record.upid, dispatched=True
            )

    def _finish(self, record: Finished) -> None:
        flying = self._flying(record)
        if flying is None:
            return
        intended = flying.intended
        if record.ending is Ending.UNKNOWN:
            self._inflight[intended.subject] = Inflight(
                intended=intended,
                upid=flying.upid,
                dispatched=flying.dispatched,
                ambiguous=True,
                doubtful_since=record.at,
            )
            return
        del self._inflight[intended.subject]
        self._note_end(replace(flying, ended_at=record.at), record.at)
        if not self._is_of_former(intended):
            self._trying.end(_attempt(flying, record))
        if intended.verb in {Verb.CREATE, Verb.CLONE}:
            self._conclude_birth(flying, record)
        self._note_unsent(intended.subject, record)
        if record.ending is Ending.SUPERSEDED:
            return  # Nothing was sent: what failed before may fail again.
        place = (intended.subject, intended.verb)
        former = self._failing.pop(place, None)
        before = self._failures.pop(former, None) if former is not None else None
        if record.ending is Ending.FAILED:
            again = before is not None and former == record.action
            self._failing[place] = record.action
            self._failures[record.action] = Failure(
                count=(before.count + 1) if again and before is not None else 1,
                at=record.at,
                error=record.error,
                message=record.message,
            )
        if record.ending is Ending.SUCCEEDED:
            last = self._repetitions.get(record.action)
            again = last is not None and record.at - last.at <= LASTING
            count = last.count + 1 if again and last is not None else 1
            self._repetitions[record.action] = Repetition(count=count, at=record.at)
            self._succeed(intended)

    def _note_unsent(self, subject: GuestName, record: Finished) -> None:
        former = self._unsent.pop(subject, None)
        if record.ending is Ending.SUPERSEDED and record.error:
            again = former is not None and former[0] == record.action
            self._unsent[subject] = (
                record.action,
                Failure(
                    count=former[1].count + 1 if again and former is not None else 1,
                    at=record.at,
                    error=record.error,
                    message=record.message,
                ),
            )

    def _note_end(self, ended: Inflight, at: datetime) -> None:
        """Remember the end for looks that began before it, and forget what is too old."""
        self._ended = {
            subject: one
            for subject, one in self._ended.items()
            if one.ended_at is not None and abs(at - one.ended_at) <= LONGEST_LOOK
        }
        self._ended[ended.intended.subject] = ended

    def _is_of_former(self, intended: Intended) -> bool:
        """Return whether an action destroys a guest whose place another one has taken."""
        reserved = self._reservations.get((intended.service, intended.index))
        is_other = reserved is not None and reserved.vmid != intended.vmid
        return is_other and intended.verb is Verb.DESTROY

    def _conclude_birth(self, flying: Inflight, finished: Finished) -> None:
        """Let what was made before stand if this attempt made nothing.

        A listing that lags behind may hide a guest that is there: PVE then refuses its
        VMID, and the guest is still the one that we made.
        """
        intended = flying.intended
        place = (intended.service, intended.index)
        former = self._former.pop(place, None)
        if former is not None and finished.ending is not Ending.SUCCEEDED:
            self._reservations[place] = former
        began = flying.dispatched or flying.ambiguous
        if finished.ending is Ending.FAILED and began:
            self._half_made[intended.vmid] = HalfMade(
                at=finished.at,
                service=intended.service,
                index=intended.index,
                name=intended.subject,
                vmid=intended.vmid,
                kind=intended.kind,
                node=intended.node,
                verb=intended.verb,
                is_certain=flying.dispatched,
            )

    def _succeed(self, intended: Intended) -> None:
        place = (intended.service, intended.index)
        reserved = self._reservations.get(place)
        match intended.verb:
            case Verb.CREATE | Verb.CLONE:
                self._be_born(intended)
            case Verb.CONFIGURE:
                if EXPECTS_SEAL in intended.expects and reserved is not None:
                    self._reservations[place] = replace(reserved, sealed=True)
                if EXPECTS_CLOUD_INIT in intended.expects:
                    self._owing.add(intended.subject)
                self._change_owner(intended)
            case Verb.REGENERATE | Verb.START | Verb.REBOOT:
                self._owing.discard(intended.subject)
                is_it = reserved is not None and reserved.vmid == intended.vmid
                if intended.verb is Verb.START and reserved is not None and is_it:
                    self._reservations[place] = replace(reserved, ran=True)
            case Verb.DESTROY:
                if reserved is not None and reserved.vmid == intended.vmid:
                    del self._reservations[place]
                self._tombstones.pop(intended.vmid, None)
                self._half_made.pop(intended.vmid, None)
                self._belongings.pop(intended.vmid, None)
                self._owing.discard(intended.subject)
            case _:
                pass

    def _change_owner(self, intended: Intended) -> None:
        whose = intended.expects.get(EXPECTS_OWNER)
        if whose == OURS:
            self._belongings[intended.vmid] = _belonging(intended)
        if whose == NOBODYS:
            self._belongings.pop(intended.vmid, None)

    def _be_born(self, intended: Intended) -> None:
        """Take in that a guest was made: a clone is not sealed yet."""
        self._tombstones.pop(intended.vmid, None)
        self._half_made.pop(intended.vmid, None)
        self._belongings[intended.vmid] = _belonging(intended)
        place = (intended.service, intended.index)
        reserved = self._reservations.get(place)
        if reserved is None:
            return
        sealed = intended.verb is Verb.CREATE and intended.witness != OPEN_WITNESS
        self._reservations[place] = replace(reserved, made=True, sealed=sealed or reserved.sealed)

    def _flying(self, record: Dispatched | Finished) -> Inflight | None:
        subject = self._subjects.get(record.action)
        flying = self._inflight.get(subject) if subject is not None else None
        if flying is None or flying.intended.attempt != record.attempt:
            return None
        return flying if flying.intended.action == record.action else None


def _belonging(intended: Intended) -> Belonging:
    return Belonging(service=intended.service, index=intended.index, name=intended.subject)


def _attempt(flying: Inflight, finished: Finished) -> Attempt:
    intended = flying.intended
    return Attempt(
        at=finished.at,
        place=(intended.service, intended.index),
        vmid=intended.vmid,
        verb=intended.verb,
        impact=intended.impact,
        part=intended.part,
        fingerprint=intended.fingerprint,
        before=intended.before,
        snapshot=intended.expects.get(EXPECTS_SNAPSHOT, ""),
        succeeded=finished.ending is Ending.SUCCEEDED,
        took_effect=flying.dispatched and finished.ending is Ending.FAILED,
        completes=EXPECTS_COMPLETION in intended.expects,
        begins=intended.verb in {Verb.CREATE, Verb.CLONE} or EXPECTS_OWNER in intended.expects,
    )
