"""One pass: what is seen, decided, begun and told, and in what order."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.desired import Snapshots
from qlop.model.event import EventKind
from qlop.model.finding import Finding, Severity
from qlop.model.guest import Power
from qlop.model.history import EXPECTS_SEAL, Dispatched, Ending, Finished, JournalRecord
from qlop.model.ids import ActionId, Upid, VmId
from qlop.model.observed import Observed, ObservedTask
from qlop.model.reading import Known, Unknown
from qlop.model.verdict import Converged, Held, Hold
from qlop.observer.observer import Interest
from tests import builders as b
from tests.controller.cast import Cast

WANT = b.desired(b.desired_guest())
OFF = b.observed(b.guest(power=Power.STOPPED))
ON = b.observed(b.guest())
BAD = Finding(severity=Severity.ERROR, code="unknown-key", message="what is that?")


async def test_what_is_on_the_frontier_is_begun() -> None:
    cast = Cast(WANT, [OFF])

    result = await cast.engine.cycle(read_manifests=True, act=True)

    assert result.plan is not None
    assert result.started == tuple(cast.hands.started) == (result.plan.actions[0].id,)
    assert (result.status.stalled, result.status.reconciled_at) == ("", b.NOW)


@pytest.mark.parametrize(
    ("cast", "act"),
    [
        pytest.param(Cast(WANT, [OFF]), False, id="only-a-plan-was-asked-for"),
        pytest.param(Cast(WANT, [OFF], acting=False), True, id="nobody-to-act"),
        pytest.param(Cast(WANT, [OFF], leading=False), True, id="another-leads"),
        pytest.param(Cast(WANT, [ON]), True, id="nothing-to-do"),
    ],
)
async def test_nothing_is_begun(cast: Cast, act: bool) -> None:  # noqa: FBT001 - a column
    result = await cast.engine.cycle(read_manifests=True, act=act)

    assert (result.started, cast.hands.started) == ((), [])
    assert result.plan is not None


@pytest.mark.parametrize(
    ("cast", "stalled"),
    [
        pytest.param(Cast(WANT, [ON]), "", id="all-is-well"),
        pytest.param(Cast(WANT, [ON], leading=False), "another qlop holds the lease", id="lease"),
        pytest.param(
            Cast(WANT, [replace(ON, quorate=Known(value=False))]),
            "the cluster has no quorum",
            id="no-quorum",
        ),
        pytest.param(
            Cast(WANT, [replace(ON, complete=False, gaps=("pve2: x", "pve3: y"))]),
            "pve2: x; pve3: y",
            id="half-seen",
        ),
        pytest.param(
            Cast(WANT, [replace(ON, complete=False)]),
            "the cluster could not be seen whole",
            id="half-seen-and-nobody-knows-why",
        ),
        pytest.param(
            Cast(WANT, [ON], findings=(BAD,)),
            "the newest manifests are not good; the last good revision stays in force",
            id="bad-manifests",
        ),
        pytest.param(Cast(None, [ON]), "no good manifests", id="no-manifests-at-all"),
    ],
)
async def test_what_stands_in_the_way_is_said(cast: Cast, stalled: str) -> None:
    result = await cast.engine.cycle(read_manifests=True, act=True)

    assert result.status.stalled == stalled
    told = [event.message for event in cast.events if event.kind is EventKind.STALLED]
    assert told == ([stalled] if stalled else [])


async def test_a_journal_that_can_not_be_written_is_said() -> None:
    cast = Cast(WANT, [ON])
    cast.hands.trouble = "disk full"

    result = await cast.engine.cycle(read_manifests=True, act=True)

    assert result.status.stalled == ("nothing is done without writing it down first: disk full")


async def test_without_good_manifests_nobody_looks() -> None:
    cast = Cast(None, [ON], findings=(BAD,))

    result = await cast.engine.cycle(read_manifests=True, act=True)

    assert (result.plan, result.source, cast.eyes.interests) == (None, None, [])
    assert result.status.findings == (BAD,)


async def test_manifests_are_read_only_when_asked() -> None:
    cast = Cast(WANT, [ON])

    await cast.engine.cycle(read_manifests=True, act=True)
    await cast.engine.cycle(read_manifests=False, act=True)

    assert cast.manifests.read == 1


def just_ended(verb: Verb, expects: dict[str, str] | None = None) -> list[JournalRecord]:
    """A journal in which an action on the web guest ended after the look had begun."""
    clone = b.intended(Verb.CLONE, source=9000, witness=b.mark().witness, action="web/clone/1")
    last = b.intended(verb, expects=expects)
    soon = b.NOW + timedelta(seconds=1)
    return [clone, b.finished(action="web/clone/1"), last, b.finished(verb, at=soon)]


UNSEALED = b.observed(
    b.guest(config=Known(replace(b.config(b.mark()), witness="uuid:of-pve's-making")))
)


@pytest.mark.parametrize(
    ("seen", "records"),
    [
        pytest.param(
            UNSEALED,
            just_ended(Verb.CONFIGURE, {EXPECTS_SEAL: b.mark().witness}),
            id="it-was-sealed-after-its-configuration-was-read",
        ),
        pytest.param(OFF, just_ended(Verb.START), id="it-was-started-after-the-listing"),
        pytest.param(ON, just_ended(Verb.SHUTDOWN), id="it-was-shut-down-after-the-listing"),
    ],
)
async def test_a_look_is_not_held_against_what_ended_after_it_began(
    seen: Observed, records: list[JournalRecord]
) -> None:
    cast = Cast(WANT, [seen], records)

    result = await cast.engine.cycle(read_manifests=True, act=True)

    (web,) = result.status.subjects
    assert isinstance(web.verdict, Held)
    assert (web.verdict.reason, web.verdict.remedy) == (
        Hold.IN_FLIGHT,
        "nothing: qlop looks again",
    )
    assert (web.inflight, cast.hands.started, cast.hands.noted) == (None, [], [])


@pytest.mark.parametrize("after_s", [1, 2])
async def test_a_look_that_did_not_begin_before_the_end_counts(after_s: int) -> None:
    seen = b.observed(b.guest(), taken_at=b.NOW + timedelta(seconds=after_s))
    cast = Cast(WANT, [seen], just_ended(Verb.START))

    result = await cast.engine.cycle(read_manifests=True, act=True)

    assert [one.verdict for one in result.status.subjects] == [Converged()]


async def test_a_quiet_cycle_plans_nothing_anew() -> None:
    cast = Cast(WANT, [ON])

    first = await cast.engine.cycle(read_manifests=True, act=True)
    cast.clock.instant += timedelta(seconds=15)
    second = await cast.engine.cycle(read_manifests=False, act=True)

    assert second.plan is first.plan
    assert second.status.subjects is first.status.subjects
    assert second.status.reconciled_at == b.NOW + timedelta(seconds=15)


async def test_when_something_changed_it_is_planned_anew_and_told() -> None:
    cast = Cast(WANT, [ON, OFF, ON])

    plans = [(await cast.engine.cycle(read_manifests=False, act=True)).plan for _ in range(3)]

    assert [len(plan.actions) for plan in plans if plan is not None] == [0, 1, 0]
    told = [event.kind for event in cast.events if event.subject == "web"]
    assert told == [EventKind.DRIFT_SEEN, EventKind.SUBJECT_CONVERGED]


async def test_a_cycle_that_saw_half_leaves_the_instants_of_the_last_whole_one() -> None:
    cast = Cast(WANT, [ON, replace(ON, complete=False, taken_at=b.NOW + timedelta(hours=1))])
    await cast.engine.cycle(read_manifests=True, act=True)
    cast.clock.instant += timedelta(hours=1)

    result = await cast.engine.cycle(read_manifests=False, act=True)

    assert (result.status.observed_at, result.status.reconciled_at) == (b.NOW, b.NOW)
    assert result.status.at == b.NOW + timedelta(hours=1)


async def test_nodes_that_are_not_seen_are_told_as_they_were_and_that_it_was_then() -> None:
    blind = replace(ON, complete=False, nodes={}, taken_at=b.NOW + timedelta(hours=1))
    cast = Cast(WANT, [ON, blind, replace(ON, taken_at=b.NOW + timedelta(hours=2))])
    told = []
    for _ in range(3):
        result = await cast.engine.cycle(read_manifests=True, act=True)
        told.append(result.status.nodes)
        cast.clock.instant += timedelta(hours=1)

    seen, unseen, again = told
    assert {(node.online, node.seen) for node in seen} == {(True, True)}
    assert unseen == tuple(replace(node, seen=False) for node in seen)
    assert again == seen


async def test_it_looks_for_what_the_manifests_care_about() -> None:
    keeping = b.desired_guest("db", snapshots=Snapshots(keep=("a",)))
    cast = Cast(b.desired(b.desired_guest(), keeping), [ON])

    await cast.engine.cycle(read_manifests=True, act=True)

    assert cast.eyes.interests == [
        Interest(cluster=b.CLUSTER, snapshots_of=frozenset({keeping.service}))
    ]


START = b.intended(Verb.START)
LATE = b.NOW + timedelta(seconds=61)


def lost() -> list[JournalRecord]:
    end = Finished(at=b.NOW, action=START.action, attempt=1, ending=Ending.UNKNOWN)
    return [START, end]


TASK = ObservedTask(
    upid=Upid("UPID:pve1:1:1:1:qmstart:10000:root@pam:"),
    node=b.PVE1,
    verb="qmstart",
    vmid=b.WEB_VMID,
    user="root@pam",
    started_at=b.NOW,
)
ID = ActionId("web/start/f00d")


@pytest.mark.parametrize(
    ("cast", "settled", "touched"),
    [
        pytest.param(
            Cast(WANT, [ON], lost()), [(ID, Ending.SUCCEEDED, None)], [], id="effect-is-seen"
        ),
        pytest.param(
            Cast(WANT, [replace(OFF, tasks=(TASK,))], lost()),
            [(ID, Ending.SUCCEEDED, TASK.upid)],
            [],
            id="its-task-is-found",
        ),
        pytest.param(Cast(WANT, [OFF], lost()), [], [VmId(10000)], id="nothing-is-seen-yet"),
        pytest.param(
            Cast(WANT, [replace(OFF, taken_at=LATE)], lost()),
            [(ID, Ending.FAILED, None)],
            [],
            id="nothing-came",
        ),
        pytest.param(
            Cast(WANT, [replace(OFF, quorate=Unknown("x"))], lost()),
            [],
            [VmId(10000)],
            id="nothing-can-be-seen",
        ),
        pytest.param(
            Cast(WANT, [ON], [START, Dispatched(at=b.NOW, action=ID, attempt=1, upid=None)]),
            [],
            [],
            id="in-flight-is-not-lost",
        ),
    ],
)
async def test_lost_answers_are_settled_before_anything_is_planned(
    cast: Cast, settled: list[object], touched: list[VmId]
) -> None:
    cast.clock.instant = LATE

    await cast.engine.cycle(read_manifests=True, act=True)

    assert (cast.hands.settled, cast.eyes.touched) == (settled, touched)
    assert cast.hands.started == []


async def test_who_only_looks_settles_nothing() -> None:
    cast = Cast(WANT, [ON], lost())

    await cast.engine.cycle(read_manifests=True, act=False)

    assert cast.hands.settled == []
