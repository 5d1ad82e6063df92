"""Say of a guest all that a manifest can say, in full: nothing inherited, no default left out."""

from collections.abc import Mapping
from dataclasses import dataclass

from qlop.manifest import export_devices, placeholder
from qlop.manifest.drawing import (
    Drawing,
    Wanted,
    flag,
    mib,
    milliseconds,
    number,
    seconds,
    text,
    whole,
    words,
)
from qlop.manifest.marks import Yaml
from qlop.manifest.schema import ServiceSpec
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.owner import OWN_TAG, strip_mark

DEFAULT_MEMORY = "512MiB"
"""What PVE gives a guest whose configuration names no memory."""

_BOOKKEEPING = frozenset({"digest", "lock", "meta", "parent", "snaptime", "template"})
"""What PVE keeps in a configuration for itself."""

_STARTUP: Wanted = {
    "order": ("order", whole),
    "up": ("upDelay", seconds),
    "down": ("downDelay", seconds),
}
_AGENT: Wanted = {
    "enabled": ("enabled", flag),
    "type": ("type", text),
    "fstrim_cloned_disks": ("trim", flag),
    "freeze-fs-on-backup": ("freeze", flag),
}
_CPU: Wanted = {"cputype": ("type", text), "flags": ("flags", words(";"))}
_DISPLAY: Wanted = {"type": ("type", text), "memory": ("memory", mib)}
_RNG: Wanted = {
    "source": ("source", text),
    "max_bytes": ("maxBytes", whole),
    "period": ("period", milliseconds),
}
_WATCHDOG: Wanted = {"model": ("model", text), "action": ("action", text)}
_SNIPPETS: Wanted = {
    "user": ("userData", text),
    "vendor": ("vendorData", text),
    "network": ("networkData", text),
    "meta": ("metaData", text),
}
_FEATURES: Wanted = {
    "nesting": ("nesting", flag),
    "keyctl": ("keyctl", flag),
    "fuse": ("fuse", flag),
    "mknod": ("mknod", flag),
    "force_rw_sys": ("forceRwSys", flag),
    "mount": ("mount", words(";")),
}

_FIRST = ("profiles", "type", "source", "vmid", "guestName")
_KEYS = (*_FIRST, *(str(one.alias) for one in ServiceSpec.model_fields.values()))
"""The keys in the order in which a person reads them: first who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A guest as a manifest would have it.

    ``waiting`` are options whose new value waits for a restart; they are not said, so
    that nothing restarts the guest for them. ``unmodelled`` names what no manifest says.
    """

    spec: dict[str, Yaml]
    waiting: tuple[str, ...]
    unmodelled: tuple[str, ...]


def draw(guest: ObservedGuest, config: GuestConfig) -> Drawn:
    """Return all that a manifest can say of ``guest``."""
    waiting = sorted((config.pending & config.options.keys()) - {"memory"})
    drawing = Drawing(
        left={
            key: value
            for key, value in config.options.items()
            if key not in _BOOKKEEPING and key not in config.pending - {"memory"}
        }
    )
    drawing.say("type", "vm" if guest.kind is GuestKind.VM else "container")
    drawing.say("source", {"existing": True})
    drawing.say("vmid", int(guest.vmid))
    is_up = guest.power in {Power.RUNNING, Power.PAUSED}
    drawing.say("power", "running" if is_up else "stopped")
    drawing.say("pool", guest.pool)
    _draw_common(drawing)
    if guest.kind is GuestKind.VM:
        _draw_vm(drawing, config)
    else:
        _draw_container(drawing, config)
    left = [key for key, value in drawing.left.items() if not _goes_without_saying(key, value)]
    rest = [*drawing.rest, *left, *config.unused]
    return Drawn(
        spec=ordered(drawing.spec),
        waiting=tuple(waiting),
        unmodelled=tuple(sorted(rest)),
    )


def ordered(spec: Mapping[str, Yaml]) -> dict[str, Yaml]:
    """Return ``spec`` with its keys in the order of the reference, who it is first."""
    return {key: spec[key] for key in dict.fromkeys(_KEYS) if key in spec}


def _goes_without_saying(option: str, value: OptionValue) -> bool:
    """Return whether no person would miss an option: PVE gives every guest one of its own."""
    match option:
        case "vmgenid":
            return True
        case "smbios1":
            return not isinstance(value, str) and value.keys() <= {"uuid"}
        case "boot":
            return not value if isinstance(value, str) else not any(value.values())
        case _:
            return False


def is_plain(value: str) -> bool:
    """Return whether ``value`` means itself: that nothing in it would be filled in."""
    return placeholder.fill(value, index=1, name="", service="") == value


def _draw_common(drawing: Drawing) -> None:
    drawing.say("memory", drawing.take("memory", mib) or DEFAULT_MEMORY)
    drawing.copy("onboot", "onBoot", flag)
    drawing.copy_part("startup", "startup", _STARTUP)
    drawing.copy("tags", "tags", _tags)
    drawing.copy("description", "description", _description)
    drawing.copy("protection", "protection", flag)
    drawing.copy("hookscript", "hookScript", text)
    drawing.copy("ostype", "osType", text)


