"""Every error is one clear line and the right exit code; never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qlop import __version__
from qlop.cli import main
from qlop.ports import ErrorKind, PortError

GOOD = Path(__file__).parents[2] / "desired-state"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("QLOP_"):
            monkeypatch.delenv(name)
    empty = tmp_path / "qlop.yaml"
    empty.touch()
    monkeypatch.setenv("QLOP_CONFIG", str(empty))
    monkeypatch.setenv("QLOP_WEB_LISTEN", "127.0.0.1:1")


def test_good_manifests_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    code = main.outcome(["validate", str(GOOD)])

    assert code == 0
    assert capsys.readouterr().out == f"valid: 8 services, 10 guests in {GOOD}\n"


def test_bad_manifests_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "desired").mkdir()
    (tmp_path / "desired" / "a.yaml").write_text("kind: Sevice\n")

    code = main.outcome(["validate", str(tmp_path / "desired"), "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == 1
    assert not document["valid"]
    assert any(one["file"] == "a.yaml" for one in document["findings"])


def test_the_directory_to_validate_is_that_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QLOP_DESIRED_STATE", str(tmp_path / "none"))

    assert main.outcome(["validate"]) == 1
    assert "none does not exist" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["plan", "--nix"], 64, "No such option: --nix", id="unknown-option"),
        pytest.param(["plam"], 64, "No such command 'plam'", id="unknown-command"),
        pytest.param(["plan", "--set", "x"], 64, "write SETTING=VALUE", id="bad-override"),
        pytest.param(["plan"], 1, "api.endpoints is missing", id="no-settings"),
        pytest.param(["status"], 1, "api.endpoints is missing", id="no-daemon-no-settings"),
        pytest.param(
            ["history", "--set", "journal=/nowhere/j"],
            1,
            "/nowhere/j: there is no journal",
            id="no-journal",
        ),
        pytest.param(
            ["apply", "--plan", "/nowhere/plan", "--set", "api.endpoints=x"],
            1,
            "api.token_id is missing",
            id="no-token",
        ),
        pytest.param(
            ["sim", "do", "--directory", "/nowhere", "help"],
            1,
            "no simulated cluster left word in /nowhere",
            id="no-simulated-cluster",
        ),
        pytest.param(
            ["demo", "--desired-state", "/nowhere"],
            1,
            "there are no manifests in /nowhere",
            id="no-manifests-for-the-demo",
        ),
    ],
)
def test_an_error_is_said_in_one_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = main.outcome(arguments)

    shown = capsys.readouterr()
    assert found == code
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_without_arguments_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.outcome([]) == 64
    shown = capsys.readouterr()
    assert "Usage: qlop" in shown.out + shown.err
    assert "error:" not in shown.err
    assert main.outcome(["--help"]) == 0


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.outcome(["--version"]) == 0
    assert capsys.readouterr().out == f"qlop {__version__}\n"


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.outcome(["schema"]) == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


@pytest.mark.slow  # starts a Python
@pytest.mark.real
@pytest.mark.timeout(90)
def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qlop", "validate", str(GOOD)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_errors_of_several_tasks_are_each_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup(
        "tasks",
        [
            PortError(ErrorKind.DENIED, "invalid token"),
            ExceptionGroup("more", [FileNotFoundError(2, "No such file", "/x")]),
        ],
    )

    for error in main.leaves(group):
        main.complain_of(error)

    assert capsys.readouterr().err == ("error: invalid token\nerror: /x: No such file\n")


def test_a_bug_is_a_line_that_asks_to_be_reported(capsys: pytest.CaptureFixture[str]) -> None:
    main.report_bug(KeyError, KeyError("x"), None)

    assert capsys.readouterr().err == (
        "error: this is a bug in qlop: KeyError: 'x'\n"
        "  run it again with --debug and report what it prints\n"
    )
