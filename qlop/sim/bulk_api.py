"""Start, shut down or move many guests with one call."""

from collections.abc import Iterator

from qlop.ports import Json
from qlop.sim import power
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Guest, Kind, Task, Worker

_SHUTDOWN_TIMEOUT_S = 180


def index(call: Call) -> Json:
    """Answer ``GET /cluster/bulk-action/guest``."""
    del call
    return [{"name": name} for name in ("start", "shutdown", "migrate", "suspend")]


def _guests(call: Call) -> Iterator[Guest]:
    items = [part for item in call.items("vms") for part in split_list(item)]
    wanted = {int(item) for item in items}
    for vmid in sorted(call.world.guests):
        if not wanted or vmid in wanted:
            yield call.world.guests[vmid]


def _name(guest: Guest) -> str:
    return f"{'VM' if guest.kind is Kind.QEMU else 'CT'} {guest.vmid}"


def start(call: Call) -> Json:
    """Answer ``POST /cluster/bulk-action/guest/start``."""
    return call.fork("bulk-start", "", lambda task: _start(call, task))


def _start(call: Call, task: Task) -> Worker:
    guests = [guest for guest in _guests(call) if not guest.is_template]
    task.say(f"Starting guests: {', '.join(str(guest.vmid) for guest in guests)}")
    for guest in guests:
        if guest.is_running:
            continue
        task.say(f"Starting {_name(guest)}")
        power.autostart(call.world, guest, call.who.full)
        yield call.world.spec.timing.start_s


def shutdown(call: Call) -> Json:
    """Answer ``POST /cluster/bulk-action/guest/shutdown``."""
    return call.fork("bulk-shutdown", "", lambda task: _shutdown(call, task))


def _shutdown(call: Call, task: Task) -> Worker:
    guests = list(_guests(call))
    timeout_s = call.number("timeout", _SHUTDOWN_TIMEOUT_S)
    task.say(f"Shutting down guests: {', '.join(str(guest.vmid) for guest in guests)}")
    for guest in guests:
        if guest.run is None:
            continue
        task.say(f"Shutting down {_name(guest)} (Timeout = {timeout_s} seconds)")
        own = Task(
            upid=task.upid,
            node=guest.node,
            pid=task.pid,
            pstart=task.pstart,
            start_at=task.start_at,
            type=task.type,
            id=str(guest.vmid),
            user=task.user,
        )
        force = call.text("force-stop", "1") == "1"
        yield from power.ask_down(call.world, own, guest, timeout_s, force=force)


HANDLERS: Handlers = {
    "GET /cluster/bulk-action/guest": index,
    "POST /cluster/bulk-action/guest/start": start,
    "POST /cluster/bulk-action/guest/shutdown": shutdown,
}
