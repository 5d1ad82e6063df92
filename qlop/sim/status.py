"""Tell how guests are: one, all of a node, and what the status daemons push."""

from qlop.ports import Json
from qlop.sim import application, drives, ha, lxc_options, power, qemu_options, volumes
from qlop.sim.call import Call, Handlers
from qlop.sim.engine import World
from qlop.sim.state import Guest, Kind, Run, Seen
from qlop.sim.wire import Row

_BLOCK_COUNTERS = [
    "rd_bytes",
    "wr_bytes",
    "rd_operations",
    "wr_operations",
    "flush_operations",
    "rd_merged",
    "wr_merged",
    "rd_total_time_ns",
    "wr_total_time_ns",
    "flush_total_time_ns",
    "failed_rd_operations",
    "failed_wr_operations",
    "failed_flush_operations",
    "invalid_rd_operations",
    "invalid_wr_operations",
    "invalid_flush_operations",
    "idle_time_ns",
    "wr_highest_offset",
    "unmap_bytes",
    "unmap_operations",
    "unmap_merged",
    "unmap_total_time_ns",
    "failed_unmap_operations",
    "invalid_unmap_operations",
    "zone_append_bytes",
    "zone_append_operations",
    "zone_append_merged",
    "zone_append_total_time_ns",
    "failed_zone_append_operations",
    "invalid_zone_append_operations",
]

_PRESSURES = [
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
]


def name_of(guest: Guest) -> str:
    """Return a guest's name, or the one PVE makes up."""
    if guest.kind is Kind.QEMU:
        return guest.config.get("name", f"VM {guest.vmid}")
    return guest.config.get("hostname", f"CT{guest.vmid}")


def maxmem(guest: Guest) -> int:
    """Return the guest's memory in bytes."""
    if guest.kind is Kind.LXC:
        return lxc_options.memory_bytes(guest.config)
    return qemu_options.memory_mib(guest.config) * 1024**2


def maxdisk(guest: Guest) -> int:
    """Return the size of the disk PVE shows: the boot disk, the root file system."""
    key = "rootfs" if guest.kind is Kind.LXC else drives.boot_disk(guest.config)
    if key is None or key not in guest.config:
        return 0
    drive = drives.parse(guest.config[key])
    if "size" in drive:
        size = drives.size_bytes(drive["size"])
        if size or guest.kind is Kind.QEMU:
            return size
    return 4 * 1024**3 if guest.kind is Kind.LXC else 0


def cpu_count(world: World, guest: Guest) -> float:
    """Return the number of processors."""
    if guest.kind is Kind.LXC:
        return lxc_options.cpus(guest.config, world.nodes[guest.node].cores)
    return qemu_options.cpus(guest.config)


def see(world: World, guest: Guest) -> Seen:
    """Return what a status daemon sees of a guest right now."""
    run = guest.run
    state = "stopped"
    if run is not None:
        state = run.paused or "running"
    return Seen(
        status=state,
        name=name_of(guest),
        template=guest.is_template,
        cpus=cpu_count(world, guest),
        maxmem=maxmem(guest),
        maxdisk=maxdisk(guest),
        started_at=run.started_at if run is not None else 0.0,
    )


def load_of(guest: Guest, at: float) -> tuple[float, float]:
    """Return a running guest's processor and memory use (0 to 1): steady, its own."""
    seed = (guest.vmid * 2654435761) % 1000 / 1000
    wave = (int(at / 10) * 40503 + guest.vmid) % 100 / 1000
    return 0.01 + 0.2 * seed * seed + wave * 0.1, 0.25 + 0.5 * seed


def current(call: Call) -> Json:
    """Answer ``GET …/status/current``."""
    guest = call.guest()
    row = basic_row(call.world, guest, full=True)
    service = call.world.ha.of(guest.vmid)
    if service is None or service.request == "ignored":
        row["ha"] = {"managed": 0}
    else:
        row["ha"] = {"managed": 1, "state": ha.state_of(service)}
    if guest.kind is Kind.QEMU and qemu_options.agent_is_on(guest.config):
        row["agent"] = 1
    return row


