"""Snapshots: those named are taken, ours that no longer are go, others' stay."""

from dataclasses import replace

import pytest

from qlop.model.action import CreateSnapshot, DeleteSnapshot
from qlop.model.desired import DesiredGuest, Snapshots
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest, ObservedSnapshot
from qlop.model.owner import mark_text
from qlop.model.reading import Absent, Known, Unknown
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

CT = GuestKind.CONTAINER


def wanting(
    *keep: str,
    prune: bool = False,
    memory: bool = False,
    power: Power = Power.RUNNING,
    kind: GuestKind = GuestKind.VM,
) -> DesiredGuest:
    return b.desired_guest(
        kind=kind, power=power, snapshots=Snapshots(keep=keep, prune=prune, memory=memory)
    )


def having(*ours: str, theirs: str = "", power: Power = Power.RUNNING) -> ObservedGuest:
    names = [*((name, True) for name in ours), *([(theirs, False)] if theirs else [])]
    return b.guest(power=power, snapshots=Known(tuple(_snapshot(*name) for name in names)))


def _snapshot(name: str, ours: bool) -> ObservedSnapshot:  # noqa: FBT001 - a field
    return ObservedSnapshot(name=name, taken_at=b.NOW, ours=ours, with_memory=False)


def take(name: str, *, memory: bool = False) -> CreateSnapshot:
    return CreateSnapshot(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=GuestKind.VM,
        node=b.PVE1,
        snapshot=name,
        description=mark_text(b.mark()),
        memory=memory,
    )


def drop(name: str) -> DeleteSnapshot:
    return DeleteSnapshot(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=GuestKind.VM,
        node=b.PVE1,
        snapshot=name,
    )


@pytest.mark.parametrize(
    ("want", "have", "actions"),
    [
        pytest.param(wanting("a"), having("a"), (), id="there-already"),
        pytest.param(wanting("a"), having(theirs="a"), (), id="somebody-elses-will-do"),
        pytest.param(wanting("a", "b"), having("b"), (take("a"),), id="missing"),
        pytest.param(wanting("b", "a"), having(), (take("b"), take("a")), id="in-the-order-named"),
        pytest.param(wanting("a", memory=True), having(), (take("a", memory=True),), id="memory"),
        pytest.param(
            wanting("a", memory=True, power=Power.STOPPED),
            having(power=Power.STOPPED),
            (take("a"),),
            id="a-stopped-guest-has-no-memory",
        ),
        pytest.param(wanting(), having("a"), (), id="none-named-and-no-word-of-pruning"),
        pytest.param(wanting("b"), having("a", "b"), (), id="kept-without-prune"),
        pytest.param(wanting("b", prune=True), having("c", "a", "b"), (drop("a"), drop("c")),
                     id="pruned"),
        pytest.param(wanting(prune=True), having(theirs="a"), (), id="never-somebody-elses"),
        pytest.param(wanting("a", prune=True), having("b"), (take("a"), drop("b")),
                     id="first-taken-then-pruned"),
    ],
)  # fmt: skip
def test_snapshots(want: DesiredGuest, have: ObservedGuest, actions: tuple[object, ...]) -> None:
    assert look.actions(look.plan_one(want, have)) == actions


def test_impacts() -> None:
    plan = look.plan_one(wanting("a", prune=True), having("b"))

    assert [one.impact for one in plan.actions] == [Impact.HOT, Impact.DATA_LOSS]


@pytest.mark.parametrize(
    "listed", [pytest.param(Unknown("no answer"), id="unknown"), pytest.param(Absent(), id="none")]
)
def test_without_a_list_nothing_is_taken_or_deleted(listed: Unknown | Absent) -> None:
    plan = look.plan_one(wanting("a", prune=True), b.guest(snapshots=listed))

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.OBSERVATION_INCOMPLETE


def test_without_a_list_nothing_is_missed_if_none_is_wanted() -> None:
    plan = look.plan_one(wanting(), b.guest(snapshots=Unknown("not asked")))

    assert look.answer(plan) is None


@pytest.mark.parametrize("stage", ["prepare", "delete"])
def test_a_snapshot_that_was_never_finished_is_no_snapshot(stage: str) -> None:
    broken = replace(_snapshot("a", ours=True), stage=stage)

    held = look.held(look.plan_one(wanting("a"), b.guest(snapshots=Known((broken,)))))

    assert held.reason is Hold.UNSUPPORTED_CHANGE
    assert held.message == (
        f"snapshot a was begun and never finished ({stage}): nothing can be rolled back to it"
    )
    assert "qm delsnapshot 10000 a --force" in held.remedy
