"""Serve a simulated cluster from a process of its own, so that its cost is not ours."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import worlds
from qlop.settings import ApiSettings
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer
from qlop.sim.world import DEFAULT_TOKEN, ClusterSpec

STARTUP_S = 300.0
"""Building 10,000 guests takes a while; nobody measures it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A cluster that is being served, and where."""

    url: str
    ca_file: Path
    directory: Path

    def api(self) -> ApiSettings:
        """Return how to reach it."""
        token_id, _, secret = DEFAULT_TOKEN.partition("=")
        return ApiSettings.model_validate(
            {
                "endpoints": [self.url],
                "token_id": token_id,
                "token_secret": secret,
                "ca_file": self.ca_file,
            }
        )


@contextmanager
def serving(guests: int) -> Iterator[Served]:
    """Serve the cluster in which ``worlds.desired(guests)`` is true, in another process."""
    with _serving("serve", str(guests)) as served:
        yield served


@contextmanager
def fleet(nodes: int, guests: int) -> Iterator[Served]:
    """Serve a cluster of a given size, in another process."""
    with _serving("fleet", str(nodes), str(guests)) as served:
        yield served


@contextmanager
def _serving(*arguments: str) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="qlop-bench-") as name:
        directory = Path(name)
        command = [sys.executable, "-m", "bench", *arguments, name]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # noqa: S603 - ours
            try:
                yield _announced(directory, process)
            finally:
                process.kill()


def serve(guests: int, directory: Path) -> None:
    """Serve the cluster in which all is as wanted, until standard input ends."""
    serve_spec(worlds.converged_spec(guests), directory)


def serve_spec(spec: ClusterSpec, directory: Path) -> None:
    """Serve a cluster until standard input ends."""
    cluster = Cluster(spec, now=time.time() - 60)
    cluster.advance(time.time())
    server = SimServer(cluster, directory=directory)
    with server.in_background():
        ready = directory / "ready.new"
        ready.write_text(json.dumps({"url": server.url, "ca_file": str(server.ca_file)}))
        ready.rename(directory / "ready.json")
        sys.stdin.read()


def _announced(directory: Path, process: subprocess.Popen[bytes]) -> Served:
    deadline = time.monotonic() + STARTUP_S
    ready = directory / "ready.json"
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the simulated cluster did not come up")
        time.sleep(0.05)
    said = json.loads(ready.read_text())
    return Served(url=said["url"], ca_file=Path(said["ca_file"]), directory=directory)
