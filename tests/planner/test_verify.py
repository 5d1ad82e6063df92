"""A risky change is snapshotted, watched, and undone if it turns out bad."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import ConfigureGuest, CreateSnapshot, RollbackSnapshot, ShutdownGuest, Verb
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.history import JournalRecord
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.plan import Plan
from qlop.model.reading import Known
from qlop.model.rollout import Rollback, RollbackMode, Update
from qlop.model.trial import Judgment, Part
from qlop.model.verdict import Converged, Hold
from tests import builders as b
from tests.planner import look, trio
from tests.planner.trio import AUTO, guest, judged, observed, snapshot, tried

ONE = trio.desired(trio.want(1), rollback=AUTO)
TRIED = guest(1, "4", snapshots=(snapshot(),))
NEW = "cafe0002"
SICK, UNKNOWN = Condition.UNHEALTHY, Condition.UNKNOWN
VERIFYING, BAD = Hold.VERIFYING, Hold.REVISION_BAD


def answer(plan: Plan) -> look.Answer:
    return look.answer(plan, "web-1")


def judgments(plan: Plan) -> list[Judgment]:
    return [one.judgment for one in plan.judgments]


# Before the change


def test_a_snapshot_is_taken_right_before_it_takes_effect() -> None:
    plan = trio.plan(ONE, observed(guest(1)))

    assert answer(plan) == ("configure", "snapshot", "reboot")
    write, snap, reboot = plan.actions
    assert (write.part, dict(write.before)) == (Part.WRITE, {"cores": "2"})
    assert isinstance(snap.action, CreateSnapshot)
    assert (snap.action.snapshot, snap.part, snap.prepares) == (
        "qlop-cafe0001",
        Part.SNAPSHOT,
        True,
    )
    assert "qlop/v1 cluster=testland" in snap.action.description
    assert reboot.part is Part.APPLY


def test_without_rollback_there_is_none() -> None:
    found = trio.plan(trio.desired(trio.want(1)), observed(guest(1)))

    assert answer(found) == ("configure", "reboot")


def test_a_change_that_takes_nobody_down_needs_none() -> None:
    wants = trio.desired(trio.want(1, options={"cores": "2", "onboot": "1"}), rollback=AUTO)

    assert answer(trio.plan(wants, observed(guest(1)))) == ("configure",)


def test_nor_does_one_of_a_stopped_guest() -> None:
    assert answer(trio.plan(ONE, observed(trio.stopped(1)))) == ("configure", "start")


def test_what_waits_for_somebody_is_written_without_a_snapshot() -> None:
    wants = trio.desired(trio.want(1, consents=b.UNASKED), rollback=AUTO)

    plan = trio.plan(wants, observed(guest(1)))

    assert answer(plan) == ("configure",)
    assert look.held(plan, "web-1").reason is Hold.APPROVAL


def test_no_snapshot_is_taken_for_what_a_budget_holds() -> None:
    none = Update(max_unavailable=0)
    wants = trio.desired(trio.want(1), rollback=AUTO, update=none)

    plan = trio.plan(wants, observed(guest(1)))

    assert answer(plan) == ("configure",)
    assert look.held(plan, "web-1").reason is Hold.BUDGET


@pytest.mark.parametrize(
    ("snapshots", "left_by", "expected"),
    [
        pytest.param((snapshot(),), True, ("configure", "reboot"), id="a-fresh-one-serves"),
        pytest.param(
            (snapshot(taken_at=b.NOW - timedelta(hours=2)),),
            True,
            ("configure", "delete-snapshot", "snapshot", "reboot"),
            id="an-old-one-is-taken-anew",
        ),
        pytest.param(
            (snapshot(stage="prepare"),),
            True,
            ("configure", "delete-snapshot", "snapshot", "reboot"),
            id="a-broken-one-too",
        ),
        pytest.param((snapshot(ours=False),), False, Hold.NO_SNAPSHOT, id="not-ours"),
    ],
)
def test_a_snapshot_of_that_name_that_is_there_already(
    snapshots: tuple[object, ...], *, left_by: bool, expected: look.Answer
) -> None:
    journal = (
        trio.ended(Verb.SNAPSHOT, part=Part.SNAPSHOT, snapshot="qlop-cafe0001") if left_by else ()
    )

    assert answer(trio.plan(ONE, observed(guest(1, snapshots=snapshots)), journal)) == expected


def test_if_how_it_is_is_not_known_nothing_risky_is_begun() -> None:
    plan = trio.plan(ONE, observed(guest(1), web1=UNKNOWN))

    assert answer(plan) is Hold.HEALTH_UNKNOWN
    assert "rollback: {mode: none}" in look.held(plan, "web-1").remedy


def test_what_is_sick_before_has_no_health_to_lose() -> None:
    plan = trio.plan(ONE, observed(guest(1), web1=SICK))

    assert answer(plan) == ("configure", "reboot")
    assert all(planned.part is Part.NONE for planned in plan.actions)


def test_no_way_back_no_change_and_the_reason_is_said() -> None:
    raw = guest(1)
    config = look_config(raw)
    disks = {"scsi0": b.disk(volume="nas:110/vm-110-disk-0.raw")}
    raw = replace(raw, config=look.known(replace(config, disks=disks)))

    held = look.held(trio.plan(ONE, observed(raw)), "web-1")

    assert held.reason is Hold.NO_SNAPSHOT
    assert "scsi0 is raw on nas (nfs), which can't be snapshotted" in held.message


def look_config(one: ObservedGuest) -> GuestConfig:
    assert isinstance(one.config, Known)
    return one.config.value


def test_it_is_said_before_a_change_is_due() -> None:
    old = snapshot("mine", ours=False, taken_at=b.NOW - timedelta(days=100))
    many = tuple(snapshot(f"s{n}", ours=False) for n in range(20))
    fine = look.verdict(trio.plan(ONE, observed(guest(1, "4", snapshots=(old,)))), "web-1")
    full = look.verdict(trio.plan(ONE, observed(guest(1, "4", snapshots=many))), "web-1")

    assert isinstance(fine, Converged)
    assert f"old snapshots: mine of {b.NOW - timedelta(days=100):%Y-%m-%d}" in fine.note
    assert isinstance(full, Converged)
    assert "it has 20 snapshots already" in full.note


# The watch


@pytest.mark.parametrize(
    ("seconds", "condition", "expected", "said"),
    [
        pytest.param(5, SICK, VERIFYING, [], id="too-early-to-tell"),
        pytest.param(60, Condition.HEALTHY, VERIFYING, [], id="healthy-so-far"),
        pytest.param(60, UNKNOWN, VERIFYING, [], id="not-known-yet"),
        pytest.param(60, SICK, VERIFYING, [Judgment.BAD], id="bad"),
        pytest.param(300, Condition.HEALTHY, VERIFYING, [Judgment.GOOD], id="good"),
        pytest.param(300, UNKNOWN, VERIFYING, [], id="unknown-to-the-end-is-neither"),
        pytest.param(300, SICK, VERIFYING, [Judgment.BAD], id="bad-at-the-end"),
    ],
)
def test_the_watch(
    seconds: int, condition: Condition, expected: look.Answer, said: list[Judgment]
) -> None:
    now = b.NOW + timedelta(seconds=seconds)

    plan = trio.plan(ONE, observed(TRIED, web1=condition), tried(), now)

    assert (answer(plan), judgments(plan)) == (expected, said)


def test_one_that_does_not_come_up_is_bad_at_once() -> None:
    down = replace(TRIED, power=Power.STOPPED)

    plan = trio.plan(ONE, observed(down), tried(succeeded=False), trio.LATER)

    assert judgments(plan) == [Judgment.BAD]


def test_a_reboot_that_never_took_place_is_tried_again() -> None:
    pending = guest(1, "4", pending=("cores",), snapshots=(snapshot(),))

    plan = trio.plan(ONE, observed(pending), tried(succeeded=False), trio.LATER)

    assert answer(plan) == ("reboot",)


def test_while_it_is_watched_nothing_else_is_done_to_it() -> None:
    wants = trio.desired(trio.want(1, options={"cores": "4", "onboot": "1"}), rollback=AUTO)

    assert answer(trio.plan(wants, observed(TRIED), tried(), trio.LATER)) is VERIFYING


def test_a_manifest_that_wants_no_rollback_any_more_ends_the_watch() -> None:
    plan = trio.plan(trio.desired(trio.want(1)), observed(TRIED, web1=SICK), tried(), trio.LATER)

    assert judgments(plan) == [Judgment.GOOD]


def test_another_manifest_goes_on_from_here_and_keeps_the_way_back() -> None:
    wants = trio.desired(trio.want(1, options={"cores": "3"}), rollback=AUTO, fingerprint=NEW)

    plan = trio.plan(wants, observed(TRIED, web1=SICK), tried(), trio.LATER)

    assert answer(plan) == ("configure", "reboot")
    assert dict(plan.actions[0].before) == {"cores": "2"}
    assert plan.actions[1].part is Part.APPLY


def test_another_manifest_that_asks_for_no_change_is_watched_to_the_end() -> None:
    wants = trio.desired(trio.want(1), rollback=AUTO, fingerprint=NEW)

    plan = trio.plan(wants, observed(TRIED, web1=SICK), tried(), trio.LATER)

    assert (answer(plan), judgments(plan)) == (VERIFYING, [Judgment.BAD])


def test_when_it_is_over_our_snapshot_goes_and_nobody_else_s() -> None:
    both = guest(1, "4", snapshots=(snapshot(), snapshot("qlop-deadbeef"), snapshot("mine")))
    journal = (*tried(), judged(Judgment.GOOD))

    plan = trio.plan(ONE, observed(both), journal, trio.LATER)

    assert [getattr(one, "snapshot", "") for one in look.actions(plan)] == ["qlop-cafe0001"]
    assert look.verbs(plan) == ("delete-snapshot",)


# The undoing

BAD_JOURNAL = (*tried(), judged(Judgment.BAD))


def test_what_was_is_written_back_and_made_to_count() -> None:
    plan = trio.plan(ONE, observed(TRIED, web1=SICK), BAD_JOURNAL, trio.LATER)

    assert answer(plan) == ("configure", "reboot")
    write = plan.actions[0].action
    assert isinstance(write, ConfigureGuest)
    assert (dict(write.set), write.delete, write.digest) == ({"cores": "2"}, (), "d1")
    assert all(planned.undoes for planned in plan.actions)


def test_what_was_approved_is_undone_without_an_approval() -> None:
    wants = trio.desired(trio.want(1, consents=b.UNASKED), rollback=AUTO)

    assert answer(trio.plan(wants, observed(TRIED, web1=SICK), UNDONE, trio.LATER)) == (
        "configure",
        "reboot",
    )


def test_what_was_not_set_is_taken_away_again() -> None:
    journal = (*tried(before={"cores": ""}), judged(Judgment.BAD))

    write = trio.plan(ONE, observed(TRIED, web1=SICK), journal, trio.LATER).actions[0].action

    assert isinstance(write, ConfigureGuest)
    assert (dict(write.set), write.delete) == ({}, ("cores",))


def test_one_that_is_down_is_started() -> None:
    down = replace(TRIED, power=Power.STOPPED)

    assert answer(trio.plan(ONE, observed(down, web1=SICK), BAD_JOURNAL, trio.LATER)) == (
        "configure",
        "start",
    )


def test_one_whose_plug_may_be_pulled_need_not_listen() -> None:
    wants = trio.desired(trio.want(1, may_stop=True), rollback=AUTO)

    plan = trio.plan(wants, observed(TRIED, web1=SICK), BAD_JOURNAL, trio.LATER)

    assert isinstance(plan.actions[-1].action, ShutdownGuest)


def test_disks_go_back_only_where_the_manifest_says_so() -> None:
    disks = trio.desired(trio.want(1), rollback=replace(AUTO, disks=True))

    plan = trio.plan(disks, observed(TRIED, web1=SICK), BAD_JOURNAL, trio.LATER)

    assert look.actions(plan) == (
        RollbackSnapshot(
            subject=trio.want(1).name,
            vmid=trio.vmid(1),
            kind=trio.want(1).kind,
            node=b.PVE1,
            snapshot="qlop-cafe0001",
            start=True,
        ),
    )


def test_without_its_snapshot_the_configuration_alone_goes_back() -> None:
    disks = trio.desired(trio.want(1), rollback=replace(AUTO, disks=True))

    plan = trio.plan(disks, observed(guest(1, "4"), web1=SICK), BAD_JOURNAL, trio.LATER)

    assert answer(plan) == ("configure", "reboot")


UNDONE = (
    *BAD_JOURNAL,
    *trio.ended(Verb.REBOOT, part=Part.UNDO, at=trio.LATER),
)


@pytest.mark.parametrize(
    ("minutes", "condition", "said"),
    [
        pytest.param(0, Condition.HEALTHY, [], id="too-early-to-tell"),
        pytest.param(1, Condition.HEALTHY, [Judgment.RESTORED], id="restored"),
        pytest.param(1, SICK, [], id="not-yet"),
        pytest.param(5, SICK, [Judgment.LOST], id="lost"),
        pytest.param(5, UNKNOWN, [Judgment.LOST], id="not-known-to-be-healthy"),
    ],
)
def test_then_it_is_seen_whether_that_helped(
    minutes: int, condition: Condition, said: list[Judgment]
) -> None:
    back = guest(1, "2", snapshots=(snapshot(),))
    now = trio.LATER + timedelta(minutes=minutes)

    plan = trio.plan(ONE, observed(back, web1=condition), UNDONE, now)

    assert (answer(plan), judgments(plan)) == (VERIFYING, said)


def test_a_bad_revision_is_not_tried_again_by_anybody() -> None:
    wants = trio.desired(rollback=AUTO)
    have = observed(*(guest(n) for n in (1, 2, 3)))
    journal = (*UNDONE, judged(Judgment.RESTORED))

    plan = trio.plan(wants, have, journal, trio.LATER)

    assert [look.answer(plan, f"web-{n}") for n in (1, 2, 3)] == [BAD] * 3
    assert look.held(plan, "web-2").message == (
        "this revision (cafe0001) made web-1 unhealthy at 2026-11-24 08:00 UTC: it is unhealthy"
    )


def test_who_runs_it_and_is_healthy_stays() -> None:
    wants = trio.desired(rollback=AUTO)
    have = observed(guest(1), guest(2, "4"), guest(3))
    journal = (*UNDONE, judged(Judgment.RESTORED))

    assert look.answer(trio.plan(wants, have, journal, trio.LATER), "web-2") is None


def test_what_is_stopped_is_started_as_it_is() -> None:
    wants = trio.desired(trio.want(1), rollback=AUTO)
    journal = (*UNDONE, judged(Judgment.RESTORED))

    found = trio.plan(wants, observed(trio.stopped(1)), journal, trio.LATER)

    assert answer(found) == ("start",)
    assert look.held(found, "web-1").reason is BAD


def test_another_manifest_is_tried() -> None:
    wants = trio.desired(trio.want(1, options={"cores": "3"}), rollback=AUTO, fingerprint=NEW)
    journal = (*UNDONE, judged(Judgment.RESTORED))

    plan = trio.plan(wants, observed(guest(1)), journal, trio.LATER)

    assert answer(plan) == ("configure", "snapshot", "reboot")


def test_of_what_is_lost_the_snapshot_is_kept_for_a_person() -> None:
    lost = guest(1, snapshots=(snapshot(),))
    journal = (*UNDONE, judged(Judgment.LOST))

    plan = trio.plan(ONE, observed(lost, web1=SICK), journal, trio.LATER)

    assert answer(plan) is BAD
    assert "not healthy all the same" in look.held(plan, "web-1").message


def test_what_is_only_written_of_a_revision_that_was_bad_elsewhere_is_set_back() -> None:
    wants = trio.desired(rollback=AUTO)
    written = trio.ended(Verb.CONFIGURE, 2, part=Part.WRITE, before={"cores": "2"})
    journal: tuple[JournalRecord, ...] = (*written, *UNDONE, judged(Judgment.RESTORED))
    pending = guest(2, "4", pending=("cores",))

    first = trio.plan(wants, observed(guest(1), pending, guest(3)), journal, trio.LATER)
    then = trio.plan(
        wants,
        observed(guest(1), pending, guest(3)),
        (*journal, judged(Judgment.BAD, 2)),
        trio.LATER,
    )

    assert judgments(first) == [Judgment.BAD]
    assert look.verbs(then, "web-2")[0] == "configure"


@pytest.mark.parametrize("power", [Power.UNKNOWN, Power.SUSPENDED])
def test_what_can_t_be_undone_now_waits(power: Power) -> None:
    away = replace(TRIED, power=power)

    assert answer(trio.plan(ONE, observed(away), BAD_JOURNAL, trio.LATER)) is Hold.POWER_UNKNOWN


def test_nor_can_what_the_ha_manager_owns() -> None:
    managed = replace(TRIED, ha_state="started")

    assert answer(trio.plan(ONE, observed(managed), BAD_JOURNAL, trio.LATER)) is Hold.HA_MANAGED


def test_ram_is_taken_along_if_asked_for() -> None:
    memory = Rollback(mode=RollbackMode.AUTO, memory=True)

    plan = trio.plan(trio.desired(trio.want(1), rollback=memory), observed(guest(1)))

    (snap,) = (one for one in look.actions(plan) if isinstance(one, CreateSnapshot))
    assert snap.memory
