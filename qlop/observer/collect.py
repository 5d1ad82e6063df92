"""Read from the cluster, each read with a deadline; a failed one becomes ``Unknown``."""

import asyncio
from dataclasses import dataclass, replace

from qlop.model.guest import GuestKind, Power
from qlop.model.ids import NodeName, VmId
from qlop.model.observed import GuestConfig, ObservedSnapshot
from qlop.model.reading import Known, Unknown
from qlop.ports import Json, PortError, PveApi, PveCall, RemoteShell
from qlop.pve import calls, parse_config, parse_resources, vmlist

LISTING_TIMEOUT_S = 60.0
"""The client has deadlines of its own; this one only keeps a cycle from hanging."""
GUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listings:
    """The answers to the few calls that show the whole cluster, not yet understood.

    ``vmlist`` is None if there is no shell to ask.
    """

    resources: Known[Json] | Unknown
    status: Known[Json] | Unknown
    tasks: Known[Json] | Unknown
    log: Known[Json] | Unknown
    vmlist: Known[str] | Unknown | None


async def listings(api: PveApi, shell: RemoteShell | None) -> Listings:
    """Return what the cluster lists: four calls however many guests there are."""
    resources, status, tasks, log, versions = await asyncio.gather(
        read(api, calls.resources(), LISTING_TIMEOUT_S),
        read(api, calls.cluster_status(), LISTING_TIMEOUT_S),
        read(api, calls.cluster_tasks(), LISTING_TIMEOUT_S),
        read(api, calls.cluster_log(), LISTING_TIMEOUT_S),
        _versions(shell),
    )
    return Listings(resources=resources, status=status, tasks=tasks, log=log, vmlist=versions)


REFUSED = 401
HINT_401 = " (PVE refuses the API token: is it right, enabled and not expired?)"
"""PVE itself does not say (``PVE::APIServer::AnyEvent``, ``auth_handler``)."""


async def read(api: PveApi, call: PveCall, timeout_s: float) -> Known[Json] | Unknown:
    """Return the data of one read, or why there is none."""
    try:
        async with asyncio.timeout(timeout_s):
            return Known(await api.call(call))
    except PortError as error:
        hint = HINT_401 if error.status == REFUSED else ""
        return Unknown(f"{call.path}: {error}{hint}")
    except TimeoutError:
        return Unknown(f"{call.path}: no answer in {timeout_s:.0f} s")


async def _versions(shell: RemoteShell | None) -> Known[str] | Unknown | None:
    if shell is None:
        return None
    try:
        return Known(await shell.run(vmlist.COMMAND, timeout_s=LISTING_TIMEOUT_S))
    except PortError as error:
        return Unknown(f"SSH: {error}")


async def config(
    api: PveApi,
    kind: GuestKind,
    node: NodeName,
    vmid: VmId,
    *,
    power: Power,
    before: GuestConfig | None,
) -> Known[GuestConfig] | Unknown:
    """Return a guest's configuration; what is pending is read only where there can be any.

    ``before`` is the reading so far, if what was pending then is known. Pending changes
    are part of the file, so an equal digest means equal ones: then it is returned itself.
    """
    answer = await read(api, calls.guest_config(kind, node, vmid), GUEST_TIMEOUT_S)
    if isinstance(answer, Unknown):
        return answer
    found = parse_config.parse_config(kind, answer.value)
    if isinstance(found, Unknown) or power is Power.STOPPED:
        return found
    if before is not None and before.digest and before.digest == found.value.digest:
        return Known(before)
    pending = await _pending(api, kind, node, vmid)
    if isinstance(pending, Unknown):
        return pending
    return Known(replace(found.value, pending=pending.value))


async def _pending(
    api: PveApi, kind: GuestKind, node: NodeName, vmid: VmId
) -> Known[frozenset[str]] | Unknown:
    answer = await read(api, calls.guest_pending(kind, node, vmid), GUEST_TIMEOUT_S)
    return answer if isinstance(answer, Unknown) else parse_config.parse_pending(answer.value)


async def snapshots(
    api: PveApi, kind: GuestKind, node: NodeName, vmid: VmId
) -> Known[tuple[ObservedSnapshot, ...]] | Unknown:
    """Return a guest's snapshots."""
    answer = await read(api, calls.guest_snapshots(kind, node, vmid), GUEST_TIMEOUT_S)
    return answer if isinstance(answer, Unknown) else parse_config.parse_snapshots(answer.value)


async def power(
    api: PveApi, kind: GuestKind, node: NodeName, vmid: VmId
) -> Known[tuple[Power, str]] | Unknown:
    """Return what a guest is doing and its lock, as its own node says now."""
    answer = await read(api, calls.guest_status(kind, node, vmid), GUEST_TIMEOUT_S)
    return (
        answer if isinstance(answer, Unknown) else parse_resources.parse_guest_status(answer.value)
    )
