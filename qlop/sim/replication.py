"""Keep copies of guests' volumes on other nodes, as replication jobs say.

After ``PVE/Replication*.pm`` of pve-guest-common: each minute the scheduler of a guest's node
runs what is due. Only volumes on local ZFS pools can be replicated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from qlop.sim import calendar_event, drives, volumes
from qlop.sim.engine import World
from qlop.sim.state import Guest, Replication, Volume
from qlop.sim.wire import ApiError

_RETRY_S = 300
"""A job that failed is tried again after five minutes, ten, fifteen, then each half hour."""
_RETRIES_GROWING = 3
_RETRY_MAX_S = 1800
SCHEDULE = "*/15"


def of_guest(world: World, vmid: int) -> list[Replication]:
    """Return a guest's jobs."""
    return [job for _, job in sorted(world.replications.items()) if job.vmid == vmid]


def refuse_if_any(world: World, vmid: int) -> None:
    """Refuse what must not happen to a replicated guest."""
    for job in of_guest(world, vmid):
        raise ApiError(
            f"There is a replication job '{job.id}' for guest '{vmid}' - Please remove that first."
        )


def check_migration(world: World, guest: Guest, target: str, *, force: bool) -> None:
    """Refuse a live migration of a replicated VM to where it has no copies."""
    jobs = of_guest(world, guest.vmid)
    if any(job.removal for job in jobs if job.target == target):
        raise ApiError(
            "refusing to migrate replicated VM whose replication job is marked for removal"
        )
    if not guest.is_running or not jobs or force:
        return
    if all(job.target != target for job in jobs):
        raise ApiError(
            f"Cannot live-migrate replicated VM to node '{target}' - not a replication target. "
            "Use 'force' to override."
        )


def check_new_volumes(world: World, vmid: int, config: Mapping[str, str]) -> None:
    """Refuse volumes for a replicated guest that could not be replicated."""
    if not of_guest(world, vmid):
        return
    for key, value in config.items():
        volume = drives.parse(value) if drives.is_drive(key) or drives.is_mount(key) else {}
        name, colon, rest = volume.get("file", "").partition(":")
        storage = world.storages.get(name)
        is_wanted = volume.get("replicate") != "0" and not drives.is_cdrom(value)
        if not colon or storage is None or rest == "cloudinit" or not is_wanted:
            continue
        if not storage.shared and storage.type != "zfspool":
            raise ApiError("cannot add non-replicatable volume to a replicated VM")


def replicatable(world: World, guest: Guest) -> list[Volume]:
    """Return the volumes to copy.

    Raises:
        ApiError: if there is one that should be and can't.
    """
    found = []
    for key, value in sorted(guest.config.items()):
        if not (drives.is_drive(key) or drives.is_mount(key) or key.startswith("unused")):
            continue
        if drives.is_cdrom(value) or drives.parse(value).get("replicate") == "0":
            continue
        volume = volumes.find(world, drives.parse(value).get("file", ""), guest.node)
        if volume is None or not volume.node or volume.vmid != guest.vmid:
            continue
        if world.storages[volume.storage].type != "zfspool":
            raise ApiError(f"missing replicate feature on volume '{volume.volid}'")
        found.append(volume)
    return found


def next_sync(world: World, job: Replication) -> int:
    """Return when a job is due, in epoch seconds; 0: never, or not while its target is away."""
    if job.removal:
        return 1
    if job.fail_count:
        if not world.is_online(job.target):
            return 0
        grown = job.fail_count <= _RETRIES_GROWING
        return job.last_try + (_RETRY_S * job.fail_count if grown else _RETRY_MAX_S)
    event = calendar_event.parse(job.options.get("schedule", SCHEDULE))
    return int(event.after(job.last_try) or 0)


def copies(world: World, job: Replication) -> Iterator[Volume]:
    """Yield the copies of a guest's volumes on a job's target."""
    for volume in volumes.of_guest(world, job.vmid):
        if volume.node == job.target:
            yield volume


def has_copy(world: World, volume: Volume, target: str) -> bool:
    """Return whether a job keeps a copy of a volume on ``target``."""
    jobs = of_guest(world, volume.vmid or 0)
    is_target = any(job.target == target for job in jobs)
    return is_target and (volume.volid, target) in world.volumes


def refresh(world: World, volume: Volume, target: str) -> None:
    """Bring a copy up to date, as a migration does before it makes it the volume."""
    volumes.drop(world, world.volumes[volume.volid, target])
    volumes.add(world, replace(volume, node=target, snapshots=set(volume.snapshots)))


def moved(world: World, vmid: int, source: str, target: str) -> None:
    """Turn a guest's jobs round after it has moved: the old node gets the copies now."""
    for job in of_guest(world, vmid):
        if job.target == target:
            job.options["target"] = source
        job.options["source"] = target
    if of_guest(world, vmid):
        world.wrote_file("replication.cfg")
