"""Back guests up into archives (``vzdump``), and prune the archives."""

import datetime as dt
import re

from qlop.ports import Json
from qlop.sim import drives, power, status, volumes
from qlop.sim.call import Call, Handlers, write
from qlop.sim.engine import World, guest_lock
from qlop.sim.state import Guest, Kind, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError, bad_parameters

_EXTENSIONS = {
    (Kind.QEMU, "zstd"): "vma.zst",
    (Kind.QEMU, "gzip"): "vma.gz",
    (Kind.QEMU, "lzo"): "vma.lzo",
    (Kind.QEMU, "0"): "vma",
    (Kind.LXC, "zstd"): "tar.zst",
    (Kind.LXC, "gzip"): "tar.gz",
    (Kind.LXC, "lzo"): "tar.lzo",
    (Kind.LXC, "0"): "tar",
}

_DUMP_LOCK_WAIT_S = 180 * 60
"""How long a backup waits for another one on the same node (``lockwait``)."""

_STOP_WAIT_MINUTES = 10


def vzdump(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/vzdump``."""
    named = [int(item) for item in re.split(r"[,;\s]+", call.text("vmid")) if item]
    _check(call, named=bool(named))
    guests = call.world.guests
    here = [vmid for vmid in named if vmid not in guests or guests[vmid].node == call.node]
    if call.flag("stop"):
        call.demand(f"/nodes/{call.node}", "Sys.Modify")
        if not named:
            return "OK"
    if named and not here:
        return "OK"  # They run elsewhere: another node's part of the same job.
    vmids = here or _all_vmids(call)
    if not vmids and not call.flag("all") and "exclude" not in call.params:
        return "OK"
    if "dumpdir" not in call.params:
        call.demand(f"/storage/{call.text('storage', 'local')}", "Datastore.AllocateSpace")
    subject = str(vmids[0]) if len(vmids) == 1 else ""
    return call.fork("vzdump", subject, lambda task: _dump_all(call, task, vmids))


def _check(call: Call, *, named: bool) -> None:
    """Refuse what is root's alone, and what does not go together.

    After ``assert_param_permission_common`` and ``verify_vzdump_parameters`` (pve-manager).
    """
    for option in ("tmpdir", "dumpdir", "script", "job-id"):
        if option in call.params and not call.who.is_root:
            raise bad_parameters({option: "Only root may set this option."})
    if {"bwlimit", "ionice", "performance"} & set(call.params):
        call.demand("/", "Sys.Modify")
    pool = call.get("pool")
    if named:
        for option in ("all", "exclude", "pool"):
            if call.text(option) not in {"", "0"}:
                raise bad_parameters({option: "option conflicts with option 'vmid'"})
    if not named and pool is None and not {"all", "exclude", "stop"} & set(call.params):
        raise bad_parameters({"vmid": "property is missing"})
    if pool is not None and pool not in call.world.pools:
        raise ApiError(f"pool '{pool}' does not exist")


def _all_vmids(call: Call) -> list[int]:
    world, pool = call.world, call.get("pool")
    excluded = {int(item) for item in re.split(r"[,;\s]+", call.text("exclude")) if item}
    return [
        vmid
        for vmid in sorted(world.guests)
        if vmid not in excluded
        and world.guests[vmid].node == call.node
        and (pool is None or world.access.vm_pool.get(vmid) == pool)
    ]


def _dump_all(call: Call, task: Task, vmids: list[int]) -> Worker:
    world = call.world
    name = call.text("storage", "local")
    if name not in world.storages:
        missing = f"storage '{name}' does not exist"
        raise TaskError(
            f"could not activate storage '{name}': {missing} could not get storage information "
            f"for '{name}': {missing}"
        )
    key = f"storage/{call.node}/vzdump"
    if world.locks.get(key):
        task.say("INFO: trying to get global lock - waiting...")
    yield from world.hold(task, key, wait_s=_DUMP_LOCK_WAIT_S)
    options = {key: value for key, value in call.params.items() if key not in {"node", "vmid"}}
    words = " ".join(f"--{key} {value}" for key, value in options.items())
    task.say(f"INFO: starting new backup job: vzdump {' '.join(map(str, vmids))} {words}")
    failed = 0
    for vmid in [vmid for vmid in vmids if _is_allowed(call, vmid)]:
        guest = world.guests.get(vmid)
        if guest is None or guest.node != call.node:
            task.say(f"ERROR: Backup of VM {vmid} failed - unable to find VM '{vmid}'")
            failed += 1
            continue
        try:
            yield from _dump(call, task, guest, name)
        except (ApiError, TaskError) as error:
            kind = "VM" if guest.kind is Kind.QEMU else "CT"
            task.say(f"ERROR: Backup of {kind} {vmid} failed - {error}")
            failed += 1
    if failed:
        raise TaskError("job errors")
    task.say("INFO: Backup job finished successfully")


def _is_allowed(call: Call, vmid: int) -> bool:
    """Return whether the caller may back a guest up; of all guests the others are passed over.

    Raises:
        TaskError: the guest was named, or is of the pool that was.
    """
    if vmid not in call.world.guests or call.may(f"/vms/{vmid}", "VM.Backup"):
        return True
    if call.flag("all") or "exclude" in call.params:
        return False
    raise TaskError(f"403 Permission check failed (/vms/{vmid}, VM.Backup)")


def _runs_under_ha(world: World, guest: Guest) -> bool:
    service = world.ha.of(guest.vmid)
    return service is not None and service.request == "started"


def _dump(call: Call, task: Task, guest: Guest, storage_name: str) -> Worker:
    world = call.world
    kind = "VM" if guest.kind is Kind.QEMU else "CT"
    began = world.now
    task.say(f"INFO: Starting Backup of {kind} {guest.vmid} ({guest.kind.value})")
    at = dt.datetime.fromtimestamp(world.stamp(), tz=dt.UTC)
    task.say(f"INFO: Backup started at {at:%Y-%m-%d %H:%M:%S}")
    if call.text("mode", "snapshot") == "stop" and _runs_under_ha(world, guest):
        raise TaskError(
            "Cannot execute a backup with stop mode on a HA managed and enabled Service. Use "
            "snapshot mode or disable the Service."
        )
    yield from world.hold(task, guest_lock(guest.vmid))
    if guest.lock is not None:
        raise TaskError(f"{kind} is locked ({guest.lock})")
    guest.config["lock"] = "backup"
    write(world, guest)
    world.let_go(task, guest_lock(guest.vmid))
    was_running = guest.is_running
    try:
        task.say(f"INFO: status = {'running' if was_running else 'stopped'}")
        if was_running and call.text("mode", "snapshot") == "stop":
            yield from _stop_first(call, task, guest)
        size = _payload(world, guest)
        yield world.spec.timing.backup_s_per_gib * size / 1024**3 + 1.0
        _write_archive(call, guest, storage_name, at, size)
    finally:
        if guest.config.get("lock") == "backup":
            guest.config.pop("lock")
            world.wrote(guest)
    if was_running and not guest.is_running:
        power.launch(world, guest)
    seconds = int(world.now - began)
    task.say(
        f"INFO: Finished Backup of {kind} {guest.vmid} "
        f"({seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d})"
    )


def _stop_first(call: Call, task: Task, guest: Guest) -> Worker:
    """Shut the guest down for the backup, holding its lock file meanwhile."""
    world = call.world
    task.say("INFO: stopping virtual guest")
    timeout_s = call.number("stopwait", _STOP_WAIT_MINUTES) * 60
    yield from world.hold(task, guest_lock(guest.vmid))
    try:
        if guest.kind is Kind.QEMU:
            yield from power.ask_down(world, task, guest, timeout_s, force=False)
        else:
            yield from power.ask_ct_down(world, task, guest, timeout_s, force=False)
    except TaskError as error:
        command = f"qm shutdown {guest.vmid} --skiplock --keepActive --timeout {timeout_s}"
        raise TaskError(f"command '{command}' failed: exit code 255") from error
    finally:
        world.let_go(task, guest_lock(guest.vmid))


def _payload(world: World, guest: Guest) -> int:
    total = 0
    for key, value in guest.config.items():
        if not (drives.is_drive(key) or drives.is_mount(key)) or drives.is_cdrom(value):
            continue
        drive = drives.parse(value)
        volume = volumes.find(world, drive.get("file", ""), guest.node)
        if volume is not None and drive.get("backup") != "0":
            total += volume.used_bytes
    return total


def _write_archive(
    call: Call, guest: Guest, storage_name: str, at: dt.datetime, size: int
) -> None:
    world = call.world
    storage = volumes.on_node(world, storage_name, call.node)
    extension = _EXTENSIONS[(guest.kind, call.text("compress", "0").replace("1", "lzo"))]
    name = f"vzdump-{guest.kind.value}-{guest.vmid}-{at:%Y_%m_%d-%H_%M_%S}.{extension}"
    if volumes.free_bytes(storage, call.node) < size // 2:
        raise TaskError("vma_queue_write: write error - No space left on device")
    config = {key: value for key, value in guest.config.items() if key != "lock"}
    text = Guest(vmid=guest.vmid, kind=guest.kind, node=guest.node, config=config).text()
    notes = call.text("notes-template")
    for word, value in (
        ("guestname", status.name_of(guest)),
        ("node", call.node),
        ("vmid", str(guest.vmid)),
        ("cluster", world.spec.name),
    ):
        notes = notes.replace("{{" + word + "}}", value)
    boot = drives.boot_disk(guest.config) or "rootfs"
    volid = drives.parse(guest.config.get(boot, "none")).get("file", "")
    volumes.add(
        world,
        Volume(
            volid=f"{storage_name}:backup/{name}",
            node=volumes.place(storage, call.node),
            size_bytes=max(1, size // 2),
            used_bytes=size // 2,
            format=extension,
            content="backup",
            ctime=int(at.timestamp()),
            vmid=guest.vmid,
            os=volumes.has_os(volumes.find(world, volid, guest.node)),
            notes=notes,
            protected=call.flag("protected"),
            config=text,
        ),
    )


def extract_config(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/vzdump/extractconfig``."""
    volume = volumes.need(call.world, call.params["volume"], call.node)
    return volume.config


def not_backed_up(call: Call) -> Json:
    """Answer ``GET /cluster/backup-info/not-backed-up``."""
    world = call.world
    covered: set[int] = set()
    for job in world.jobs.values():
        if job.get("all") == "1":
            return []
        covered |= {int(item) for item in job.get("vmid", "").split(",") if item}
        if pool := job.get("pool"):
            covered |= world.pools[pool].guests if pool in world.pools else set()
    rows: list[Json] = []
    for guest in world.guests.values():
        if guest.vmid in covered or not call.may(f"/vms/{guest.vmid}", "VM.Audit"):
            continue
        row: dict[str, Json] = {"vmid": guest.vmid, "type": guest.kind.value}
        name = guest.config.get("name" if guest.kind is Kind.QEMU else "hostname")
        if name is not None:
            row["name"] = name
        rows.append(row)
    return rows


def _marks(call: Call) -> list[tuple[str, Volume]]:
    """Return the storage's backups, each with what pruning would do to it."""
    world, name = call.world, call.params["storage"]
    storage = volumes.on_node(world, name, call.node)
    place = volumes.place(storage, call.node)
    vmid, kind = call.get("vmid"), call.get("type")
    keep = drives.parse(
        call.text("prune-backups", storage.options.get("prune-backups", "keep-all=1")), "keep-all"
    )
    found = [
        volume
        for volume in world.volumes.values()
        if (volume.storage, volume.node, volume.content) == (name, place, "backup")
        and (vmid is None or volume.vmid == int(vmid))
        and (kind is None or f"-{kind}-" in volume.name)
    ]
    found.sort(key=lambda volume: volume.ctime, reverse=True)
    counted: dict[int | None, int] = {}
    marks: list[tuple[str, Volume]] = []
    for volume in found:
        if volume.protected:
            marks.append(("protected", volume))
            continue
        counted[volume.vmid] = counted.get(volume.vmid, 0) + 1
        limit = int(keep.get("keep-last", "0"))
        is_kept = keep.get("keep-all") == "1" or counted[volume.vmid] <= limit
        marks.append(("keep" if is_kept else "remove", volume))
    return marks[::-1]


def prune_preview(call: Call) -> Json:
    """Answer ``GET …/prunebackups``: what would go. Only ``keep-last`` is understood."""
    return [
        {
            "volid": volume.volid,
            "ctime": volume.ctime,
            "type": "qemu" if "-qemu-" in volume.name else "lxc",
            "vmid": volume.vmid,
            "mark": mark,
        }
        for mark, volume in _marks(call)
    ]


def prune(call: Call) -> Json:
    """Answer ``DELETE …/prunebackups``."""
    vmid, storage = call.text("vmid"), call.params["storage"]
    subject = f"{vmid}@{storage}" if vmid else storage
    return call.fork("prunebackups", subject, lambda task: _prune(call, task))


def _prune(call: Call, task: Task) -> Worker:
    for mark, volume in _marks(call):
        if mark == "remove":
            task.say(f"removing backup {volume.volid}")
            volumes.drop(call.world, volume)
            yield 0.2


_PRUNE = "/nodes/{node}/storage/{storage}/prunebackups"

HANDLERS: Handlers = {
    f"GET {_PRUNE}": prune_preview,
    f"DELETE {_PRUNE}": prune,
    "POST /nodes/{node}/vzdump": vzdump,
    "GET /nodes/{node}/vzdump/extractconfig": extract_config,
    "GET /cluster/backup-info/not-backed-up": not_backed_up,
}
