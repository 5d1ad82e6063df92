"""Look at one guest on its own node, with nothing between: no cache, no listing."""

from dataclasses import dataclass

from qlop.model.guest import GuestKind, Power
from qlop.model.ids import NodeName, VmId
from qlop.model.observed import GuestConfig
from qlop.model.reading import Unknown
from qlop.ports import ErrorKind, PortError, PveApi
from qlop.pve import calls, parse_config, parse_resources, payload

HIBERNATED = "suspended"
"""The lock of a VM whose memory is on disk; starting it is what takes it away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a guest is doing, and for how long its process has been there."""

    power: Power
    uptime_s: int


async def config_of(api: PveApi, kind: GuestKind, node: NodeName, vmid: VmId) -> GuestConfig:
    """Return the guest's configuration as its node has it.

    Raises:
        PortError: as the port says; ``INVALID`` if the answer can't be understood.
    """
    answer = await api.call(calls.guest_config(kind, node, vmid))
    reading = parse_config.parse_config(kind, answer)
    if isinstance(reading, Unknown):
        raise PortError(ErrorKind.INVALID, reading.reason)
    return reading.value


def lock_of(config: GuestConfig) -> str:
    """Return the lock that a configuration carries, empty if there is none."""
    lock = config.options.get("lock", "")
    return lock if isinstance(lock, str) else ""


async def activity_of(api: PveApi, kind: GuestKind, node: NodeName, vmid: VmId) -> Activity:
    """Return what the guest is doing, from its node.

    Raises:
        PortError: as the port says; ``INVALID`` if the answer can't be understood.
    """
    answer = await api.call(calls.guest_status(kind, node, vmid))
    reading = parse_resources.parse_guest_status(answer)
    if isinstance(reading, Unknown):
        raise PortError(ErrorKind.INVALID, reading.reason)
    power, _ = reading.value
    try:
        uptime_s = payload.whole(payload.row_of(answer, "status"), "uptime")
    except payload.Misread as error:
        raise PortError(ErrorKind.INVALID, f"status not understood: {error}") from error
    return Activity(power=power, uptime_s=uptime_s)
