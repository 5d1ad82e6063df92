"""Know a VM's options: their types, who may set them, and how PVE rewrites their values.

Lists as in ``qemu-server src/PVE/API2/Qemu.pm`` and ``src/PVE/QemuServer.pm``.
"""

import re
from collections.abc import Iterable, Mapping

from qlop.ports import Json
from qlop.sim import drives, schema
from qlop.sim.call import Call
from qlop.sim.engine import World
from qlop.sim.wire import ApiError, Row

_CPU = {"cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus"}
_MEMORY = {"memory", "balloon", "shares", "allow-ksm"}
_HARDWARE = {
    "acpi",
    "hotplug",
    "kvm",
    "machine",
    "runningmachine",
    "scsihw",
    "smbios1",
    "tablet",
    "vga",
    "watchdog",
    "audio0",
    "rng0",
}
_GENERAL = {
    "agent",
    "autostart",
    "bios",
    "description",
    "keyboard",
    "localtime",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "ostype",
    "protection",
    "reboot",
    "startdate",
    "startup",
    "tdf",
    "template",
}
_DISK = {"boot", "bootdisk", "vmstatestorage"}
CLOUDINIT = {
    "cicustom",
    "cipassword",
    "citype",
    "ciuser",
    "ciupgrade",
    "nameserver",
    "searchdomain",
    "sshkeys",
}
_UNCHECKED = re.compile(r"(?:unused|serial|usb|hostpci|virtiofs)\d+")

FAST = {
    "description",
    "hookscript",
    "lock",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "protection",
    "shares",
    "startup",
    "tags",
    "vmstatestorage",
} | CLOUDINIT
"""Options that a running VM takes at once."""

HIDDEN = "**********"
"""What a read shows in place of the cloud-init password."""


def check_permissions(call: Call, vmid: int, options: Iterable[str], pool: str = "") -> None:
    """Refuse the call unless the caller may change each of ``options``."""
    if call.who.is_root:
        return
    path = f"/vms/{vmid}"
    for option in sorted(options):
        if drives.is_drive(option) or option in {"cdrom", "tags"} or _UNCHECKED.fullmatch(option):
            continue
        if (privileges := _privileges(option)) is None:
            raise ApiError(f"only root can set '{option}' config")
        if pool and call.may(f"/pool/{pool}", *privileges):
            continue
        if option in CLOUDINIT or re.fullmatch(r"ipconfig\d+", option):
            if not any(call.may(path, name) for name in privileges):
                call.demand(path, privileges[0])
            continue
        call.demand(path, *privileges)
        if option == "startup":  # It changes what the host does when it boots.
            call.demand("/", "Sys.Modify")


def _privileges(option: str) -> tuple[str, ...] | None:
    table: tuple[tuple[set[str], str], ...] = (
        (_CPU, "VM.Config.CPU"),
        (_MEMORY, "VM.Config.Memory"),
        (_HARDWARE, "VM.Config.HWType"),
        (_GENERAL, "VM.Config.Options"),
        ({"freeze"}, "VM.PowerMgmt"),
        (_DISK, "VM.Config.Disk"),
    )
    for options, privilege in table:
        if option in options:
            return (privilege,)
    if re.fullmatch(r"numa\d+", option):
        return ("VM.Config.CPU",)
    if re.fullmatch(r"net\d+", option):
        return ("VM.Config.Network",)
    if option in CLOUDINIT or re.fullmatch(r"ipconfig\d+", option):
        return ("VM.Config.Cloudinit", "VM.Config.Network")
    if re.fullmatch(r"efidisk0|tpmstate0", option):
        return ("VM.Config.Disk",)
    return None


def check_drive_permission(call: Call, vmid: int, value: str) -> None:
    """Refuse the call unless the caller may set this kind of drive."""
    path = f"/vms/{vmid}"
    if drives.is_cdrom(value):
        call.demand(path, "VM.Config.CDROM")
    else:
        call.demand(path, "VM.Config.Disk")


_INTERNAL = {"meta", "parent", "runningcpu", "runningmachine", "running-nets-host-mtu", "snaptime"}
_INTERNAL |= {"vmstate"}
"""Options that only PVE itself sets, and no call describes."""


def exists(option: str) -> bool:
    """Return whether a VM has an option of this name."""
    found = schema.table().find("PUT", "/nodes/x/qemu/100/config")
    assert found is not None
    not_options = {
        "delete", "digest", "force", "revert", "skiplock", "node", "vmid", "cdrom",
    }  # fmt: skip
    return option in _INTERNAL or (option not in not_options and found[0].spec(option) is not None)


def integer_options() -> frozenset[str]:
    """Return the options a read shows as numbers: integers and booleans."""
    found = schema.table().find("PUT", "/nodes/x/qemu/100/config")
    assert found is not None
    names = {name for name, spec in found[0].params.items() if spec.type in {"i", "b"}}
    return frozenset(names | {"snaptime", "vmstate-size"} - {"vmid"})


def shown(config: Mapping[str, str], integers: frozenset[str]) -> Row:
    """Return a configuration section as a read shows it."""
    row: Row = {}
    for key, value in config.items():
        if key == "cipassword":
            row[key] = HIDDEN
        elif key == "description":
            if text := value.rstrip():
                row[key] = text
        else:
            row[key] = shown_value(key, value, integers)
    return row


def shown_value(key: str, value: str, integers: frozenset[str]) -> Json:
    """Return one value as a read shows it."""
    return int(value) if key in integers else value


def memory_mib(config: Mapping[str, str]) -> int:
    """Return a VM's memory: ``2048`` or ``current=2048``; 512 by default."""
    value = drives.parse(config.get("memory", "512"), "current").get("current", "512")
    return int(value)


def cpus(config: Mapping[str, str]) -> int:
    """Return a VM's number of virtual CPUs."""
    if "vcpus" in config:
        return int(config["vcpus"])
    sockets = int(config.get("sockets", config.get("smp", "1")))
    return sockets * int(config.get("cores", "1"))


def agent_is_on(config: Mapping[str, str]) -> bool:
    """Return whether the guest agent's device is configured."""
    return drives.parse(config.get("agent", "0"), "enabled").get("enabled") in {
        "1",
        "on",
        "yes",
        "true",
    }


_MODELS = {
    "e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e", "i82551", "i82557b",
    "i82559er", "ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3",
}  # fmt: skip


def parse_net(value: str) -> dict[str, str]:
    """Return a network card's keys, with ``model`` and ``macaddr`` apart."""
    net = drives.parse(value, "model")
    for model in _MODELS & set(net):
        net["macaddr"] = net.pop(model)
        net["model"] = model
    return net


def print_net(world: World, value: str) -> str:
    """Return a network card as PVE stores it; it gets an address if it has none."""
    net = parse_net(value)
    mac = (net.pop("macaddr", "") or new_mac(world)).upper()
    model = net.pop("model")
    return ",".join([f"{model}={mac}", *(f"{key}={net[key]}" for key in sorted(net))])


def new_mac(world: World) -> str:
    """Return a fresh address under the cluster's prefix."""
    prefix = world.options.get("mac_prefix", "BC:24:11")
    tail = [f"{world.random.randrange(256):02X}" for _ in range(6 - len(prefix.split(":")))]
    return ":".join([prefix, *tail])


def new_uuid(world: World) -> str:
    """Return a random UUID from the cluster's own seed."""
    digits = f"{world.random.getrandbits(128):032x}"
    variant = "89ab"[world.random.randrange(4)]
    digits = f"{digits[:12]}4{digits[13:16]}{variant}{digits[17:]}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
