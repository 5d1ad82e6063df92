"""State what PVE accepts, so that a manifest is refused before PVE refuses it.

Enums, ranges and patterns are those of PVE 9.1's API schema (``POST /nodes/{node}/qemu``
and ``…/lxc``); a test compares them. The number of slots is from qemu-server's
``PVE/QemuServer/Drive.pm`` and ``PVE/QemuServer.pm`` and pve-container's
``PVE/LXC/Config.pm``; the forms of names are from pve-common's ``PVE/JSONSchema.pm``.
"""

from typing import Literal

VMID_MIN = 100
VMID_MAX = 999_999_999
VLAN_MAX = 4094
VM_MTU_MAX = 65_520
CONTAINER_MTU_MIN = 64
CONTAINER_MTU_MAX = 65_535
VM_CPU_LIMIT_MAX = 128
CONTAINER_CPU_LIMIT_MAX = 8192
VM_CPU_UNITS_MAX = 262_144
CONTAINER_CPU_UNITS_MAX = 500_000
CONTAINER_CORES_MAX = 8192
QUEUES_MAX = 64
MEMORY_MIN_MIB = 16
DISPLAY_MEMORY_MIN_MIB = 4
DISPLAY_MEMORY_MAX_MIB = 512
CONTAINER_TTY_MAX = 6
DESCRIPTION_MAX = 8192
SERIAL_PORTS = 4
NETWORKS = 32

SSH_KEY_PATTERN = (
    r"^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]+( .*)?$"
)

MARK_ROOM = 400
"""Characters of a description kept free for the line that signs a guest."""

BUS_SLOTS = {"scsi": 31, "virtio": 16, "sata": 6, "ide": 4}
"""How many disks each bus takes."""

MOUNT_POINTS = 256

NO_READ_ONLY_BUSES = frozenset({"sata", "ide"})
NO_IOTHREAD_BUSES = frozenset({"sata", "ide"})
NO_SSD_BUSES = frozenset({"virtio"})

Bus = Literal["scsi", "virtio", "sata", "ide"]
Bios = Literal["seabios", "ovmf"]
Cache = Literal["none", "writethrough", "writeback", "unsafe", "directsync"]
DiskFormat = Literal["raw", "qcow2", "vmdk"]
Aio = Literal["native", "threads", "io_uring"]
ScsiController = Literal[
    "lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"
]
NicModel = Literal[
    "virtio",
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "vmxnet3",
]
VmOs = Literal[
    "other",
    "wxp",
    "w2k",
    "w2k3",
    "w2k8",
    "wvista",
    "win7",
    "win8",
    "win10",
    "win11",
    "l24",
    "l26",
    "solaris",
]
ContainerOs = Literal[
    "debian",
    "devuan",
    "ubuntu",
    "centos",
    "fedora",
    "opensuse",
    "archlinux",
    "alpine",
    "gentoo",
    "nixos",
    "unmanaged",
]
GuestOs = Literal[VmOs, ContainerOs]
Display = Literal[
    "cirrus",
    "qxl",
    "qxl2",
    "qxl3",
    "qxl4",
    "none",
    "serial0",
    "serial1",
    "serial2",
    "serial3",
    "std",
    "virtio",
    "virtio-gl",
    "vmware",
]
EfiType = Literal["2m", "4m"]
TpmVersion = Literal["v1.2", "v2.0"]
RngSource = Literal["/dev/urandom", "/dev/random", "/dev/hwrng"]
WatchdogModel = Literal["i6300esb", "ib700"]
WatchdogAction = Literal["reset", "shutdown", "poweroff", "pause", "debug", "none"]
Hotplug = Literal["network", "disk", "usb", "cpu", "memory", "cloudinit"]
CloudInitType = Literal["nocloud", "configdrive2", "opennebula"]
Architecture = Literal["amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"]
ConsoleMode = Literal["shell", "console", "tty"]
MountOption = Literal["discard", "lazytime", "noatime", "nodev", "noexec", "nosuid"]

MACHINE_PATTERN = (
    r"^(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?"
    r"|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|virt(-\d+(\.\d+)+)?(\+pve\d+)?)$"
)
LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A DNS label (RFC 1123), lower case: what a service may be called."""
NODE_PATTERN = r"^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$"
STORAGE_PATTERN = r"^[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]$"
POOL_PATTERN = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$"
TAG_PATTERN = r"^[a-zA-Z0-9_][a-zA-Z0-9_+.-]*$"
BRIDGE_PATTERN = r"^[-_.a-zA-Z0-9]+$"
INTERFACE_PATTERN = r"^[-_.a-zA-Z0-9]{1,15}$"
DNS_NAME_PATTERN = (
    r"^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$"
)
SNAPSHOT_PATTERN = r"^[a-zA-Z][a-zA-Z0-9_-]{1,39}$"
RESERVED_SNAPSHOTS = frozenset({"current", "pending"})
VOLUME_PATTERN = r"^[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]:[^\s,=]+$"
MAC_PATTERN = r"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"
"""Unicast only: PVE refuses a MAC whose group bit is set."""
CPU_TYPE_PATTERN = r"^[a-zA-Z][a-zA-Z0-9._-]*$"
CPU_FLAG_PATTERN = r"^[+-][a-z0-9._-]+$"
SERIAL_PATTERN = r"^(/dev/.+|socket)$"
DISK_SLOT_PATTERN = r"^(scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5]|ide[0-3])$"
MOUNT_SLOT_PATTERN = r"^mp([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$"
NIC_SLOT_PATTERN = r"^net([0-9]|[12][0-9]|3[01])$"
BOOT_PATTERN = r"^(scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5]|ide[0-3]|net([0-9]|[12][0-9]|3[01]))$"
FILE_SYSTEM_PATTERN = r"^[a-zA-Z0-9_]+$"
HOST_PATH_PATTERN = r"^(/(?!\.\.?(/|$))[^\s,=/]+)+/?$"
USER_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_.@-]*\$?$"
TIME_ZONE_PATTERN = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"
SERIAL_NUMBER_PATTERN = r"^[A-Za-z0-9_.-]{1,60}$"
