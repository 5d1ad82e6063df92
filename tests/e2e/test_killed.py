"""The real daemon, killed at every step of its journal: the same end, and nothing twice.

Six guests are made, cloned, configured, moved, snapshotted and destroyed at once, so that
one minute of waiting for lost answers serves them all. What the daemon is in the middle
of is held up at the cluster, whose answers come late; the test sees it from outside.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.guest import GuestKind
from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.sim.faults import Effect, Fault, Match
from qlop.sim.wire import SimRequest
from tests.e2e.served import Daemon, Site, daemon, elapse, owned, service, site, spec, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # real processes; a lost answer is waited for a minute
    pytest.mark.timeout(170),
]

VERBS = {Verb.CREATE, Verb.CLONE, Verb.CONFIGURE, Verb.MIGRATE, Verb.SNAPSHOT, Verb.DESTROY}
CLONED = "{clone: {template: 9000, full: true, storage: nas}}"
WANTED = (
    service("made", GuestKind.CONTAINER, networks="[{bridge: vmbr0, address: dhcp}]"),
    service("cloned", source=CLONED, disks="", memory="2GiB"),
    service("tuned", onBoot="true"),
    service("moved", placement="{nodes: [pve2]}"),
    service("kept", snapshots="{keep: [good]}"),
)
GUESTS = (
    owned("tuned", 10_010),
    owned("moved", 10_011),
    owned("kept", 10_012),
    owned("gone", 10_013),
)
ONCE = [
    "DELETE /nodes/pve1/qemu/10013",
    "POST /nodes/pve1/qemu/10011/migrate",
    "POST /nodes/pve1/qemu/10012/snapshot",
    "PUT /nodes/pve1/qemu/10010/config",
]
"""What must have been done exactly once, beside a creation, a clone and its seal."""


@pytest.fixture
def place(tmp_path: Path, doubtful: tuple[Site, Daemon]) -> Iterator[Site]:
    del doubtful  # Its minute passes while the others run.
    with town(tmp_path) as found:
        yield found


@contextmanager
def town(home: Path) -> Iterator[Site]:
    """Serve a cluster in which six actions are due at once."""
    with site(home, spec(*GUESTS)) as found:
        found.declare(*WANTED, prune="{mode: destroy, grace: 1s, backup: notNeeded}")
        yield found


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Daemon]]:
    """Kill a daemon with everything intended and nothing sent; the next one is at work.

    The guard's look is the first at a guest since its action was written down. Before a
    creation nobody looks: its call is cut off on its way.
    """
    with town(tmp_path_factory.mktemp("doubtful")) as place:

        def is_guards(request: SimRequest) -> bool:
            vmids = {one.vmid for one in place.records() if isinstance(one, Intended)}
            is_look = request.method == "GET" and request.path.endswith("/config")
            return is_look and any(f"/{vmid}/" in request.path for vmid in vmids)

        place.cluster.is_late = is_guards
        for route in ("POST */lxc", "POST */clone"):
            match = Match(route=route)
            place.cluster.arm(Fault(effect=Effect.REFUSE, match=match, times=None))
        with daemon(place) as first:
            until(lambda: intended(place) == VERBS, why=lambda: (intended(place), first.log()))
            assert place.cluster.changes == []
            first.kill()
        let_go(place)
        for tenth in range(5):  # And again and again, whatever it is in the middle of.
            with daemon(place) as living:
                until(living.answers, why=living.log)
                elapse(tenth / 10)
                living.kill()
        with daemon(place) as last:
            yield place, last


def _has_task(record: JournalRecord) -> bool:
    return isinstance(record, Dispatched) and record.upid is not None


def intended(place: Site) -> set[Verb]:
    return {one.verb for one in place.records() if isinstance(one, Intended)}


def finished(place: Site) -> set[Verb]:
    records = place.records()
    verbs = {one.action: one.verb for one in records if isinstance(one, Intended)}
    good = [one for one in records if isinstance(one, Finished)]
    return {verbs[one.action] for one in good if one.ending is Ending.SUCCEEDED}


def _have_ended(place: Site, count: int) -> bool:
    """Return whether so many have ended, and none is just being sent: that takes a minute."""
    flying = fold(place.records()).inflight.values()
    return len(finished(place)) >= count and all(one.dispatched for one in flying)


def let_go(place: Site) -> None:
    """Let nothing go wrong any more."""
    place.cluster.disarm()
    place.cluster.is_late = lambda _: False


def expect_the_end(place: Site) -> None:
    """Let the next daemon bring it to its end, and see that nothing was done twice."""
    let_go(place)
    with daemon(place) as second:
        # Should the kill have met a call on its way, its answer is waited for a minute.
        until(second.is_converged, within_s=100, why=second.log)
        exposed(place, second)
    expect_once(place)


def expect_once(place: Site) -> None:
    """See that all is as it should be, and that nothing was done twice."""
    done = place.cluster.routes()
    creations = [one for one in done if one.startswith("POST") and one.endswith("/lxc")]
    clones = [one for one in done if one.endswith("/9000/clone")]
    assert (len(creations), len(clones)) == (1, 1), done
    assert sorted(set(done)) == done, "twice"
    assert [one for one in ONCE if one not in done] == []
    world = place.cluster.world
    names = [
        guest.config.get("name", guest.config.get("hostname", ""))
        for guest in world.guests.values()
        if guest.vmid >= 10_000
    ]
    assert sorted(names) == ["cloned", "kept", "made", "moved", "tuned"]
    assert world.guests[10_011].node == "pve2"
    assert list(world.guests[10_012].snapshots) == ["good"]
    assert world.guests[10_010].config["onboot"] == "1"
    assert all(guest.lock is None for guest in world.guests.values())
    history = fold(place.records())
    assert (history.inflight, history.failures) == ({}, {})


def exposed(place: Site, running: Daemon) -> None:
    """Look whether the token's secret shows anywhere that it must not."""
    secret = (place.home / "sim" / "token").read_text().strip()
    command = Path(f"/proc/{running.process.pid}/cmdline").read_text()
    pages = ["/", "/status", "/plan", "/events", "/history", "/metrics", "/explain/made"]
    texts = [running.get(path)[1] for path in pages]
    assert all(texts)
    state = place.journal.parent.iterdir()
    files = [file.read_bytes().decode(errors="replace") for file in state]
    assert not any(secret in text for text in [command, *texts, *files])


