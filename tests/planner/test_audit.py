"""The audit finds what no planner should ever do, in plans made by hand."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import (
    Action,
    CreateGuest,
    DestroyGuest,
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    ShutdownGuest,
    StartGuest,
    Verb,
)
from qlop.model.desired import Desired
from qlop.model.finding import Finding, Severity
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.history import JournalRecord
from qlop.model.ids import ActionId, ClusterName, GuestName, NodeName, Revision, ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedBackup, ObservedGuest, Verification
from qlop.model.plan import Plan, PlannedAction, Premise
from qlop.model.policy import BackupNeed, Policy, Prune, Pruning
from qlop.model.reading import Known, Unknown
from qlop.model.verdict import Hold
from qlop.planner import planner
from qlop.planner.audit import audit, dropped
from tests import builders as b
from tests.planner import look

VM = GuestKind.VM
BOLD = Pruning(mode=Prune.DESTROY, grace=timedelta(days=7), backup=BackupNeed.NOT_NEEDED)
PRUNING = Policy(prune=BOLD)
WANT = b.desired(b.desired_guest())
GONE = b.desired(policy=PRUNING)
OFF = b.guest(power=Power.STOPPED)
STOPPED = look.premise(b.mark(), Power.STOPPED)


def at(vmid: int = b.WEB_VMID, subject: str = "web") -> tuple[GuestName, VmId, NodeName]:
    return GuestName(subject), VmId(vmid), b.PVE1


def start(vmid: int = b.WEB_VMID, subject: str = "web") -> StartGuest:
    name, number, node = at(vmid, subject)
    return StartGuest(subject=name, vmid=number, kind=VM, node=node)


def destroy(vmid: int = b.WEB_VMID) -> DestroyGuest:
    name, number, node = at(vmid)
    return DestroyGuest(subject=name, vmid=number, kind=VM, node=node)


def shutdown(vmid: int = b.WEB_VMID) -> ShutdownGuest:
    name, number, node = at(vmid)
    return ShutdownGuest(
        subject=name, vmid=number, kind=VM, node=node, grace_s=1, force_stop=False
    )


def reboot(vmid: int = b.WEB_VMID) -> RebootGuest:
    name, number, node = at(vmid)
    return RebootGuest(subject=name, vmid=number, kind=VM, node=node, grace_s=1)


def create(vmid: int = b.WEB_VMID) -> CreateGuest:
    name, number, node = at(vmid)
    return CreateGuest(
        subject=name, vmid=number, kind=VM, node=node, params={}, storages=frozenset()
    )


def move(mode: MigrationMode) -> MigrateGuest:
    name, number, node = at()
    return MigrateGuest(
        subject=name,
        vmid=number,
        kind=VM,
        node=node,
        target=b.PVE2,
        mode=mode,
        with_local_disks=False,
        grace_s=1,
    )


PLAIN = look.premise(b.mark())


def planned(
    action: Action,
    premise: Premise | None = PLAIN,
    *,
    impact: Impact = Impact.HOT,
    after: tuple[str, ...] = (),
    number: int = 1,
    expects: Mapping[str, str] | None = None,
    witness: str = "",
) -> PlannedAction:
    return PlannedAction(
        id=ActionId(str(number)),
        action=action,
        reason="",
        impact=impact,
        service=ServiceName("web"),
        index=1,
        premise=premise,
        witness=witness,
        expects=dict(expects or {}),
        after=tuple(ActionId(one) for one in after),
    )


def made_of(*actions: PlannedAction) -> Plan:
    return Plan(revision=Revision("r1"), actions=actions, verdicts={})


def codes(
    want: Desired,
    have: Observed,
    *actions: PlannedAction,
    records: list[JournalRecord] | None = None,
) -> list[str]:
    found = audit(look.source_of(want, have, records or []), made_of(*actions))
    assert all(one.message for one in found)
    return [one.code.removeprefix("audit-") for one in found]


def test_a_good_plan() -> None:
    assert codes(WANT, b.observed(OFF), planned(start())) == []


def test_an_empty_plan_is_good_whatever_the_world_is_like() -> None:
    assert codes(WANT, b.observed(quorate=Unknown("x"), complete=False)) == []


@pytest.mark.parametrize(
    ("have", "found"),
    [
        pytest.param(b.observed(OFF, quorate=Known(value=False)), ["no-quorum"], id="no-quorum"),
        pytest.param(b.observed(OFF, quorate=Unknown("x")), ["no-quorum"], id="quorum-unknown"),
        pytest.param(b.observed(OFF, complete=False), ["no-evidence"], id="listing-cut"),
    ],
)
def test_evidence(have: Observed, found: list[str]) -> None:
    assert codes(WANT, have, planned(start())) == found


@pytest.mark.parametrize("name", ["web", "web-as-it-was-called-before"])
def test_an_action_in_flight(name: str) -> None:
    flying = replace(b.intended(Verb.START), subject=GuestName(name))

    assert codes(WANT, b.observed(OFF), planned(start()), records=[flying]) == ["in-flight"]


ELSEWHERE = b.guest(power=Power.STOPPED, config=b.config(b.mark("db")))
SIGNED = planned(create(10001), None, witness="uuid:x")


@pytest.mark.parametrize(
    ("actions", "found"),
    [
        pytest.param([SIGNED], [], id="new"),
        pytest.param([planned(create(), None, witness="uuid:x")], ["vmid-taken"], id="taken"),
        pytest.param(
            [SIGNED, planned(create(10001), None, witness="uuid:x", number=2)],
            ["vmid-twice"],
            id="twice",
        ),
        pytest.param([planned(create(10001), None)], ["unsigned"], id="unsigned"),
    ],
)
def test_new_guests(actions: list[PlannedAction], found: list[str]) -> None:
    assert codes(WANT, b.observed(ELSEWHERE), *actions) == found


FOREIGN = replace(b.mark(), cluster=ClusterName("elsewhere"))
UNSEALED = b.guest(power=Power.STOPPED, config=b.config(b.mark(), witness="uuid:pves"))
ITS = Premise(mark=b.mark(), witness="uuid:pves")


@pytest.mark.parametrize(
    ("guest", "premise", "found"),
    [
        pytest.param(None, PLAIN, ["not-ours"], id="nobody-there"),
        pytest.param(b.guest(config=Unknown("x")), PLAIN, ["not-ours"], id="unread"),
        pytest.param(b.guest(config=b.config()), PLAIN, ["not-ours"], id="no-mark"),
        pytest.param(OFF, None, ["not-ours"], id="no-premise"),
        pytest.param(
            b.guest(config=b.config(FOREIGN)), PLAIN, ["not-ours"], id="another-clusters"
        ),
        pytest.param(b.guest(config=b.config(b.mark(vmid=7))), PLAIN, ["not-ours"], id="a-copy"),
        pytest.param(
            b.guest(config=b.config(b.mark(index=2))), PLAIN, ["premise"], id="another-place"
        ),
        pytest.param(
            b.guest(config=b.config(b.mark(), witness="uuid:y")),
            PLAIN,
            ["premise"],
            id="another-witness",
        ),
        pytest.param(UNSEALED, ITS, ["unsealed"], id="unsealed"),
    ],
)
def test_ownership(guest: ObservedGuest | None, premise: Premise | None, found: list[str]) -> None:
    have = b.observed(*([guest] if guest is not None else []))

    assert codes(WANT, have, planned(start(), premise)) == found


def test_an_unsealed_guest_may_be_touched_once_it_is_sealed() -> None:
    seal = planned(start(), ITS, expects={"seal": b.mark().witness})

    assert codes(WANT, b.observed(UNSEALED), seal, planned(start(), ITS, number=2)) == []


def test_what_follows_a_creation_needs_no_mark_yet() -> None:
    actions = [SIGNED, planned(start(10001), None, number=2, after=("1",))]

    assert codes(WANT, b.observed(), *actions) == []


def having(power: Power = Power.STOPPED, **options: OptionValue) -> Observed:
    return b.observed(b.guest(power=power, config=b.config(b.mark(), options=options)))


@pytest.mark.parametrize(
    ("want", "have", "action", "found"),
    [
        pytest.param(GONE, having(), planned(destroy(), STOPPED, impact=Impact.DATA_LOSS), [],
                     id="an-orphan"),
        pytest.param(b.desired(policy=Policy(prune=replace(BOLD, mode=Prune.STOP))), having(),
                     planned(destroy(), STOPPED), ["prune"], id="without-the-word"),
        pytest.param(replace(WANT, cluster=GONE.cluster), having(), planned(destroy(), STOPPED),
                     ["wanted"], id="one-that-is-wanted"),
        pytest.param(GONE, having(protection="1"), planned(destroy(), STOPPED), ["protected"],
                     id="one-that-is-protected"),
        pytest.param(GONE, having(), planned(destroy()), ["running"],
                     id="whether-it-runs-or-not"),
        pytest.param(WANT, having(), planned(start(), impact=Impact.DATA_LOSS), ["data-loss"],
                     id="data-by-another-way"),
    ],
)  # fmt: skip
def test_destruction(
    want: Desired, have: Observed, action: PlannedAction, found: list[str]
) -> None:
    assert codes(want, have, action, records=[STONE]) == found


OLD = b.NOW - timedelta(days=7)
STONE = b.tombstone(at=OLD)
CAREFUL = b.desired(policy=Policy(prune=replace(BOLD, backup=BackupNeed.REQUIRED)))
BACKUP = b.backup(taken_at=b.NOW)
BACKED = replace(having(), backups={b.WEB_VMID: Known((BACKUP,))})
STALE = b.backup(taken_at=OLD)
DAMAGED = b.backup(taken_at=b.NOW, verification=Verification.FAILED)


def going(backup: ObservedBackup | None = None) -> PlannedAction:
    return planned(destroy(), replace(STOPPED, backup=backup), impact=Impact.DATA_LOSS)


@pytest.mark.parametrize(
    ("want", "have", "history", "action", "found"),
    [
        pytest.param(GONE, having(), [STONE], going(), [], id="all-conditions"),
        pytest.param(GONE, having(), [], going(), ["no-tombstone"], id="no-tombstone"),
        pytest.param(GONE, having(), [replace(STONE, digest="x")], going(), ["other-tombstone"],
                     id="the-tombstone-of-what-it-was"),
        pytest.param(GONE, having(), [replace(STONE, index=2)], going(), ["other-tombstone"],
                     id="anothers-tombstone"),
        pytest.param(GONE, having(), [b.tombstone(at=OLD + timedelta(seconds=1))], going(),
                     ["grace"], id="in-its-time-of-grace"),
        pytest.param(CAREFUL, BACKED, [STONE], going(BACKUP), [], id="with-a-backup"),
        pytest.param(CAREFUL, BACKED, [STONE], going(), ["no-backup"], id="without-saying-which"),
        pytest.param(CAREFUL, having(), [STONE], going(BACKUP), ["no-backup"],
                     id="with-one-that-nobody-saw"),
        pytest.param(CAREFUL, replace(having(), backups={b.WEB_VMID: Known((STALE,))}), [STONE],
                     going(STALE), ["no-backup"], id="with-one-from-before"),
        pytest.param(CAREFUL, replace(having(), backups={b.WEB_VMID: Known((DAMAGED,))}), [STONE],
                     going(DAMAGED), ["bad-backup"], id="with-one-that-is-damaged"),
    ],
)  # fmt: skip
def test_destruction_needs_every_condition(
    want: Desired,
    have: Observed,
    history: list[JournalRecord],
    action: PlannedAction,
    found: list[str],
) -> None:
    assert codes(want, have, action, records=history) == found


def test_what_was_undeleted_is_not_destroyed() -> None:
    source = look.source_of(GONE, having(), [STONE], [b.undelete()])

    assert [one.code for one in audit(source, made_of(going()))] == ["audit-undeleted"]


@pytest.mark.parametrize("make", [shutdown, reboot, destroy])
@pytest.mark.parametrize(("number", "found"), [(3, []), (4, ["fuse"])])
def test_fuse(make: object, number: int, found: list[str]) -> None:
    assert callable(make)
    vmids = range(10000, 10000 + number)
    marks = {vmid: b.mark("web", vmid - 9998, vmid) for vmid in vmids}
    have = b.observed(
        *(b.guest(vmid, power=Power.STOPPED, config=b.config(marks[vmid])) for vmid in vmids)
    )
    actions = [
        planned(make(vmid), look.premise(marks[vmid], Power.STOPPED), number=vmid)
        for vmid in vmids
    ]

    stones = [b.tombstone(vmid, at=OLD, witness=marks[vmid].witness) for vmid in vmids]

    assert codes(GONE, have, *actions, records=[*stones]) == found


REPLICAS = [b.desired_guest(index=index, name=f"web-{index}") for index in (1, 2)]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(planned(shutdown()), id="shut-down"),
        pytest.param(planned(reboot()), id="rebooted"),
        pytest.param(planned(move(MigrationMode.RESTART)), id="moved-with-a-restart"),
        pytest.param(planned(start(), impact=Impact.DOWNTIME), id="changed-with-downtime"),
    ],
)
@pytest.mark.parametrize(
    ("budget", "other", "found"),
    [
        pytest.param(1, Power.RUNNING, [], id="within-budget"),
        pytest.param(0, Power.RUNNING, ["budget"], id="no-budget"),
        pytest.param(1, Power.STOPPED, ["budget"], id="another-is-down"),
        pytest.param(2, Power.STOPPED, [], id="another-is-down-and-may-be"),
    ],
)
def test_budget(action: PlannedAction, budget: int, other: Power, found: list[str]) -> None:
    second = b.guest(10001, power=other, config=b.config(b.mark("web", 2, 10001)))
    want = b.desired(*REPLICAS, max_unavailable=budget)

    assert codes(want, b.observed(b.guest(), second), action) == found


@pytest.mark.parametrize(
    ("action", "have"),
    [
        pytest.param(planned(move(MigrationMode.ONLINE)), b.observed(b.guest()), id="moved-live"),
        pytest.param(planned(start()), b.observed(OFF), id="down-anyway"),
    ],
)
def test_what_needs_no_budget(action: PlannedAction, have: Observed) -> None:
    assert codes(b.desired(*REPLICAS, max_unavailable=0), have, action) == []


def test_another_in_flight_uses_the_budget() -> None:
    second = b.guest(10001, config=b.config(b.mark("web", 2, 10001)))
    flying = replace(b.intended(vmid=10001, index=2), subject=GuestName("web-2"))
    have = b.observed(b.guest(), second)

    found = codes(b.desired(*REPLICAS), have, planned(reboot()), records=[flying])

    assert found == ["budget"]


def test_order() -> None:
    have = b.observed(OFF)

    assert codes(WANT, have, planned(start()), planned(start())) == ["twice"]
    assert codes(WANT, have, planned(start(), after=("2",))) == ["order"]
    assert codes(WANT, have, planned(start()), planned(start(), number=2, after=("1",))) == []


def test_a_plan_that_is_dropped_says_so_of_whom_it_was_about() -> None:
    source = look.source_of(WANT, b.observed(OFF))
    plan = planner.plan(source)
    broken = replace(plan, actions=(*plan.actions, plan.actions[0]))

    found = audit(source, broken)
    told = dropped(broken, found)

    assert [one.code for one in found] == ["audit-twice"]
    assert told.actions == ()
    assert look.held(told).reason is Hold.AUDIT
    assert "is planned twice" in look.held(told).message


def test_who_was_left_alone_anyway_is_told_as_before() -> None:
    source = look.source_of(WANT, b.observed(b.guest(), quorate=Unknown("x")))
    plan = planner.plan(source)

    assert dropped(plan, (Finding(severity=Severity.ERROR, code="x", message="y"),)) == plan
