"""A guest is ours only if VMID, mark and witness all agree."""

from dataclasses import replace

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.model.ids import ClusterName, ServiceName, Upid, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.owner import OPEN_WITNESS
from qlop.model.reading import Unknown
from qlop.model.verdict import Hold
from qlop.planner import ownership
from qlop.planner.ownership import Ownership
from tests import builders as b
from tests.planner import look

PLACE = (b.WEB, 1)
OURS = b.guest()
COPY = b.guest(101, name="Copy-of-VM-web", config=b.config(b.mark(), witness="uuid:new"))
RECYCLED = b.guest(config=b.config(b.mark(), witness="uuid:another"))
UNMARKED = b.guest(config=b.config(witness="uuid:another"))
UNREAD = b.guest(config=Unknown("no answer"))
FOREIGN = b.guest(config=b.config(replace(b.mark(), cluster=ClusterName("elsewhere"))))
FORGED = b.guest(102, config=b.config(b.mark(vmid=102)))
EMPTY = Ownership(
    owned={}, heirs={}, formers={}, doubled={}, mismatched={}, unread=(), strangers=()
)


def journal_of_clone(*, witness: str | None = None, sealed: bool = False) -> list[JournalRecord]:
    """The journal after our clone ended, and after its seal if so wished."""
    made = b.intended(Verb.CLONE, witness=b.mark().witness if witness is None else witness)
    seal = b.intended(Verb.CONFIGURE, expects={"seal": b.mark().witness})
    return [*_done(made), *(_done(seal) if sealed else ())]


def _done(intended: Intended) -> list[JournalRecord]:
    upid = Upid("UPID:pve1:0:0:0:x:1:root@pam:")
    return [
        intended,
        Dispatched(at=b.NOW, action=intended.action, attempt=1, upid=upid),
        Finished(at=b.NOW, action=intended.action, attempt=1, ending=Ending.SUCCEEDED),
    ]


@pytest.mark.parametrize(
    ("guests", "found"),
    [
        pytest.param([OURS], replace(EMPTY, owned={PLACE: OURS}), id="all-three-agree"),
        pytest.param([COPY], replace(EMPTY, strangers=(COPY,)), id="a-copy-has-another-vmid"),
        pytest.param(
            [OURS, COPY],
            replace(EMPTY, owned={PLACE: OURS}, strangers=(COPY,)),
            id="a-copy-takes-nothing-from-its-original",
        ),
        pytest.param(
            [RECYCLED],
            replace(EMPTY, mismatched={PLACE: RECYCLED}),
            id="a-recycled-vmid-has-another-witness",
        ),
        pytest.param([UNMARKED], replace(EMPTY, strangers=(UNMARKED,)), id="no-mark"),
        pytest.param([FOREIGN], replace(EMPTY, strangers=(FOREIGN,)), id="another-clusters-mark"),
        pytest.param([UNREAD], replace(EMPTY, unread=(UNREAD,)), id="not-read"),
        pytest.param(
            [FORGED, OURS],
            replace(EMPTY, doubled={PLACE: (VmId(102), b.WEB_VMID)}),
            id="two-that-both-prove-it",
        ),
        pytest.param(
            [OURS, FORGED, b.guest(103, config=b.config(b.mark(vmid=103)))],
            replace(EMPTY, doubled={PLACE: (VmId(102), VmId(103), b.WEB_VMID)}),
            id="three-that-all-prove-it",
        ),
    ],
)
def test_who_is_who(guests: list[ObservedGuest], found: Ownership) -> None:
    seen = b.observed(*guests, with_template=False)

    assert ownership.index(b.CLUSTER, seen, fold([])) == found


@pytest.mark.parametrize(
    ("journal", "is_ours"),
    [
        pytest.param(journal_of_clone(), True, id="our-clone-before-its-seal"),
        pytest.param([], False, id="nobody-remembers-making-it"),
        pytest.param(journal_of_clone()[:2], False, id="the-clone-has-not-ended"),
        pytest.param(journal_of_clone(sealed=True), False, id="it-had-been-sealed"),
        pytest.param(journal_of_clone(witness="uuid:x"), False, id="another-witness-was-promised"),
        pytest.param(
            _done(b.intended(Verb.CLONE, vmid=77, witness=b.mark().witness)),
            False,
            id="another-vmid-was-promised",
        ),
    ],
)
def test_an_unsealed_guest_is_ours_only_by_the_journal(
    journal: list[JournalRecord], *, is_ours: bool
) -> None:
    found = ownership.index(b.CLUSTER, b.observed(RECYCLED), fold(journal))

    assert found.owned == ({PLACE: RECYCLED} if is_ours else {})
    assert found.mismatched == ({} if is_ours else {PLACE: RECYCLED})


def test_a_container_without_nics_is_ours_until_its_witness_is_known() -> None:
    open_mark = b.mark(witness=OPEN_WITNESS)
    guest = b.guest(config=b.config(open_mark, witness="volume:local-lvm:vm-10000-disk-3"))
    made = b.intended(Verb.CREATE, witness=OPEN_WITNESS)

    found = ownership.index(b.CLUSTER, b.observed(guest), fold(_done(made)))

    assert found.owned == {PLACE: guest}


@pytest.mark.parametrize(
    ("guest", "hold"),
    [
        pytest.param(RECYCLED, Hold.IDENTITY_MISMATCH, id="recycled"),
        pytest.param(UNREAD, Hold.CONFIG_UNREAD, id="unread"),
    ],
)
def test_what_might_be_ours_is_not_built_again(guest: ObservedGuest, hold: Hold) -> None:
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(guest))

    assert plan.actions == ()
    assert look.held(plan).reason is hold


def test_two_that_both_prove_it_are_both_left_alone() -> None:
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(OURS, FORGED))

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.DUPLICATE_MARK
    assert look.held(plan).message == "guests 102, 10000 both prove to be web"


def test_strangers_are_listed_and_nothing_else() -> None:
    plan = look.plan_of(b.desired(), b.observed(UNMARKED, COPY))

    assert plan.actions == ()
    assert plan.verdicts == {}
    assert [str(one) for one in plan.unmanaged] == ["Copy-of-VM-web (101)", "web (10000)"]


def test_a_guest_whose_mark_was_deleted_is_not_built_a_second_time() -> None:
    bare = b.guest(config=b.config(witness=b.mark().witness))

    plan = look.plan_of(
        b.desired(b.desired_guest()), b.observed(bare), journal_of_clone(sealed=True)
    )

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.NOT_OURS
    assert "guest 10000 is the one that qlop made for web" in look.held(plan).message


def test_a_stranger_under_our_former_vmid_does_not_keep_the_guest_from_being_built() -> None:
    plan = look.plan_of(
        b.desired(b.desired_guest()), b.observed(UNMARKED), journal_of_clone(sealed=True)
    )

    assert look.actions(plan)[0].vmid == VmId(10001)


def test_another_service_of_the_same_cluster_is_another_place() -> None:
    other = b.guest(config=b.config(b.mark("db")))

    found = ownership.index(b.CLUSTER, b.observed(other, with_template=False), fold([]))

    assert found.owned == {(ServiceName("db"), 1): other}
