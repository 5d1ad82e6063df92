"""``apply``: cycles until nothing is left that can be done; and what it says at the end."""

from dataclasses import replace
from pathlib import Path

from qlop.cli import apply, plan, plan_file
from qlop.cli.apply import Applied
from qlop.cli.plan_file import KeptPlan
from qlop.cli.settling import Settling
from qlop.model.finding import Finding, Severity
from qlop.model.history import Failure, History
from qlop.model.ids import ActionId, GuestName
from qlop.model.verdict import Act, Converged, Held, Hold, SubjectVerdict
from qlop.render import line
from tests.cli.scripts import SETTINGS, ScriptedDoor, result, subject
from tests.render import worlds

WEB = GuestName("web-1")
DOING = subject(Act(actions=(worlds.REBOOT.id,)))
GOOD = result(subject(Converged()))
BUSY = result(DOING, plan=worlds.PLAN)


async def applied(door: ScriptedDoor, kept: KeptPlan | None = None) -> Applied:
    return await apply.carried_out(
        door, SETTINGS, kept, on_event=lambda _: None, on_cycle=lambda _: None
    )


def said(how: Applied) -> str:
    return line.plain(apply.ending_lines(how))


async def test_it_ends_when_everything_is_as_wanted() -> None:
    door = ScriptedDoor(results=[BUSY, BUSY, GOOD], events=worlds.EVENTS)

    how = await applied(door)

    assert (how.ending, door.cycles) == (Settling.CONVERGED, 3)
    assert said(how) == "converged: 1/1 guests\n"


async def test_what_is_held_is_said_with_its_remedy() -> None:
    held = subject(worlds.HELD, name="apm")

    how = await applied(ScriptedDoor(results=[result(held, subject(Converged()))]))

    assert how.ending is Settling.HELD
    assert said(how) == (
        "held: apm: no node has 24GiB of memory left; not creating it\n"
        "  remedy: lower spec.memory, or add a node\n"
        "converged: 1/2 guests\n"
    )


async def test_what_should_pass_is_waited_for_but_not_for_ever() -> None:
    locked = result(subject(Held(reason=Hold.LOCKED, message="backup runs")))
    door = ScriptedDoor(results=[locked])

    how = await applied(door)

    assert (how.ending, door.cycles) == (Settling.HELD, 10)


async def test_what_failed_too_often_is_said_with_what_pve_said() -> None:
    failure = Failure(count=3, at=worlds.NOW, error="invalid", message="no such disk")
    backing_off = subject(Held(reason=Hold.BACKOFF, message="x"))
    history = History(failures={ActionId("web-1/start/x"): failure})

    how = await applied(ScriptedDoor(results=[result(backing_off, history=history)]))

    assert how.ending is Settling.FAILED
    assert said(how) == "failed: web-1: no such disk\nconverged: 0/1 guests\n"


async def test_bad_manifests_end_it_at_once() -> None:
    bad = Finding(severity=Severity.ERROR, code="x", message="a tab")
    status = replace(worlds.STATUS, findings=(bad,), stalled="no good manifests", subjects=())
    blind = replace(GOOD, plan=None, source=None, status=status)

    how = await applied(ScriptedDoor(results=[blind]))

    assert how.ending is Settling.FAILED
    assert "error: a tab [x]" in said(how)
    assert "stalled: no good manifests" in said(how)


async def test_a_cycle_that_dies_ends_it() -> None:
    how = await applied(ScriptedDoor(results=[GOOD], crash=ValueError("boom")))

    assert (how.ending, said(how)) == (Settling.FAILED, "error: ValueError: boom\n")


async def test_a_kept_plan_is_carried_out(tmp_path: Path) -> None:
    plan_file.write(tmp_path / "plan", worlds.PLAN, now=worlds.NOW)
    door = ScriptedDoor(results=[BUSY, GOOD])

    how = await applied(door, plan_file.read(tmp_path / "plan"))

    assert how.ending is Settling.CONVERGED
    assert door.executor.started == [one.id for one in worlds.PLAN.actions]


