"""A lost answer is settled by what is seen, or by enough time without any sign."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.guest import Power
from qlop.model.history import Ending, Inflight, Intended
from qlop.model.ids import Upid, VmId
from qlop.model.observed import Observed, ObservedGuest, ObservedTask
from qlop.model.owner import OPEN_WITNESS
from qlop.model.reading import Known, Unknown
from qlop.planner.settle import Adopt, Settled, settle
from tests import builders as b

SEEN = Settled(ending=Ending.SUCCEEDED, message="the answer was lost; its effect is there")
LOST = Settled(ending=Ending.FAILED, message="the request did not arrive")
BEFORE = b.guest(config=b.config(b.mark(), digest="d1"))
OTHER = b.guest(config=b.config(witness="uuid:x", digest="d1"))
LOCKED = replace(OTHER, lock="clone")
SEAL = {"digest": "d1", "seal": b.mark().witness}


def lost(verb: Verb, expects: dict[str, str] | None = None, source: int | None = None) -> Inflight:
    record = b.intended(verb, source=source, target=b.PVE2, expects=expects)
    return Inflight(intended=record, ambiguous=True, doubtful_since=b.NOW)


def task(
    worker: str,
    vmid: int = b.WEB_VMID,
    *,
    after_s: int = 0,
    number: int = 1,
    exit_status: str = "",
) -> ObservedTask:
    return ObservedTask(
        upid=Upid(f"UPID:pve1:{number}:0:0:{worker}:{vmid}:root@pam:"),
        node=b.PVE1,
        verb=worker,
        vmid=VmId(vmid),
        user="root@pam",
        started_at=b.NOW + timedelta(seconds=after_s),
        exit_status=exit_status,
    )


def seen(
    *guests: ObservedGuest, after_s: int = 1, tasks: tuple[ObservedTask, ...] = ()
) -> Observed:
    at = b.NOW + timedelta(seconds=after_s)
    return b.observed(*guests, taken_at=at, tasks=tasks)


def settled(flying: Inflight, have: Observed) -> Adopt | Settled | None:
    return settle(flying, have, have.taken_at)


MOVED = replace(BEFORE, node=b.PVE2)


@pytest.mark.parametrize(
    ("flying", "guest"),
    [
        pytest.param(lost(Verb.CREATE), BEFORE, id="created-with-our-mark"),
        pytest.param(lost(Verb.CLONE, source=9000), BEFORE, id="cloned-with-our-mark"),
        pytest.param(lost(Verb.CONFIGURE, {"digest": "d0"}), BEFORE, id="configured"),
        pytest.param(lost(Verb.CONFIGURE, SEAL | {"digest": "d0"}), BEFORE, id="sealed"),
        pytest.param(lost(Verb.RESIZE, {"digest": "d0"}), BEFORE, id="resized"),
        pytest.param(lost(Verb.START), BEFORE, id="started"),
        pytest.param(lost(Verb.RESUME), BEFORE, id="resumed"),
        pytest.param(lost(Verb.SHUTDOWN), replace(BEFORE, power=Power.STOPPED), id="shut-down"),
        pytest.param(lost(Verb.MIGRATE), MOVED, id="moved"),
        pytest.param(lost(Verb.DESTROY), None, id="destroyed"),
    ],
)
def test_its_effect_is_seen(flying: Inflight, guest: ObservedGuest | None) -> None:
    assert settled(flying, seen(*([guest] if guest else []))) == SEEN


@pytest.mark.parametrize(
    ("flying", "guest"),
    [
        pytest.param(lost(Verb.CREATE), None, id="not-created"),
        pytest.param(lost(Verb.CREATE), replace(BEFORE, lock="create"), id="still-being-created"),
        pytest.param(lost(Verb.CLONE, source=9000), OTHER, id="no-mark-yet"),
        pytest.param(lost(Verb.CONFIGURE, {"digest": "d1"}), BEFORE, id="not-configured"),
        pytest.param(lost(Verb.CONFIGURE), BEFORE, id="nothing-to-tell-by"),
        pytest.param(
            lost(Verb.CONFIGURE, SEAL),
            b.guest(config=b.config(b.mark(), witness="uuid:pves", digest="d2")),
            id="anothers-write-is-not-our-seal",
        ),
        pytest.param(
            lost(Verb.CONFIGURE, SEAL),
            b.guest(config=b.config(b.mark(witness=OPEN_WITNESS), witness=b.mark().witness)),
            id="the-mark-still-leaves-the-witness-open",
        ),
        pytest.param(
            lost(Verb.CONFIGURE, {"digest": "d0"}),
            b.guest(config=Unknown("no answer")),
            id="not-read",
        ),
        pytest.param(lost(Verb.START), replace(BEFORE, power=Power.STOPPED), id="not-started"),
        pytest.param(lost(Verb.START), None, id="not-even-there"),
        pytest.param(lost(Verb.SHUTDOWN), BEFORE, id="not-shut-down"),
        pytest.param(lost(Verb.MIGRATE), BEFORE, id="not-moved"),
        pytest.param(lost(Verb.MIGRATE), replace(MOVED, lock="migrate"), id="still-moving"),
        pytest.param(lost(Verb.DESTROY), BEFORE, id="not-destroyed"),
        pytest.param(lost(Verb.REBOOT), BEFORE, id="a-reboot-leaves-no-trace"),
        pytest.param(lost(Verb.SNAPSHOT), BEFORE, id="nor-does-a-snapshot"),
        pytest.param(lost(Verb.DELETE_SNAPSHOT), BEFORE, id="nor-its-deletion"),
        pytest.param(lost(Verb.REGENERATE), BEFORE, id="nor-a-cloud-init-drive"),
        pytest.param(lost(Verb.ASSIGN_POOL), BEFORE, id="nor-a-pool"),
    ],
)
def test_nothing_is_seen(flying: Inflight, guest: ObservedGuest | None) -> None:
    guests = [guest] if guest else []

    assert settled(flying, seen(*guests, after_s=59)) is None


@pytest.mark.parametrize("verb", sorted(set(Verb) - {Verb.DESTROY, Verb.REGENERATE}, key=str))
def test_after_a_minute_without_a_sign_it_did_not_arrive(verb: Verb) -> None:
    assert settled(lost(verb), seen(after_s=60)) == LOST


def test_a_guest_that_is_still_there_was_not_destroyed() -> None:
    assert settled(lost(Verb.DESTROY), seen(BEFORE, after_s=60)) == LOST


def test_the_minute_counts_from_when_the_answer_was_known_to_be_lost() -> None:
    """The look before it was sent may have taken long."""
    flying = replace(lost(Verb.START), doubtful_since=b.NOW + timedelta(seconds=50))

    assert settled(flying, seen(after_s=109)) is None
    assert settled(flying, seen(after_s=110)) == LOST


def test_what_was_seen_must_itself_be_that_late() -> None:
    have = seen(after_s=59)

    assert settle(lost(Verb.START), have, b.NOW + timedelta(seconds=70)) is None


def test_a_clock_that_was_put_back_settles_nothing_early() -> None:
    have = seen(after_s=70)

    assert settle(lost(Verb.START), have, b.NOW + timedelta(seconds=59)) is None


@pytest.mark.parametrize(
    ("guest", "found"),
    [
        pytest.param(
            replace(OTHER, lock="create"),
            Settled(
                ending=Ending.FAILED,
                message="it broke off: guest 10000 is left locked (create), and no task is at"
                " work on it",
            ),
            id="broken-off",
        ),
        pytest.param(b.guest(config=Unknown("no answer")), None, id="not-read"),
        pytest.param(
            OTHER,
            Settled(ending=Ending.FAILED, message="VMID 10000 went to somebody else"),
            id="another-guest",
        ),
    ],
)
@pytest.mark.parametrize("verb", [Verb.CREATE, Verb.CLONE])
def test_after_a_minute_somebody_has_the_vmid(
    verb: Verb, guest: ObservedGuest, found: Settled | None
) -> None:
    assert settled(lost(verb), seen(guest, after_s=60)) == found


@pytest.mark.parametrize(
    "have",
    [
        pytest.param(
            seen(
                LOCKED, after_s=99, tasks=(task("qmclone", 9000), task("qmclone", 9000, number=2))
            ),
            id="one-of-two-clones-may-be-at-it",
        ),
        pytest.param(
            seen(LOCKED, after_s=99, tasks=(task("qmrestore"),)), id="somebody-restores-into-it"
        ),
        pytest.param(
            replace(seen(LOCKED, after_s=99), nodes={b.PVE1: b.node(b.PVE1, online=False)}),
            id="its-node-is-off-and-tells-no-tasks",
        ),
    ],
)
def test_a_locked_guest_is_left_of_ours_only_if_nobody_is_at_work_on_it(have: Observed) -> None:
    assert settled(lost(Verb.CLONE, source=9000), have) is None


def test_of_two_clones_that_ended_neither_left_it_unlocked() -> None:
    tasks = (
        task("qmclone", 9000, exit_status="OK"),
        task("qmclone", 9000, number=2, exit_status="x"),
    )

    found = settled(lost(Verb.CLONE, source=9000), seen(LOCKED, after_s=60, tasks=tasks))

    assert isinstance(found, Settled)
    assert found.ending is Ending.FAILED


def test_a_container_that_is_still_set_up_is_waited_for_though_it_has_its_mark() -> None:
    running = task("vzcreate")

    assert settled(lost(Verb.CREATE), seen(BEFORE, tasks=(running,))) == Adopt(upid=running.upid)


@pytest.mark.parametrize(
    ("verb", "worker"),
    [
        (Verb.CREATE, "qmcreate"),
        (Verb.CREATE, "vzcreate"),
        (Verb.CONFIGURE, "qmconfig"),
        (Verb.RESIZE, "resize"),
        (Verb.START, "qmstart"),
        (Verb.START, "hastart"),
        (Verb.RESUME, "qmresume"),
        (Verb.SHUTDOWN, "vzshutdown"),
        (Verb.REBOOT, "qmreboot"),
        (Verb.MIGRATE, "qmigrate"),
        (Verb.SNAPSHOT, "qmsnapshot"),
        (Verb.DELETE_SNAPSHOT, "vzdelsnapshot"),
        (Verb.DESTROY, "qmdestroy"),
    ],
)
def test_its_task_is_found(verb: Verb, worker: str) -> None:
    started = task(worker)
    guest = replace(OTHER, power=Power.RUNNING if verb is Verb.SHUTDOWN else Power.STOPPED)

    have = seen(guest, tasks=(started, task("vzdump")))

    assert settled(lost(verb), have) == Adopt(upid=started.upid)


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        pytest.param((task("qmclone", 9000),), Adopt(upid=task("qmclone", 9000).upid),
                     id="by-the-template-it-is-made-from"),
        pytest.param((task("qmclone", 9000, exit_status="OK"),),
                     Adopt(upid=task("qmclone", 9000).upid), id="though-it-has-ended"),
        pytest.param((task("qmclone", 9000), task("qmclone", 9000, number=2)), None,
                     id="two-clones-of-one-template-can't-be-told-apart"),
        pytest.param((task("qmclone", 9001),), LOST, id="another-template"),
        pytest.param((task("qmclone", 9000, after_s=-6),), LOST, id="from-before"),
        pytest.param((task("qmclone", 9000, after_s=-5),), Adopt(upid=task("qmclone", 9000).upid),
                     id="clocks-differ-a-little"),
    ],
)  # fmt: skip
def test_a_clone_is_found(tasks: tuple[ObservedTask, ...], found: Adopt | Settled | None) -> None:
    flying = lost(Verb.CLONE, source=9000)

    assert settled(flying, seen(after_s=61, tasks=tasks)) == found


@pytest.mark.parametrize(
    "have",
    [
        pytest.param({"quorate": Known(value=False)}, id="no-quorum"),
        pytest.param({"quorate": Unknown("no answer")}, id="quorum-unknown"),
        pytest.param({"complete": False}, id="listing-cut"),
    ],
)
def test_a_world_half_seen_settles_nothing(have: dict[str, object]) -> None:
    late = b.NOW + timedelta(hours=1)
    half = replace(seen(BEFORE, after_s=3600), **have)  # type: ignore[arg-type]  # fields

    assert settle(lost(Verb.START), half, late) is None


def test_a_record_without_the_instant_of_doubt_counts_from_its_own() -> None:
    record: Intended = b.intended(Verb.START)
    now: datetime = b.NOW + timedelta(seconds=60)

    assert settle(Inflight(intended=record), seen(after_s=60), now) == LOST


def test_a_cloud_init_drive_may_be_written_again_whether_it_was_or_not() -> None:
    found = settled(lost(Verb.REGENERATE), seen(BEFORE, after_s=60))

    assert isinstance(found, Settled)
    assert found.ending is Ending.FAILED
    assert "harmless" in found.message
