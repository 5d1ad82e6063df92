"""A small simulated cluster over real HTTPS, and the real daemon as a process of its own."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from typing_extensions import override

from qlop.cli import main, simulated
from qlop.journal import sqlite
from qlop.model.guest import GuestKind
from qlop.model.history import JournalRecord
from qlop.model.ids import ClusterName, ServiceName, VmId
from qlop.model.owner import OwnerMark, derived_uuid, signed_description
from qlop.ports import PortError
from qlop.sim.call import Call
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer
from qlop.sim.wire import SimRequest, SimResponse
from qlop.sim.world import ClusterSpec, GuestSpec, Timing, hospital

ROOT = Path(__file__).parents[2]
CLUSTER = ClusterName("hospital")
SECRET = "11111111-2222-3333-4444-555555555555"
"""The API token's secret: it may be in no log, page, journal or plan."""

LATE_S = 3600.0
PATIENCE_S = 60.0
"""A limit is for what hangs: a busy machine takes many times as long as an idle one."""
POLL_S = 0.03

PREAMBLE = """\
apiVersion: qlop/v1
kind: Cluster
metadata: {name: hospital}
spec:
  nodes: [pve1, pve2, pve3]
  vmidRange: 10000-10099
  interval: 1s
  policy: {prune: PRUNE, backoff: {first: 1s, max: 5s}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A mutation that the cluster carried out, or began to."""

    route: str
    path: str
    params: str
    upid: str


class Recorded(Cluster):
    """A simulated cluster that writes down what it was made to do."""

    def __init__(self, spec: ClusterSpec, *, now: float) -> None:
        super().__init__(spec, seed=1, now=now)
        self.changes: list[Change] = []
        self.is_late: Callable[[SimRequest], bool] = lambda _: False
        """Which answers come an hour late; what they ask is done at once all the same."""

    @override
    def handle(self, request: SimRequest, now: float) -> SimResponse:
        is_late = self.is_late(request)
        response = super().handle(request, now)
        return replace(response, delay_s=LATE_S) if is_late else response

    @override
    def daemon_of(self, request: SimRequest) -> str:
        """Return whose worker answers: what is late is lost on its way, and holds none."""
        return "" if self.is_late(request) else super().daemon_of(request)

    @override
    def _run(self, call: Call, request: SimRequest) -> SimResponse:
        response = super()._run(call, request)
        if request.method != "GET":
            self.changes.append(
                Change(
                    route=f"{request.method} {call.route.template}",
                    path=request.path,
                    params=str(sorted(request.params.items())),
                    upid=response.data if isinstance(response.data, str) else "",
                )
            )
        return response

    def routes(self) -> list[str]:
        """Return what was done, each with the guest it was done to, in a stable order."""
        return sorted(f"{one.route.partition(' ')[0]} {one.path}" for one in self.changes)

    def files(self) -> dict[int, tuple[str, str, bool]]:
        """Return every guest: node, configuration file, whether it runs."""
        guests = list(self.world.guests.values())
        return {guest.vmid: (guest.node, guest.text(), guest.is_running) for guest in guests}


def spec(*guests: GuestSpec, timing: Timing | None = None) -> ClusterSpec:
    """Return the hospital's cluster with more guests in it, and tasks that are quick."""
    base = hospital()
    return ClusterSpec(
        name="hospital",
        nodes=base.nodes,
        storages=base.storages,
        volumes=base.volumes,
        guests=(*base.guests, *guests),
        users=base.users,
        timing=timing or Timing(copy_s_per_gib=0.5, guest_shutdown_s=0.5, boot_s=0.5),
    )


def owned(service: str, vmid: int, **config: str) -> GuestSpec:
    """Return a stopped VM of ours on shared storage, as qlop would have made it."""
    place = (CLUSTER, ServiceName(service), 1, VmId(vmid))
    uuid = derived_uuid(*place)
    mark = OwnerMark(
        cluster=CLUSTER,
        service=ServiceName(service),
        index=1,
        vmid=VmId(vmid),
        witness=f"uuid:{uuid}",
    )
    given = {
        "name": service,
        "memory": "512",
        "scsihw": "virtio-scsi-single",
        "scsi0": "nas:1,format=qcow2",
        "smbios1": f"uuid={uuid}",
        "tags": "qlop",
        "description": signed_description("", mark),
    }
    return GuestSpec(vmid=vmid, node="pve1", config={**given, **config})


def service(name: str, kind: GuestKind = GuestKind.VM, **spec_of: str) -> str:
    """Return the manifest of a service whose guest stays stopped, unless it is said."""
    if kind is GuestKind.VM:
        given = {
            "type": "vm",
            "source": "{empty: true}",
            "disks": "[{slot: scsi0, storage: nas, format: qcow2, size: 1GiB}]",
        }
    else:
        given = {
            "type": "container",
            "source": "{archive: 'local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst'}",
            "rootfs": "{storage: local-lvm, size: 1GiB}",
        }
    said = {"memory": "512MiB", "power": "stopped", **given, **spec_of}
    lines = [f"  {key}: {value}" for key, value in said.items() if value]
    head = f"---\napiVersion: qlop/v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n"
    return head + "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(slots=True)
