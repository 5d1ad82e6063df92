"""State the facts about every guest option qlop models, with where they come from.

Costs on a running VM: ``vmconfig_hotplug_pending`` with ``$fast_plug_option``,
``vmconfig_update_net``, ``vmconfig_update_disk`` and ``vmconfig_update_agent``
(qemu-server, PVE/QemuServer.pm), under the default ``hotplug: network,disk,usb``. Costs
on a running container: ``vmconfig_hotplug_pending`` with ``$LXC_FASTPLUG_OPTIONS``
(pve-container, PVE/LXC/Config.pm) and ``update_net`` (PVE/LXC.pm). Whatever those do not
apply at once stays pending until the guest is started anew. Defaults and default keys:
``$confdesc``, ``$net_fmt``, ``%drivedesc_base``, ``$agent_fmt`` and their like beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from qlop.model.guest import GuestKind, OptionValue
from qlop.model.impact import Impact


class Form(Enum):
    """How PVE writes an option."""

    BOOL = "bool"
    NUMBER = "number"
    TEXT = "text"
    DESCRIPTION = "description"
    TAGS = "tags"
    LIST = "list"
    """Words separated by space, comma or semicolon, whose order matters (nameserver)."""
    SET = "set"
    """Words separated likewise, whose order does not matter (hotplug)."""
    PROPERTIES = "properties"
    URLENCODED = "urlencoded"
    """Text that PVE keeps percent-encoded (``sshkeys``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRule:
    """What qlop knows about one option.

    ``default`` is the canonical value PVE assumes when the option is not set.
    ``impact`` is what setting it costs on a *running* guest, for a disk or NIC what
    adding it costs; on a stopped guest nothing costs anything. ``default_key`` names the
    property that may be written without its key (``host`` for ``cputype=host``);
    ``bool_keys`` and ``number_keys`` are properties that are booleans and numbers.
    """

    form: Form
    impact: Impact
    default: OptionValue = ""
    default_key: str = ""
    bool_keys: frozenset[str] = frozenset()
    number_keys: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of properties, or of whole values, and what they stand for."""
    property_defaults: Mapping[str, str] = field(default_factory=dict)
    """What PVE assumes of properties that are not written."""
    property_impacts: Mapping[str, Impact] = field(default_factory=dict)
    """What changing one property of what is there already costs."""
    property_impact: Impact | None = None
    """What changing any other property costs; None: as much as ``impact`` says."""
    most: int | None = None
    """PVE lowers a larger number to this one without a word."""
    numbered: bool = False
    """The option's name is followed by a number (``net0``)."""
    create_only: bool = False
    """It is decided once: PVE refuses to change it, or the guest would not survive it."""


def _rule(form: Form, impact: Impact, default: OptionValue = "") -> OptionRule:
    return OptionRule(form=form, impact=impact, default=default)


def _properties(
    impact: Impact,
    default_key: str = "",
    *,
    bools: str = "",
    numbers: str = "",
    defaults: str = "",
    aliases: Mapping[str, str] | None = None,
    impacts: Mapping[str, Impact] | None = None,
    otherwise: Impact | None = None,
    numbered: bool = False,
) -> OptionRule:
    return OptionRule(
        form=Form.PROPERTIES,
        impact=impact,
        default={},
        default_key=default_key,
        bool_keys=frozenset(bools.split()),
        number_keys=frozenset(numbers.split()),
        aliases=aliases or {},
        property_defaults=dict(pair.split("=") for pair in defaults.split()),
        property_impacts=impacts or {},
        property_impact=otherwise,
        numbered=numbered,
    )


_RATES = frozenset(
    f"{unit}{way}{burst}"
    for unit in ("mbps", "iops")
    for way in ("", "_rd", "_wr")
    for burst in ("", "_max", "_max_length")
) | frozenset(f"bps{way}_max_length" for way in ("", "_rd", "_wr"))

# `vmconfig_update_disk` applies throttles to the running guest. It leaves pending: aio, cache,
# discard, iothread, product, queues, ro, ssd, vendor. All others it writes at once as if done;
# of those only these three need nothing of QEMU, the rest waits for the next start unseen.
_DRIVE_IMPACTS: Mapping[str, Impact] = dict.fromkeys(_RATES, Impact.HOT) | dict.fromkeys(
    ("backup", "replicate", "shared"), Impact.NONE
)
_DRIVE_BOOLS = "backup detect_zeroes iothread replicate ro scsiblock shared snapshot ssd"
_DRIVE_DEFAULTS = (
    "backup=1 cache=none discard=ignore iothread=0 media=disk replicate=1 ro=0 scsiblock=0"
    " shared=0 snapshot=0 ssd=0"
)


def _drive(impact: Impact) -> OptionRule:
    return _properties(
        impact,
        "file",
        bools=_DRIVE_BOOLS,
        numbers=" ".join(_RATES),
        defaults=_DRIVE_DEFAULTS,
        aliases={"volume": "file"},
        impacts=_DRIVE_IMPACTS,
        otherwise=Impact.REBOOT,
        numbered=True,
    )


# `vmconfig_update_net` takes the NIC out and puts it in again for these four: the guest's
# connections break. A change of bridge, VLAN, firewall or rate only moves the host's end.
_VM_NIC_IMPACTS: Mapping[str, Impact] = dict.fromkeys(
    ("macaddr", "model", "mtu", "queues"), Impact.DOWNTIME
) | {"host-tunnel": Impact.REBOOT}
# `update_net` (PVE/LXC.pm) makes the interface anew for a new name or address, and looks
# at neither MTU nor trunks, which are written at once and take effect at the next start.
_CONTAINER_NIC_IMPACTS: Mapping[str, Impact] = {
    "hwaddr": Impact.DOWNTIME,
    "name": Impact.DOWNTIME,
    "mtu": Impact.REBOOT,
    "trunks": Impact.REBOOT,
    "host-managed": Impact.REBOOT,
}
_NIC_DEFAULTS = "firewall=0 link_down=0"

_CLOUD_INIT = Impact.NONE
"""Cloud-init options are written at once (they are in ``$fast_plug_option``), never pending.
The drive is made anew when the guest is started; what runs notices nothing before."""

_CPU_UNITS = OptionRule(form=Form.NUMBER, impact=Impact.HOT, most=10000)
"""``clamp_cpu_shares`` (PVE/CGroup.pm) lowers what is larger, on cgroup v2."""

VM_RULES: Mapping[str, OptionRule] = {
    "name": _rule(Form.TEXT, Impact.NONE),
    "description": _rule(Form.DESCRIPTION, Impact.NONE),
    "tags": _rule(Form.TAGS, Impact.NONE),
    "onboot": _rule(Form.BOOL, Impact.NONE, "0"),
    "protection": _rule(Form.BOOL, Impact.NONE, "0"),
    "startup": _properties(Impact.NONE, "order", numbers="order up down"),
    "hookscript": _rule(Form.TEXT, Impact.NONE),
    "migrate_downtime": _rule(Form.NUMBER, Impact.NONE, "0.1"),
    "migrate_speed": _rule(Form.NUMBER, Impact.NONE, "0"),
    "vmstatestorage": _rule(Form.TEXT, Impact.NONE),
    "memory": OptionRule(
        form=Form.NUMBER, impact=Impact.REBOOT, default="512", default_key="current"
    ),
    "balloon": _rule(Form.NUMBER, Impact.HOT),
    "shares": _rule(Form.NUMBER, Impact.NONE, "1000"),
    "sockets": _rule(Form.NUMBER, Impact.REBOOT, "1"),
    "cores": _rule(Form.NUMBER, Impact.REBOOT, "1"),
    "vcpus": _rule(Form.NUMBER, Impact.REBOOT, "0"),
    "cpu": _properties(
        Impact.REBOOT, "cputype", bools="hidden", defaults="cputype=kvm64 hidden=0"
    ),
    "cpulimit": _rule(Form.NUMBER, Impact.HOT, "0"),
    "cpuunits": _CPU_UNITS,
    "affinity": _rule(Form.TEXT, Impact.REBOOT),
    "numa": _rule(Form.BOOL, Impact.REBOOT, "0"),
    "machine": _properties(Impact.REBOOT, "type", bools="enable-s3 enable-s4", defaults="type=pc"),
    "arch": _rule(Form.TEXT, Impact.REBOOT),
    "bios": _rule(Form.TEXT, Impact.REBOOT, "seabios"),
    "acpi": _rule(Form.BOOL, Impact.REBOOT, "1"),
    "kvm": _rule(Form.BOOL, Impact.REBOOT, "1"),
    "reboot": _rule(Form.BOOL, Impact.REBOOT, "1"),
    "freeze": _rule(Form.BOOL, Impact.REBOOT, "0"),
    "tdf": _rule(Form.BOOL, Impact.REBOOT, "0"),
    "localtime": _rule(Form.BOOL, Impact.REBOOT),
    "keyboard": _rule(Form.TEXT, Impact.REBOOT),
    "scsihw": _rule(Form.TEXT, Impact.REBOOT, "lsi"),
    "ostype": _rule(Form.TEXT, Impact.REBOOT, "other"),
    "boot": _properties(Impact.REBOOT, "legacy"),
    "agent": _properties(
        Impact.REBOOT,
        "enabled",
        bools="enabled fstrim_cloned_disks freeze-fs-on-backup",
        defaults="enabled=0 fstrim_cloned_disks=0 freeze-fs-on-backup=1 type=virtio",
        # The new name (9.2) has the old one as its alias; the old one works everywhere.
        aliases={"freeze-fs": "freeze-fs-on-backup"},
        impacts={"fstrim_cloned_disks": Impact.NONE},
    ),
    "vga": _properties(Impact.REBOOT, "type", numbers="memory"),
    "serial": OptionRule(form=Form.TEXT, impact=Impact.REBOOT, numbered=True),
    "audio": _properties(Impact.REBOOT, numbered=True),
    "usb": _properties(Impact.REBOOT, "host", bools="usb3", defaults="usb3=0", numbered=True),
    "hostpci": _properties(
        Impact.REBOOT,
        "host",
        bools="pcie rombar x-vga legacy-igd",
        defaults="pcie=0 rombar=1 x-vga=0 legacy-igd=0",
        numbered=True,
    ),
    "rng": _properties(
        Impact.REBOOT,
        "source",
        numbers="max_bytes period",
        defaults="max_bytes=1024 period=1000",
        numbered=True,
    ),
    "watchdog": _properties(Impact.REBOOT, "model", defaults="model=i6300esb"),
    "tablet": _rule(Form.BOOL, Impact.HOT, "1"),
    "hotplug": OptionRule(
        form=Form.SET,
        impact=Impact.NONE,
        default="disk,network,usb",
        aliases={"1": "disk,network,usb"},
    ),
    "smbios": _properties(Impact.REBOOT, bools="base64", defaults="base64=0", numbered=True),
    "ciuser": _rule(Form.TEXT, _CLOUD_INIT),
    "ciupgrade": _rule(Form.BOOL, _CLOUD_INIT, "1"),
    "sshkeys": _rule(Form.URLENCODED, _CLOUD_INIT),
    "ipconfig": OptionRule(form=Form.PROPERTIES, impact=_CLOUD_INIT, default={}, numbered=True),
    "nameserver": _rule(Form.LIST, _CLOUD_INIT),
    "searchdomain": _rule(Form.LIST, _CLOUD_INIT),
    "cicustom": _properties(_CLOUD_INIT),
    "citype": _rule(Form.TEXT, _CLOUD_INIT),
    "net": _properties(
        Impact.HOT,
        "model",
        bools="firewall link_down host-tunnel",
        numbers="mtu queues rate tag",
        defaults=_NIC_DEFAULTS,
        impacts=_VM_NIC_IMPACTS,
        numbered=True,
    ),
    "efidisk": _properties(
        Impact.REBOOT,
        "file",
        bools="pre-enrolled-keys",
        defaults="efitype=2m pre-enrolled-keys=0",
        aliases={"volume": "file"},
        numbered=True,
    ),
    "tpmstate": _properties(
        Impact.REBOOT,
        "file",
        defaults="version=v1.2",
        aliases={"volume": "file"},
        numbered=True,
    ),
    "scsi": _drive(Impact.HOT),
    "virtio": _drive(Impact.HOT),
    "sata": _drive(Impact.REBOOT),
    "ide": _drive(Impact.REBOOT),
}

_VOLUME_BOOLS = "acl quota replicate ro shared"
_VOLUME_DEFAULTS = "quota=0 replicate=1 ro=0 shared=0"

CONTAINER_RULES: Mapping[str, OptionRule] = {
    # Written at once; the container itself goes by its new name from its next start on.
    "hostname": _rule(Form.TEXT, Impact.NONE),
    "description": _rule(Form.DESCRIPTION, Impact.NONE),
    "tags": _rule(Form.TAGS, Impact.NONE),
    "onboot": _rule(Form.BOOL, Impact.NONE, "0"),
    "protection": _rule(Form.BOOL, Impact.NONE, "0"),
    "startup": _properties(Impact.NONE, "order", numbers="order up down"),
    "hookscript": _rule(Form.TEXT, Impact.NONE),
    "memory": _rule(Form.NUMBER, Impact.HOT, "512"),
    "swap": _rule(Form.NUMBER, Impact.HOT, "512"),
    "cores": _rule(Form.NUMBER, Impact.HOT),
    "cpulimit": _rule(Form.NUMBER, Impact.HOT, "0"),
    "cpuunits": _CPU_UNITS,
    "nameserver": _rule(Form.LIST, Impact.REBOOT),
    "searchdomain": _rule(Form.LIST, Impact.REBOOT),
    "features": _properties(
        Impact.REBOOT,
        bools="nesting keyctl fuse mknod force_rw_sys",
        defaults="nesting=0 keyctl=0 fuse=0 mknod=0 force_rw_sys=0",
    ),
    "tty": _rule(Form.NUMBER, Impact.REBOOT, "2"),
    "console": _rule(Form.BOOL, Impact.REBOOT, "1"),
    "cmode": _rule(Form.TEXT, Impact.REBOOT, "tty"),
    "debug": _rule(Form.BOOL, Impact.REBOOT, "0"),
    "timezone": _rule(Form.TEXT, Impact.REBOOT),
    "entrypoint": _rule(Form.TEXT, Impact.REBOOT, "/sbin/init"),
    # "unable to modify read-only option" (`update_pct_config`).
    "unprivileged": OptionRule(
        form=Form.BOOL, impact=Impact.DATA_LOSS, default="0", create_only=True
    ),
    # PVE would take these two (as pending); the root file system is of one kind, though.
    "arch": OptionRule(form=Form.TEXT, impact=Impact.REBOOT, default="amd64", create_only=True),
    "ostype": OptionRule(form=Form.TEXT, impact=Impact.REBOOT, create_only=True),
    "net": _properties(
        Impact.HOT,
        bools="firewall link_down host-managed",
        numbers="mtu rate tag",
        defaults=_NIC_DEFAULTS + " host-managed=0 type=veth",
        impacts=_CONTAINER_NIC_IMPACTS,
        numbered=True,
    ),
    "dev": _properties(
        Impact.HOT,
        "path",
        bools="deny-write",
        defaults="deny-write=0",
        otherwise=Impact.REBOOT,
        numbered=True,
    ),
    "rootfs": _properties(Impact.REBOOT, "volume", bools=_VOLUME_BOOLS, defaults=_VOLUME_DEFAULTS),
    # A mount point is mounted into the running container if its slot was free, and not else.
    # Other than a VM's disk it is backed up only if it says so (`mountpoint_backup_enabled`).
    "mp": _properties(
        Impact.HOT,
        "volume",
        bools=_VOLUME_BOOLS + " backup keepattrs",
        defaults=_VOLUME_DEFAULTS + " backup=0 keepattrs=0",
        otherwise=Impact.REBOOT,
        numbered=True,
    ),
}

RULES: Mapping[GuestKind, Mapping[str, OptionRule]] = {
    GuestKind.VM: VM_RULES,
    GuestKind.CONTAINER: CONTAINER_RULES,
}

DISK_BASES: Mapping[GuestKind, frozenset[str]] = {
    GuestKind.VM: frozenset({"scsi", "virtio", "sata", "ide", "efidisk", "tpmstate"}),
    GuestKind.CONTAINER: frozenset({"rootfs", "mp"}),
}
"""Options that name a volume, without their number."""
