"""Drive a simulated cluster in a test: call it, await its tasks, let time pass."""

from dataclasses import replace
from typing import Any

from qlop.sim import script, world
from qlop.sim.cluster import Cluster
from qlop.sim.inprocess import LOCK_POLL_S
from qlop.sim.wire import SimRequest, SimResponse
from qlop.sim.world import ClusterSpec

START = 1_800_000_000.0
AUTHORIZATION = f"PVEAPIToken={world.DEFAULT_TOKEN}"


class Lab:
    """A cluster and the time in it."""

    def __init__(self, spec: ClusterSpec | None = None, *, seed: int = 1) -> None:
        self.cluster = Cluster(spec or world.hospital(), seed=seed, now=START)
        self.now = START

    def call(
        self, method: str, path: str, /, *, as_: str = AUTHORIZATION, **form: Any
    ) -> SimResponse:
        """Call the API; names of parameters that Python can't have are given by ``**{}``."""
        params = {name: str(value) for name, value in form.items()}
        request = SimRequest(method=method, path=path, params=params, authorization=as_)
        response = self.cluster.handle(request, self.now)
        waited_s = 0.0
        while response.blocked:
            waited_s += LOCK_POLL_S
            self.now += LOCK_POLL_S
            response = self.cluster.handle(replace(request, waited_s=waited_s), self.now)
        return response

    def get(self, path: str, /, **query: Any) -> Any:
        """Return the ``data`` of a call that must succeed."""
        response = self.call("GET", path, **query)
        assert response.status == 200, f"{path}: {response.status} {response.reason}"
        return response.value()

    def must(self, method: str, path: str, /, **form: Any) -> Any:
        """Return the ``data`` of a call of any method that must succeed."""
        response = self.call(method, path, **form)
        assert response.status == 200, f"{path}: {response.reason} {response.errors}"
        return response.value()

    def do(self, method: str, path: str, /, **form: Any) -> str:
        """Make a call that starts a task, await it, and return its exit status."""
        response = self.call(method, path, **form)
        assert response.status == 200, f"{path}: {response.reason} {response.errors}"
        return self.exit_of(str(response.value()))

    def exit_of(self, upid: str) -> str:
        """Await a task and return its exit status."""
        node = upid.split(":")[1]
        for _ in range(5000):
            status = self.get(f"/nodes/{node}/tasks/{upid}/status")
            if status["status"] == "stopped":
                return str(status["exitstatus"])
            self.later(0.5)
        raise AssertionError(f"{upid} has not ended")

    def log_of(self, upid: str) -> list[str]:
        """Return a task's log lines."""
        node = upid.split(":")[1]
        rows = self.get(f"/nodes/{node}/tasks/{upid}/log", limit=500)
        return [row["t"] for row in rows]

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.cluster.advance(self.now)

    def by_hand(self, command: str) -> str:
        """Carry out a script command."""
        return script.do(self.cluster, command, self.now)

    def clone(self, newid: int = 101, *, node: str = "pve1", **form: Any) -> str:
        """Clone the node's own template and return the new guest's path."""
        template = {"pve1": 9001, "pve2": 9002, "pve3": 9003}[node]
        path = f"/nodes/{node}/qemu/{template}/clone"
        assert self.do("POST", path, newid=newid, **form) == "OK"
        return f"/nodes/{node}/qemu/{newid}"

    def listed(self, vmid: int) -> dict[str, Any]:
        """Return a guest's row of the resource list."""
        rows = self.get("/cluster/resources", type="vm")
        return next((row for row in rows if row["vmid"] == vmid), {})
