"""Health and metrics tell the truth: without an API, and with a disk that is full."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlop.model.folding import fold
from qlop.sim.cluster import Cluster
from qlop.sim.faults import Effect, Fault
from qlop.sim.server import SimServer
from qlop.sim.world import DEFAULT_TOKEN
from tests.e2e.served import (
    PATIENCE_S,
    PREAMBLE,
    Daemon,
    Site,
    daemon,
    elapse,
    free_port,
    owned,
    service,
    site,
    spec,
    until,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # real processes, sockets and files
    pytest.mark.timeout(180),
]

STEADY = service("steady", onBoot="true")
STEADY_GUEST = owned("steady", 10_010, onboot="1")
CHANGED = STEADY.replace("onBoot: true", "onBoot: false")
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    # Ten times as fast: a node that is gone is missed after seven seconds.
    with site(tmp_path, spec(STEADY_GUEST), speed=10) as found:
        found.declare(STEADY)
        yield found


def test_without_an_api_it_is_alive_and_not_ready_and_begins_when_it_is_there(
    tmp_path: Path,
) -> None:
    desired = tmp_path / "desired"
    desired.mkdir()
    (desired / "all.yaml").write_text(PREAMBLE.replace("PRUNE", "never") + STEADY)
    port = free_port()
    cluster = Cluster(spec(STEADY_GUEST), now=Site.now())
    server = SimServer(cluster, ports={"pve1": port}, directory=tmp_path)
    token_id, _, secret = DEFAULT_TOKEN.partition("=")
    settings = {
        "QLOP_API_ENDPOINTS": f"https://127.0.0.1:{port}",
        "QLOP_API_TOKEN_ID": token_id,
        "QLOP_API_TOKEN_SECRET": secret,
        "QLOP_API_FINGERPRINTS": server.fingerprint,
        "QLOP_DESIRED_STATE": str(desired),
        "QLOP_JOURNAL": str(tmp_path / "journal.sqlite3"),
    }
    with daemon(settings) as living:
        until(lambda: living.get("/status")[0] == 200, why=living.log)
        status, reason = living.get("/readyz")
        assert status == 503
        assert "never observed the cluster" in reason
        assert "refused" in reason
        assert living.get("/healthz") == (200, "ok\n")
        assert living.metric("qlop_last_observation_timestamp_seconds") == 0
        assert living.metric(f'qlop_api_endpoint_up{{endpoint="127.0.0.1:{port}"}}') == 0
        assert living.metric("qlop_stalled") == 1

        with server.in_background():
            until(living.is_converged, why=living.log)
            assert living.get("/readyz") == (200, "ok\n")
            assert living.metric(f'qlop_api_endpoint_up{{endpoint="127.0.0.1:{port}"}}') == 1

            cluster.arm(Fault(effect=Effect.REFUSE, times=None))
            until(lambda: living.metric("qlop_stalled") == 1, why=living.log)
            seen = living.metric("qlop_last_observation_timestamp_seconds")
            elapse(1.5)
            assert 0 < living.metric("qlop_last_observation_timestamp_seconds") == seen
            assert living.metric(f'qlop_api_endpoint_up{{endpoint="127.0.0.1:{port}"}}') == 0
            assert living.get("/healthz") == (200, "ok\n")
            living.kill()


def limit_files(living: Daemon, limit: tuple[int, int]) -> None:
    """Let no file that the daemon writes grow beyond a size, as a full disk would."""
    resource.prlimit(living.process.pid, resource.RLIMIT_FSIZE, limit)


def test_with_a_full_disk_under_the_journal_nothing_is_sent_until_there_is_room(
    place: Site,
) -> None:
    with daemon(place) as living:
        until(living.is_converged, why=living.log)
        limit_files(living, (1, resource.RLIM_INFINITY))
        place.declare(CHANGED)
        until(lambda: living.get("/readyz")[0] == 503, why=living.log)
        elapse(2)
        assert "the journal can't be written" in living.get("/readyz")[1]
        assert living.get("/healthz")[0] == 200
        assert living.metric("qlop_journal_failing") == 1
        assert place.cluster.changes == []

        limit_files(living, UNLIMITED)
        until(lambda: place.cluster.changes, why=living.log)
        until(living.is_converged, why=living.log)
        until(lambda: living.metric("qlop_journal_failing") == 0, why=living.log)
        assert living.get("/readyz") == (200, "ok\n")
    assert len(place.cluster.changes) == 1
    assert fold(place.records()).inflight == {}


def test_a_disk_that_fills_up_while_an_action_is_under_way_loses_nothing(place: Site) -> None:
    place.cluster.is_late = lambda request: "/tasks/UPID" in request.path
    place.declare(STEADY, service("web"))
    with daemon(place) as living:
        until(lambda: len(place.records()) == 2, why=living.log)
        limit_files(living, (1, resource.RLIM_INFINITY))
        place.cluster.is_late = lambda _: False
        # The question that hangs is given up in its time; the next one is answered.
        until(lambda: living.metric("qlop_journal_failing") == 1, within_s=60, why=living.log)
        assert len(place.records()) == 2
        living.kill()
    with daemon(place) as second:
        until(second.is_converged, why=second.log)
    assert len(place.cluster.changes) == 1
    assert fold(place.records()).inflight == {}


def test_it_ends_in_words_if_the_disk_is_full_when_it_begins(place: Site) -> None:
    place.journal.parent.mkdir()
    with daemon(place, QLOP_JOURNAL="/dev/full/journal.sqlite3") as living:
        assert living.process.wait(PATIENCE_S) == 1
    assert "/dev/full" in living.log()
    assert place.cluster.changes == []


def test_metrics_count_what_was_done(place: Site) -> None:
    place.declare(CHANGED)
    with daemon(place) as living:
        until(living.is_converged, why=living.log)
        until(lambda: living.metric("qlop_guests_ready") == 1, why=living.log)
        done = living.metric('qlop_actions_total{ending="succeeded",verb="configure"}')
        calls = living.get("/metrics")[1]
        assert done == 1
        assert 'route="/nodes/{node}/qemu/{vmid}/config",status="200"' in calls
        assert living.metric("qlop_actions_inflight") == 0
        assert living.metric("qlop_cluster_quorate") == 1
        assert living.metric('qlop_node_online{node="pve1"}') == 1
        place.do("node pve3 down")
        until(lambda: living.metric('qlop_node_online{node="pve3"}') == 0, why=living.log)
        place.do("quorum lose")
        until(lambda: living.metric("qlop_cluster_quorate") == 0, why=living.log)
        assert living.metric("qlop_stalled") == 1
