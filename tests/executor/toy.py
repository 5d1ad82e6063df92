"""A toy cluster: guests, tasks that take time, and a log of every mutation it got.

It knows as much of PVE as the executor needs to be tested on its own; the simulator
knows the rest.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, VmId
from qlop.ports import ErrorKind, Json, Method, PortError, PveCall, port_error

EPOCH = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


class VirtualClock:
    """The loop's time as wall time."""

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Killed(BaseException):
    """The process is no more: not even an ``except Exception`` sees it."""


@dataclass(slots=True)
class ToyGuest:
    vmid: VmId
    kind: GuestKind
    node: NodeName
    config: dict[str, Json]
    running: bool = False
    since_s: float = -1000.0
    snapshots: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ToyTask:
    upid: str
    verb: str
    vmid: VmId
    ends_s: float
    effect: Callable[[], object]
    exit_status: str = "OK"
    done: bool = False
    seen: bool = False


Hook = Callable[[PveCall], None]
"""Sees a call before it is answered, and may raise."""


class ToyCluster:
    """A ``PveApi`` in virtual time.

    ``task_s`` is how long tasks take, those in ``slow`` excepted; ``exit_status`` how
    those begun from now on end; ``answer_s`` how long a mutation waits for its answer,
    ``lag_s`` how long after a task's end its effect can be seen.
    ``before`` runs before a call has any effect, ``after`` when it has had it.
    """

    def __init__(self) -> None:
        self.guests: dict[VmId, ToyGuest] = {}
        self.tasks: dict[str, ToyTask] = {}
        self.task_log: list[str] = []
        self.backups: list[Json] = []
        self.mutations: list[PveCall] = []
        self.reads: list[tuple[float, PveCall]] = []
        self.task_s = 5.0
        self.answer_s = 0.0
        self.slow: dict[str, float] = {}
        self.lag_s = 0.0
        self.task_prefix = ""
        self.exit_status = "OK"
        self.before: Hook = lambda _call: None
        self.after: Hook = lambda _call: None

    async def call(self, call: PveCall) -> Json:
        await asyncio.sleep(0.005)
        self._advance()
        self.before(call)
        if not call.is_mutation:
            self.reads.append((now_s(), call))
            answer = self._read(call)
        else:
            self.mutations.append(call)
            answer = self._mutate(call)
            await asyncio.sleep(self.answer_s)
        self.after(call)
        return answer

    def _advance(self) -> None:
        for task in self.tasks.values():
            task.done = task.ends_s <= now_s()
            if not task.seen and task.ends_s + self.lag_s <= now_s():
                task.seen = True
                if task.exit_status.startswith(("OK", "WARN")):
                    task.effect()

    def _read(self, call: PveCall) -> Json:
        match call.route.rpartition("/")[2]:
            case "resources":
                return [
                    {"type": guest.kind.value, "vmid": vmid, "node": guest.node}
                    for vmid, guest in self.guests.items()
                ]
            case "status":
                return self._task_status(call)
            case "log":
                return [{"n": n, "t": line} for n, line in enumerate(self.task_log, 1)]
            case "config":
                return dict(self._guest(call).config)
            case "current":
                return self._status(self._guest(call))
            case "snapshot":
                names = [*sorted(self._guest(call).snapshots), "current"]
                return [{"name": name} for name in names]
            case "content":
                return list(self.backups)
            case other:
                raise AssertionError(f"the toy cluster has no {other}")

    def _task_status(self, call: PveCall) -> Json:
        task = self.tasks.get(str(call.at["upid"]))
        if task is None:
            raise port_error(
                call,
                status=400,
                reason="Parameter verification failed.",
                fields={"upid": "no such task"},
            )
        if not task.done:
            return {"status": "running"}
        return {"status": "stopped", "exitstatus": task.exit_status}

    def _status(self, guest: ToyGuest) -> Json:
        if not guest.running:
            return {"status": "stopped", "qmpstatus": "stopped", "uptime": 0}
        uptime = int(now_s() - guest.since_s)
        still = guest.config.get("toy-paused") == "1"
        state = "paused" if still else "running"
        return {"status": "running", "qmpstatus": state, "uptime": uptime}

    def _guest(self, call: PveCall) -> ToyGuest:
        guest = self.guests.get(VmId(int(call.at["vmid"])))
        if guest is None or guest.node != call.at["node"]:
            reason = f"Configuration file 'nodes/{call.at['node']}/x.conf' does not exist"
            raise port_error(call, status=500, reason=reason)
        return guest

    def _mutate(self, call: PveCall) -> Json:
        tail = call.route.rpartition("/")[2]
        match call.method, tail:
            case Method.POST, "qemu" | "lxc":
                vmid = VmId(int(call.params["vmid"]))
                return self._task(call, "create", vmid, lambda: self._born(call, vmid, call.at))
            case Method.POST, "clone":
                vmid = VmId(int(call.params["newid"]))
                self._born(call, vmid, call.at)
                born = self.guests[vmid]
                born.node = NodeName(str(call.params.get("target", born.node)))
                born.config = {"lock": "clone"}
                sealed = self._sealed(call)
                return self._task(call, "clone", vmid, lambda: setattr(born, "config", sealed))
            case Method.PUT, "pools":
                return None
            case _:
                return self._mutate_guest(call, tail)

    def _mutate_guest(self, call: PveCall, tail: str) -> Json:
        guest = self._guest(call)
        if tail == "config":
            guest.config |= {k: v for k, v in call.params.items() if k != "digest"}
            return None
        if tail == "cloudinit":
            return None
        effects: dict[str, Callable[[], object]] = {
            "resize": lambda: guest.config.update(
                {str(call.params["disk"]): f"nas:1/disk.raw,size={call.params['size']}"}
            ),
            "move_disk": lambda: self._hand_over(guest, call),
            "start": lambda: self._power(guest, running=True),
            "resume": lambda: guest.config.pop("toy-paused", None),
            "shutdown": lambda: self._power(guest, running=False),
            "reboot": lambda: self._power(guest, running=True),
            "migrate": lambda: setattr(guest, "node", NodeName(str(call.params["target"]))),
            "snapshot": lambda: guest.snapshots.add(str(call.params["snapname"])),
            "rollback": lambda: guest.config.update(parent=str(call.at["snapname"])),
            "{snapname}": lambda: guest.snapshots.discard(str(call.at["snapname"])),
            "{vmid}": lambda: self.guests.pop(guest.vmid, None),
        }
        return self._task(call, tail.strip("{}"), guest.vmid, effects[tail])

    def _hand_over(self, guest: ToyGuest, call: PveCall) -> None:
        heir = self.guests[VmId(int(call.params["target-vmid"]))]
        heir.config[str(call.params["target-disk"])] = guest.config.pop(str(call.params["disk"]))

    def _power(self, guest: ToyGuest, *, running: bool) -> None:
        guest.running, guest.since_s = running, now_s()

    def _born(self, call: PveCall, vmid: VmId, at: object) -> None:
        assert isinstance(at, dict)
        if vmid in self.guests:
            raise port_error(call, status=500, reason=f"VM {vmid} already exists on node")
        kind = GuestKind.VM if "qemu" in call.route else GuestKind.CONTAINER
        self.guests[vmid] = ToyGuest(
            vmid=vmid, kind=kind, node=NodeName(str(at["node"])), config=self._sealed(call)
        )

    def _sealed(self, call: PveCall) -> dict[str, Json]:
        return {
            "digest": "d1",
            "description": call.params["description"],
            "smbios1": call.params.get("smbios1", "uuid=99999999-9999-4999-8999-999999999999"),
        }

    def _task(self, call: PveCall, verb: str, vmid: VmId, effect: Callable[[], object]) -> str:
        number = len(self.tasks) + 1
        upid = (
            f"UPID:{call.at['node']}:{number:08X}:00000001:6B050B60:"
            f"{self.task_prefix}{verb}:{vmid}:root@pam!qlop:"
        )
        self.tasks[upid] = ToyTask(
            upid=upid,
            verb=verb,
            vmid=vmid,
            ends_s=now_s() + self.slow.get(verb, self.task_s),
            effect=effect,
            exit_status=self.exit_status,
        )
        return upid


def refusing(
    kind: ErrorKind, message: str, *, on: Callable[[PveCall], bool], status: int | None = None
) -> Hook:
    """Return a hook that makes every call that ``on`` picks fail, with an answer or without."""

    def hook(call: PveCall) -> None:
        if on(call):
            raise PortError(kind, message, status=status)

    return hook


def is_mutation(call: PveCall) -> bool:
    return call.is_mutation
