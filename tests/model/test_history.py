"""The journal folds to the same history wherever it is cut and taken up again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import Verb
from qlop.model.folding import Folding, fold
from qlop.model.history import (
    Dispatched,
    Ending,
    Failure,
    Finished,
    History,
    Inflight,
    JournalRecord,
    Repetition,
    Reservation,
)
from qlop.model.ids import ActionId, GuestName, Upid, VmId
from qlop.model.owner import OPEN_WITNESS
from tests import builders as b

WEB = GuestName("web")
PLACE = (b.WEB, 1)
UPID = Upid("UPID:pve1:1:1:1:qmstart:10000:root@pam:")
START = b.intended(Verb.START)


def sent(verb: Verb = Verb.START, upid: Upid | None = UPID, attempt: int = 1) -> Dispatched:
    return Dispatched(
        at=b.NOW, action=ActionId(f"web/{verb.value}/f00d"), attempt=attempt, upid=upid
    )


def ended(
    verb: Verb = Verb.START, ending: Ending = Ending.SUCCEEDED, attempt: int = 1
) -> Finished:
    return replace(b.finished(verb, attempt=attempt), ending=ending)


@pytest.mark.parametrize(
    ("records", "inflight"),
    [
        pytest.param([START], Inflight(intended=START), id="intended"),
        pytest.param(
            [START, sent()], Inflight(intended=START, upid=UPID, dispatched=True), id="sent"
        ),
        pytest.param(
            [START, sent(upid=None)], Inflight(intended=START, dispatched=True), id="done-at-once"
        ),
        pytest.param(
            [START, ended(ending=Ending.UNKNOWN)],
            Inflight(intended=START, ambiguous=True, doubtful_since=b.NOW),
            id="its-answer-was-lost",
        ),
        pytest.param(
            [START, sent(), ended(ending=Ending.UNKNOWN)],
            Inflight(
                intended=START, upid=UPID, dispatched=True, ambiguous=True, doubtful_since=b.NOW
            ),
            id="its-task-was-lost",
        ),
        pytest.param(
            [START, ended(ending=Ending.UNKNOWN), sent()],
            Inflight(intended=START, upid=UPID, dispatched=True),
            id="its-task-was-found",
        ),
        pytest.param([START, sent(), ended()], None, id="succeeded"),
        pytest.param([START, ended(ending=Ending.FAILED)], None, id="failed"),
        pytest.param([START, ended(ending=Ending.SUPERSEDED)], None, id="not-sent-after-all"),
        pytest.param([START, sent(), ended(attempt=2)],
                     Inflight(intended=START, upid=UPID, dispatched=True),
                     id="another-attempt-ended"),
        pytest.param([START, sent(Verb.REBOOT)], Inflight(intended=START), id="another-was-sent"),
        pytest.param([sent(), ended()], None, id="nobody-knows-of-it"),
    ],
)  # fmt: skip
def test_inflight(records: list[JournalRecord], inflight: Inflight | None) -> None:
    assert fold(records).inflight == ({} if inflight is None else {WEB: inflight})


def failed(count: int) -> Failure:
    return Failure(count=count, at=b.NOW, error="transient", message="it broke")


def attempt(number: int, *, succeeded: bool, action: str | None = None) -> list[JournalRecord]:
    return [
        b.intended(attempt=number, action=action),
        b.finished(attempt=number, action=action, succeeded=succeeded),
    ]


OTHER = "web/start/beef"


@pytest.mark.parametrize(
    ("records", "failures"),
    [
        pytest.param(attempt(1, succeeded=False), {"web/start/f00d": failed(1)}, id="once"),
        pytest.param(
            [*attempt(1, succeeded=False), *attempt(2, succeeded=False)],
            {"web/start/f00d": failed(2)},
            id="twice-in-a-row",
        ),
        pytest.param(
            [*attempt(1, succeeded=False), *attempt(2, succeeded=True)], {}, id="then-it-worked"
        ),
        pytest.param(
            [*attempt(1, succeeded=False), *attempt(1, succeeded=False, action=OTHER)],
            {OTHER: failed(1)},
            id="somebody-changed-something",
        ),
        pytest.param(
            [
                *attempt(1, succeeded=False),
                b.intended(Verb.REBOOT),
                b.finished(Verb.REBOOT),
            ],
            {"web/start/f00d": failed(1)},
            id="another-verb-worked",
        ),
        pytest.param(
            [
                *attempt(1, succeeded=False),
                b.intended(attempt=2),
                ended(attempt=2, ending=Ending.SUPERSEDED),
            ],
            {"web/start/f00d": failed(1)},
            id="then-nothing-was-sent",
        ),
    ],
)
def test_failures(records: list[JournalRecord], failures: dict[str, Failure]) -> None:
    assert fold(records).failures == failures


def successes(*minutes: int) -> list[JournalRecord]:
    records: list[JournalRecord] = []
    for number, minute in enumerate(minutes, 1):
        at = b.NOW + timedelta(minutes=minute)
        records += [b.intended(attempt=number, at=at), b.finished(attempt=number, at=at)]
    return records


@pytest.mark.parametrize(
    ("minutes", "count"),
    [((0,), 1), ((0, 1, 2), 3), ((0, 60), 2), ((0, 61), 1), ((0, 1, 90, 91), 2)],
)
def test_repetitions(minutes: tuple[int, ...], count: int) -> None:
    found = fold(successes(*minutes)).repetitions[ActionId("web/start/f00d")]

    assert found == Repetition(count=count, at=b.NOW + timedelta(minutes=minutes[-1]))


CLONE = b.intended(Verb.CLONE, witness="uuid:x", source=9000, target=b.PVE2)
CREATE = b.intended(Verb.CREATE, witness="uuid:x")
SEAL = b.intended(Verb.CONFIGURE, expects={"seal": "uuid:x"})
PROMISED = Reservation(vmid=b.WEB_VMID, witness="uuid:x", node=b.PVE2, by=Verb.CLONE, name=WEB)
MADE = replace(PROMISED, made=True)
CREATED = Reservation(
    vmid=b.WEB_VMID,
    witness="uuid:x",
    node=b.PVE1,
    by=Verb.CREATE,
    made=True,
    sealed=True,
    name=WEB,
)
STONE = b.tombstone()
REPRIEVE = b.reprieve()
OPEN = b.intended(Verb.CREATE, witness=OPEN_WITNESS)


@pytest.mark.parametrize(
    ("records", "reservation"),
    [
        pytest.param([CLONE], PROMISED, id="promised"),
        pytest.param([CLONE, ended(Verb.CLONE, Ending.FAILED)], PROMISED, id="kept-for-next-time"),
        pytest.param([CLONE, ended(Verb.CLONE)], MADE, id="a-clone-is-made-but-not-sealed"),
        pytest.param(
            [CLONE, ended(Verb.CLONE), SEAL, ended(Verb.CONFIGURE)],
            replace(MADE, sealed=True),
            id="sealed",
        ),
        pytest.param(
            [CLONE, ended(Verb.CLONE), SEAL, ended(Verb.CONFIGURE, Ending.FAILED)],
            MADE,
            id="its-seal-failed",
        ),
        pytest.param([CREATE, ended(Verb.CREATE)], CREATED, id="what-is-created-is-sealed"),
        pytest.param(
            [OPEN, ended(Verb.CREATE)],
            replace(CREATED, witness=OPEN_WITNESS, sealed=False),
            id="unless-its-witness-is-open",
        ),
        pytest.param(
            [CREATE, ended(Verb.CREATE), b.intended(Verb.DESTROY), ended(Verb.DESTROY)],
            None,
            id="destroyed",
        ),
        pytest.param(
            [CLONE, ended(Verb.CLONE), CLONE, ended(Verb.CLONE, Ending.FAILED)],
            MADE,
            id="what-was-made-stands-if-it-could-not-be-made-again",
        ),
        pytest.param(
            [CLONE, ended(Verb.CLONE), CLONE, ended(Verb.CLONE, Ending.SUPERSEDED)],
            MADE,
            id="or-was-not-sent-again",
        ),
        pytest.param(
            [CLONE, ended(Verb.CLONE), SEAL, ended(Verb.CONFIGURE), CLONE, ended(Verb.CLONE)],
            MADE,
            id="what-is-made-anew-is-to-be-sealed-anew",
        ),
        pytest.param([START, ended()], None, id="of-no-concern"),
    ],
)
def test_reservations(records: list[JournalRecord], reservation: Reservation | None) -> None:
    assert fold(records).reservations == ({} if reservation is None else {PLACE: reservation})


def test_a_destruction_forgets_only_the_place_of_the_guest_that_it_destroyed() -> None:
    old = b.intended(Verb.DESTROY, vmid=10009)

    history = fold([CREATE, ended(Verb.CREATE), old, ended(Verb.DESTROY)])

    assert history.reservations == {PLACE: CREATED}


@pytest.mark.parametrize(
    ("records", "stands"),
    [
        pytest.param([STONE], True, id="set"),
        pytest.param([STONE, REPRIEVE], False, id="taken-away"),
        pytest.param([STONE, REPRIEVE, STONE], True, id="set-again"),
        pytest.param([STONE, b.intended(Verb.DESTROY)], True, id="being-destroyed"),
        pytest.param(
            [STONE, b.intended(Verb.DESTROY), ended(Verb.DESTROY, Ending.FAILED)],
            True,
            id="not-destroyed",
        ),
        pytest.param(
            [STONE, b.intended(Verb.DESTROY), ended(Verb.DESTROY)], False, id="destroyed"
        ),
        pytest.param([STONE, CREATE, ended(Verb.CREATE)], False, id="its-vmid-is-given-anew"),
        pytest.param([STONE, replace(REPRIEVE, vmid=VmId(1))], True, id="anothers-taken-away"),
    ],
)
def test_tombstones(records: list[JournalRecord], *, stands: bool) -> None:
    assert fold(records).tombstones == ({b.WEB_VMID: STONE} if stands else {})


WRITE = [b.intended(Verb.CONFIGURE, expects={"cloud-init": "changed"}), ended(Verb.CONFIGURE)]


@pytest.mark.parametrize(
    ("records", "owes"),
    [
        pytest.param(WRITE, True, id="after-a-write"),
        pytest.param([*WRITE, b.intended(Verb.REGENERATE), ended(Verb.REGENERATE)], False,
                     id="written-anew"),
        pytest.param([*WRITE, START, ended()], False, id="started"),
        pytest.param([*WRITE, START, ended(ending=Ending.FAILED)], True, id="not-started"),
        pytest.param([*WRITE, b.intended(Verb.REBOOT), ended(Verb.REBOOT)], False, id="rebooted"),
        pytest.param([*WRITE, b.intended(Verb.DESTROY), ended(Verb.DESTROY)], False,
                     id="destroyed"),
        pytest.param([*WRITE, b.intended(Verb.SNAPSHOT), ended(Verb.SNAPSHOT)], True,
                     id="of-no-concern"),
        pytest.param([b.intended(Verb.CONFIGURE), ended(Verb.CONFIGURE)], False,
                     id="a-write-of-no-concern"),
    ],
)  # fmt: skip
def test_cloud_init_owed(records: list[JournalRecord], *, owes: bool) -> None:
    assert fold(records).owes_regeneration == (frozenset({WEB}) if owes else frozenset())


def test_attempts_are_those_of_the_journal() -> None:
    assert fold([b.intended(attempt=7)]).attempts == {ActionId("web/start/f00d"): 7}


ENDINGS = st.sampled_from(Ending)


@st.composite
def journals(draw: st.DrawFn) -> list[JournalRecord]:
    """Lives of actions on three guests, one after the other per guest, some unended."""
    records: list[JournalRecord] = []
    open_until_ended: set[str] = set()
    for number in range(draw(st.integers(0, 12))):
        service = draw(st.sampled_from(["web", "db", "mq"]))
        if service in open_until_ended:
            continue
        verb = draw(st.sampled_from(Verb))
        seal = {"seal": "uuid:x", "cloud-init": "changed"} if draw(st.booleans()) else {}
        record = b.intended(verb, service=service, attempt=number, expects=seal)
        records.append(record)
        if draw(st.booleans()):
            records.append(Dispatched(at=b.NOW, action=record.action, attempt=number, upid=UPID))
        ending = draw(ENDINGS)
        records.append(
            Finished(at=b.NOW, action=record.action, attempt=number, ending=ending, error="x")
        )
        if ending is Ending.UNKNOWN:
            open_until_ended.add(service)
    return records


@given(journals(), st.data())
def test_cut_anywhere_and_taken_up_again(
    records: list[JournalRecord], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(records)))
    folding = Folding()
    for record in records[:cut]:
        folding.add(record)
    before = folding.history()

    for record in records[cut:]:
        folding.add(record)

    assert before == fold(records[:cut])
    assert folding.history() == fold(records)


@given(journals())
def test_whatever_is_read_twice_counts_once_in_flight(records: list[JournalRecord]) -> None:
    for cut in range(len(records) + 1):
        history = fold(records[:cut])
        ended_ones = {
            (record.action, record.attempt)
            for record in records[:cut]
            if isinstance(record, Finished) and record.ending is not Ending.UNKNOWN
        }
        for flying in history.inflight.values():
            assert (flying.intended.action, flying.intended.attempt) not in ended_ones


@given(journals())
def test_a_journal_in_which_all_ended_leaves_nothing_in_flight(
    records: list[JournalRecord],
) -> None:
    left = fold(records).inflight.values()
    ends = [
        Finished(
            at=b.NOW,
            action=one.intended.action,
            attempt=one.intended.attempt,
            ending=Ending.FAILED,
        )
        for one in left
    ]

    assert fold([*records, *ends]).inflight == {}


def test_the_same_value_until_the_next_record() -> None:
    folding = Folding()
    folding.add(START)

    first = folding.history()

    assert folding.history() is first
    folding.add(ended())
    assert folding.history() is not first
    assert isinstance(first, History)
