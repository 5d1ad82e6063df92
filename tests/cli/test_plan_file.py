"""A plan in a file, and the world held to it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qlop.cli import plan_file
from qlop.cli.plan_file import Gate, KeptPlan, PlanFileError
from qlop.model.action import CreateSnapshot, DeleteSnapshot
from qlop.model.guest import GuestKind
from qlop.model.history import Ending
from qlop.model.ids import ActionId, CycleId, Revision, ServiceName, VmId
from qlop.model.plan import Plan, PlannedAction
from qlop.model.policy import Limits
from qlop.model.trial import Judged, Judgment, Part
from tests import builders as b
from tests.cli.scripts import ScriptedExecutor
from tests.render import worlds


def kept(tmp_path: Path, plan: Plan = worlds.PLAN) -> KeptPlan:
    plan_file.write(tmp_path / "plan.json", plan, now=worlds.NOW)
    return plan_file.read(tmp_path / "plan.json")


def start(gate: Gate, plan: Plan) -> tuple[ActionId, ...]:
    return gate.start(plan, cycle=CycleId("c"), seen=0, limits=Limits())


def test_a_plan_survives_the_file_which_only_its_owner_reads(tmp_path: Path) -> None:
    found = kept(tmp_path)

    assert plan_file.moved(found, worlds.PLAN) == []
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["plan.json"]


def test_what_moved_is_said(tmp_path: Path) -> None:
    found = kept(tmp_path, replace(worlds.PLAN, actions=(worlds.REBOOT, worlds.DESTROY)))
    now = replace(worlds.PLAN, revision=Revision("new"), actions=(worlds.REBOOT, worlds.CLONE))

    assert plan_file.moved(found, now) == [
        "the manifests: revision 4f1c9a7be2d3aa00 then, new now",
        "no longer needed: destroy old (10009) and its disks on pve1",
        "needed now: clone template 9000 to web-1 (10001) on pve2",
    ]


def test_the_same_actions_with_other_details_are_another_plan(tmp_path: Path) -> None:
    found = kept(tmp_path, replace(worlds.PLAN, actions=(worlds.REBOOT,)))
    now = replace(worlds.PLAN, actions=(replace(worlds.REBOOT, changes=()),))

    assert plan_file.moved(found, now) == ["the order or the details of the same actions"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not a plan"),
        ("[]", "is not a plan that `qlop plan --out` wrote"),
        ('{"format": "qlop-plan/2"}', "is not a whole plan: 'actions' is missing"),
        ('{"format": "qlop-plan/1"}', "is not a plan that `qlop plan --out` wrote"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(PlanFileError, match=expected.replace("(", r"\(")):
        plan_file.read(tmp_path / "plan.json")


def test_a_plan_file_holds_no_secret(tmp_path: Path) -> None:
    kept(tmp_path)

    text = (tmp_path / "plan.json").read_text()
    assert "hush" not in text
    assert json.loads(text)["made_at"] == "2026-03-01T08:00:00.000Z"


def test_the_gate_lets_the_kept_plan_through(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    gate = Gate(behind=executor, kept=kept(tmp_path))

    started = start(gate, worlds.PLAN)

    assert started == tuple(one.id for one in worlds.PLAN.actions)
    assert gate.ends == 0
    assert gate.settle(worlds.CLONE.id, 1, Ending.SUCCEEDED, "")
    assert executor.settled == [worlds.CLONE.id]


def test_the_gate_starts_nothing_if_the_first_plan_is_another_one(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    gate = Gate(behind=executor, kept=kept(tmp_path))

    assert start(gate, replace(worlds.PLAN, actions=(worlds.REBOOT,))) == ()
    assert start(gate, worlds.PLAN) == ()
    assert executor.started == []
    assert gate.differences


def test_later_strangers_are_left_out_with_what_waits_for_them(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    agreed = replace(worlds.PLAN, actions=(worlds.REBOOT, worlds.CONFIGURE))
    gate = Gate(behind=executor, kept=kept(tmp_path, agreed))
    start(gate, agreed)
    again = replace(worlds.REBOOT, id=ActionId("db/reboot/another-digest"))

    later = replace(worlds.PLAN, actions=(worlds.CLONE, worlds.CONFIGURE, again))

    assert start(gate, later) == (again.id,)
    assert [*gate.left_out] == [worlds.CLONE.id, worlds.CONFIGURE.id]


SNAPSHOT = replace(
    worlds.REBOOT,
    id=ActionId("db/snapshot/s"),
    action=CreateSnapshot(
        subject=worlds.DB,
        vmid=VmId(10002),
        kind=GuestKind.VM,
        node=worlds.PVE1,
        snapshot="qlop-1",
        description="",
        memory=False,
    ),
    prepares=True,
)


def deletion(snapshot: str) -> PlannedAction:
    action = DeleteSnapshot(
        subject=worlds.DB,
        vmid=VmId(10002),
        kind=GuestKind.VM,
        node=worlds.PVE1,
        snapshot=snapshot,
    )
    return replace(worlds.REBOOT, id=ActionId(f"db/delete-snapshot/{snapshot}"), action=action)


def test_what_was_taken_for_an_agreed_change_may_go_with_it(tmp_path: Path) -> None:
    agreed = replace(worlds.PLAN, actions=(SNAPSHOT, worlds.REBOOT))
    gate = Gate(behind=ScriptedExecutor(), kept=kept(tmp_path, agreed))
    start(gate, agreed)

    own, other = deletion("qlop-1"), deletion("accepted")

    assert start(gate, replace(worlds.PLAN, actions=(own, other))) == (own.id,)


def test_the_undoing_of_an_agreed_change_is_agreed_to(tmp_path: Path) -> None:
    agreed = replace(worlds.PLAN, actions=(worlds.CONFIGURE,))
    gate = Gate(behind=ScriptedExecutor(), kept=kept(tmp_path, agreed))
    start(gate, agreed)

    back = ActionId("web-1/configure/back")
    undoing = replace(worlds.CONFIGURE, id=back, part=Part.UNDO, after=())
    other = replace(worlds.REBOOT, part=Part.UNDO, after=())

    assert start(gate, replace(worlds.PLAN, actions=(undoing, other))) == (undoing.id,)


def test_what_was_foreseen_is_agreed_to(tmp_path: Path) -> None:
    agreed = replace(worlds.PLAN, actions=(worlds.CLONE,))
    plan_file.write(tmp_path / "plan.json", agreed, (worlds.REBOOT,), now=worlds.NOW)
    gate = Gate(behind=ScriptedExecutor(), kept=plan_file.read(tmp_path / "plan.json"))
    start(gate, agreed)

    later = replace(worlds.PLAN, actions=(worlds.REBOOT, worlds.DESTROY))

    assert start(gate, later) == (worlds.REBOOT.id,)
    assert [*gate.left_out] == [worlds.DESTROY.id]


def test_nothing_is_agreed_to_of_other_manifests(tmp_path: Path) -> None:
    gate = Gate(behind=ScriptedExecutor(), kept=kept(tmp_path))
    start(gate, worlds.PLAN)

    assert start(gate, replace(worlds.PLAN, revision=Revision("another"))) == ()


def test_a_kept_plan_says_where_guests_go(tmp_path: Path) -> None:
    assert kept(tmp_path, replace(worlds.PLAN, actions=(worlds.CLONE,))).placements == {
        worlds.CLONE.action.subject: worlds.PVE2
    }


def test_how_a_trial_went_is_written_down_and_no_tombstone(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    gate = Gate(behind=executor, kept=kept(tmp_path))
    judged = Judged(
        at=worlds.NOW,
        subject=worlds.DB,
        service=ServiceName("db"),
        index=1,
        fingerprint="f",
        judgment=Judgment.GOOD,
        reason="",
    )

    gate.note([b.tombstone(), judged])

    assert executor.noted == [judged]