async def test_what_a_kept_plan_does_not_say_is_not_done(tmp_path: Path) -> None:
    plan_file.write(tmp_path / "plan", worlds.PLAN, now=worlds.NOW)
    more = replace(worlds.REBOOT, id=ActionId("db/start/x"), action=worlds.START)
    later = result(DOING, plan=replace(worlds.PLAN, actions=(more,)))
    door = ScriptedDoor(results=[BUSY, later])

    how = await applied(door, plan_file.read(tmp_path / "plan"))

    assert (how.ending, door.cycles) == (Settling.HELD, 2)
    assert said(how) == (
        "not in the plan, not done: start db (10002) on pve1\nconverged: 0/1 guests\n"
    )


async def test_what_a_kept_plan_says_is_waited_for_beside_what_it_does_not_say(
    tmp_path: Path,
) -> None:
    plan_file.write(tmp_path / "plan", worlds.PLAN, now=worlds.NOW)
    more = replace(worlds.DESTROY, id=ActionId("db/destroy/x"))
    coming_up = subject(Held(reason=Hold.DEPENDENCY, message="it comes up"), name="web-2")
    waiting = result(coming_up, plan=replace(worlds.PLAN, actions=(more,)))
    door = ScriptedDoor(results=[BUSY, waiting, waiting, BUSY, GOOD])

    how = await applied(door, plan_file.read(tmp_path / "plan"))

    assert (how.ending, door.cycles) == (Settling.CONVERGED, 5)


async def test_a_kept_plan_that_no_longer_holds_is_refused(tmp_path: Path) -> None:
    other = replace(worlds.PLAN, actions=(worlds.DESTROY,))
    plan_file.write(tmp_path / "plan", other, now=worlds.NOW)
    door = ScriptedDoor(results=[BUSY])

    how = await applied(door, plan_file.read(tmp_path / "plan"))

    assert how.ending is Settling.FAILED
    assert door.executor.started == []
    assert said(how).startswith(
        "refused: the world moved since this plan was made\n  needed now: clone template 9000"
    )


async def test_one_look_for_plan_changes_nothing() -> None:
    door = ScriptedDoor(results=[BUSY])

    found = await plan.looked(door, SETTINGS)

    assert plan.exit_code(found) == 2
    assert plan.exit_code(GOOD) == 0
    assert door.executor.started == []


async def test_before_planning_to_start_a_guest_it_is_looked_at_again() -> None:
    starting = replace(worlds.REBOOT, id=ActionId("db/start/x"), action=worlds.START)
    late = result(DOING, plan=replace(worlds.PLAN, actions=(starting,)))
    door = ScriptedDoor(results=[late, GOOD])

    found = await plan.looked(door, SETTINGS)

    assert found is GOOD
    assert vars(door.engine.observer)["touched"] == [10002]


def test_a_plan_that_can_not_be_relied_on_is_an_error() -> None:
    bad = Finding(severity=Severity.ERROR, code="x", message="a tab")
    findings = replace(BUSY, status=replace(BUSY.status, findings=(bad,)))
    blind = replace(BUSY, plan=None, status=replace(BUSY.status, stalled="HTTP 595"))
    partial = result(DOING, plan=worlds.PLAN, complete=False)

    assert [plan.exit_code(one) for one in (findings, blind, partial)] == [1, 1, 1]
    assert plan.problem_of(blind) == "HTTP 595"


async def test_a_plan_that_waits_for_how_guests_are_asks_them() -> None:
    unheard = Held(reason=Hold.HEALTH_UNKNOWN, message="nobody has asked it yet")
    waiting = replace(
        worlds.QUIET,
        verdicts={
            WEB: SubjectVerdict(subject=WEB, vmid=None, verdict=Act(actions=(), held=unheard))
        },
    )
    door = ScriptedDoor(results=[result(plan=waiting), BUSY])

    found = await plan.looked(door, SETTINGS)

    assert found is BUSY
    assert door.heard_s == [10]


async def test_a_plan_that_waits_for_nobody_asks_nobody() -> None:
    door = ScriptedDoor(results=[GOOD, BUSY])

    assert await plan.looked(door, SETTINGS) is GOOD
    assert door.heard_s == []
