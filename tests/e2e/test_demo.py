"""The demonstration from beginning to end: real daemon, real client, real HTTPS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # the simulated cluster works in real time, five times as fast
    pytest.mark.timeout(180),
]


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
