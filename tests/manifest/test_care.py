"""Checks, rollouts and rollbacks are lowered with every default, and mistakes are told."""

from datetime import timedelta

import pytest

from qlop.manifest.load import load
from qlop.model.desired import DesiredService
from qlop.model.finding import Finding
from qlop.model.health import AgentCheck, Check, HttpCheck, RunningCheck, TcpCheck
from qlop.model.ids import ServiceName
from qlop.model.rollout import Rollback, RollbackMode, Update
from tests.manifest.trees import CLUSTER, CONTAINER, VM, loaded, said, service, tree

S10, S5 = timedelta(seconds=10), timedelta(seconds=5)


def web(spec: str) -> DesiredService:
    desired = loaded(service(spec)).desired
    assert desired is not None
    return desired.services[ServiceName("web")]


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("running: true", RunningCheck()),
        ("agent: true, interval: 30s", AgentCheck(interval=timedelta(seconds=30))),
        ("tcp: {port: 5432}", TcpCheck(port=5432)),
        ("http: {port: 80}", HttpCheck(port=80)),
        (
            (
                "http: {port: 443, path: '/up?x=1', scheme: https, status: 200, host: a.b,"
                " verify: false}, timeout: 2s, failures: 5, successes: 2, startPeriod: 0s"
            ),
            HttpCheck(
                port=443,
                path="/up?x=1",
                scheme="https",
                lowest=200,
                highest=200,
                host="a.b",
                verify=False,
                timeout=timedelta(seconds=2),
                failures=5,
                successes=2,
                start_period=timedelta(0),
            ),
        ),
        ("http: {port: 80, status: 200-299}", HttpCheck(port=80, highest=299)),
    ],
)
def test_a_check(text: str, check: Check) -> None:
    assert web(f"{VM}agent: true\nhealth: [{{{text}}}]\n").checks == (check,)


def test_what_nobody_says_has_a_default() -> None:
    found = web(VM)

    assert (found.checks, found.update, found.rollback, found.depends_on) == (
        (),
        Update(batch_size=1, canary=0, max_unavailable=1),
        Rollback(mode=RollbackMode.NONE),
        frozenset(),
    )


def test_an_update_and_a_rollback() -> None:
    found = web(
        VM + "replicas: 9\n"
        "update: {canary: 1, pauseAfterCanary: 1h, batchSize: 3, maxUnavailable: 2,"
        " progressDeadline: 30m, readyAfter: 0s}\n"
        "rollback: {mode: auto, watch: 10m, disks: true, memory: true}\n"
    )

    assert found.update == Update(
        canary=1,
        pause_after_canary=timedelta(hours=1),
        batch_size=3,
        max_unavailable=2,
        progress_deadline=timedelta(minutes=30),
        ready_after=timedelta(0),
    )
    assert found.rollback == Rollback(
        mode=RollbackMode.AUTO, watch=timedelta(minutes=10), disks=True, memory=True
    )


@pytest.mark.parametrize(
    ("more", "findings"),
    [
        pytest.param("health: [{}]\n", [("one-check", "spec.health[0]")], id="asks-nothing"),
        pytest.param(
            "health: [{running: true, tcp: {port: 1}}]\n",
            [("one-check", "spec.health[0]")],
            id="asks-two-things",
        ),
        pytest.param(
            "health: [{agent: true}]\nagent: false\n",
            [("contradiction", "spec.health[0].agent")],
            id="agent-off",
        ),
        pytest.param(
            "health: [{tcp: {port: 1}}]\n", [("no-address", "spec.health[0]")], id="no-address"
        ),
        pytest.param(
            "replicas: 2\nupdate: {canary: 2}\n",
            [("no-effect", "spec.update.canary")],
            id="canaries-are-all",
        ),
        pytest.param(
            "agent: true\nhealth: [{tcp: {port: 1}}]\nrollback: {mode: auto, watch: 1m}\n",
            [("too-small", "spec.rollback.watch")],
            id="watch-too-short-to-see-a-failure",
        ),
        pytest.param("dependsOn: [web]\n", [("itself", "spec.dependsOn[0]")], id="needs-itself"),
        pytest.param(
            "dependsOn: [db]\n", [("unknown-service", "spec.dependsOn")], id="needs-a-stranger"
        ),
    ],
)
def test_a_mistake_is_told(more: str, findings: list[tuple[str, str]]) -> None:
    assert said(loaded(service(VM + more))) == findings


def test_a_container_has_no_agent_and_no_memory_to_keep() -> None:
    more = "health: [{agent: true}]\nrollback: {mode: auto, memory: true}\n"

    found = said(loaded(service(CONTAINER + more)))

    assert ("wrong-kind", "spec.health[0].agent") in found
    assert any(field == "spec.rollback.memory" for _, field in found)


@pytest.mark.parametrize("status", ["99", "600", "x", "300-200", "200-"])
def test_what_is_no_status_is_refused(status: str) -> None:
    text = f"{VM}health: [{{http: {{port: 80, status: {status}}}}}]\n"

    assert [code for code, _ in said(loaded(service(text)))] == ["malformed"]


def test_services_that_need_each_other_are_a_mistake_of_each() -> None:
    result = load_all(a="dependsOn: [b]\n", b="dependsOn: [c]\n", c="dependsOn: [a]\n", d="")

    assert [finding.code for finding in result] == ["contradiction"] * 3
    assert result[0].message == "a: dependsOn goes in a circle: a needs b needs c needs a"


def load_all(**services: str) -> list[Finding]:
    texts = [service(VM + more, name=name) for name, more in services.items()]
    return list(load(tree(CLUSTER, *texts)).findings)


@pytest.mark.parametrize(
    ("more", "same"),
    [
        pytest.param("description: another\n", True, id="notes"),
        pytest.param("tags: [x]\n", True, id="tags"),
        pytest.param("replicas: 3\n", True, id="number"),
        pytest.param("placement: {nodes: [pve1]}\n", True, id="place"),
        pytest.param("update: {canary: 0}\n", True, id="way"),
        pytest.param("cpu: {cores: 4}\n", False, id="cores"),
        pytest.param("memory: 4GiB\n", False, id="memory"),
        pytest.param("agent: true\nhealth: [{tcp: {port: 80}}]\n", False, id="checks"),
    ],
)
def test_the_fingerprint_is_of_what_guests_are_not_of_how_they_are_called(
    more: str, *, same: bool
) -> None:
    text = VM if "memory" not in more else VM.replace("memory: 2GiB\n", "")

    assert (web(text + more).fingerprint == web(VM).fingerprint) is same
