"""What is ours and no longer wanted: kept, stopped, tombstoned and only then destroyed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from qlop.model.action import DestroyGuest, ShutdownGuest, StartGuest, Verb
from qlop.model.guest import GuestKind, Power
from qlop.model.history import JournalRecord, Reprieve
from qlop.model.ids import GuestName, NodeName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedBackup, ObservedGuest, Verification
from qlop.model.orders import Order
from qlop.model.plan import Plan
from qlop.model.policy import BackupNeed, Policy, Prune, Pruning
from qlop.model.reading import Known, Reading, Unknown
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look
from tests.planner.test_ownership import journal_of_clone
from tests.planner.test_present import task

NAME = GuestName("web")
ON, OFF = b.guest(), b.guest(power=Power.STOPPED)
GRACE = timedelta(days=7)
LONG_AGO = b.NOW - GRACE
SINCE = LONG_AGO + timedelta(hours=1)
SHUTDOWN = ShutdownGuest(
    subject=NAME,
    vmid=b.WEB_VMID,
    kind=GuestKind.VM,
    node=b.PVE1,
    grace_s=180,
    force_stop=False,
)
DESTROY = DestroyGuest(subject=NAME, vmid=b.WEB_VMID, kind=GuestKind.VM, node=b.PVE1)
START = StartGuest(subject=NAME, vmid=b.WEB_VMID, kind=GuestKind.VM, node=b.PVE1)
STONE = b.tombstone(at=LONG_AGO)
BACKUP = b.backup(taken_at=SINCE)
CAREFUL = Pruning(mode=Prune.DESTROY, grace=GRACE)
BOLD = replace(CAREFUL, backup=BackupNeed.NOT_NEEDED)


def planned(
    prune: Prune | Pruning,
    have: Observed | ObservedGuest,
    history: Iterable[JournalRecord] = (),
    orders: Iterable[Order] = (),
) -> Plan:
    seen = have if isinstance(have, Observed) else b.observed(have)
    pruning = prune if isinstance(prune, Pruning) else Pruning(mode=prune)
    return look.plan_of(b.desired(policy=Policy(prune=pruning)), seen, history, orders)


def with_backups(
    guest: ObservedGuest, *backups: ObservedBackup, reading: Reading[tuple[ObservedBackup, ...]] | None = None
) -> Observed:  # fmt: skip
    return b.observed(guest, backups={guest.vmid: reading or Known(backups)})


@pytest.mark.parametrize("prune", [Prune.STOP, Prune.DESTROY])
def test_what_runs_is_shut_down_and_nothing_more_in_the_same_plan(prune: Prune) -> None:
    plan = planned(prune, ON)

    assert look.actions(plan) == (SHUTDOWN,)
    assert (plan.actions[0].impact, plan.notices) == (Impact.DOWNTIME, ())


def test_what_is_stopped_gets_a_tombstone() -> None:
    plan = planned(Prune.DESTROY, OFF)

    assert (plan.actions, plan.notices) == ((), (b.tombstone(),))
    held = look.held(plan, NAME)
    assert (held.reason, held.until) == (Hold.TOMBSTONED, b.NOW + GRACE)
    assert plan.reconsider_at == b.NOW + GRACE


def test_in_its_time_of_grace_it_is_kept() -> None:
    at = LONG_AGO + timedelta(seconds=1)

    plan = planned(BOLD, OFF, [b.tombstone(at=at)])

    assert (plan.actions, plan.notices) == ((), ())
    held = look.held(plan, NAME)
    assert (held.reason, held.until) == (Hold.TOMBSTONED, b.NOW + timedelta(seconds=1))
    assert "qlop undelete web" in held.remedy


def test_after_that_it_is_destroyed_if_nothing_more_is_asked() -> None:
    plan = planned(BOLD, OFF, [STONE])

    assert look.actions(plan) == (DESTROY,)
    (destroy,) = plan.actions
    assert destroy.impact is Impact.DATA_LOSS
    assert destroy.premise == look.premise(b.mark(), Power.STOPPED)
    assert "destroy:pve1" in destroy.takes


def test_after_that_it_is_destroyed_if_it_could_be_had_back() -> None:
    plan = planned(CAREFUL, with_backups(OFF, BACKUP, b.backup(taken_at=b.NOW)), [STONE])

    assert look.actions(plan) == (DESTROY,)
    premise = plan.actions[0].premise
    assert premise is not None
    assert premise.backup == b.backup(taken_at=b.NOW)


@pytest.mark.parametrize("verification", [Verification.GOOD, Verification.NOT_OFFERED])
def test_a_backup_that_nothing_speaks_against_will_do(verification: Verification) -> None:
    good = b.backup(taken_at=SINCE, verification=verification)
    bad = b.backup(taken_at=b.NOW, verification=Verification.FAILED)

    assert look.actions(planned(CAREFUL, with_backups(OFF, good, bad), [STONE])) == (DESTROY,)


EXCLUDED = b.guest(power=Power.STOPPED, config=b.config(b.mark(), disks=[b.disk(backup="0")]))
DETACHED = b.guest(
    power=Power.STOPPED, config=b.config(b.mark(), unused={"unused0": "nas:vm-10000-disk-9"})
)


@pytest.mark.parametrize(
    ("have", "hold", "says"),
    [
        pytest.param(with_backups(OFF), Hold.BACKUP_NEEDED, "there is no backup", id="none"),
        pytest.param(
            with_backups(OFF, b.backup(taken_at=LONG_AGO - timedelta(hours=1))),
            Hold.BACKUP_NEEDED,
            "the newest is of 2026-11-17 07:00 UTC",
            id="one-from-before-it-was-stopped",
        ),
        pytest.param(
            with_backups(OFF, b.backup(taken_at=LONG_AGO + timedelta(seconds=5))),
            Hold.BACKUP_NEEDED,
            "there is no backup",
            id="one-that-a-wrong-clock-may-have-made-newer",
        ),
        pytest.param(
            with_backups(OFF, b.backup(taken_at=SINCE, kind=GuestKind.CONTAINER)),
            Hold.BACKUP_NEEDED,
            "there is no backup",
            id="one-of-another-kind-of-guest",
        ),
        pytest.param(
            with_backups(OFF, b.backup(taken_at=SINCE, verification=Verification.PENDING)),
            Hold.BACKUP_NEEDED,
            "is not verified yet",
            id="not-verified-yet",
        ),
        pytest.param(
            with_backups(OFF, b.backup(taken_at=SINCE, verification=Verification.FAILED)),
            Hold.BACKUP_NEEDED,
            "found damaged",
            id="damaged",
        ),
        pytest.param(
            with_backups(OFF, reading=Unknown("nas: no answer")),
            Hold.OBSERVATION_INCOMPLETE,
            "nas: no answer",
            id="not-seen",
        ),
        pytest.param(
            b.observed(OFF), Hold.OBSERVATION_INCOMPLETE, "not read yet", id="not-asked-yet"
        ),
        pytest.param(
            with_backups(EXCLUDED, BACKUP),
            Hold.BACKUP_NEEDED,
            "no backup has scsi0",
            id="a-disk-that-no-backup-has",
        ),
        pytest.param(
            with_backups(DETACHED, BACKUP),
            Hold.BACKUP_NEEDED,
            "no backup has nas:vm-10000-disk-9",
            id="a-detached-volume",
        ),
    ],
)
def test_without_evidence_it_is_kept(have: Observed, hold: Hold, says: str) -> None:
    plan = planned(CAREFUL, have, [STONE])

    assert plan.actions == ()
    assert look.held(plan, NAME).reason is hold
    assert says in look.held(plan, NAME).message


def test_a_containers_mount_points_are_only_backed_up_if_they_say_so() -> None:
    mark = b.container_mark()
    disks = [b.disk("rootfs"), b.disk("mp0", mp="/srv"), b.disk("mp1", mp="/a", backup="1")]
    guest = b.guest(
        kind=GuestKind.CONTAINER,
        power=Power.STOPPED,
        config=b.config(mark, disks=disks, nics=[b.container_nic()]),
    )
    backup = b.backup(taken_at=SINCE, kind=GuestKind.CONTAINER)
    stone = b.tombstone(at=LONG_AGO, witness=mark.witness)

    plan = planned(CAREFUL, with_backups(guest, backup), [stone])

    assert "no backup has mp0:" in look.held(plan, NAME).message


def test_that_a_backup_is_missing_is_said_before_it_matters() -> None:
    at = LONG_AGO + timedelta(hours=2)

    plan = planned(CAREFUL, with_backups(OFF), [b.tombstone(at=at)])

    assert look.held(plan, NAME).reason is Hold.TOMBSTONED
    assert "only with a backup: there is no backup of it" in look.held(plan, NAME).message


@pytest.mark.parametrize(
    "stone",
    [
        pytest.param(replace(STONE, digest="d0"), id="somebody-changed-it-since"),
        pytest.param(replace(STONE, witness="uuid:x"), id="it-is-another-guest"),
        pytest.param(replace(STONE, index=2), id="it-is-of-another-place"),
    ],
)
def test_a_tombstone_of_something_else_is_none(stone: JournalRecord) -> None:
    plan = planned(BOLD, OFF, [stone])

    assert plan.actions == ()
    assert plan.notices[0] == b.tombstone()


def test_a_lost_journal_begins_the_time_of_grace_anew() -> None:
    assert planned(BOLD, OFF, []).notices == (b.tombstone(),)


def reasons(plan: Plan) -> list[tuple[int, str]]:
    return [(one.vmid, one.reason) for one in plan.notices if isinstance(one, Reprieve)]


@pytest.mark.parametrize(
    ("have", "prune", "why"),
    [
        pytest.param(b.observed(), BOLD, "the guest is gone", id="gone"),
        pytest.param(
            b.observed(b.guest(config=b.config(b.mark(), witness="uuid:another"))),
            BOLD,
            "the guest is another one, or no longer ours",
            id="another-under-its-vmid",
        ),
        pytest.param(b.observed(ON), BOLD, "somebody started it", id="started-by-hand"),
        pytest.param(b.observed(OFF), Pruning(mode=Prune.STOP), "the policy keeps it", id="stop"),
        pytest.param(b.observed(OFF), Pruning(), "the policy keeps it", id="never"),
    ],
)
def test_what_takes_a_tombstone_away(have: Observed, prune: Pruning, why: str) -> None:
    plan = planned(prune, have, [STONE])

    assert reasons(plan) == [(b.WEB_VMID, why)]
    assert not any(isinstance(action, DestroyGuest) for action in look.actions(plan))


def test_a_manifest_that_is_back_takes_it_away_and_the_guest_runs_again() -> None:
    plan = look.plan_of(
        b.desired(b.desired_guest(), policy=Policy(prune=BOLD)), b.observed(OFF), [STONE]
    )

    assert reasons(plan) == [(b.WEB_VMID, "a manifest names it again")]
    assert look.actions(plan) == (START,)


@pytest.mark.parametrize(
    "have",
    [
        pytest.param(b.guest(config=Unknown("no answer"), power=Power.STOPPED), id="unread"),
        pytest.param(replace(OFF, power=Power.UNKNOWN), id="power-unknown"),
        pytest.param(replace(OFF, lock="backup"), id="locked"),
    ],
)
def test_what_can_not_be_told_leaves_a_tombstone_standing(have: ObservedGuest) -> None:
    plan = planned(BOLD, have, [STONE])

    assert (plan.actions, plan.notices) == ((), ())


def test_what_was_undeleted_is_started_and_loses_its_tombstone() -> None:
    plan = planned(BOLD, OFF, [STONE], [b.undelete()])

    assert look.actions(plan) == (START,)
    assert reasons(plan) == [(b.WEB_VMID, "root undeleted it")]


def test_what_was_undeleted_is_kept_until_the_order_ends() -> None:
    order = b.undelete()

    plan = planned(BOLD, ON, [], [order])

    assert (plan.actions, plan.notices) == ((), ())
    held = look.held(plan, NAME)
    assert (held.reason, held.until) == (Hold.ORPHANED, order.until)
    assert plan.reconsider_at == order.until


def test_an_order_that_has_ended_keeps_nobody() -> None:
    assert look.actions(planned(BOLD, ON, [], [b.undelete(until=b.NOW)])) == (SHUTDOWN,)


def of(index: int, node: str = "pve1") -> ObservedGuest:
    vmid = 10000 + index
    config = b.config(b.mark("web", index, vmid))
    guest = b.guest(vmid, name=f"web-{index}", power=Power.STOPPED, config=config)
    return replace(guest, node=NodeName(node))


def stones(*ages: int) -> list[JournalRecord]:
    return [
        b.tombstone(10000 + index, index=index, at=LONG_AGO - timedelta(days=age))
        for index, age in enumerate(ages, start=1)
    ]


def test_one_guest_of_a_node_is_destroyed_at_a_time_the_one_kept_longest_first() -> None:
    have = b.observed(of(1), of(2), of(3, "pve2"))

    plan = planned(BOLD, have, stones(1, 3, 2))

    assert [action.vmid for action in look.actions(plan)] == [10002, 10003]
    assert look.held(plan, "web-1").reason is Hold.BUDGET


def test_no_more_are_destroyed_at_once_than_the_fuse_lets_pass() -> None:
    nodes = [b.node(NodeName(f"pve{number}")) for number in range(1, 6)]
    have = b.observed(*(of(number, f"pve{number}") for number in range(1, 6)), nodes=nodes)

    plan = planned(BOLD, have, stones(1, 2, 3, 4, 5))

    assert len(plan.actions) == 3


def test_nobody_is_destroyed_while_another_is_taken_from_its_users() -> None:
    running = replace(of(2), power=Power.RUNNING)

    plan = planned(BOLD, b.observed(of(1), running), stones(1))

    assert look.verbs(plan) == ("shutdown",)
    assert look.held(plan, "web-1").reason is Hold.BUDGET


def test_a_destruction_under_way_is_waited_for() -> None:
    flying = b.intended(Verb.DESTROY, service="db", vmid=10009)

    plan = planned(BOLD, OFF, [STONE, flying])

    assert look.held(plan, NAME).reason is Hold.BUDGET


PROTECTED = b.guest(power=Power.STOPPED, config=b.config(b.mark(), options={"protection": "1"}))


@pytest.mark.parametrize(
    ("prune", "have", "hold"),
    [
        pytest.param(Prune.NEVER, b.observed(ON), Hold.ORPHANED, id="kept"),
        pytest.param(Prune.STOP, b.observed(OFF), Hold.ORPHANED, id="stopped-and-kept"),
        pytest.param(BOLD, b.observed(PROTECTED), Hold.PROTECTED, id="protected"),
        pytest.param(Prune.NEVER, b.observed(PROTECTED), Hold.PROTECTED, id="protected-and-kept"),
        pytest.param(BOLD, b.observed(replace(OFF, lock="backup")), Hold.LOCKED, id="locked"),
        pytest.param(BOLD, b.observed(OFF, tasks=(task(),)), Hold.TASK_RUNNING, id="a-task-runs"),
        pytest.param(
            BOLD, b.observed(replace(OFF, template=True)), Hold.IS_TEMPLATE, id="template"
        ),
        pytest.param(BOLD, b.observed(replace(OFF, ha_state="stopped")), Hold.HA_MANAGED, id="ha"),
        pytest.param(
            BOLD,
            b.observed(replace(OFF, power=Power.UNKNOWN)),
            Hold.POWER_UNKNOWN,
            id="power-unknown",
        ),
        pytest.param(
            BOLD, b.observed(replace(OFF, power=Power.PAUSED)), Hold.POWER_UNKNOWN, id="paused"
        ),
        pytest.param(
            BOLD,
            b.observed(OFF, nodes=[b.node(b.PVE1, online=False)]),
            Hold.NODE_OFFLINE,
            id="its-node-is-offline",
        ),
        pytest.param(BOLD, b.observed(OFF, nodes=[]), Hold.NODE_OFFLINE, id="its-node-is-gone"),
        pytest.param(
            BOLD,
            b.observed(OFF, b.guest(101, config=Unknown("no answer"))),
            Hold.CONFIG_UNREAD,
            id="another-is-unread",
        ),
    ],
)
def test_left_alone(prune: Prune | Pruning, have: Observed, hold: Hold) -> None:
    stone = b.tombstone(at=LONG_AGO)

    plan = planned(prune, have, [stone])

    assert plan.actions == ()
    assert look.held(plan, NAME).reason is hold
    assert plan.verdicts[NAME].vmid == b.WEB_VMID


def test_one_that_the_ha_manager_ignores_is_destroyed() -> None:
    assert look.actions(planned(BOLD, replace(OFF, ha_state="ignored"), [STONE])) == (DESTROY,)


def test_a_clone_that_was_never_sealed_is_not_destroyed() -> None:
    unsealed = b.guest(power=Power.STOPPED, config=b.config(b.mark(), witness="uuid:pves"))

    plan = planned(BOLD, b.observed(unsealed), [*journal_of_clone(), STONE])

    assert plan.actions == ()
    assert look.held(plan, NAME).reason is Hold.IDENTITY_MISMATCH


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(b.guest(config=b.config(witness="uuid:x")), id="without-a-mark"),
        pytest.param(b.guest(101, config=b.config(b.mark(), witness="uuid:x")), id="a-copy"),
        pytest.param(b.guest(config=b.config(b.mark(), witness="uuid:x")), id="an-impostor"),
        pytest.param(b.guest(config=Unknown("no answer")), id="unread"),
    ],
)
def test_what_is_not_proven_ours_is_no_orphan(stranger: ObservedGuest) -> None:
    plan = planned(BOLD, replace(stranger, power=Power.STOPPED), [STONE])

    assert (plan.actions, plan.verdicts) == ((), {})


def test_what_is_still_in_flight_on_it_is_waited_for() -> None:
    """It was begun while a manifest named the guest, by another name than it has now."""
    plan = planned(BOLD, ON, [b.intended(Verb.START)])

    assert plan.actions == ()
    assert look.held(plan, NAME).reason is Hold.IN_FLIGHT


def test_scaling_down_takes_the_last() -> None:
    guests = [
        b.guest(10000 + index, config=b.config(b.mark("web", index, 10000 + index)))
        for index in (1, 2, 3)
    ]
    wants = [b.desired_guest(index=index, name=f"web-{index}") for index in (1, 2)]
    policy = Policy(prune=Pruning(mode=Prune.STOP))

    plan = look.plan_of(b.desired(*wants, policy=policy), b.observed(*guests))

    assert [(one.subject, one.vmid) for one in look.actions(plan)] == [("web-3", VmId(10003))]


def made(name: str) -> list[JournalRecord]:
    return [
        replace(b.intended(Verb.CREATE), subject=GuestName(name)),
        b.finished(Verb.CREATE),
    ]


@pytest.mark.parametrize(
    ("history", "pve_name", "name"),
    [
        pytest.param(made("web"), "renamed", "web", id="as-the-journal-says"),
        pytest.param(made("web-1"), "web", "web-1", id="of-several"),
        pytest.param([], "web", "web", id="as-pve-says"),
        pytest.param([], "renamed", "web-1", id="by-its-place"),
    ],
)
def test_an_orphan_is_called_as_people_know_it(
    history: list[JournalRecord], pve_name: str, name: str
) -> None:
    plan = planned(Prune.NEVER, replace(ON, name=pve_name), history)

    assert list(plan.verdicts) == [name]


def test_an_orphan_whose_name_another_has_is_called_by_its_vmid() -> None:
    """Service ``web-1`` of one guest, and an orphan of service ``web``."""
    other = b.guest(10005, config=b.config(b.mark("web-1", 1, 10005)))

    plan = look.plan_of(
        b.desired(b.desired_guest("web-1")), b.observed(replace(ON, name="x"), other)
    )

    assert look.answer(plan, "web-1") is None
    assert look.held(plan, "web-1@10000").reason is Hold.ORPHANED


def instant(days: float) -> datetime:
    return b.NOW + timedelta(days=days)


def test_from_shutdown_to_destruction_in_the_order_that_can_be_undone() -> None:
    """The steps of one guest, each plan made of what the one before has led to."""
    want = b.desired(policy=Policy(prune=CAREFUL))
    stone = b.tombstone(at=instant(0.1))
    told = []
    for now, guest, records in (
        (instant(0), ON, []),
        (instant(0.1), OFF, []),
        (instant(3), OFF, [stone]),
        (instant(7.1), OFF, [stone]),
        (instant(7.2), OFF, [stone]),
    ):
        backups = (b.backup(taken_at=instant(7.15)),) if now > instant(7.15) else ()
        source = replace(look.source_of(want, with_backups(guest, *backups), records), now=now)
        plan = look.audited(source)
        told.append(look.answer(plan, NAME))

    assert told == [
        ("shutdown",),
        Hold.TOMBSTONED,
        Hold.TOMBSTONED,
        Hold.BACKUP_NEEDED,
        ("destroy",),
    ]
