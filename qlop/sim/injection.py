"""Let armed faults strike calls, tasks and lists."""

import re
from dataclasses import dataclass, replace

from qlop.sim import hardware
from qlop.sim.engine import LOCK_WAIT_S, World
from qlop.sim.faults import Effect, Fault
from qlop.sim.wire import ApiError, SimResponse

_BEFORE = {
    Effect.REFUSE,
    Effect.CONNECT,
    Effect.SERVER,
    Effect.LOCKED,
    Effect.NODE_DOWN,
    Effect.QUORUM_LOST,
    Effect.STALE,
    Effect.FULL,
    Effect.CLOCK,
}
_AFTER = {Effect.PIPE, Effect.SLOW, Effect.HALF, Effect.LOSE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """The call that faults may strike."""

    method: str
    template: str
    path: str
    node: str

    @property
    def subject(self) -> str:
        """Return the node that the path names, else the one that was contacted."""
        found = re.match(r"/nodes/([\w-]+)", self.path)
        return found[1] if found else self.node

    @property
    def lock_file(self) -> str:
        """Return the lock file of the guest that the path names."""
        found = re.search(r"/(qemu|lxc)/(\d+)", self.path)
        if found and found[1] == "lxc":
            return f"/run/lock/lxc/pve-config-{found[2]}.lock"
        return f"/var/lock/qemu-server/lock-{found[2] if found else 0}.conf"


def strike_before(world: World, call: Struck) -> None:
    """Let faults strike that keep a call from being carried out, or change the world first.

    Raises:
        ApiError: what the struck call is answered with.
    """
    for fault in world.faults:
        if fault.effect in _BEFORE and _hits(world, fault, call):
            _before(world, fault, call)


def _hits(world: World, fault: Fault, call: Struck) -> bool:
    nodes = {call.node, call.subject}
    if not fault.match.strikes_call(call.method, call.template, call.path, nodes):
        return False
    return fault.draws(world.random.random() if fault.share < 1 else 0.0)


def _before(world: World, fault: Fault, call: Struck) -> None:
    match fault.effect:
        case Effect.REFUSE:
            raise ApiError("Connection refused", status=0, empty=True)
        case Effect.CONNECT:
            raise ApiError("Connection refused", status=595, empty=True)
        case Effect.SERVER:
            raise ApiError(fault.text or "internal error", status=fault.status)
        case Effect.LOCKED:
            text = f"can't lock file '{call.lock_file}' - got timeout"
            raise ApiError(text, delay_s=LOCK_WAIT_S)
        case Effect.NODE_DOWN:
            name = call.subject if call.subject in world.nodes else call.node
            hardware.power_off(world, name)
            world.schedule(fault.seconds, lambda: hardware.power_on(world, name))
        case Effect.QUORUM_LOST:
            world.forced_quorum = False
            world.schedule(fault.seconds, lambda: hardware.restore_quorum(world))
        case Effect.STALE:
            hardware.freeze_list(world, fault.seconds)
        case Effect.FULL:
            hardware.fill_for(world, fault.match.storage, fault.seconds)
        case Effect.CLOCK:
            world.clock_offset_s += fault.seconds
        case _:
            raise AssertionError(fault.effect)


def strike_after(world: World, response: SimResponse, call: Struck) -> SimResponse:
    """Return the answer as it arrives when faults strike after the call was carried out."""
    for fault in world.faults:
        if fault.effect not in _AFTER or not _hits(world, fault, call):
            continue
        match fault.effect:
            case Effect.SLOW:
                response = replace(response, delay_s=response.delay_s + fault.seconds)
            case Effect.HALF:
                response = replace(response, half=True)
            case Effect.LOSE:
                response = replace(response, lost=True)
            case Effect.PIPE:
                response = SimResponse(
                    status=596, reason="Broken pipe", empty=True, delay_s=response.delay_s
                )
            case _:
                raise AssertionError(fault.effect)
    return response


def hides_status(world: World, vmid: int) -> bool:
    """Return whether the resource list shall say ``unknown`` of a guest."""
    return any(
        fault.effect is Effect.UNKNOWN and fault.match.vmid in {None, vmid}
        for fault in world.faults
    )
