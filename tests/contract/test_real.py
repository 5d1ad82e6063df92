"""A cluster named by its URL is played to, if it holds nothing that could be lost.

The cluster is ``qlop sim`` in a process of its own, which this side knows nothing of but
its address, its certificate and a token.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qlop.pve import tls
from tests.contract import __main__ as program
from tests.contract import recordings
from tests.contract.real import Account, Names, NotOursError, RealCluster
from tests.contract.recordings import Story
from tests.contract.report import Report
from tests.contract.wire import Wire

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.real,
    pytest.mark.slow,  # starts a Python
    pytest.mark.timeout(90),
    pytest.mark.skipif(
        not recordings.FOLDER.is_dir(), reason=f"no recordings at {recordings.FOLDER}"
    ),
]

CLUSTER: dict[str, Any] = {
    "name": "empty",
    "nodes": [{"name": "host-a", "cores": 4}, {"name": "host-b", "cores": 4}],
    "storages": [
        {
            "name": "local",
            "type": "dir",
            "content": ["images", "rootdir", "iso", "vztmpl", "backup", "snippets"],
            "total_gib": 250,
        }
    ],
}
CREATIONS = Story(name="creations", files=("03-qemu-create.jsonl",))


@contextmanager
def simulated(tmp_path: Path, **changed: Any) -> Iterator[dict[str, Any]]:
    """Start a cluster; yield how to reach it, as ``qlop sim --json`` tells it."""
    described = tmp_path / "cluster.yaml"
    described.write_text(json.dumps({**CLUSTER, **changed}), encoding="utf-8")
    command = ["-m", "qlop", "sim", "--port", "0", "--speed", "100", "--json"]
    command += ["--cluster", str(described), "--directory", str(tmp_path / "home")]
    server = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        lines = []
        while (line := server.stdout.readline()) not in {"}\n", ""}:
            lines.append(line)
        yield json.loads("".join([*lines, "}"]))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
        server.stdout.close()


@contextmanager
def connected(told: dict[str, Any]) -> Iterator[RealCluster]:
    cluster = RealCluster(
        Account(
            url=told["endpoints"][0],
            token_id=told["token_id"],
            secret=Path(told["token_file"]).read_text(encoding="utf-8").strip(),
            context=tls.context_for(None, (told["fingerprint"],)),
            pins=(told["fingerprint"],),
        )
    )
    try:
        yield cluster
    finally:
        cluster.close()


def arguments(told: dict[str, Any]) -> list[str]:
    return [
        *("--url", told["endpoints"][0], "--token-id", told["token_id"]),
        *("--token-file", told["token_file"], "--ca-file", told["ca_file"]),
    ]


def test_the_recorded_exchanges_agree_and_the_cluster_is_left_empty(tmp_path: Path) -> None:
    report = Report()
    with simulated(tmp_path) as told, connected(told) as cluster:
        cluster.check_empty()
        program.play(cluster, CREATIONS, report, pause_s=0.02)
        left = cluster.guests()

    assert report.core["status"].of > 60
    assert report.core["status"].percent >= 98
    assert report.core["outcome"].percent >= 98
    assert report.core["texts"].percent >= 95
    assert len(cluster.made) > 5
    assert left == set()


def test_without_the_word_nothing_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    given = ["--url", "https://127.0.0.1:1", "--token-id", "a@pve!b", "--token-file", str(secret)]

    assert program.main(given) == 2
    assert "say --may-destroy-guests if it may" in capsys.readouterr().err


def test_a_cluster_with_a_guest_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guest = {"vmid": 4711, "node": "host-b", "config": {"name": "theirs", "scsi0": "local:4"}}
    with simulated(tmp_path, guests=[guest]) as told:
        code = program.main([*arguments(told), "--may-destroy-guests", "tasks"])
        with connected(told) as cluster:
            tasks = cluster.read("/cluster/tasks")

    assert code == 2
    assert "it has 1 guests (4711): play to an empty cluster" in capsys.readouterr().err
    assert tasks == []


def test_a_token_that_may_not_see_guests_finds_no_empty_cluster(tmp_path: Path) -> None:
    user = {"userid": "few@pve", "tokens": {"t": "s3"}}
    acl = [{"path": "/", "who": "few@pve", "role": "PVEDatastoreUser"}]
    with simulated(tmp_path, users=[user], acl=acl) as told:
        Path(told["token_file"]).write_text("s3", encoding="utf-8")
        with (
            connected({**told, "token_id": "few@pve!t"}) as cluster,
            pytest.raises(NotOursError, match=r"lacks VM\.Audit on /vms: guests may be hidden"),
        ):
            cluster.check_empty()


def test_a_stranger_who_comes_later_ends_the_play(tmp_path: Path) -> None:
    start = Wire(method="POST", target="/api2/json/nodes/pve1/qemu/4711/status/stop", headers={})
    with simulated(tmp_path) as told, connected(told) as other, connected(told) as cluster:
        cluster.check_empty()
        cluster.rename_nodes(["pve1"])
        other.ask("POST", "/nodes/host-b/qemu", {"vmid": "4711"})

        with pytest.raises(NotOursError, match="somebody made guest 4711 meanwhile"):
            cluster.send(start, 0)
        assert cluster.clean_up() == set()
        assert other.guests() == {4711}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/access/users/ops@pve"),
        ("PUT", "/cluster/firewall/options"),
        ("POST", "/nodes/pve1/status"),
        ("DELETE", "/nodes/pve1/storage/local/content/local:iso/debian.iso"),
        ("DELETE", "/nodes/pve1/storage/local/content/local:4711/vm-4711-disk-0.raw"),
    ],
)
def test_what_is_no_guest_of_ours_is_never_changed(method: str, path: str) -> None:
    account = Account(
        url="https://127.0.0.1:1",
        token_id="a@pve!b",
        secret="s",
        context=tls.context_for(None, ()),
    )
    cluster = RealCluster(account)

    assert cluster.send(Wire(method=method, target=f"/api2/json{path}", headers={}), 0) is None
    cluster.close()


def test_names_are_translated_whole_encoded_or_not() -> None:
    names = Names([("root@pam!test", "me@pve!qlop"), ("pve1", "host-a")])

    told = names.there("UPID%3Apve1%3A0A%3Aroot%40pam%21test%3A pve1 pve10 my-pve1 root@pam!tests")

    assert told == ("UPID%3Ahost-a%3A0A%3Ame%40pve%21qlop%3A host-a pve10 my-pve1 root@pam!tests")
    assert names.in_lab(told).startswith("UPID%3Apve1%3A0A%3Aroot%40pam%21test%3A pve1")
