"""The demonstration from beginning to end: real daemon, real client, real HTTPS."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # the simulated cluster works in real time, five times as fast
    pytest.mark.timeout(180),
]


PATIENCE_S = 60.0


def daemons(home: Path) -> list[str]:
    """Return the processes that run with the settings of a demonstration."""
    found = subprocess.run(
        ["pgrep", "-f", f"qlop run --config {home}"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def demonstrated(tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("QLOP_")},
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    return subprocess.run(
        [sys.executable, "-m", "qlop", "demo", "--once", "--port", "0", "--speed", "5", *more],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def test_from_nothing_to_all_guests_as_wanted(tmp_path: Path) -> None:
    home = tmp_path / "home"

    done = demonstrated(tmp_path, "--directory", str(home))

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "converged: 10/10 guests"
    assert any("action-started" in line for line in lines)
    assert (home / "journal.sqlite3").exists()
    assert "Traceback" not in (home / "daemon.log").read_text()


def test_ended_by_a_signal_it_leaves_no_daemon_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    demo = subprocess.Popen(
        [sys.executable, "-m", "qlop", "demo", "--port", "0", "--directory", str(home)],
        cwd=ROOT,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until_s = time.monotonic() + PATIENCE_S
    while not (started := daemons(home)) and time.monotonic() < until_s:
        threading.Event().wait(0.1)

    demo.terminate()

    assert started
    assert demo.wait(PATIENCE_S) == 0
    assert daemons(home) == []
