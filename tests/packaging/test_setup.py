"""What the tests need is there, or the set-up says how to get it and ends there."""

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "scripts" / "setup"
NEEDED = {
    "git": "git",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine without apt-get that has a Python environment and nothing to do to it."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SETUP, tmp_path / "scripts" / "setup")
    for folder in ("bin", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("dirname", "id", "sh"):
        found = shutil.which(name)
        assert found is not None, name
        (tmp_path / "bin" / name).symlink_to(found)
    program(tmp_path / ".venv" / "bin" / "python")
    return tmp_path


def program(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def set_up(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(machine / "scripts" / "setup"), *arguments],
        env={"PATH": str(machine / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("missing", ["git", "ssh-keygen", "promtool", "systemd-analyze"])
def test_a_program_that_tests_need_is_missed_by_the_name_of_its_package(
    machine: Path, missing: str
) -> None:
    """``sshd`` is looked for in /usr/sbin too, where a machine may have it."""
    for name in NEEDED.keys() - {missing}:
        program(machine / "bin" / name)

    done = set_up(machine, "--test")

    assert done.returncode == 1
    assert done.stderr == (
        "setup: tests need programs that are not there; as root: apt-get install"
        f" {NEEDED[missing]}\n"
    )


def test_all_that_is_missing_is_one_line(machine: Path) -> None:
    program(machine / "bin" / "sshd")

    assert set_up(machine, "--test").stderr.endswith(
        "apt-get install git openssh-client prometheus systemd\n"
    )
