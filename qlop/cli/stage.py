"""Set the stage of the demonstration: a simulated cluster, manifests, and a real daemon."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from qlop.cli import simulated
from qlop.cli.simulated import Whereabouts
from qlop.settings import DEFAULT_LISTEN_PORT, Address, WebSettings
from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer

DEMO_INTERVAL = "5s"
"""Shorter than the manifests say: who watches should not wait for half a minute."""
SETTINGS_FILE = "qlop.yaml"
"""In the folder of the demonstration: with it every command speaks to its daemon."""
STOP_S = 12.0
"""The daemon ends in under ten seconds; after this it is killed."""


class StageError(Exception):
    """The demonstration can't be set up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is there while the demonstration lasts."""

    home: Path
    manifests: Path
    web: WebSettings
    daemon: subprocess.Popen[bytes]
    log: Path

    @property
    def settings(self) -> Path:
        """Return the settings that the daemon runs with."""
        return self.home / SETTINGS_FILE

    @property
    def page(self) -> str:
        """Return the address of the daemon's page."""
        return f"http://{self.web.listen.authority}/"

    def last_words(self) -> str:
        """Return the end of the daemon's log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-12:])


@contextmanager
def set_up(
    *, manifests: Path, home: Path | None, port: int, speed: float, keep: bool
) -> Iterator[Stage]:
    """Give a stage, and clear it away afterwards: all of it, unless ``keep``.

    Raises:
        StageError: if the manifests are not there or the port is taken.
    """
    if not manifests.is_dir():
        raise StageError(f"there are no manifests in {manifests.absolute()} (--desired-state)")
    place = home or Path(tempfile.mkdtemp(prefix="qlop-demo-"))
    simulated.private(place)
    try:
        copied = place / "desired-state"
        if not copied.exists():
            shutil.copytree(manifests, copied)
        server = SimServer(
            Cluster(world.hospital(), now=time.time()), speed=speed, directory=place
        )
        with server.in_background(), _announced(server, place) as where:
            listen = Address(host="127.0.0.1", port=_free_port(port))
            with _daemon(place, copied, listen, where) as daemon:
                yield Stage(
                    home=place,
                    manifests=copied,
                    web=WebSettings(listen=listen),
                    daemon=daemon,
                    log=place / "daemon.log",
                )
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _announced(server: SimServer, place: Path) -> Iterator[Whereabouts]:
    """Leave word of the cluster, in its own place and where ``qlop sim do`` looks."""
    usual = simulated.private(simulated.default_directory())
    where = simulated.announce(server, place)
    simulated.announce(server, usual)
    try:
        yield where
    finally:
        simulated.forget(usual)


@contextmanager
def _daemon(
    place: Path, manifests: Path, listen: Address, where: Whereabouts
) -> Iterator[subprocess.Popen[bytes]]:
    config = place / SETTINGS_FILE
    settings = {
        **where.settings(),
        "desired_state": str(manifests),
        "journal": str(place / "journal.sqlite3"),
        "web": {"listen": listen.authority},
        "interval": DEMO_INTERVAL,
        "log": {"format": "json"},
    }
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QLOP_")}
    with (place / "daemon.log").open("ab") as log:
        # A session of its own: Ctrl-C is for the view, which then ends the daemon in peace.
        process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-m", "qlop", "run", "--config", str(config)],
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port(wanted: int) -> int:
    """Return ``wanted`` if it is free; any free one for 0, or if the usual one is taken.

    Raises:
        StageError: if another one than the usual was wanted and is taken.
    """
    for candidate in (wanted, 0) if wanted == DEFAULT_LISTEN_PORT else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StageError(f"port {wanted} is taken (--port)")
