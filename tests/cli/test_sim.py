"""The simulated cluster as a command: found, spoken with, and kept private."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlop.cli import main, simulated
from qlop.cli.simulated import SimulatedError
from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "home"
    server = SimServer(
        Cluster(world.hospital(), now=1_800_000_000.0),
        directory=simulated.private(directory),
    )
    with server.in_background():
        simulated.announce(server, directory)
        yield directory


def test_a_command_is_carried_out_by_the_running_cluster(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.outcome(["sim", "do", "--directory", str(home), "node", "pve3", "daemon", "down"])

    assert (code, capsys.readouterr().out) == (0, "node pve3: daemon down\n")


def test_a_command_that_is_none_is_refused_with_those_that_are(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.outcome(["sim", "do", "--directory", str(home), "nix"])

    assert code == 1
    assert "unknown command 'nix'; there are: guest, node" in capsys.readouterr().err


def test_a_node_that_is_down_does_not_keep_from_bringing_it_back(home: Path) -> None:
    where = simulated.find(home)
    simulated.do(where, ["node pve1 down"])

    assert simulated.do(where, ["node", "pve1", "up"]) == "node pve1: power up"


def test_where_it_is_is_told_as_settings(home: Path) -> None:
    environment = simulated.find(home).environment()

    assert environment["QLOP_API_TOKEN_ID"] == "root@pam!qlop"
    assert len(environment["QLOP_API_ENDPOINTS"].split()) == 3
    assert Path(environment["QLOP_API_TOKEN_SECRET_FILE"]).stat().st_mode & 0o077 == 0


def test_when_it_is_gone_there_is_none(home: Path) -> None:
    where = simulated.find(home)
    simulated.forget(home)

    with pytest.raises(SimulatedError, match="no simulated cluster left word"):
        simulated.find(home)
    simulated.do(where, ["help"])


def test_a_directory_that_others_may_enter_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with pytest.raises(SimulatedError, match="is not yours alone"):
        simulated.private(tmp_path)


def test_one_that_does_not_answer_is_said_to_be_gone(tmp_path: Path) -> None:
    server = SimServer(Cluster(world.hospital(), now=1.8e9), directory=tmp_path)
    with server.in_background():
        where = simulated.announce(server, tmp_path)

    with pytest.raises(SimulatedError, match="does not answer"):
        simulated.do(where, ["help"])
    assert json.loads((tmp_path / "sim.json").read_text())["endpoints"]