def listing(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/qemu`` and ``/lxc``."""
    world = call.world
    kind = call.kind
    full = call.flag("full")
    rows: list[Json] = [
        basic_row(world, guest, full=full)
        for guest in world.guests.values()
        if guest.node == call.node
        and guest.kind is kind
        and call.may(f"/vms/{guest.vmid}", "VM.Audit")
    ]
    world.random.shuffle(rows)
    return rows


def basic_row(world: World, guest: Guest, *, full: bool) -> Row:
    """Return a guest's row as its node tells it."""
    return _vm_row(world, guest, full=full) if guest.kind is Kind.QEMU else _ct_row(world, guest)


def _vm_row(world: World, guest: Guest, *, full: bool) -> Row:
    run = guest.run
    disk = maxdisk(guest)
    row: Row = {
        "vmid": guest.vmid,
        "name": name_of(guest),
        "status": "running" if run else "stopped",
        "cpus": qemu_options.cpus(guest.config),
        "maxmem": maxmem(guest),
        "maxdisk": disk,
        "cpu": 0,
        "mem": 0,
        "disk": 0,
        "netin": 0,
        "netout": 0,
        "uptime": 0,
        "memhost": 0,
    }
    if guest.is_template:
        row["template"] = 1
    for key in ("lock", "tags"):
        if key in guest.config:
            row[key] = guest.config[key]
    if any(key.startswith("serial") for key in guest.config):
        row["serial"] = 1
    if full:
        row["qmpstatus"] = (run.paused or "running") if run else "stopped"
    if run is not None:
        _add_running_vm(world, guest, run, row, full=full)
    return row


_SUPPORT: Row = {
    "pbs-dirty-bitmap": True,
    "pbs-dirty-bitmap-migration": True,
    "pbs-dirty-bitmap-savevm": True,
    "pbs-library-version": "1.5.1",
    "pbs-masterkey": True,
    "query-bitmap-info": True,
    "backup-access-api": True,
    "backup-fleecing": True,
    "backup-max-workers": True,
}


def _add_running_vm(world: World, guest: Guest, run: Run, row: Row, *, full: bool) -> None:
    cpu, share = load_of(guest, world.now)
    memory = maxmem(guest)
    uptime = int(world.now - run.started_at)
    row.update(dict.fromkeys(_PRESSURES, 0))
    row.update(
        pid=run.pid,
        uptime=uptime,
        cpu=round(cpu, 6),
        mem=int(memory * share),
        memhost=int(memory * share),
        netin=uptime * 120,
        netout=uptime * 80,
        diskread=uptime * 4096,
        diskwrite=uptime * volumes.WRITTEN_BYTES_PER_S,
    )
    if not full:
        del row["diskread"], row["diskwrite"]
        return
    _add_details(world, guest, run, row, memory=memory, share=share, uptime=uptime)


def _add_details(
    world: World, guest: Guest, run: Run, row: Row, *, memory: int, share: float, uptime: int
) -> None:
    row["running-machine"] = run.machine
    row["running-qemu"] = "10.0.13"
    row["balloon"] = memory
    balloon: Row = {"actual": memory, "max_mem": memory}
    if power.installed(world, guest).value != "none" and world.now >= run.booted_at:
        free = memory - int(memory * share)
        row["freemem"] = free
        balloon.update(
            free_mem=free,
            total_mem=int(memory * 0.85),
            last_update=world.stamp(),
            major_page_faults=0,
            minor_page_faults=2128,
            mem_swapped_in=0,
            mem_swapped_out=0,
        )
    row["ballooninfo"] = balloon
    row["nics"] = {
        f"tap{guest.vmid}i{key[3:]}": {"netin": uptime * 120, "netout": uptime * 80}
        for key in drives.numbered(guest.config, "net")
    }
    row["blockstat"] = {
        key: {
            **dict.fromkeys(_BLOCK_COUNTERS, 0),
            "account_failed": True,
            "account_invalid": True,
            "timed_stats": [],
        }
        for key in run.devices
        if drives.is_drive(key) and key not in {"efidisk0", "tpmstate0"}
    }
    row["proxmox-support"] = dict(_SUPPORT)


def _ct_row(world: World, guest: Guest) -> Row:
    run = guest.run
    row: Row = {
        "vmid": guest.vmid,
        "type": "lxc",
        "name": name_of(guest),
        "status": "running" if run else "stopped",
        "cpus": lxc_options.cpus(guest.config, world.nodes[guest.node].cores),
        "maxmem": maxmem(guest),
        "maxswap": lxc_options.swap_bytes(guest.config),
        "maxdisk": maxdisk(guest),
        "cpu": 0,
        "mem": 0,
        "swap": 0,
        "disk": 0,
        "netin": 0,
        "netout": 0,
        "diskread": 0,
        "diskwrite": 0,
        "uptime": 0,
    }
    if guest.is_template:
        row["template"] = 1
    for key in ("lock", "tags"):
        if key in guest.config:
            row[key] = guest.config[key]
    if run is not None:
        cpu, share = load_of(guest, world.now)
        uptime = int(world.now - run.started_at)
        row.update(dict.fromkeys(_PRESSURES, None))
        root = volumes.find(
            world, drives.parse(guest.config.get("rootfs", "")).get("file", ""), guest.node
        )
        row.update(
            pid=run.pid,
            uptime=uptime,
            cpu=round(cpu, 6),
            mem=int(maxmem(guest) * share),
            disk=root.used_bytes if root else 0,
            netin=uptime * 120,
            netout=uptime * 80,
        )
    return row


def interfaces(call: Call) -> Json:
    """Answer ``GET …/lxc/{vmid}/interfaces``: what the running container has."""
    guest = call.guest()
    if guest.run is None:
        return None
    rows: list[Json] = [_interface("lo", "00:00:00:00:00:00", "127.0.0.1/8")]
    leased = {name: f"{ip}/{prefix}" for name, ip, prefix in application.addresses(guest)}
    for key in drives.numbered(guest.config, "net"):
        net = drives.parse(guest.config[key], "name")
        address = net.get("ip", "")
        if address == "dhcp" or (guest.address and key == "net0"):
            address = leased[f"eth{key[3:]}"]
        rows.append(_interface(net["name"], net["hwaddr"].lower(), address))
    return rows


def _interface(name: str, mac: str, address: str) -> Row:
    row: Row = {"name": name, "hwaddr": mac, "hardware-address": mac, "ip-addresses": []}
    ip, _, prefix = address.partition("/")
    if prefix:
        row["inet"] = address
        row["ip-addresses"] = [{"ip-address": ip, "ip-address-type": "inet", "prefix": prefix}]
    return row


HANDLERS: Handlers = {
    "GET /nodes/{node}/qemu": listing,
    "GET /nodes/{node}/lxc": listing,
    "GET /nodes/{node}/qemu/{vmid}/status/current": current,
    "GET /nodes/{node}/lxc/{vmid}/status/current": current,
    "GET /nodes/{node}/lxc/{vmid}/interfaces": interfaces,
}
