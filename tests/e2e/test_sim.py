"""The simulated cluster as a program of its own."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qlop.cli import simulated

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # starts a Python
    pytest.mark.timeout(90),
]


def test_it_tells_where_it_is_obeys_and_ends_when_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    program = subprocess.Popen(
        [sys.executable, "-m", "qlop", "sim", "--port", "0", "--json", "--directory", str(home)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    lines = []
    while (line := program.stdout.readline()) != "}\n":
        lines.append(line)
    told = json.loads("".join([*lines, "}"]))

    answer = simulated.do(simulated.find(home), ["node pve2 daemon down"])
    program.send_signal(signal.SIGTERM)

    assert answer == "node pve2: daemon down"
    assert len(told["endpoints"]) == 3
    assert program.wait(60) == 0
    assert not (home / "sim.json").exists()
    program.stdout.close()
