"""Signals, and two daemons: what ends, what goes on, who takes over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qlop.sim.faults import Effect, Fault, Match
from qlop.sim.world import Timing
from tests.e2e.served import Daemon, Site, daemon, elapse, owned, service, site, spec, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # real processes, signals and clocks
    pytest.mark.timeout(180),
]

LONG = Timing(copy_s_per_gib=2.0)
"""A clone of the template's three gibibytes takes some six seconds."""

CLONED = "{clone: {template: 9000, full: true, storage: nas}}"
COPY = service("copy", source=CLONED, disks="", memory="2GiB")
STEADY = service("steady", onBoot="true")
STEADY_GUEST = owned("steady", 10_010, onboot="1")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, spec(STEADY_GUEST, timing=LONG)) as found:
        yield found


def test_sigterm_ends_it_at_once_and_leaves_running_tasks_alone(place: Site) -> None:
    place.declare(COPY, STEADY)
    with daemon(place) as first:
        until(lambda: len(place.cluster.changes) == 1 and place.running_tasks(), why=first.log)
        task = place.running_tasks()
        seconds = first.terminate()
        assert place.running_tasks() == task
    before = place.cluster.routes()
    assert seconds < 10
    assert "daemon stopped" in first.log()

    elapse(1.5)
    assert place.cluster.routes() == before, "it sent something after it had ended"

    with daemon(place) as second:
        until(second.is_converged, why=second.log)
    assert [one for one in place.cluster.routes() if "clone" in one] == before
    assert place.cluster.world.tasks[task[0]].exit == "OK"


def test_sigterm_does_not_wait_for_an_answer_that_does_not_come(place: Site) -> None:
    place.declare(STEADY.replace("onBoot: true", "onBoot: false"))
    place.cluster.is_late = lambda request: request.method == "PUT"
    with daemon(place) as first:
        until(lambda: len(place.cluster.changes) == 1, why=first.log)
        seconds = first.terminate()
    assert seconds < 10

    place.cluster.is_late = lambda _: False
    with daemon(place) as second:
        until(second.is_converged, why=second.log)
    assert place.cluster.routes() == ["PUT /nodes/pve1/qemu/10010/config"]


def test_nothing_is_different_for_any_guest_when_it_comes_and_goes(place: Site) -> None:
    place.declare(STEADY)
    before = place.cluster.files()
    with daemon(place) as living:
        until(living.is_converged, why=living.log)
        living.terminate()
    with daemon(place) as living:
        until(living.is_converged, why=living.log)
        living.kill()

    assert place.cluster.files() == before
    assert place.cluster.changes == []


def test_sighup_asks_for_a_cycle_that_reads_the_manifests(place: Site) -> None:
    place.declare(STEADY)
    with daemon(place, QLOP_INTERVAL="2m") as living:
        until(living.is_converged, why=living.log)
        cycles = at_rest(living)

        living.reload()
        until(
            lambda: living.metric('qlop_cycles_total{outcome="succeeded"}') > cycles,
            why=living.log,
        )
        assert living.process.poll() is None


def at_rest(living: Daemon) -> float:
    """Wait until it makes no cycle for a second; return how many it has made."""
    counts = [-1.0]

    def rests() -> bool:
        counts.append(living.metric('qlop_cycles_total{outcome="succeeded"}'))
        elapse(1)
        return counts[-1] == counts[-2]

    until(rests, why=living.log)
    return counts[-1]


def test_of_two_daemons_one_acts_and_the_other_takes_over(place: Site) -> None:
    place.declare(STEADY)
    with daemon(place) as first:
        until(first.is_converged, why=first.log)
        with daemon(place) as second:
            until(second.answers, why=second.log)
            elapse(3)
            waiting = (503, "standing by: waits for the lease another qlop holds\n")
            assert second.get("/readyz") == waiting
            assert second.get("/healthz") == (200, "ok\n")
            assert second.get("/status")[0] == 503
            place.declare(STEADY.replace("onBoot: true", "onBoot: false"))
            until(lambda: len(place.cluster.changes) == 1, why=first.log)

            first.kill()
            until(second.is_converged, why=second.log)
            place.declare(STEADY)
            until(lambda: len(place.cluster.changes) == 2, why=second.log)
            until(second.is_converged, why=second.log)
            assert second.get("/readyz") == (200, "ok\n")
            assert second.metric("qlop_leading") == 1


def test_one_that_stands_by_ends_at_once(place: Site) -> None:
    place.declare(STEADY)
    with daemon(place) as first:
        until(first.is_converged, why=first.log)
        with daemon(place) as second:
            until(second.answers, why=second.log)
            assert second.terminate() < 10


def test_apply_refuses_while_a_daemon_acts(place: Site) -> None:
    place.declare(STEADY)
    with daemon(place) as first:
        until(first.is_converged, why=first.log)
        done = place.qlop("apply")
    assert done.returncode == 1
    assert "another qlop holds the lease" in done.stderr


def test_a_token_that_is_taken_away_and_given_back_loses_nothing(place: Site) -> None:
    place.declare(STEADY)
    with daemon(place) as living:
        until(living.is_converged, why=living.log)
        denied = Fault(
            effect=Effect.SERVER,
            match=Match(),
            times=None,
            status=401,
            text="invalid token value!",
        )
        place.cluster.arm(denied)
        place.declare(STEADY.replace("onBoot: true", "onBoot: false"))
        until(lambda: "invalid token" in living.get("/status")[1], why=living.log)
        assert living.get("/healthz")[0] == 200
        place.cluster.disarm()
        until(lambda: len(place.cluster.changes) == 1, why=living.log)
        until(living.is_converged, why=living.log)
