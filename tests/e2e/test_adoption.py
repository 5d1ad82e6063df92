"""A team with guests of its own begins to use qlop, and ceases to: every command of it."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qlop.cli import main, simulated
from qlop.journal.sqlite import SqliteJournal
from qlop.model.action import Verb
from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer
from tests import builders as b

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # a simulated cluster in real time, thirty times as fast
    pytest.mark.timeout(120),
]

WORLD = """
base: hospital
guests:
  - {vmid: 100, node: pve1, running: true, config: {name: Web.Example, memory: 1024, cores: 2,
     scsi0: "local-lvm:4", net0: "virtio,bridge=vmbr0", description: "The web.", tags: prod,
     args: "-k de"}}
  - {vmid: 101, node: pve2, kind: lxc, config: {hostname: files, memory: 512,
     rootfs: "local-lvm:4", net0: "name=eth0,bridge=vmbr0,ip=dhcp"}}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimServer]:
    home = simulated.private(tmp_path / "home")
    (tmp_path / "qlop.yaml").touch()
    for name in [name for name in os.environ if name.startswith("QLOP_")]:
        monkeypatch.delenv(name)
    running = SimServer(Cluster(world.load(WORLD), now=time.time()), speed=30, directory=home)
    with running.in_background():
        settings = {
            **simulated.announce(running, home).environment(),
            "QLOP_CONFIG": str(tmp_path / "qlop.yaml"),
            "QLOP_DESIRED_STATE": str(tmp_path / "desired"),
            "QLOP_JOURNAL": str(tmp_path / "journal.sqlite3"),
            "QLOP_WEB_LISTEN": "127.0.0.1:1",
            "QLOP_INTERVAL": "1s",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield running


def qlop(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.outcome(arguments)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def test_guests_are_imported_adopted_changed_and_released(
    server: SimServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desired = tmp_path / "desired"
    guests = server.cluster.world.guests

    code, out, err = qlop(capsys, "import", "--all", "--out", str(desired), "--cluster", "lab")
    assert (code, out) == (0, ""), err
    assert "2 manifests in" in err
    assert "2 fit" in err
    assert {path.name for path in desired.iterdir()} == {
        "cluster.yaml",
        "web-example.yaml",
        "files.yaml",
    }
    code, _, err = qlop(capsys, "import", "--all", "--out", str(desired))
    assert code == 1, "nothing is left to be imported"
    assert "it has a manifest already" in err

    assert qlop(capsys, "validate")[0] == 0
    code, out, _ = qlop(capsys, "plan")
    assert code == 0, out
    code, out, _ = qlop(capsys, "status", "--unmanaged")
    assert "web-example asks for its VMID, and it is not adopted" in out

    code, out, err = qlop(capsys, "adopt", "--all", "--dry-run")
    assert (code, out.count("fits its manifest")) == (0, 2), out + err
    assert "qlop/v1" not in guests[100].config.get("description", "")

    code, out, err = qlop(capsys, "adopt", "--all")
    assert (code, err.splitlines()[-1] + "\n") == (0, "adopted: files, web-example\n"), out
    notes = guests[100].config["description"].split("\n")
    assert notes[0] == "The web."
    assert notes[-1].startswith("qlop/v1 cluster=lab service=web-example index=1 vmid=100")
    assert guests[100].config["tags"] == "prod;qlop"
    assert "tags" not in guests[101].config
    code, out, _ = qlop(capsys, "plan")
    assert (code, out) == (0, "Plan: nothing to do, 2 converged.\n")

    file = desired / "web-example.yaml"
    file.write_text(file.read_text() + "  onBoot: true\n")
    code, out, err = qlop(capsys, "apply")
    assert code == 0, out + err
    assert guests[100].config["onboot"] == "1"
    assert guests[100].config["args"] == "-k de"

    code, out, err = qlop(capsys, "release", "web-example", "--json")
    assert (code, err.splitlines()[-1] + "\n") == (0, "released: web-example\n"), out
    (ended,) = json.loads(out)
    assert (ended["guest"], ended["vmid"], ended["released"]) == ("web-example", 100, True)
    assert guests[100].config["description"].strip() == "The web."
    assert guests[100].config["tags"] == "prod"
    assert guests[100].is_running
    code, out, _ = qlop(capsys, "plan")
    assert code == 0, out


@pytest.mark.usefixtures("server")
def test_what_does_not_fit_is_shown_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desired = tmp_path / "desired"
    qlop(capsys, "import", "--vmid", "100", "--out", str(desired))
    file = desired / "web-example.yaml"
    file.write_text(file.read_text().replace("cores: 2", "cores: 4"))

    code, out, _ = qlop(capsys, "adopt", "web-example")

    assert code == 3
    assert "web-example: VM 100 on pve1 is not adopted" in out
    assert "cores  2 -> 4" in out


def test_who_is_under_way_is_left_out_by_name_and_imported_later(
    server: SimServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", str(tmp_path / "desired"))
    web = server.cluster.world.guests[100]
    web.config["lock"] = "migrate"

    code, _, err = qlop(capsys, "import", "--all", *out)
    assert code == 3, err
    assert "left out: Web.Example (100): PVE holds it locked (migrate)" in err
    assert "1 manifest in" in err
    assert "1 left out" in err

    del web.config["lock"]
    code, _, err = qlop(capsys, "import", "--all", *out)
    assert code == 0, err
    assert {path.name for path in (tmp_path / "desired").iterdir()} == {
        "cluster.yaml",
        "web-example.yaml",
        "files.yaml",
    }


def test_what_qlop_did_a_moment_ago_may_not_be_in_view_and_is_left_out(
    server: SimServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The look shows a guest without a mark, and an adoption ends after it began."""
    at = datetime.now(UTC) + timedelta(minutes=1)
    begun = b.intended(Verb.CONFIGURE, vmid=100, at=at)
    ended = b.finished(Verb.CONFIGURE, at=at)
    journal = SqliteJournal(tmp_path / "journal.sqlite3")
    for record in (begun, ended):
        journal.append(record)
    journal.close()

    code, _, err = qlop(capsys, "import", "--vmid", "100", "--out", str(tmp_path / "desired"))

    assert code == 1
    assert "left out: Web.Example (100): qlop's own configure of it has not been seen" in err
    assert server.cluster.world.guests[100].config["tags"] == "prod"


def test_nothing_is_written_without_quorum(
    server: SimServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.cluster.world.forced_quorum = False

    code, out, err = qlop(capsys, "import", "--all", "--out", str(tmp_path / "desired"))

    assert (code, out) == (1, ""), err
    assert "the node that answered is in no quorate cluster" in err
    assert not (tmp_path / "desired").exists()


def test_nothing_is_imported_from_a_view_that_is_not_whole(
    server: SimServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desired = tmp_path / "desired"
    server.cluster.world.forced_quorum = False

    code, _, err = qlop(capsys, "import", "--all", "--out", str(desired))

    assert code == 1, err
    assert "nothing is written" in err
    assert not desired.exists()
