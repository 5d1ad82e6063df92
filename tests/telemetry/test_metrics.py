"""Metrics say what happened, and nothing that grows without bound."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qlop.model.action import Verb
from qlop.model.event import EventKind
from qlop.model.finding import Finding, Severity
from qlop.model.guest import Power
from qlop.model.history import Ending, Inflight
from qlop.model.ids import ActionId, CycleId, GuestName, NodeName, Revision, ServiceName, VmId
from qlop.model.status import NodeStatus, Status, SubjectStatus
from qlop.model.verdict import Act, Converged, Held, Hold, Verdict
from qlop.telemetry import reference
from qlop.telemetry.metrics import CycleOutcome, Metrics
from tests import builders as b
from tests.journal.records import intended

AT = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
HELD = Held(reason=Hold.LOCKED, message="locked")


def subject(name: str, verdict: Verdict, *, busy: bool = False) -> SubjectStatus:
    return SubjectStatus(
        name=GuestName(name),
        service=ServiceName("web"),
        vmid=VmId(110),
        node=NodeName("pve1"),
        power=Power.RUNNING,
        verdict=verdict,
        inflight=Inflight(intended=intended(0)) if busy else None,
    )


NODE = NodeStatus(
    name=NodeName("pve1"), online=True, guests=3, memory_bytes=64, memory_promised_bytes=32
)
STATUS = Status(
    at=AT,
    cycle=CycleId("c1"),
    revision=Revision("r1"),
    observed_at=AT,
    reconciled_at=None,
    leading=True,
    stalled="",
    quorate=True,
    nodes=(NODE, replace(NODE, name=NodeName("pve2"), online=False)),
    subjects=(
        subject("a", Converged()),
        subject("b", HELD),
        subject("c", Act(actions=(ActionId("x"),), held=HELD)),
        subject("d", Act(actions=(ActionId("x"),)), busy=True),
    ),
    unmanaged=(b.unmanaged(),),
    findings=(Finding(severity=Severity.WARNING, code="x", message="x"),),
    gaps=("pve2 did not answer",),
)


def values(metrics: Metrics) -> dict[str, float]:
    lines = metrics.render().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def changes(before: dict[str, float], metrics: Metrics) -> dict[str, float]:
    return {
        name: value
        for name, value in values(metrics).items()
        if before.get(name) != value and not name.startswith("process_") and "bucket" not in name
    }


def test_a_status_is_published_whole() -> None:
    metrics = Metrics(version="0.1.0")
    before = values(metrics)

    metrics.publish(STATUS, queued=7, journal_trouble="full")

    assert changes(before, metrics) == {
        "qlop_last_observation_timestamp_seconds": AT.timestamp(),
        "qlop_leading": 1,
        'qlop_desired_revision_info{revision="r1"}': 1,
        'qlop_findings{severity="warning"}': 1,
        "qlop_actions_inflight": 1,
        "qlop_actions_queued": 7,
        "qlop_journal_failing": 1,
        "qlop_guests_wanted": 4,
        "qlop_guests_ready": 1,
        "qlop_guests_drifted": 2,
        'qlop_guests_held{reason="locked"}': 2,
        "qlop_guests_unmanaged": 1,
        "qlop_cluster_quorate": 1,
        "qlop_observation_gaps": 1,
        'qlop_node_online{node="pve1"}': 1,
        'qlop_node_online{node="pve2"}': 0,
        'qlop_node_guests{node="pve1"}': 3,
        'qlop_node_guests{node="pve2"}': 3,
        'qlop_node_memory_bytes{node="pve1"}': 64,
        'qlop_node_memory_bytes{node="pve2"}': 64,
        'qlop_node_memory_promised_bytes{node="pve1"}': 32,
        'qlop_node_memory_promised_bytes{node="pve2"}': 32,
    }


def test_what_is_no_more_is_not_shown() -> None:
    metrics = Metrics(version="0.1.0")
    metrics.publish(STATUS, queued=7)

    metrics.publish(
        replace(STATUS, nodes=(NODE,), revision=Revision("r2"), subjects=(), stalled="no quorum"),
        queued=0,
    )

    now = values(metrics)
    assert 'qlop_node_online{node="pve2"}' not in now
    assert 'qlop_desired_revision_info{revision="r1"}' not in now
    assert now['qlop_desired_revision_info{revision="r2"}'] == 1
    assert (now["qlop_guests_wanted"], now['qlop_guests_held{reason="locked"}']) == (0, 0)
    assert (now["qlop_stalled"], now["qlop_actions_queued"]) == (1, 0)


def test_what_happens_is_counted() -> None:
    metrics = Metrics(version="0.1.0")
    before = values(metrics)

    metrics.cycle_finished(CycleOutcome.FAILED, 0.5)
    metrics.action_finished(Verb.CLONE, Ending.SUCCEEDED, 12)
    metrics.action_finished(Verb.CLONE, Ending.UNKNOWN, 30)
    metrics.event_seen(EventKind.DRIFT_SEEN)
    metrics.call_finished("GET", "/cluster/resources", 200, 0.02)
    metrics.call_finished("GET", "/cluster/resources", None, 5)
    metrics.call_finished("GET", "/cluster/resources", 999, 1)

    assert changes(before, metrics) == {
        'qlop_cycles_total{outcome="failed"}': 1,
        "qlop_cycle_duration_seconds_count": 1,
        "qlop_cycle_duration_seconds_sum": 0.5,
        'qlop_actions_total{ending="succeeded",verb="clone"}': 1,
        'qlop_actions_total{ending="unknown",verb="clone"}': 1,
        'qlop_action_duration_seconds_count{verb="clone"}': 1,
        'qlop_action_duration_seconds_sum{verb="clone"}': 12,
        'qlop_events_total{kind="drift-seen"}': 1,
        'qlop_api_calls_total{method="GET",route="/cluster/resources",status="200"}': 1,
        'qlop_api_calls_total{method="GET",route="/cluster/resources",status="none"}': 1,
        'qlop_api_calls_total{method="GET",route="/cluster/resources",status="other"}': 1,
        'qlop_api_call_duration_seconds_count{method="GET"}': 3,
        'qlop_api_call_duration_seconds_sum{method="GET"}': 6.02,
    }


def test_endpoints_are_up_until_they_fail() -> None:
    metrics = Metrics(version="0.1.0", endpoints=["pve1:8006", "pve2:8006"])

    metrics.endpoints_checked({"pve1:8006": False})
    failed = values(metrics)
    metrics.endpoints_checked({"pve1:8006": True})

    name = 'qlop_api_endpoint_up{endpoint="pve1:8006"}'
    assert (failed[name], values(metrics)[name]) == (0, 1)
    assert failed['qlop_api_endpoint_up{endpoint="pve2:8006"}'] == 1


@pytest.mark.parametrize("reason", Hold)
def test_every_reason_is_there_from_the_start(reason: Hold) -> None:
    assert values(Metrics(version="0.1.0"))[f'qlop_guests_held{{reason="{reason.value}"}}'] == 0


def test_two_daemons_in_one_process_do_not_meet() -> None:
    one, other = Metrics(version="1"), Metrics(version="2")

    one.cycle_finished(CycleOutcome.SUCCEEDED, 1)

    assert values(other)['qlop_cycles_total{outcome="succeeded"}'] == 0


PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_reference_is_that_of_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.markdown(), (
        "run: python -m qlop.telemetry.reference > docs/metrics.md"
    )


@pytest.mark.slow  # starts promtool, a large program
@pytest.mark.real
@pytest.mark.timeout(90)
def test_prometheus_finds_nothing_to_complain_about() -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "this needs promtool: apt-get install prometheus"
    metrics = Metrics(version="0.1.0", endpoints=["pve1:8006"])
    metrics.publish(STATUS, queued=7)
    metrics.call_finished("GET", "/cluster/resources", 200, 0.02)

    check = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.render(),
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_a_node_that_is_not_seen_is_neither_online_nor_offline() -> None:
    metrics = Metrics(version="0.1.0")

    for seen in (True, False):
        metrics.publish(replace(STATUS, nodes=(replace(NODE, seen=seen),)), queued=0)
        assert ('qlop_node_online{node="pve1"}' in values(metrics)) is seen