def test_killed_with_everything_done_and_no_answer_come(place: Site) -> None:
    place.cluster.is_late = lambda request: request.method != "GET"
    with daemon(place) as first:
        until(lambda: len(place.cluster.changes) == len(VERBS), why=place.cluster.routes)
        assert not [one for one in place.records() if isinstance(one, Dispatched)]
        first.kill()
    expect_the_end(place)


def test_killed_with_every_task_under_way(place: Site) -> None:
    place.cluster.is_late = lambda request: "/tasks/UPID" in request.path
    tasks = VERBS - {Verb.CONFIGURE}
    with daemon(place) as first:
        until(lambda: sum(_has_task(one) for one in place.records()) == len(tasks))
        assert not finished(place) & tasks
        first.kill()
    expect_the_end(place)


def test_killed_whenever_an_action_has_ended(place: Site) -> None:
    for count in range(1, len(VERBS)):
        with daemon(place) as living:
            until(partial(_have_ended, place, count), why=living.log)
            living.kill()
    expect_the_end(place)


def test_killed_with_everything_intended_and_nothing_sent(
    doubtful: tuple[Site, Daemon],
) -> None:
    place, last = doubtful
    until(lambda: finished(place) == VERBS, within_s=110, why=place.cluster.routes)
    until(lambda: not fold(place.records()).inflight)
    last.terminate()
    expect_the_end(place)
