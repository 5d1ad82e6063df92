"""Measure how soon the saving of a manifest is followed by the first mutation sent.

The daemon is a process of its own, as installed; so is the cluster.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import serve, worlds

GUESTS = 30
SAVES = 20
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Seconds from the rename that saves a manifest to PVE's word that it took the action."""

    guests: int
    saves: int
    p50_s: float
    p95_s: float


def measure() -> dict[str, Any]:
    """Return the figures."""
    with serve.serving(GUESTS) as served, _daemon(served) as log:
        seconds = [_save(served.directory, log, number) for number in range(SAVES)]
    ordered = sorted(seconds)
    return asdict(
        Dispatch(
            guests=GUESTS,
            saves=SAVES,
            p50_s=statistics.median(ordered),
            p95_s=ordered[int(0.95 * len(ordered)) - 1],
        )
    )


@contextmanager
def _daemon(served: serve.Served) -> Iterator[Path]:
    root = served.directory / "desired-state"
    for file in worlds.manifests(GUESTS).files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    api = served.api()
    environment = {
        **os.environ,
        "QLOP_API_ENDPOINTS": served.url,
        "QLOP_API_TOKEN_ID": api.token_id,
        "QLOP_API_TOKEN_SECRET": api.token_secret.get_secret_value(),
        "QLOP_API_CA_FILE": str(served.ca_file),
        "QLOP_DESIRED_STATE": str(root),
        "QLOP_JOURNAL": str(served.directory / "journal.sqlite3"),
        "QLOP_WEB_LISTEN": "127.0.0.1:0",
        "QLOP_LOG_FORMAT": "json",
    }
    log = served.directory / "daemon.log"
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "qlop", "run"]
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)  # noqa: S603
        try:
            _await(log, 0, "revision-loaded")
            time.sleep(1.0)
            yield log
        finally:
            process.terminate()
            process.wait()


def _save(directory: Path, log: Path, number: int) -> float:
    """Change the description of one service, and wait until the change is sent."""
    file = directory / "desired-state" / "services" / "0" / f"s{number % 10}.yaml"
    text = file.read_text().replace("description: ", f"description: v{number} ", 1)
    fresh = file.with_name(".new")
    fresh.write_text(text)
    before = log.stat().st_size
    fresh.rename(file)
    saved_at = time.time()
    at = _await(log, before, "action dispatched")
    time.sleep(0.5)
    return at - saved_at


def _await(log: Path, offset: int, event: str) -> float:
    """Return when the first such event after ``offset`` happened, by the daemon's clock."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with log.open("rb") as stream:
            stream.seek(offset)
            for line in stream.read().splitlines():
                if line.startswith(b"{") and f'"{event}"'.encode() in line:
                    return datetime.fromisoformat(json.loads(line)["at"]).timestamp()
        time.sleep(0.02)
    raise RuntimeError(f"no {event!r}; the log ends: {log.read_text()[-2000:]}")
