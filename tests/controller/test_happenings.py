"""What a person watching is told: once, and by the one whom it is about."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from qlop.controller import happenings
from qlop.model.ids import CycleId, GuestName, NodeName, ServiceName
from qlop.model.status import NodeStatus, Status, SubjectStatus
from qlop.model.verdict import Act, Converged, Held, Hold, Verdict

OK = Converged()
ACT = Act(actions=())
BLIND = Held(reason=Hold.OBSERVATION_INCOMPLETE, message="nobody answers")
FULL = Held(reason=Hold.NO_CAPACITY, message="no room")


def status(verdict: Verdict, *, online: tuple[bool, bool] = (True, True)) -> Status:
    nodes = tuple(
        NodeStatus(
            name=NodeName(name), online=up, guests=0, memory_bytes=0, memory_promised_bytes=0
        )
        for name, up in zip(("pve1", "pve2"), online, strict=True)
    )
    subject = SubjectStatus(
        name=GuestName("web"),
        service=ServiceName("web"),
        vmid=None,
        node=None,
        power=None,
        verdict=verdict,
    )
    return Status(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        cycle=CycleId("1"),
        revision=None,
        observed_at=None,
        reconciled_at=None,
        leading=True,
        stalled="",
        quorate=True,
        nodes=nodes,
        subjects=(subject,),
        unmanaged=(),
        findings=(),
        gaps=(),
    )


def told(before: Status | None, after: Status) -> list[str]:
    return [f"{event.subject} {event.kind.value}" for event in happenings.between(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        pytest.param(OK, OK, [], id="nothing-new"),
        pytest.param(OK, ACT, ["web drift-seen"], id="drift"),
        pytest.param(ACT, OK, ["web subject-converged"], id="healed"),
        pytest.param(OK, FULL, ["web subject-held"], id="held"),
        pytest.param(FULL, FULL, [], id="held-as-before"),
        pytest.param(OK, BLIND, [], id="what-holds-all-is-said-of-the-cluster"),
        pytest.param(BLIND, OK, [], id="nothing-happened-while-nobody-looked"),
        pytest.param(BLIND, ACT, ["web drift-seen"], id="drift-while-nobody-looked"),
        pytest.param(BLIND, FULL, ["web subject-held"], id="held-after-nobody-looked"),
    ],
)
def test_of_a_guest(before: Verdict, after: Verdict, events: list[str]) -> None:
    assert told(status(before), status(after)) == events


UP, ONE_DOWN, DARK = (True, True), (True, False), (False, False)


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        pytest.param(UP, ONE_DOWN, ["pve2 node-lost"], id="lost"),
        pytest.param(ONE_DOWN, UP, ["pve2 node-back"], id="back"),
        pytest.param(UP, DARK, [], id="nobody-answers-says-nothing-of-nodes"),
        pytest.param(DARK, UP, [], id="somebody-answers-again"),
        pytest.param(DARK, ONE_DOWN, ["pve2 node-lost"], id="lost-while-nobody-answered"),
    ],
)
def test_of_nodes(before: tuple[bool, bool], after: tuple[bool, bool], events: list[str]) -> None:
    assert told(status(OK, online=before), status(OK, online=after)) == events


def test_the_first_look_tells_of_what_is_amiss() -> None:
    assert told(None, status(FULL, online=ONE_DOWN)) == ["pve2 node-lost", "web subject-held"]


def test_a_stall_is_told_with_its_end() -> None:
    fine, stalled = status(OK), replace(status(BLIND), stalled="nobody answers")

    assert told(fine, stalled) == ["cluster stalled"]
    assert told(stalled, fine) == ["cluster resumed"]
