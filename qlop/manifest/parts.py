"""Describe what a guest is made of: its source, processor, disks, networks.

Every field is optional here, since a Profile may give it; what is needed is checked when
everything is merged. The descriptions are the manifest reference.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from qlop.manifest import facts, fields
from qlop.manifest.part import Part


class Clone(Part):
    """Clone a template."""

    template: fields.TemplateRef | None = Field(
        None,
        description="VMID or name of the template. By name, a template on the node chosen is"
        " taken if there is one, else one whose disks that node can reach. Needed.",
    )
    full: bool | None = Field(
        None,
        description="Copy the disks (`true`, the default) or link to the template's (`false`).",
    )
    storage: fields.StorageRef | None = Field(
        None,
        description="Where the copies of the template's disks go; else they stay on the"
        " template's storage. Not for a linked clone.",
    )


class Source(Part):
    """Where a guest comes from: exactly one of these.

    Another source is another guest: it is built anew in the place of the one that is there,
    which needs an approval unless `changes` says otherwise.
    """

    model_config = ConfigDict(json_schema_extra={"maxProperties": 1})

    clone: Clone | None = Field(None, description="A template, cloned.")
    image: fields.Volume | None = Field(
        None,
        description="VM: a disk image that becomes the first disk of `disks`"
        " (`local:import/debian-12-genericcloud-amd64.qcow2`).",
    )
    iso: fields.Volume | None = Field(
        None,
        description="VM: an installation medium in drive `ide2`"
        " (`local:iso/debian-12.8.0-amd64-netinst.iso`).",
    )
    archive: fields.Volume | None = Field(
        None,
        description="Container: a template archive"
        " (`local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`).",
    )
    empty: Literal[True] | None = Field(
        None, description="VM: nothing; empty disks, to be booted from the network."
    )
    existing: Literal[True] | None = Field(
        None,
        description="A guest that is there already, to be adopted with `qlop adopt`. It needs"
        " `vmid`, and is never made anew. Its tags and its name in PVE are left alone unless"
        " `tags` and `guestName` are said.",
    )


class Cpu(Part):
    """The processor."""

    sockets: int | None = Field(None, ge=1, description="VM: processor sockets.")
    cores: int | None = Field(
        None,
        ge=1,
        le=facts.CONTAINER_CORES_MAX,
        description="VM: cores per socket. Container: how many of the node's cores it may use.",
    )
    type: fields.CpuType | None = Field(
        None,
        description="VM: the processor it sees. `host` is fastest; a named type such as"
        " `x86-64-v2-AES` can be migrated between unlike nodes.",
    )
    flags: list[fields.CpuFlag] | None = Field(
        None, description="VM: processor flags to add (`+aes`) or take away (`-pcid`)."
    )
    limit: float | None = Field(
        None,
        ge=0,
        le=facts.CONTAINER_CPU_LIMIT_MAX,
        description="How many cores' worth of time it may use; `0` is no limit. For a VM at"
        f" most {facts.VM_CPU_LIMIT_MAX}.",
    )
    units: int | None = Field(
        None,
        ge=1,
        le=facts.VM_CPU_UNITS_MAX,
        description="Weight against the other guests of the node; PVE's default is 100.",
    )
    numa: bool | None = Field(None, description="VM: show it a NUMA topology.")
    vcpus: int | None = Field(
        None, ge=1, description="VM: how many of its cores are plugged in at the start."
    )


class EfiDisk(Part):
    """The disk in which UEFI firmware keeps its variables. It needs `bios: ovmf`."""

    storage: fields.StorageRef | None = Field(None, description="Where it is made.")
    type: facts.EfiType | None = Field(
        None, description="Its size and kind; `4m` is newer, and needed for Secure Boot."
    )
    pre_enrolled_keys: bool | None = Field(
        None, description="With the keys for Secure Boot in it already."
    )


class Tpm(Part):
    """A trusted platform module."""

    storage: fields.StorageRef | None = Field(None, description="Where its state is kept.")
    version: facts.TpmVersion | None = Field(None, description="`v2.0` for Windows 11.")


class DiskLimits(Part):
    """How fast a disk may be used. No limit where nothing is said."""

    mbps: float | None = Field(None, gt=0, description="MB/s, reading and writing together.")
    mbps_read: float | None = Field(None, gt=0, description="MB/s when reading.")
    mbps_write: float | None = Field(None, gt=0, description="MB/s when writing.")
    iops: int | None = Field(None, ge=1, description="Operations a second, together.")
    iops_read: int | None = Field(None, ge=1, description="Reads a second.")
    iops_write: int | None = Field(None, ge=1, description="Writes a second.")


class Disk(Part):
    """A disk of a VM: in a `slot`, or on a `bus` at an `index`."""

    slot: fields.DiskSlot | None = Field(None, description="Bus and number in one: `scsi0`.")
    bus: facts.Bus | None = Field(None, description="The bus, if there is no `slot`.")
    index: int | None = Field(None, ge=0, le=30, description="The number on the `bus`.")
    storage: fields.StorageRef | None = Field(
        None,
        description="Where it is made. Leave it out for a disk that comes with the template:"
        " it is where the clone puts it.",
    )
    size: fields.Size | None = Field(
        None,
        description="At least this large. qlop grows a disk and never shrinks one. Leave it"
        " out for a disk that comes with its source to keep its size.",
    )
    format: facts.DiskFormat | None = Field(
        None, description="Its format on a storage of files, when it is made."
    )
    cache: facts.Cache | None = Field(None, description="How the node caches it.")
    discard: bool | None = Field(None, description="Give freed space back to the storage.")
    ssd: bool | None = Field(None, description="Show it as a solid-state disk (not on virtio).")
    iothread: bool | None = Field(
        None,
        description="A thread of its own (scsi and virtio). On scsi it needs"
        " `scsiController: virtio-scsi-single`.",
    )
    backup: bool | None = Field(None, description="Take it into backups; PVE does by default.")
    read_only: bool | None = Field(None, description="Not writable (scsi and virtio).")
    replicate: bool | None = Field(None, description="Take it into storage replication.")
    aio: facts.Aio | None = Field(None, description="How the node does its input and output.")
    serial: fields.SerialNumber | None = Field(None, description="The serial number it shows.")
    limits: DiskLimits | None = Field(None, description="How fast it may be used.")
    persistent: bool | None = Field(
        None,
        description="It outlives its guest: when that is built anew (another `source`, another"
        " machine), the disk is detached and handed to the new one. Not for the disk with the"
        " system on it.",
    )


class RootFs(Part):
    """The root file system of a container."""

    storage: fields.StorageRef | None = Field(
        None, description="Where it is made. Leave it out for a clone."
    )
    size: fields.Size | None = Field(None, description="At least this large; it only grows.")
    acl: bool | None = Field(None, description="Allow access control lists.")
    quota: bool | None = Field(None, description="Allow user quotas (privileged only).")
    read_only: bool | None = Field(None, description="Not writable.")
    replicate: bool | None = Field(None, description="Take it into storage replication.")
    mount_options: list[facts.MountOption] | None = Field(
        None, description="Further options of the mount."
    )


class MountPoint(RootFs):
    """A further volume of a container, or a directory of its node."""

    slot: fields.MountSlot | None = Field(
        None, description="Its slot; by default `mp0` for the first of the list and so on."
    )
    path: fields.HostPath = Field(description="Where the container sees it: `/srv/data`.")
    host_path: fields.HostPath | None = Field(
        None,
        description="A directory of the node instead of a volume. `{index}`, `{name}` and"
        " `{service}` may stand in it. PVE allows it to root@pam alone, not to a token.",
    )
    backup: bool | None = Field(None, description="Take it into backups; PVE doesn't by default.")
    shared: bool | None = Field(
        None, description="The `hostPath` is the same on every node, so it may migrate."
    )
    persistent: bool | None = Field(
        None,
        description="It outlives its container: when that is built anew, the volume is"
        " detached and handed to the new one.",
    )


_Addresses4 = Annotated[list[fields.Address4], fields.ONE_OR_LIST]
_Addresses6 = Annotated[list[fields.Address6], fields.ONE_OR_LIST]
_Macs = Annotated[list[fields.Mac], fields.ONE_OR_LIST]


class Network(Part):
    """A network interface. Addresses of a VM are told to it by cloud-init."""

    slot: fields.NicSlot | None = Field(
        None, description="Its slot; by default `net0` for the first of the list and so on."
    )
    bridge: fields.Bridge = Field(description="The bridge or virtual network: `vmbr0`.")
    model: facts.NicModel | None = Field(None, description="VM: the card; `virtio` by default.")
    name: fields.Interface | None = Field(
        None,
        description="Container: its name inside; by default `eth0` for the first and so on.",
    )
    vlan: int | None = Field(None, ge=1, le=facts.VLAN_MAX, description="VLAN tag.")
    trunks: list[Annotated[int, Field(ge=1, le=facts.VLAN_MAX)]] | None = Field(
        None, description="VLANs that pass through tagged."
    )
    mac: _Macs | None = Field(
        None, description="Its MAC address, or a list with one per guest; else PVE's choice."
    )
    firewall: bool | None = Field(None, description="Apply the guest's firewall rules to it.")
    rate: float | None = Field(None, gt=0, description="MB/s at most.")
    mtu: int | None = Field(
        None,
        ge=1,
        le=facts.CONTAINER_MTU_MAX,
        description="Its MTU; for a VM `1` is the bridge's, for a container it is at least"
        f" {facts.CONTAINER_MTU_MIN}.",
    )
    queues: int | None = Field(
        None, ge=0, le=facts.QUEUES_MAX, description="VM: packet queues (virtio)."
    )
    link_down: bool | None = Field(None, description="Unplug its cable.")
    address: _Addresses4 | None = Field(
        None,
        description="`dhcp` or an IPv4 address with prefix length, or a list with one per"
        " guest; `{index}` stands for the guest's number (`10.0.20.1{index}/24`).",
    )
    gateway: fields.Host | None = Field(None, description="IPv4 gateway of a fixed address.")
    address6: _Addresses6 | None = Field(
        None, description="`auto`, `dhcp` or an IPv6 address, likewise."
    )
    gateway6: fields.Host | None = Field(None, description="IPv6 gateway of a fixed address.")


class Dns(Part):
    """Name resolution: of a container, or of a VM by cloud-init."""

    servers: list[fields.Host] | None = Field(None, description="Name servers, in order.")
    search: list[fields.DnsName] | None = Field(None, description="Search domains.")


class CloudInit(Part):
    """What a VM is told when it boots. Passwords have no place here: use SSH keys."""

    storage: fields.StorageRef | None = Field(
        None,
        description="Where the cloud-init drive is made. Leave it out if the template has one.",
    )
    slot: fields.DiskSlot | None = Field(None, description="Its drive; `ide2` by default.")
    user: fields.UserName | None = Field(None, description="The user who gets the keys.")
    ssh_keys: list[fields.SshKey] | None = Field(None, description="Public keys, one line each.")
    upgrade: bool | None = Field(
        None, description="Upgrade packages at the first boot; PVE does by default."
    )
    type: facts.CloudInitType | None = Field(None, description="The format of the drive.")
    user_data: fields.Volume | None = Field(
        None,
        description="A snippet in the place of all that PVE would write"
        " (`local:snippets/user.yaml`). `{index}`, `{name}` and `{service}` may stand in it.",
    )
    vendor_data: fields.Volume | None = Field(
        None, description="A snippet that adds to it (`local:snippets/vendor.yaml`)."
    )
    network_data: fields.Volume | None = Field(
        None, description="A snippet in the place of the addresses."
    )
    meta_data: fields.Volume | None = Field(
        None, description="A snippet in the place of the identity."
    )


class Features(Part):
    """What a container may do beyond the usual. All but nesting needs root@pam."""

    nesting: bool | None = Field(None, description="Containers inside (systemd wants it too).")
    keyctl: bool | None = Field(None, description="The keyctl() call, for Docker.")
    fuse: bool | None = Field(None, description="FUSE file systems.")
    mknod: bool | None = Field(None, description="Device nodes.")
    force_rw_sys: bool | None = Field(None, description="A writable /sys.")
    mount: list[fields.FileSystem] | None = Field(
        None, description="File system types it may mount (`nfs`)."
    )


class Container(Part):
    """What only a container has."""

    unprivileged: bool | None = Field(
        None,
        description="Run with user ids that mean nothing on the node; PVE does by default."
        " Fixed at creation.",
    )
    features: Features | None = Field(None, description="What it may do beyond the usual.")
    ssh_keys: list[fields.SshKey] | None = Field(
        None,
        description="Public keys for root, put in at creation. PVE never shows them again, so"
        " qlop does not keep them up to date.",
    )
    arch: facts.Architecture | None = Field(
        None, description="Architecture of the archive. Fixed at creation."
    )
    timezone: fields.TimeZone | None = Field(None, description="`Asia/Jakarta`, or `host`.")
    console: bool | None = Field(None, description="Attach a console.")
    console_mode: facts.ConsoleMode | None = Field(None, description="What the console opens.")
    tty: int | None = Field(
        None, ge=0, le=facts.CONTAINER_TTY_MAX, description="How many terminals it has."
    )


class Agent(Part):
    """The QEMU guest agent. `agent: true` is short for `agent: {enabled: true}`."""

    enabled: bool | None = Field(
        None, description="The agent is installed in the VM: talk to it; `true` by default."
    )
    type: Literal["virtio", "isa"] | None = Field(None, description="The line to it.")
    trim: bool | None = Field(
        None, description="Trim the file systems after a clone or a migration."
    )
    freeze: bool | None = Field(
        None, description="Freeze the file systems for backups; PVE does by default."
    )


AgentField = Annotated[Agent, fields.OR_BOOLEAN]


class DisplayPart(Part):
    """The graphics card."""

    type: facts.Display | None = Field(
        None, description="The card; `serial0` for cloud images, which log there."
    )
    memory: fields.Size | None = Field(None, description="Its memory, 4MiB to 512MiB.")


class Rng(Part):
    """A source of randomness."""

    source: facts.RngSource | None = Field(
        None, description="Where the node takes it from. Needed."
    )
    max_bytes: int | None = Field(None, ge=0, description="Bytes in each period; `0`: no limit.")
    period: fields.Span | None = Field(None, description="The period; PVE's default is 1s.")


class Watchdog(Part):
    """A watchdog device, which acts when the guest no longer feeds it."""

    model: facts.WatchdogModel | None = Field(None, description="The device.")
    action: facts.WatchdogAction | None = Field(None, description="What it does.")
