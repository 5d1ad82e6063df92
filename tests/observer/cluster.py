"""A cluster of rows and files that counts what it is asked, to be observed."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from qlop.model.guest import GuestKind
from qlop.model.ids import ClusterName, NodeName, ServiceName, VmId
from qlop.model.observed import Observed
from qlop.model.owner import OwnerMark, mark_text
from qlop.observer.observer import Interest, Observer, ObserverOptions
from qlop.ports import ErrorKind, Json, PortError, PveApi, PveCall, RemoteShell
from qlop.pve.upid import UpidParts, format_upid

EPOCH = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
LAB = ClusterName("lab")
WEB = ServiceName("web")
NOTHING = Interest(cluster=LAB, snapshots_of=frozenset())
SNAPSHOTS = Interest(cluster=LAB, snapshots_of=frozenset({WEB}))
IDLE = [
    "/cluster/log",
    "/cluster/resources",
    "/cluster/status",
    "/cluster/tasks",
]


class VirtualClock:
    """The loop's time as wall time."""

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


@dataclass(slots=True)
class Guest:
    """A guest: its row, its file, what its node says."""

    row: dict[str, Json]
    config: dict[str, Json]
    pending: list[Json] = field(default_factory=list)
    snapshots: list[Json] = field(default_factory=list)
    version: int = 1
    says: dict[str, Json] | None = None


class Cluster(PveApi):
    """Answers reads; ``broken`` routes fail, ``before`` may interfere with a call."""

    def __init__(self, guests: int = 3) -> None:
        self.online = {"pve1": True, "pve2": True}
        self.quorate: Json = 1
        self.guests = {VmId(100 + n): self._guest(100 + n) for n in range(guests)}
        self.tasks: list[Json] = []
        self.log: list[Json] = []
        self.permissions: dict[str, Json] = {"/vms": {"VM.Audit": 1}}
        self.version = "9.1.5"
        self.broken: dict[str, PortError] = {}
        self.before: Callable[[PveCall], None] = lambda _: None
        self.read_s = 0.0
        self.hung = ""
        """A node that answers nothing about its guests."""
        self.asked: list[PveCall] = []
        self.vmlist_version = 1
        self.instance = 7

    def _guest(self, vmid: int) -> Guest:
        node = "pve1" if vmid % 2 == 0 else "pve2"
        mark = OwnerMark(
            cluster=LAB, service=WEB, index=vmid, vmid=VmId(vmid), witness=f"uuid:{vmid}"
        )
        row: dict[str, Json] = {
            "id": f"qemu/{vmid}",
            "type": "qemu",
            "vmid": vmid,
            "node": node,
            "name": f"web-{vmid}",
            "status": "running",
            "template": 0,
            "maxmem": 2**30,
            "maxcpu": 1,
            "cpu": 0.1,
        }
        config: dict[str, Json] = {
            "digest": f"{vmid}.1",
            "name": f"web-{vmid}",
            "memory": "1024",
            "smbios1": f"uuid={vmid}",
            "description": mark_text(mark),
        }
        return Guest(row, config)

    def edit(self, vmid: int, **change: Json) -> None:
        """Write a guest's file; nothing but the file shows it."""
        guest = self.guests[VmId(vmid)]
        guest.version += 1
        self.vmlist_version += 1
        guest.config |= change | {"digest": f"{vmid}.{guest.version}"}

    def end_task(self, verb: str, vmid: int, status: str | None = "OK") -> None:
        """Put a task into the list, ended unless ``status`` is None."""
        upid = format_upid(
            UpidParts(
                node=NodeName("pve1"),
                pid=len(self.tasks) + 1,
                pstart=1,
                started_at=EPOCH,
                verb=verb,
                subject=str(vmid),
                user="root@pam",
            )
        )
        row: dict[str, Json] = {"upid": upid}
        if status is not None:
            row |= {"status": status, "endtime": 1}
        self.tasks.insert(0, row)

    def write_log(self, message: str) -> None:
        number = len(self.log) + 1
        line: Json = {"uid": str(number), "node": "pve1", "time": number, "msg": message}
        self.log.insert(0, line)

    @override
    async def call(self, call: PveCall) -> Json:
        self.asked.append(call)
        self.before(call)
        if call.route in self.broken:
            raise self.broken[call.route]
        match call.route:
            case "/cluster/resources":
                return self._resources()
            case "/cluster/status":
                return self._status()
            case "/cluster/tasks":
                return list(self.tasks)
            case "/cluster/log":
                return list(self.log)
            case "/access/permissions":
                return self.permissions
            case "/version":
                return {"version": self.version, "release": "9.1", "repoid": "x"}
            case _:
                pass
        if call.at["node"] == self.hung:
            await asyncio.sleep(3600)
        answer = self._of_guest(call)
        if self.read_s:
            await asyncio.sleep(self.read_s)
        return answer

    def _resources(self) -> Json:
        nodes: list[Json] = [
            {
                "type": "node",
                "node": name,
                "status": "online" if online else "offline",
                "maxmem": 2**36,
                "maxcpu": 8,
            }
            for name, online in self.online.items()
        ]
        storage: Json = {
            "type": "storage",
            "storage": "nas",
            "node": "pve1",
            "shared": 1,
            "status": "available",
            "content": "images,rootdir",
            "plugintype": "nfs",
            "maxdisk": 2**40,
            "disk": 2**30,
        }
        return [*(dict(guest.row) for guest in self.guests.values()), *nodes, storage]

    def _status(self) -> Json:
        cluster: Json = {"type": "cluster", "name": "lab", "quorate": self.quorate}
        nodes: list[Json] = [
            {"type": "node", "name": name, "online": int(online)}
            for name, online in self.online.items()
        ]
        return [cluster, *nodes]

    def _of_guest(self, call: PveCall) -> Json:
        guest = self.guests.get(VmId(int(call.at["vmid"])))
        if guest is None or guest.row["node"] != call.at["node"]:
            raise PortError(ErrorKind.NOT_FOUND, "Configuration file does not exist", status=500)
        match call.route.rpartition("/")[2]:
            case "config":
                return dict(guest.config)
            case "pending":
                return list(guest.pending)
            case "snapshot":
                return [*guest.snapshots, {"name": "current"}]
            case _:
                return guest.says or {"status": guest.row["status"]}

    def counted(self) -> dict[str, int]:
        """Return how often each path was asked since the last time, and forget it."""
        found = Counter(call.path for call in self.asked)
        self.asked.clear()
        return dict(sorted(found.items()))


