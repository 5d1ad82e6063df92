"""What a creation leaves that broke off is known for what it is, and nothing is built beside it."""

from dataclasses import replace

import pytest

from qlop.model.action import Verb
from qlop.model.desired import ArchiveSource, DesiredGuest
from qlop.model.folding import fold
from qlop.model.guest import GuestKind, Power
from qlop.model.history import Dispatched, Ending, Finished, JournalRecord
from qlop.model.ids import Upid
from qlop.model.observed import ObservedGuest, ObservedTask
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

VM, CT = GuestKind.VM, GuestKind.CONTAINER
EMPTY = b.config(witness="")
LEFT = b.guest(name="", power=Power.STOPPED, lock="clone", config=EMPTY)
COPIED = b.config(b.mark(), witness="uuid:pve-made-it")
CT_WANT = b.desired_guest(kind=CT, source=ArchiveSource(volume="local:vztmpl/debian.tar.zst"))
CT_LEFT = replace(LEFT, kind=CT, lock="create")
CT_MARKED = b.guest(kind=CT, power=Power.STOPPED, config=b.config(b.container_mark()))


def broken(
    verb: Verb = Verb.CLONE,
    *,
    kind: GuestKind = VM,
    sent: bool = True,
    doubtful: bool = False,
    ending: Ending = Ending.FAILED,
) -> list[JournalRecord]:
    """The journal after our creation failed; ``sent``: PVE had begun it."""
    intended = replace(b.intended(verb), kind=kind)
    upid = Upid("UPID:pve1:0:0:0:qmclone:9000:root@pam:")
    head = {"at": b.NOW, "action": intended.action, "attempt": 1}
    records: list[JournalRecord] = [intended]
    if sent:
        records.append(Dispatched(**head, upid=upid))  # type: ignore[arg-type]  # one head for all
    if doubtful:
        records.append(Finished(**head, ending=Ending.UNKNOWN))  # type: ignore[arg-type]  # same
    end = Finished(**head, ending=ending, message="unexpected status")  # type: ignore[arg-type]  # same
    return [*records, end]


WANT = b.desired_guest()
LATER = b.NOW.replace(hour=23)


def planned(
    guest: ObservedGuest,
    records: list[JournalRecord],
    want: DesiredGuest = WANT,
    tasks: tuple[ObservedTask, ...] = (),
) -> look.Answer:
    """Return the answer long after whatever backoff there was."""
    have = b.observed(guest, tasks=tasks)
    source = replace(look.source_of(b.desired(want), have, records), now=LATER)
    return look.answer(look.audited(source))


@pytest.mark.parametrize(
    ("guest", "records", "want"),
    [
        pytest.param(LEFT, broken(), WANT, id="locked-and-empty"),
        pytest.param(LEFT, broken(sent=False, doubtful=True), WANT, id="its-answer-was-lost"),
        pytest.param(
            replace(LEFT, config=look.known(COPIED)), broken(), WANT, id="after-its-first-disk"
        ),
        pytest.param(
            replace(LEFT, lock="", config=look.known(COPIED)),
            broken(),
            WANT,
            id="unlocked-by-hand",
        ),
        pytest.param(LEFT, broken(), replace(WANT, vmid=b.WEB_VMID), id="its-vmid-is-declared"),
        pytest.param(CT_LEFT, broken(Verb.CREATE, kind=CT), CT_WANT, id="container"),
        pytest.param(
            CT_MARKED, broken(Verb.CREATE, kind=CT), CT_WANT, id="a-container-that-has-its-mark"
        ),
    ],
)
def test_nothing_is_built_beside_it(
    guest: ObservedGuest, records: list[JournalRecord], want: DesiredGuest
) -> None:
    assert planned(guest, records, want) is Hold.HALF_MADE


@pytest.mark.parametrize(
    ("guest", "records"),
    [
        pytest.param(LEFT, broken(sent=False), id="pve-refused-it"),
        pytest.param(LEFT, [], id="nothing-is-known-of-it"),
        pytest.param(replace(LEFT, lock=""), broken(), id="somebody-uses-the-vmid"),
        pytest.param(replace(LEFT, lock="backup"), broken(), id="it-is-being-backed-up"),
        pytest.param(CT_LEFT, broken(), id="a-container-where-we-cloned-a-vm"),
        pytest.param(replace(LEFT, power=Power.RUNNING), broken(), id="it-runs"),
        pytest.param(
            replace(LEFT, config=look.known(b.config(b.mark("db"), witness="x"))),
            broken(),
            id="another-service's-mark",
        ),
    ],
)
def test_what_is_not_left_of_ours_is_a_stranger(
    guest: ObservedGuest, records: list[JournalRecord]
) -> None:
    answer = planned(guest, records)

    assert isinstance(answer, tuple)
    assert answer[0] == "clone"


def test_somebody_who_restores_into_its_vmid_is_not_meddled_with() -> None:
    task = ObservedTask(
        upid=Upid("UPID:pve1:1:0:0:qmrestore:10000:root@pam:"),
        node=b.PVE1,
        verb="qmrestore",
        vmid=b.WEB_VMID,
        user="root@pam",
        started_at=b.NOW,
    )

    answer = planned(replace(LEFT, lock="create"), broken(), tasks=(task,))

    assert isinstance(answer, tuple)


def test_the_way_out_is_said() -> None:
    plan = look.plan_of(b.desired(WANT), b.observed(LEFT), broken())

    held = look.held(plan)
    assert held.message == (
        "guest 10000 on pve1 is what the clone of web left there when it broke off, locked"
        " (clone): it is not whole, and nothing is built beside it"
    )
    assert held.remedy == (
        "on pve1, if no clone runs any more: `qm unlock 10000 && qm destroy 10000 --purge`;"
        " it is made anew then"
    )
    assert [one.why for one in plan.unmanaged] == [
        "it is what the clone of web left when it broke off"
    ]


def test_it_is_told_of_even_if_nobody_wants_the_guest_any_more() -> None:
    plan = look.plan_of(b.desired(), b.observed(LEFT), broken(sent=False, doubtful=True))

    assert [one.why for one in plan.unmanaged] == [
        "it may be what the clone of web left when it broke off"
    ]


def test_a_container_that_somebody_started_is_taken_for_whole() -> None:
    running = replace(CT_MARKED, power=Power.RUNNING)

    assert planned(running, broken(Verb.CREATE, kind=CT), CT_WANT) is None


def test_a_vm_that_has_its_mark_and_witness_is_whole() -> None:
    marked = b.guest(power=Power.STOPPED)

    assert planned(marked, broken(Verb.CREATE)) == ("start",)


@pytest.mark.parametrize("verb", [Verb.CREATE, Verb.CLONE])
def test_a_creation_that_ends_well_is_not_half_made(verb: Verb) -> None:
    records = [*broken(verb), *broken(verb, ending=Ending.SUCCEEDED)]

    assert fold(records).half_made == {}


def test_what_was_made_before_is_not_forgotten_over_a_try_that_broke_off() -> None:
    """Both are known: the guest that was there once, and what lies there now."""
    records = [*broken(ending=Ending.SUCCEEDED), *broken()]

    assert fold(records).reservations[b.WEB, 1].made
    assert planned(LEFT, records) is Hold.HALF_MADE
