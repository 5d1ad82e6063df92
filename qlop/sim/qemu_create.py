"""Create and destroy VMs."""

from qlop.ports import Json
from qlop.sim import (
    drives,
    grants,
    power,
    qemu_disks,
    qemu_options,
    replication,
    restore,
    ssh_keys,
    tags,
    volumes,
)
from qlop.sim.access import denied
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import World, guest_lock
from qlop.sim.formats import UNDEFINED
from qlop.sim.state import Guest, Kind, Task, Worker
from qlop.sim.wire import ApiError, TaskError, bad_parameters

QEMU_VERSION = "10.0.13"

_NOT_CONFIG = {
    "vmid",
    "node",
    "archive",
    "bwlimit",
    "force",
    "import-working-storage",
    "live-restore",
    "pool",
    "start",
    "storage",
    "unique",
    "ha-managed",
}


def create(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/qemu``."""
    world, vmid = call.world, call.vmid
    if "sshkeys" in call.params:
        ssh_keys.check(call.params["sshkeys"])
    world.need_quorum()
    pool = call.text("pool")
    if pool and pool not in world.pools:
        raise denied(f"pool '{pool}' does not exist")
    allowed = call.may(f"/vms/{vmid}", "VM.Allocate") or (
        pool and call.may(f"/pool/{pool}", "VM.Allocate")
    )
    if not allowed:
        raise denied()
    if "archive" in call.params:
        return restore.qemu(call)
    if "storage" in call.params:
        call.demand(f"/storage/{call.params['storage']}", "Datastore.AllocateSpace")
    config = {key: value for key, value in call.params.items() if key not in _NOT_CONFIG}
    if (alias := config.pop("cdrom", None)) is not None:
        config["ide2"] = f"{alias},media=cdrom"
    qemu_disks.check_storage_access(call, config, vmid)
    grants.check_devices(call, config, vmid, pool)
    qemu_options.check_permissions(call, vmid, config, pool)
    grants.check_bridges(call, config)
    qemu_disks.check_drives(call, config)
    refuse_taken(call, vmid)
    for key in drives.numbered(config, "net"):
        config[key] = qemu_options.print_net(world, config[key])
    guest = Guest(vmid=vmid, kind=Kind.QEMU, node=call.node, config={"lock": "create"})
    world.guests[vmid] = guest
    write(world, guest)
    return call.fork("qmcreate", vmid, lambda task: _create(call, task, config))


def refuse_taken(call: Call, vmid: int) -> None:
    """Refuse a VMID that a guest has or is being made with."""
    taken = call.world.guests.get(vmid)
    if taken is None:
        return
    name = "VM" if taken.kind is Kind.QEMU else "CT"
    raise ApiError(
        f"unable to create VM {vmid} - {name} {vmid} already exists on node '{taken.node}'"
    )


def _create(call: Call, task: Task, config: dict[str, str]) -> Worker:
    world, vmid = call.world, call.vmid
    yield from world.hold(task, guest_lock(vmid))
    created = qemu_disks.Created()
    try:
        _own(call)
        _refuse_undefined(config)
        qemu_disks.create(world, call.node, vmid, config, created)
        for line in created.lines:
            task.say(line)
        yield world.spec.timing.create_s + created.seconds
        if "tags" in config:
            tags.check_created(call, vmid, config["tags"])
    except (ApiError, TaskError) as error:
        qemu_disks.undo(world, created)
        made = world.guests.get(vmid)
        if made is not None and made.lock == "create":
            del world.guests[vmid]
            world.vmlist_version += 1
        raise TaskError(f"unable to create VM {vmid} - {error}") from error
    guest = _own(call)
    guest.config = finished_config(call, config, created)
    write(world, guest)
    if pool := call.text("pool"):
        world.pools[pool].guests.add(vmid)
        world.access.vm_pool[vmid] = pool
        world.access.changed()
    if call.flag("start"):
        task.say("Execute autostart")
        world.let_go(task, guest_lock(vmid))
        power.autostart(world, guest, call.who.full)


def _own(call: Call) -> Guest:
    guest = call.guest()
    if guest.lock != "create":
        raise TaskError("Lost 'create' config lock, aborting.")
    return guest


def _refuse_undefined(config: dict[str, str]) -> None:
    for name, value in config.items():
        if value == UNDEFINED:
            raise TaskError(f"unable to parse value of '{name}' - got undefined value")


def finished_config(
    call: Call, config: dict[str, str], created: qemu_disks.Created
) -> dict[str, str]:
    """Return the configuration a creation leaves: what was asked for and what PVE adds."""
    world = call.world
    done = {**config, **created.values}
    if "boot" not in done:
        order = drives.boot_order(done)
        done["boot"] = f"order={';'.join(order)}" if order else " "
    if "smbios1" not in done:
        done["smbios1"] = f"uuid={qemu_options.new_uuid(world)}"
    if done.get("vmgenid", "1") == "1":
        done["vmgenid"] = qemu_options.new_uuid(world)
    if "meta" not in done:
        done["meta"] = f"creation-qemu={QEMU_VERSION},ctime={world.stamp()}"
    return done


def destroy(call: Call) -> Json:
    """Answer ``DELETE /nodes/{node}/qemu/{vmid}``."""
    call.refuse_skiplock()
    guest = call.guest()
    check_destroyable(call, guest)
    if guest.is_running:
        raise ApiError(f"VM {call.vmid} is running - destroy failed")
    return call.fork("qmdestroy", call.vmid, lambda task: _destroy(call, task))


def check_destroyable(call: Call, guest: Guest) -> None:
    """Refuse what must not be destroyed: protected, under HA, replicated."""
    name = "VM" if guest.kind is Kind.QEMU else "CT"
    if guest.config.get("protection") == "1":
        raise ApiError(f"can't remove {name} {guest.vmid} - protection mode enabled")
    if call.world.ha.of(guest.vmid) is not None and not call.flag("purge"):
        raise ApiError(
            f"unable to remove {name} {guest.vmid} - used in HA resources and purge parameter "
            f"not set."
        )
    if not call.flag("purge"):
        replication.refuse_if_any(call.world, guest.vmid)


def _destroy(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    if guest.is_running:
        raise TaskError(f"VM {call.vmid} is running - destroy failed")
    check_lock(guest, "suspended")
    refuse_used_base(call, guest)
    if call.flag("purge"):
        purge(call, task, guest)
    yield world.spec.timing.destroy_s
    if not world.is_quorate():
        write(world, guest)
    remove(call, guest)


def refuse_used_base(call: Call, guest: Guest) -> None:
    """Refuse to destroy a template whose base images linked clones still need."""
    for volume in volumes.of_guest(call.world, guest.vmid):
        if volumes.children(call.world, volume):
            raise TaskError(f"base volume '{volume.volid}' is still in use by linked cloned")


def purge(call: Call, task: Task, guest: Guest) -> None:
    """Take a guest out of everything that mentions it: HA, jobs, replication, pools."""
    world = call.world
    name = "VM" if guest.kind is Kind.QEMU else "CT"
    task.say(f"purging {name} {guest.vmid} from related configurations..")
    service = world.ha.of(guest.vmid)
    if service is not None:
        world.ha.remove(service.sid)
        task.say(f"NOTE: removed {name} {guest.vmid} from HA resource configuration.")
    for job in world.jobs.values():
        listed = [item for item in job.get("vmid", "").split(",") if item]
        if str(guest.vmid) in listed:
            job["vmid"] = ",".join(item for item in listed if item != str(guest.vmid))
    for key in [key for key in world.replications if key.startswith(f"{guest.vmid}-")]:
        del world.replications[key]


def remove(call: Call, guest: Guest) -> None:
    """Free a guest's volumes and forget it."""
    world = call.world
    attached = {
        drives.parse(value, "file").get("file")
        for section in (guest.config, guest.pending, *guest.snapshots.values())
        for key, value in section.items()
        if drives.is_drive(key) or drives.is_mount(key) or key.startswith(("unused", "vmstate"))
    }
    for volume in list(volumes.of_guest(world, guest.vmid)):
        is_here = not volume.node or volume.node == guest.node
        if is_here and (volume.volid in attached or call.flag("destroy-unreferenced-disks")):
            volumes.drop(world, volume)
    forget_guest(world, guest.vmid)


def forget_guest(world: World, vmid: int) -> None:
    """Remove a guest's configuration, firewall and pool membership."""
    world.guests.pop(vmid, None)
    world.vmlist_version += 1
    world.firewall.pop(f"guest/{vmid}", None)
    world.rules.pop(f"guest/{vmid}", None)
    pool = world.access.vm_pool.pop(vmid, None)
    if pool is not None:
        world.pools[pool].guests.discard(vmid)
    world.access.changed()


def make_template(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/qemu/{vmid}/template``."""
    guest = call.guest()
    check_lock(guest)
    disk = call.get("disk")
    if guest.snapshots:
        raise ApiError("unable to create template, because VM contains snapshots")
    if guest.is_template and disk is None:
        raise ApiError("you can't convert a template to a template")
    if guest.is_running:
        raise ApiError("you can't convert a VM to template if VM is running")
    return call.fork("qmtemplate", call.vmid, lambda task: _make_template(call, task))


def _make_template(call: Call, task: Task) -> Worker:
    yield from call.world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    yield call.world.spec.timing.config_s
    turn_into_template(call, guest, only=call.text("disk"))


def turn_into_template(call: Call, guest: Guest, *, only: str = "") -> None:
    """Make every disk, or only one, a base image, and the guest a template."""
    world = call.world
    for key, value in list(guest.config.items()):
        if only not in {"", key}:
            continue
        is_disk = drives.is_drive(key) or drives.is_mount(key)
        if not is_disk or drives.is_cdrom(value):
            continue
        drive = drives.parse(value)
        volume = volumes.find(world, drive.get("file", ""), guest.node)
        if volume is None or volume.vmid != guest.vmid:
            continue
        volumes.make_base(world, volume)
        drive["file"] = volume.volid
        guest.config[key] = drives.show(drive)
    guest.config["template"] = "1"
    write(world, guest)


def next_id(call: Call) -> Json:
    """Answer ``GET /cluster/nextid``: the lowest free VMID, or whether a given one is free."""
    if (wanted := call.get("vmid")) is not None:
        if int(wanted) in call.world.guests:
            raise bad_parameters({"vmid": f"VM {wanted} already exists"})
        return wanted
    limits = drives.parse(call.world.options.get("next-id", ""), "lower")
    number = int(limits.get("lower", "100"))
    while number in call.world.guests:
        number += 1
    return str(number)


HANDLERS: Handlers = {
    "POST /nodes/{node}/qemu": create,
    "DELETE /nodes/{node}/qemu/{vmid}": destroy,
    "POST /nodes/{node}/qemu/{vmid}/template": make_template,
    "GET /cluster/nextid": next_id,
}
