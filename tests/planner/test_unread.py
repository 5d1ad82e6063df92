"""A guest that can't be read is no stranger and not nothing: the journal may know it."""

from dataclasses import replace

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import NOBODYS, OURS, Dispatched, Ending, Finished, JournalRecord
from qlop.model.ids import ActionId, GuestName
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.reading import Unknown
from qlop.model.verdict import Held, Hold
from tests import builders as b
from tests.planner import look

UNREAD = b.guest(node=b.PVE2, config=Unknown("not read yet"))
OFF = [b.node(b.PVE1), b.node(b.PVE2, online=False), b.node(b.PVE3)]
MADE = (Verb.CLONE, "")
ADOPTED = (Verb.CONFIGURE, OURS)
RELEASED = (Verb.CONFIGURE, NOBODYS)
DESTROYED = (Verb.DESTROY, "")


def journal(*events: tuple[Verb, str]) -> list[JournalRecord]:
    """What ended well of the web guest, in this order."""
    records: list[JournalRecord] = []
    for number, (verb, owner) in enumerate(events):
        record = replace(
            b.intended(verb, expects={"owner": owner} if owner else {}),
            action=ActionId(f"web/{verb.value}/{number}"),
        )
        end = Finished(at=b.NOW, action=record.action, attempt=1, ending=Ending.SUCCEEDED)
        sent = Dispatched(at=b.NOW, action=record.action, attempt=1, upid=None)
        records += [record, sent, end]
    return records


def seen(*guests: ObservedGuest, off: bool = True) -> Observed:
    return b.observed(*guests, nodes=OFF if off else None)


@pytest.mark.parametrize("event", [MADE, ADOPTED], ids=["made", "adopted"])
def test_an_orphan_on_a_node_that_is_off_is_known_from_the_journal(
    event: tuple[Verb, str],
) -> None:
    plan = look.plan_of(b.desired(), seen(UNREAD), journal(event))

    assert plan.verdicts[GuestName("web")].vmid == b.WEB_VMID
    assert look.verdict(plan) == Held(
        reason=Hold.NODE_OFFLINE,
        message="the configuration of guest 10000 could not be read (its node pve2 is offline):"
        " by the journal it is ours, and no manifest names it any more",
        remedy="bring pve2 back",
    )
    assert plan.unknown == plan.unmanaged == ()


def test_a_wanted_guest_is_told_of_by_its_vmid() -> None:
    plan = look.plan_of(b.desired(b.desired_guest()), seen(UNREAD), journal(MADE))

    held = look.held(plan)
    assert held.reason is Hold.NODE_OFFLINE
    assert "it is this one by the journal" in held.message
    assert plan.verdicts[GuestName("web")].vmid == b.WEB_VMID


def test_a_node_that_is_on_and_does_not_answer_is_named() -> None:
    plan = look.plan_of(b.desired(), seen(UNREAD, off=False), journal(MADE))

    assert look.held(plan).reason is Hold.CONFIG_UNREAD
    assert "pve2 did not give it" in look.held(plan).message


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="no-journal"),
        pytest.param(journal(MADE, DESTROYED), id="destroyed-since"),
        pytest.param(journal(ADOPTED, RELEASED), id="released-since"),
    ],
)
def test_what_nobody_knows_is_told_as_unknown(records: list[JournalRecord]) -> None:
    plan = look.plan_of(b.desired(), seen(UNREAD), records)

    assert plan.verdicts == {}
    assert [(one.vmid, one.why) for one in plan.unknown] == [
        (10000, "its configuration could not be read: whether it is ours is not known")
    ]


def test_templates_are_left_out() -> None:
    template = replace(UNREAD, template=True)

    assert look.plan_of(b.desired(), seen(template)).unknown == ()


def test_a_guest_that_moved_on_leaves_its_old_vmid_to_nobody() -> None:
    """It was made under 10000, and again under 10001, where it is seen."""
    records = journal(MADE)
    new = b.guest(10001, config=b.config(b.mark(vmid=10001)))

    plan = look.plan_of(b.desired(b.desired_guest()), seen(UNREAD, new), records)

    assert look.answer(plan) is None
    assert [one.vmid for one in plan.unknown] == [10000]


def test_an_orphan_never_takes_the_name_of_a_guest_that_is_wanted() -> None:
    want = b.desired_guest("db", name="web")

    plan = look.plan_of(b.desired(want), seen(UNREAD), journal(MADE))

    assert set(plan.verdicts) == {"web", "web@10000"}


def test_it_belongs_to_us_from_its_birth_to_its_end() -> None:
    assert list(fold(journal(MADE)).belongings) == [b.WEB_VMID]
    assert fold(journal(MADE, DESTROYED)).belongings == {}
