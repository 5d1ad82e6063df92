"""Apply pending changes to a VM: hot to its running process, cold to a stopped one.

After ``vmconfig_hotplug_pending`` and ``vmconfig_apply_pending`` of ``qemu-server``.
"""

import functools
import re
from collections.abc import Callable

from qlop.sim import drives, qemu_disks, qemu_options
from qlop.sim.engine import World
from qlop.sim.state import Guest

UNPLUG_WAIT_S = 5.0
"""How long PVE waits for the guest to let a device go; a guest without a system never does."""

_SCSI_WAIT_S = 12.0
"""How long the removal of a SCSI disk takes when no system answers for it: the host bus lets
go of it all the same."""

_DISK_FIXED = ("aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro")


class _SkipError(Exception):
    """The change has to wait for the next start."""


class _PlugError(Exception):
    """The guest did not play along."""


def apply_hot(world: World, guest: Guest, selected: set[str]) -> tuple[dict[str, str], float]:
    """Apply what a running VM can take.

    Return the complaints by option, and the seconds spent waiting for the guest.
    """
    errors: dict[str, str] = {}
    for option in [name for name in guest.pending if _is_fast(name)]:
        record_cloudinit(guest, option, guest.pending[option])
        guest.config[option] = guest.pending.pop(option)
    seconds = 0.0
    for option in sorted(guest.deletes):
        if option in selected:
            seconds += _try(option, errors, functools.partial(_unset, world, guest, option))
            if option not in errors and option not in guest.deletes and guest.run is not None:
                guest.run.devices.pop(option, None)
    for option in sorted(guest.pending):
        if option in selected:
            seconds += _try(option, errors, functools.partial(_set, world, guest, option))
    return errors, seconds


def _is_fast(option: str) -> bool:
    return option in qemu_options.FAST or re.fullmatch(r"ipconfig\d+", option) is not None


def _try(option: str, errors: dict[str, str], change: Callable[[], float]) -> float:
    try:
        return change()
    except _SkipError:
        return 0.0
    except _PlugError as error:
        errors[option] = f"hotplug problem - {error}\n"
        return UNPLUG_WAIT_S


def features(guest: Guest) -> set[str]:
    """Return the hotplug features that are on."""
    value = guest.config.get("hotplug", "1")
    if value == "1":
        return {"network", "disk", "usb"}
    return set() if value == "0" else set(re.split(r"[,;\s]+", value))


def _unset(world: World, guest: Guest, option: str) -> float:
    on = features(guest)
    seconds = 0.0
    if re.fullmatch(r"net\d+", option):
        _need("network" in on)
        seconds = _unplug(world, guest, option)
    elif drives.is_drive(option):
        _need("disk" in on and not re.match(r"efidisk|ide|sata|tpmstate", option))
        if option == drives.boot_disk(guest.config):
            raise _PlugError(f"can't unplug bootdisk '{option}'")
        seconds = _unplug(world, guest, option)
        _detach(world, guest, option, force=guest.deletes[option])
    elif option == "balloon":
        _need(guest.config.get("balloon") != "0")
    elif option == "vcpus":
        _need("cpu" in on)
    elif option == "memory":
        _need("memory" in on)
    elif option == "hotplug":
        _need(not re.search(r"cpu|memory", guest.config.get("hotplug", "")))
    elif option == "tablet" or option.startswith("usb"):
        _need("usb" in on)
    elif not _is_fast(option) and option not in {"cpuunits", "cpulimit"}:
        raise _SkipError
    record_cloudinit(guest, option, None)
    guest.config.pop(option, None)
    guest.deletes.pop(option, None)
    return seconds


def _set(world: World, guest: Guest, option: str) -> float:
    value = guest.pending[option]
    on = features(guest)
    seconds = 0.0
    if re.fullmatch(r"net\d+", option):
        seconds = _set_net(world, guest, option, value, hot="network" in on)
    elif drives.is_drive(option):
        seconds = _set_drive(world, guest, option, value, hot="disk" in on)
    elif option == "agent":
        _set_agent(guest, value)
    else:
        _need_settable(guest, option, value, on)
    record_cloudinit(guest, option, value)
    guest.config[option] = guest.pending.pop(option)
    if guest.run is not None:
        guest.run.devices[option] = value
    return seconds


