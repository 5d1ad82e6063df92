"""Apply pending changes to a container, running or stopped.

After ``vmconfig_hotplug_pending`` and ``vmconfig_apply_pending`` of ``pve-container``.
"""

import re

from qlop.sim import drives, lxc_options, volumes
from qlop.sim.engine import World
from qlop.sim.state import Guest
from qlop.sim.wire import ApiError


def apply_hot(world: World, guest: Guest, selected: set[str]) -> dict[str, str]:
    """Apply what a running container can take; the rest stays pending."""
    errors: dict[str, str] = {}
    for option in [name for name in guest.pending if name in lxc_options.FAST]:
        guest.config[option] = guest.pending.pop(option)
    for option in sorted(guest.deletes):
        if option not in selected:
            continue
        is_live = option in lxc_options.FAST | {"swap", "cpulimit", "cpuunits"}
        if option.startswith("unused"):
            _free(world, guest, option)
        elif not is_live and not re.fullmatch(r"net\d+", option):
            continue
        guest.config.pop(option, None)
        guest.deletes.pop(option, None)
    for option in sorted(guest.pending):
        if option in selected:
            complaint = _refuses(world, guest, option)
            if complaint:
                errors[option] = f"unable to hotplug {option}: {complaint}\n"
            else:
                _set_hot(world, guest, option)
    return errors


def _refuses(world: World, guest: Guest, option: str) -> str:
    """Return why this host can't change the device, having taken the old one away."""
    if world.nodes[guest.node].hotplugs_containers:
        return ""
    if found := re.fullmatch(r"net(\d+)", option):
        guest.config.pop(option, None)
        name = drives.parse(guest.pending[option], "name").get("name", "eth0")
        veth = f"veth{guest.vmid}i{found[1]}p"
        return f"command 'lxc-device -n {guest.vmid} add {veth} {name}' failed: exit code 1"
    if re.fullmatch(r"mp\d+", option) and option not in guest.config:
        del guest.pending[option]
        return "failed to change apparmor profile: Invalid argument"
    return ""


def _set_hot(world: World, guest: Guest, option: str) -> None:
    value = guest.pending[option]
    if re.fullmatch(r"net\d+", option):
        guest.config[option] = lxc_options.print_net(world, value)
    elif re.fullmatch(r"mp\d+", option) and option not in guest.config:
        guest.config[option] = create_mount(world, guest, value)
    elif option in lxc_options.LIVE:
        guest.config[option] = value
    else:
        return
    del guest.pending[option]


def apply_cold(world: World, guest: Guest) -> None:
    """Apply every pending change to a stopped container."""
    for option in sorted(guest.deletes):
        if re.fullmatch(r"mp\d+", option) and option in guest.config:
            keep_unused(world, guest, guest.config.pop(option))
        elif option.startswith("unused"):
            _free(world, guest, option)
        guest.config.pop(option, None)
    guest.deletes.clear()
    for option in sorted(guest.pending):
        value = guest.pending.pop(option)
        if re.fullmatch(r"mp\d+", option):
            old = guest.config.pop(option, None)
            new = create_mount(world, guest, value)
            if old is not None and _volid(old) != _volid(new):
                keep_unused(world, guest, old)
            guest.config[option] = new
        elif re.fullmatch(r"net\d+", option):
            guest.config[option] = lxc_options.print_net(world, value)
        else:
            guest.config[option] = value


def _volid(value: str) -> str:
    return drives.parse(value).get("file", "")


def create_mount(world: World, guest: Guest, value: str) -> str:
    """Return a mount point's stored value, its volume allocated if it asks for a new one.

    Raises:
        ApiError: the volume does not exist.
        TaskError: the storage is full.
    """
    mount = drives.parse(value)
    requested = drives.new_disk(mount["file"])
    if requested is not None:
        name, gib = requested
        storage = volumes.on_node(world, name, guest.node)
        size = int(gib * 1024) * 1024**2
        format_ = "subvol" if size == 0 and storage.has_files else ""
        volume = volumes.allocate(
            world,
            storage=storage,
            node=guest.node,
            vmid=guest.vmid,
            size=size,
            format_=format_,
            content="rootdir",
        )
        mount["file"] = volume.volid
        mount["size"] = drives.size_text(size)
    elif ":" in mount["file"]:
        existing = volumes.find(world, mount["file"], guest.node)
        if existing is None:
            raise ApiError(f"volume '{mount['file']}' does not exist")
        mount["size"] = drives.size_text(existing.size_bytes)
    return drives.show(mount)


def keep_unused(world: World, guest: Guest, value: str) -> None:
    """Keep a removed mount point's volume as ``unusedN``."""
    volid = _volid(value)
    if volumes.find(world, volid, guest.node) is None:
        return
    number = 0
    while f"unused{number}" in guest.config:
        number += 1
    guest.config[f"unused{number}"] = volid


def _free(world: World, guest: Guest, option: str) -> None:
    volume = volumes.find(world, _volid(guest.config.get(option, "")), guest.node)
    if volume is not None and volume.vmid == guest.vmid:
        volumes.drop(world, volume)
