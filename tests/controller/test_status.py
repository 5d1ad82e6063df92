"""A status says how things stand, of every node and every subject."""

from dataclasses import replace

from qlop.controller import status
from qlop.model.folding import fold
from qlop.model.guest import Power
from qlop.model.ids import CycleId, GuestName, NodeName, ServiceName
from qlop.model.status import NodeStatus
from qlop.model.units import GIB
from qlop.planner import planner
from tests import builders as b

WANT = b.desired(b.desired_guest(), b.desired_guest("db"))
ORPHAN = b.guest(10009, config=b.config(b.mark("old", 1, 10009)))
FLYING = b.intended()
SEEN = b.observed(
    b.guest(),
    ORPHAN,
    b.guest(500, node=b.PVE2, power=Power.STOPPED, config=b.config(witness="uuid:x")),
    nodes=[b.node(b.PVE1), b.node(b.PVE2, online=False), b.node(NodeName("pve9"))],
    with_template=False,
)


def test_every_subject_by_name() -> None:
    history = fold([FLYING])
    plan = planner.plan(b.plan_input(WANT, SEEN, history))

    found = status.subjects(WANT, SEEN, history, plan)

    assert [(one.name, one.service, one.vmid, one.node, one.power) for one in found] == [
        ("db", "db", None, None, None),
        ("old-1", "old", 10009, "pve1", Power.RUNNING),
        ("web", "web", 10000, "pve1", Power.RUNNING),
    ]
    assert [one.inflight is not None for one in found] == [False, False, True]
    assert [one.is_ready for one in found] == [False, False, False]


def test_every_node_there_or_expected() -> None:
    assert status.nodes(WANT, SEEN) == (
        _node("pve1", guests=2, promised=4 * GIB),
        _node("pve2", online=False, guests=1),
        _node("pve3", online=False, memory=0),
        _node("pve9"),
    )


def _node(
    name: str, *, online: bool = True, guests: int = 0, memory: int = 32 * GIB, promised: int = 0
) -> NodeStatus:
    return NodeStatus(
        name=NodeName(name),
        online=online,
        guests=guests,
        memory_bytes=memory,
        memory_promised_bytes=promised,
    )


def test_a_blind_status_keeps_what_was_known() -> None:
    plan = planner.plan(b.plan_input(WANT, SEEN))
    subjects = status.subjects(WANT, SEEN, fold([]), plan)
    first = status.blind(
        at=b.NOW, cycle=CycleId("1"), leading=True, stalled="x", findings=(), before=None
    )
    nodes = (_node("pve1"), _node("pve2", online=False))
    before = replace(first, subjects=subjects, nodes=nodes, observed_at=b.NOW, quorate=True)

    found = status.blind(
        at=b.NOW, cycle=CycleId("2"), leading=False, stalled="y", findings=(), before=before
    )

    assert (first.subjects, first.observed_at, first.ready) == ((), None, 0)
    assert found == replace(
        before,
        cycle=CycleId("2"),
        leading=False,
        stalled="y",
        gaps=("y",),
        quorate=False,
        nodes=tuple(replace(node, seen=False) for node in nodes),
    )
    assert {one.service for one in found.subjects} == {
        ServiceName("db"),
        ServiceName("old"),
        ServiceName("web"),
    }
    assert GuestName("web") in {one.name for one in found.subjects}