def _need_settable(guest: Guest, option: str, value: str, on: set[str]) -> None:
    if option == "balloon":
        before = guest.config.get("balloon", "1") != "0"
        _need(before == (value != "0"))
    elif option == "vcpus":
        _need("cpu" in on)
    elif option == "memory":
        _need("memory" in on)
    elif option == "hotplug":
        both = f"{value} {guest.config.get('hotplug', '')}"
        _need(not re.search(r"cpu|memory", both))
    elif option == "tablet" or option.startswith("usb"):
        _need("usb" in on)
    else:
        _need(option in {"cpuunits", "cpulimit"})


def _need(condition: object) -> None:
    if not condition:
        raise _SkipError


def _set_net(world: World, guest: Guest, option: str, value: str, *, hot: bool) -> float:
    new = qemu_options.parse_net(value)
    if option in guest.config:
        old = qemu_options.parse_net(guest.config[option])
        same = all(old.get(key) == new.get(key) for key in ("model", "macaddr", "queues", "mtu"))
        if same and "bridge" in old and "bridge" in new:
            return 0.0
        _need(hot)
        return _unplug(world, guest, option) + 1.0
    _need(hot)
    return 1.0


def _set_drive(world: World, guest: Guest, option: str, value: str, *, hot: bool) -> float:
    _need(option not in {"efidisk0", "tpmstate0"})
    if option not in guest.config:
        _need(hot and not option.startswith(("ide", "sata")))
        return 0.2
    old, new = drives.parse(guest.config[option]), drives.parse(value)
    if old.get("media", "disk") != new.get("media", "disk"):
        raise _PlugError("unable to change media type")
    if drives.is_cdrom(guest.config[option]):
        return 0.0
    if old["file"] == new["file"]:
        _need(all(old.get(key) == new.get(key) for key in _DISK_FIXED))
        return 0.0
    _need(hot)
    seconds = _unplug(world, guest, option)
    qemu_disks.register_unused(world, guest, guest.config[option])
    return seconds


def _set_agent(guest: Guest, value: str) -> None:
    _need(guest.config.get("agent"))
    old = drives.parse(guest.config["agent"], "enabled")
    new = drives.parse(value, "enabled")
    for key in set(old) | set(new):
        _need(key == "fstrim_cloned_disks" or old.get(key) == new.get(key))


def _unplug(world: World, guest: Guest, option: str) -> float:
    """Take a device from the guest: only an operating system lets a PCI device go."""
    assert guest.run is not None
    if option.startswith("scsi"):
        return 0.5 if world.now >= guest.run.booted_at else _SCSI_WAIT_S
    if world.now < guest.run.booted_at or guest.run.acpi_deaf:
        raise _PlugError(f"error on hot-unplugging device '{option}'")
    return 0.5


def _detach(world: World, guest: Guest, option: str, *, force: bool) -> None:
    value = guest.config[option]
    if force:
        guest.config["unused255"] = drives.parse(value).get("file", "")
        del guest.config[option]
        qemu_disks.free_unused(world, guest, "unused255")
    else:
        del guest.config[option]
        qemu_disks.register_unused(world, guest, value)


def apply_cold(world: World, guest: Guest) -> dict[str, str]:
    """Apply every pending change to a stopped VM; return complaints by option."""
    for option in sorted(guest.deletes):
        force = guest.deletes.pop(option)
        if option in guest.config and drives.is_drive(option):
            _detach(world, guest, option, force=force)
        record_cloudinit(guest, option, None)
        guest.config.pop(option, None)
    has_drive = False
    for option in sorted(guest.pending):
        value = guest.pending.pop(option)
        if option in guest.config and drives.is_drive(option) and guest.config[option] != value:
            old = guest.config.pop(option)
            if drives.parse(old).get("file") != drives.parse(value).get("file"):
                qemu_disks.register_unused(world, guest, old)
        record_cloudinit(guest, option, value)
        guest.config[option] = value
        has_drive = has_drive or "cloudinit" in value
    if has_drive:
        guest.cloudinit = {}
    return {}


def record_cloudinit(guest: Guest, option: str, new: str | None) -> None:
    """Remember the value the cloud-init drive was generated with, once it is overtaken.

    An empty remembered value means that the option was not there.
    """
    known = option in qemu_options.CLOUDINIT or option == "name"
    if not known and not re.fullmatch(r"ipconfig\d+|net\d+", option):
        return
    old = guest.config.get(option)
    if old == new:
        return
    recorded = guest.cloudinit.get(option)
    if recorded is None:
        guest.cloudinit[option] = old or ""
    elif recorded == (new or ""):
        del guest.cloudinit[option]
