"""Save a VM's memory, for snapshots with RAM and for hibernation."""

import datetime as dt

from qlop.sim import drives, qemu_options, volumes
from qlop.sim.engine import World
from qlop.sim.state import Guest, Storage, Task, Volume

_STATE_OVERHEAD = 500 * 1024**2
"""PVE reserves twice the memory and this for a state volume (``PVE/QemuConfig.pm``)."""


def state_storage(world: World, guest: Guest) -> str:
    """Return the storage a memory state goes to: the configured one, or a disk's own."""
    if "vmstatestorage" in guest.config:
        return guest.config["vmstatestorage"]
    local = ""
    for key in sorted(guest.config):
        value = guest.config[key]
        if not drives.is_drive(key) or drives.is_cdrom(value):
            continue
        name = drives.parse(value).get("file", "").partition(":")[0]
        storage = world.storages.get(name)
        if storage is None:
            continue
        if storage.shared:
            return name
        local = local or name
    return local or "local"


def save_state(world: World, task: Task, guest: Guest, storage: Storage, name: str) -> Volume:
    """Allocate and fill a state volume.

    Raises:
        TaskError: the storage is full.
    """
    size = 2 * qemu_options.memory_mib(guest.config) * 1024**2 + _STATE_OVERHEAD
    volume = volumes.allocate(
        world,
        storage=storage,
        node=guest.node,
        vmid=guest.vmid,
        size=size,
        format_="raw",
        name=name,
    )
    task.say(volumes.format_line(storage, volume))
    return volume


def running_facts(guest: Guest) -> dict[str, str]:
    """Return what a saved state needs to be restored: machine, processor, MTUs."""
    facts = {
        "runningmachine": "pc-i440fx-10.0+pve1",
        "runningcpu": guest.config.get(
            "cpu", "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep"
        ),
    }
    cards = drives.numbered(guest.config, "net")
    if cards:
        facts["running-nets-host-mtu"] = ",".join(f"{card}=1500" for card in cards)
    return facts


def day(world: World) -> str:
    """Return the date a hibernation's state volume is named after."""
    return dt.datetime.fromtimestamp(world.stamp(), tz=dt.UTC).date().isoformat()