class Site:
    """A served cluster, and a place with manifests and a journal to run qlop from."""

    server: SimServer
    cluster: Recorded
    home: Path
    environment: dict[str, str]

    @staticmethod
    def now() -> float:
        """Return an instant at which a cluster may begin, to be well under way by now."""
        return time.time() - 20

    @property
    def journal(self) -> Path:
        return self.home / "state" / "journal.sqlite3"

    @property
    def desired(self) -> Path:
        return self.home / "desired"

    def declare(self, *services: str, prune: str = "never") -> None:
        """Write the manifests, as an editor does: a new file in the place of the old."""
        text = PREAMBLE.replace("PRUNE", prune) + "".join(services)
        self.desired.mkdir(exist_ok=True)
        draft = self.home / "all.yaml.new"
        draft.write_text(text)
        draft.replace(self.desired / "all.yaml")

    def records(self) -> list[JournalRecord]:
        """Return what the journal says at this moment."""
        try:
            return list(sqlite.read(self.journal))
        except PortError:
            return []

    def qlop(self, *arguments: str, **given: str) -> Done:
        """Run a command to its end, with other settings where they are ``given``."""
        return run({**self.environment, **given}, *arguments)

    def do(self, command: str) -> None:
        """Do something to the cluster by hand."""
        self.server.do(command)

    def running_tasks(self) -> list[str]:
        """Return the workers that the cluster is busy with."""
        return [
            task.upid for task in list(self.cluster.world.tasks.values()) if task.end_at is None
        ]


@contextlib.contextmanager
def site(home: Path, of: ClusterSpec, *, speed: float = 1.0, **given: str) -> Iterator[Site]:
    """Serve a cluster while the block runs; ``given`` adds settings, by variable."""
    secrets = simulated.private(home / "sim")
    (home / "qlop.yaml").touch()
    cluster = Recorded(of, now=Site.now())
    cluster.advance(time.time())
    server = SimServer(cluster, speed=speed, directory=secrets)
    with server.in_background():
        settings = {
            **simulated.announce(server, secrets).environment(),
            "QLOP_CONFIG": str(home / "qlop.yaml"),
            "QLOP_DESIRED_STATE": str(home / "desired"),
            "QLOP_JOURNAL": str(home / "state" / "journal.sqlite3"),
            "QLOP_LOG_LEVEL": "debug",
            "QLOP_LOG_FORMAT": "json",
            **given,
        }
        yield Site(server, cluster, home, settings)


def run(settings: Mapping[str, str], *arguments: str) -> Done:
    """Run a command of qlop to its end, whatever that is; it never shows a traceback.

    It runs in this process: starting another one takes most of a second.
    """
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("QLOP_")]:
            patch.delenv(name)
        for name, text in {"QLOP_WEB_LISTEN": "127.0.0.1:1", **settings}.items():
            patch.setenv(name, text)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = main.outcome(arguments)
    done = Done(returncode=code, stdout=said.getvalue(), stderr=complained.getvalue())
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that has these settings of qlop and no others."""
    others = {name: text for name, text in os.environ.items() if not name.startswith("QLOP_")}
    return {**others, "PYTHONPATH": str(ROOT), **settings}


@dataclass(slots=True)
class Daemon:
    """``qlop run`` as a process, its log, and its pages."""

    process: subprocess.Popen[bytes]
    port: int
    lines: list[bytes] = field(default_factory=list)

    def log(self) -> str:
        """Return what it has said so far."""
        return b"".join(self.lines).decode(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one of its pages; status 0 if it does not answer."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def answers(self) -> bool:
        """Return whether its pages are there."""
        return self.get("/healthz")[0] != 0

    def metric(self, name: str) -> float:
        """Return the value of a metric, labels and all; -1 if it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return -1.0

    def is_converged(self) -> bool:
        """Return whether its last cycle found all guests as wanted."""
        status, body = self.get("/status")
        if status != 200:
            return False
        found = json.loads(body)
        settled = all(guest["inflight"] is None for guest in found["guests"])
        return found["ready"] == len(found["guests"]) and settled and not found["stalled"]

    def reload(self) -> None:
        """Ask it to read its manifests again."""
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it without a word to it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def terminate(self) -> float:
        """Ask it to end; return how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.log()
        return time.monotonic() - began


@contextlib.contextmanager
def daemon(place: Site | Mapping[str, str], **given: str) -> Iterator[Daemon]:
    """Run the daemon while the block runs; kill it at the end if it is still there."""
    port = free_port()
    settings = place.environment if isinstance(place, Site) else place
    environment = clean_environment({**settings, "QLOP_WEB_LISTEN": f"127.0.0.1:{port}", **given})
    with subprocess.Popen(
        [sys.executable, "-m", "qlop", "run"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        running = Daemon(process, port)
        reader = threading.Thread(target=_read, args=(process, running.lines), daemon=True)
        reader.start()
        try:
            yield running
        finally:
            process.kill()
            process.wait(10)
            reader.join(5)
    assert SECRET not in running.log()
    assert "Traceback" not in running.log(), running.log()[-4000:]


def _read(process: subprocess.Popen[bytes], lines: list[bytes]) -> None:
    assert process.stdout is not None
    lines.extend(iter(process.stdout.readline, b""))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(
    what: Callable[[], object],
    *,
    within_s: float = PATIENCE_S,
    why: Callable[[], object] = str,
) -> None:
    """Wait for something to be true.

    Raises:
        AssertionError: if it is not in time.
    """
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"it did not come in {within_s:.0f} s: {why()}"
        elapse(POLL_S)


def elapse(seconds: float) -> None:
    """Let real time pass: a process of its own is at work."""
    time.sleep(seconds)  # noqa: TID251 - no virtual time reaches another process