def _draw_vm(drawing: Drawing, config: GuestConfig) -> None:
    drawing.copy("name", "guestName", text)
    cpu: dict[str, Yaml] = {
        "sockets": drawing.take("sockets", whole),
        "cores": drawing.take("cores", whole),
        **drawing.take_part("cpu", _CPU),
        "limit": drawing.take("cpulimit", number),
        "units": drawing.take("cpuunits", whole),
        "numa": drawing.take("numa", flag),
        "vcpus": drawing.take("vcpus", whole),
    }
    drawing.say("cpu", _said(cpu))
    drawing.copy("balloon", "balloon", mib)
    drawing.say("machine", drawing.take_part("machine", {"type": ("type", text)}).get("type"))
    drawing.copy("bios", "bios", text)
    drawing.copy("scsihw", "scsiController", text)
    drawing.copy_part("agent", "agent", _AGENT)
    order = drawing.take_part("boot", {"order": ("order", words(";"))})
    drawing.say("bootOrder", order.get("order") or None)
    drawing.copy_part("vga", "display", _DISPLAY)
    drawing.say("serialPorts", _serial_ports(drawing))
    drawing.copy_part("rng0", "rng", _RNG)
    drawing.copy_part("watchdog", "watchdog", _WATCHDOG)
    drawing.copy("hotplug", "hotplug", _hotplug)
    drawing.copy("tablet", "tablet", flag)
    drawing.copy("kvm", "kvm", flag)
    is_told = _draw_cloud_init(drawing, config)
    export_devices.draw_vm_disks(drawing, config)
    export_devices.draw_vm_networks(drawing, config, with_addresses=is_told)


def _draw_cloud_init(drawing: Drawing, config: GuestConfig) -> bool:
    """Say what cloud-init tells a VM, and return whether it tells it anything."""
    drive = export_devices.cloud_init_drive(config)
    addresses = {slot.replace("net", "ipconfig") for slot in config.nics} & drawing.left.keys()
    told: dict[str, Yaml] = {
        **drive,
        "user": drawing.take("ciuser", text),
        "sshKeys": drawing.take("sshkeys", _ssh_keys),
        "upgrade": drawing.take("ciupgrade", flag),
        "type": drawing.take("citype", text),
        **_snippets(drawing),
    }
    dns = _draw_dns(drawing)
    said = _said(told) or {}
    if not (said or addresses or dns):
        return False
    drawing.say("cloudInit", said)
    drawing.say("dns", dns)
    return True


def _snippets(drawing: Drawing) -> dict[str, Yaml]:
    raw = drawing.left.get("cicustom", {})
    if isinstance(raw, str) or not all(map(is_plain, raw.values())):
        return {}
    return drawing.take_part("cicustom", _SNIPPETS)


def _draw_container(drawing: Drawing, config: GuestConfig) -> None:
    drawing.copy("hostname", "guestName", text)
    cpu: dict[str, Yaml] = {
        "cores": drawing.take("cores", whole),
        "limit": drawing.take("cpulimit", number),
        "units": drawing.take("cpuunits", whole),
    }
    drawing.say("cpu", _said(cpu))
    drawing.copy("swap", "swap", mib)
    drawing.say("dns", _draw_dns(drawing))
    part: dict[str, Yaml] = {
        "unprivileged": drawing.take("unprivileged", flag),
        "features": drawing.take_part("features", _FEATURES) or None,
        "arch": drawing.take("arch", text),
        "timezone": drawing.take("timezone", text),
        "console": drawing.take("console", flag),
        "consoleMode": drawing.take("cmode", text),
        "tty": drawing.take("tty", whole),
    }
    drawing.say("container", _said(part))
    export_devices.draw_container_volumes(drawing, config)
    export_devices.draw_container_networks(drawing, config)


def _draw_dns(drawing: Drawing) -> dict[str, Yaml] | None:
    return _said(
        {
            "servers": drawing.take("nameserver", words(" ")),
            "search": drawing.take("searchdomain", words(" ")),
        }
    )


def _said(values: dict[str, Yaml]) -> dict[str, Yaml] | None:
    return {key: value for key, value in values.items() if value is not None} or None


def _tags(raw: str) -> Yaml:
    return [tag for tag in raw.split(";") if tag and tag != OWN_TAG]


def _description(raw: str) -> Yaml:
    found = strip_mark(raw)
    is_text = found == found.encode(errors="ignore").decode()
    return found if found and is_text and is_plain(found) else None


def _hotplug(raw: str) -> Yaml:
    return [] if raw == "0" else [*raw.split(",")]


def _ssh_keys(raw: str) -> Yaml:
    lines = raw.split("\n")
    return [*lines] if all(line and line == line.strip() for line in lines) else None


def _serial_ports(drawing: Drawing) -> list[Yaml] | None:
    """Return the serial ports from the first on; a gap ends what can be said."""
    found: list[Yaml] = []
    while (port := drawing.take(f"serial{len(found)}", text)) is not None:
        found.append(port)
    return found or None