class Shell(RemoteShell):
    """Prints the two files as a node would; fails while ``error`` is set."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.error: PortError | None = None

    @override
    async def run(self, command: str, *, timeout_s: float) -> str:
        del command, timeout_s
        if self.error is not None:
            raise self.error
        ids = ",\n".join(
            f'"{vmid}": {{ "node": "{guest.row["node"]}", "type": "qemu",'
            f' "version": {guest.version} }}'
            for vmid, guest in self.cluster.guests.items()
        )
        version = self.cluster.vmlist_version
        return (
            f'{{\n"starttime": {self.cluster.instance},\n"vmlist": {version},\n'
            f'"kvstore": {{\n"pve1": {{"a": 1}}}}\n}}\n'
            f'{{\n"version": {version},\n"ids": {{\n{ids}}}\n\n}}\n'
        )


def observer(
    cluster: Cluster, *, shell: RemoteShell | None = None, options: ObserverOptions | None = None
) -> Observer:
    return Observer(cluster, VirtualClock(), shell=shell, options=options)


async def settled(
    cluster: Cluster, interest: Interest = NOTHING, *, shell: RemoteShell | None = None
) -> tuple[Observer, Observed]:
    """Return an observer that has seen everything once, and what it saw."""
    eyes = observer(cluster, shell=shell)
    seen = await eyes.observe(interest)
    cluster.counted()
    return eyes, seen


def path(vmid: int, what: str, kind: GuestKind = GuestKind.VM) -> str:
    node = "pve1" if vmid % 2 == 0 else "pve2"
    return f"/nodes/{node}/{kind.value}/{vmid}/{what}"
