"""The systemd unit, judged by systemd itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "qlop.service"
EXPOSURE_MAX = 25
"""In tenths: systemd's own scale goes from 0 to 10."""

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # systemd-analyze takes its time
]


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("systemd-analyze"), "this needs it: apt-get install systemd"
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


def test_the_unit_exposes_little() -> None:
    done = analyzed(
        "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}", str(UNIT)
    )

    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overall exposure level" in done.stdout


def test_the_unit_has_no_mistake(tmp_path: Path) -> None:
    program = tmp_path / "qlop"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / "qlop.service"
    copy.write_text(UNIT.read_text().replace("/opt/qlop/bin/qlop", str(program)))

    done = analyzed("verify", "--man=no", str(copy))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_mistake_in_a_unit_is_seen(tmp_path: Path) -> None:
    copy = tmp_path / "qlop.service"
    copy.write_text(UNIT.read_text().replace("WatchdogSec=5min", "WatchdogSeconds=5min"))

    done = analyzed("verify", "--man=no", str(copy))

    assert "WatchdogSeconds" in done.stderr
