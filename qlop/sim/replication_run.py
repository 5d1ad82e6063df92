"""Run replication jobs, each in the time that its data take.

After ``replicate`` and ``run_replication`` (pve-guest-common, ``PVE/Replication.pm``) and
``run_jobs`` (pve-manager, ``PVE/API2/Replication.pm``): a node runs one job after the other,
and while one runs its guest can't be migrated.
"""

import datetime as dt
import functools
from dataclasses import replace

from qlop.sim import replication, volumes
from qlop.sim.engine import World, migration_lock
from qlop.sim.state import Guest, Kind, Replication, Volume, Worker
from qlop.sim.wire import ApiError

_ROUND_S = 60.0
_VOLUME_S = 1.0
"""A volume's snapshots, on both sides, and the connection, with no data at all."""
_MB = 1_000_000


def begin(world: World, job: Replication) -> None:
    """Add a job; the first one starts the scheduler's rounds."""
    world.replications[job.id] = job
    if len(world.replications) == 1:
        world.schedule(_ROUND_S, functools.partial(_round, world))


def _round(world: World) -> None:
    if not world.replications:
        return
    world.schedule(_ROUND_S, functools.partial(_round, world))
    for node in world.nodes:
        is_at_work = any(
            job.pid and job.options["source"] == node for job in _jobs_on(world, node)
        )
        if world.nodes[node].up and not is_at_work:
            _go_on(world, node, world.stamp())


def _go_on(world: World, node: str, iteration: int) -> None:
    """Run a node's next due job of this round, and then the others, one by one."""
    job = _due(world, node, iteration)
    if job is None:
        return
    guest = world.guests[job.vmid]
    job.iteration = iteration
    key = migration_lock(guest.vmid, node)
    if world.locks.get(key):
        _go_on(world, node, iteration)  # It is being migrated: nothing of this is written down.
        return
    job.pid, job.last_try, job.log = world.new_pid(node), world.stamp(), []
    world.locks[key] = {f"pvesr {job.id}": False}
    _say(world, job, "start replication job")
    work = _copy(world, job, guest)
    _step(world, job, guest, work, (node, world.now, iteration))


def _jobs_on(world: World, node: str) -> list[Replication]:
    return [
        job
        for job in world.replications.values()
        if job.vmid in world.guests and world.guests[job.vmid].node == node
    ]


def _due(world: World, node: str, iteration: int) -> Replication | None:
    """Return the job of a node's guests to run next in this round (``get_next_job``)."""
    jobs = [
        job
        for job in _jobs_on(world, node)
        if job.removal or (job.options.get("disable") != "1" and job.target != node)
    ]
    for job in sorted(
        jobs, key=lambda job: (job.iteration, replication.next_sync(world, job), job.vmid, job.id)
    ):
        at = replication.next_sync(world, job)
        if job.iteration < iteration and at and at <= world.stamp():
            return job
    return None


def _step(
    world: World, job: Replication, guest: Guest, work: Worker, run: tuple[str, float, int]
) -> None:
    node, began, iteration = run
    error = ""
    if not world.nodes[node].up:
        job.pid = 0  # It died with its host: its state says that it was tried, and no more.
        _let_go(world, job, guest, node)
        return
    try:
        wait_s = next(work)
    except StopIteration:
        pass
    except ApiError as failure:
        error = failure.text
    else:
        world.schedule(wait_s, functools.partial(_step, world, job, guest, work, run))
        return
    job.pid, job.duration = 0, round(world.now - began, 6)
    if error:
        job.fail_count, job.error = job.fail_count + 1, error
        _say(world, job, f"end replication job with error: {error}")
    else:
        job.last_sync, job.fail_count, job.error = job.last_try, 0, ""
        _say(world, job, "end replication job")
    _let_go(world, job, guest, node)
    _go_on(world, node, iteration)


def _let_go(world: World, job: Replication, guest: Guest, node: str) -> None:
    key = migration_lock(guest.vmid, node)
    holders = world.locks.get(key, {})
    holders.pop(f"pvesr {job.id}", None)
    if not holders:
        world.locks.pop(key, None)


def _copy(world: World, job: Replication, guest: Guest) -> Worker:
    """Copy what has changed, or remove the copies and the job.

    Raises:
        ApiError: what the job's state says of its failure.
    """
    wanted = replication.replicatable(world, guest)
    kind = "VM" if guest.kind is Kind.QEMU else "CT"
    _say(world, job, f"guest => {kind} {guest.vmid}, running => {int(guest.is_running)}")
    _say(world, job, f"volumes => {','.join(volume.volid for volume in wanted)}")
    if job.removal:
        yield _VOLUME_S
        _remove(world, job, guest)
        return
    _check_target(world, job)
    new, old = (f"__replicate_{job.id}_{at}__" for at in (job.last_try, job.last_sync))
    for volume in wanted:
        _say(world, job, f"create snapshot '{new}' on {volume.volid}")
    rate = job.options.get("rate", "")
    said = f"{rate} MByte/s" if rate else "none"
    _say(world, job, f"using secure transmission, rate limit: {said}")
    for volume in wanted:
        copy = world.volumes.get((volume.volid, job.target))
        what = f"full sync '{volume.volid}' ({new})"
        if copy is not None:
            what = f"incremental sync '{volume.volid}' ({old} => {new})"
        _say(world, job, what)
        yield _VOLUME_S + _seconds(world, job, _changed_bytes(job, guest, volume, copy))
        _check_target(world, job)
        if copy is None:
            volumes.add(world, replace(volume, node=job.target, snapshots=set(volume.snapshots)))
        else:
            replication.refresh(world, volume, job.target)
    if job.last_sync:
        for volume in wanted:
            _say(world, job, f"delete previous replication snapshot '{old}' on {volume.volid}")


def _check_target(world: World, job: Replication) -> None:
    if not world.nodes[job.target].up:
        where = f"-o 'HostKeyAlias={job.target}' root@{world.nodes[job.target].ip}"
        what = f"pvesr prepare-local-job {job.id} --last_sync {job.last_sync}"
        command = f"/usr/bin/ssh -e none -o 'BatchMode=yes' {where} -- {what}"
        raise ApiError(f"command '{command}' failed: exit code 255")


def _changed_bytes(job: Replication, guest: Guest, volume: Volume, copy: Volume | None) -> int:
    """Return what has to be sent: all of it, or what was written since the last time."""
    if copy is None:
        return volume.used_bytes
    written = 0
    if guest.run is not None:
        ran_s = job.last_try - max(job.last_sync, guest.run.started_at)
        written = max(0, int(ran_s)) * volumes.WRITTEN_BYTES_PER_S
    return min(volume.used_bytes, max(0, volume.used_bytes - copy.used_bytes) + written)


def _seconds(world: World, job: Replication, size_bytes: int) -> float:
    seconds = size_bytes / 1024**3 * world.spec.timing.migrate_s_per_gib_disk
    rate = float(job.options.get("rate", "0"))
    return max(seconds, size_bytes / _MB / rate) if rate else seconds


def _remove(world: World, job: Replication, guest: Guest) -> None:
    _say(world, job, f"start job removal - mode '{job.removal}'")
    if job.removal == "full" and job.target != guest.node:
        for volume in list(replication.copies(world, job)):
            volumes.drop(world, volume)
    world.replications.pop(job.id, None)
    world.wrote_file("replication.cfg")
    _say(world, job, "job removed")


def _say(world: World, job: Replication, text: str) -> None:
    at = dt.datetime.fromtimestamp(world.stamp(), dt.UTC)
    job.log.append(f"{at:%Y-%m-%d %H:%M:%S} {job.id}: {text}")
