"""Define the three kinds of document: Cluster, Profile and Service."""

from typing import Annotated, Literal

from pydantic import Field

from qlop.manifest import care, conduct, facts, fields, parts
from qlop.manifest.part import Part
from qlop.manifest.windows import Blackout, Window, WindowOrName

API_VERSION = "qlop/v1"
MAX_REPLICAS = 1000
DEFAULT_VMID_RANGE = (10_000, 19_999)

GuestType = Literal["vm", "container"]


class GuestSpec(Part):
    """Everything that can be said of a guest. What is not said is left alone in PVE."""

    type: GuestType | None = Field(None, description="A virtual machine or an LXC container.")
    source: parts.Source | None = Field(None, description="Where a new guest comes from.")
    vmid_range: fields.VmIdRange | None = Field(
        None, description="VMIDs to choose from; else the cluster's `vmidRange`."
    )
    power: Literal["running", "stopped"] | None = Field(
        None, description="Whether it runs; `running` by default."
    )
    cpu: parts.Cpu | None = Field(None, description="The processor.")
    memory: fields.Memory | None = Field(
        None, description="Its memory. Needed, since placement counts with it."
    )
    balloon: fields.SizeOrZero | None = Field(
        None,
        description="VM: the memory it keeps when the node runs short; `0B` turns the balloon"
        " device off.",
    )
    swap: fields.SizeOrZero | None = Field(None, description="Container: swap space.")
    machine: fields.Machine | None = Field(None, description="VM: machine type (`q35`).")
    bios: facts.Bios | None = Field(None, description="VM: its firmware.")
    efi_disk: parts.EfiDisk | None = Field(None, description="VM: the variables of UEFI.")
    tpm: parts.Tpm | None = Field(None, description="VM: a trusted platform module.")
    os_type: facts.GuestOs | None = Field(
        None,
        description="What runs inside: `l26` (Linux) or `win11` for a VM; for a container its"
        " distribution, which PVE finds out itself.",
    )
    scsi_controller: facts.ScsiController | None = Field(
        None, description="VM: the controller of scsi disks; `virtio-scsi-single` is best."
    )
    disks: list[parts.Disk] | None = Field(
        None, description="VM: its disks. Others that it has are left alone."
    )
    rootfs: parts.RootFs | None = Field(None, description="Container: its root file system.")
    mount_points: list[parts.MountPoint] | None = Field(
        None, description="Container: further volumes. Others that it has are left alone."
    )
    networks: list[parts.Network] | None = Field(
        None,
        description="Its network interfaces, all of them: others are removed. Without this"
        " key they are left alone.",
    )
    dns: parts.Dns | None = Field(None, description="Name resolution.")
    cloud_init: parts.CloudInit | None = Field(None, description="VM: what it is told.")
    container: parts.Container | None = Field(None, description="What only a container has.")
    agent: parts.AgentField | None = Field(None, description="VM: the QEMU guest agent.")
    boot_order: list[fields.BootDevice] | None = Field(
        None, min_length=1, description="VM: what it boots from, in this order (`[scsi0, net0]`)."
    )
    display: parts.DisplayPart | None = Field(None, description="VM: the graphics card.")
    serial_ports: list[fields.SerialPort] | None = Field(
        None,
        max_length=facts.SERIAL_PORTS,
        description="VM: serial ports: `socket`, or a device of the node.",
    )
    rng: parts.Rng | None = Field(None, description="VM: a source of randomness.")
    watchdog: parts.Watchdog | None = Field(None, description="VM: a watchdog device.")
    hotplug: list[facts.Hotplug] | None = Field(
        None, description="VM: what may be changed while it runs; `[]` is nothing."
    )
    tablet: bool | None = Field(None, description="VM: a pointer that follows the mouse.")
    kvm: bool | None = Field(None, description="VM: hardware virtualization; on by default.")
    hook_script: fields.Volume | None = Field(
        None,
        description="A snippet that PVE runs as the guest starts and stops. PVE lets root@pam alone set it, no API token; one that is there already may be named.",
    )
    on_boot: bool | None = Field(None, description="Start it when its node boots.")
    startup: conduct.Startup | None = Field(None, description="In which order, with what pauses.")
    tags: list[fields.Tag] | None = Field(
        None,
        description="Tags in PVE. The tag `qlop` is always there, but for a guest with"
        " `source: {existing: true}` that says no tags.",
    )
    description: fields.Description | None = Field(
        None,
        description="Its notes in PVE. `{index}`, `{name}` and `{service}` may stand in it.",
    )
    pool: fields.PoolRef | None = Field(None, description="Its pool, which has to exist.")
    protection: bool | None = Field(
        None, description="PVE's protection flag: neither it nor its disks can be removed."
    )
    placement: conduct.Placement | None = Field(None, description="Where it runs.")
    snapshots: conduct.Snapshots | None = Field(None, description="The snapshots it has.")
    shutdown: conduct.Shutdown | None = Field(None, description="How it is shut down.")
    changes: conduct.Changes | None = Field(None, description="What may be changed, and when.")
    windows: list[WindowOrName] | None = Field(
        None,
        description="The windows of what waits for one: names of the cluster's"
        " `policy.windows`, or its own. All of the cluster's by default.",
    )
    update: care.Update | None = Field(
        None, description="How a change goes through the guests of a service."
    )
    health: list[care.Check] | None = Field(
        None,
        max_length=10,
        description="How it is seen whether a guest does its work. Without checks one that"
        " runs is taken for healthy, after `update.readyAfter`. See [health](health.md).",
    )
    rollback: care.Rollback | None = Field(
        None, description="What becomes of a change that leaves a guest unhealthy."
    )
    depends_on: list[fields.Name] | None = Field(
        None,
        description="Services without which it is of no use: they start before it and stop"
        " after it, and a change of it waits until they are as wanted and healthy.",
    )


class ServiceSpec(GuestSpec):
    """A service: what its guests are, and how many there are."""

    profiles: list[fields.Name] | None = Field(
        None,
        description="Profiles to inherit from. A later one overrides an earlier one, the"
        " service overrides all. Mappings are merged, lists are replaced.",
    )
    replicas: int | None = Field(
        None,
        ge=1,
        le=MAX_REPLICAS,
        description="How many guests: `name-1`, `name-2` and so on. Without it there is one,"
        " called `name`.",
    )
    vmid: int | None = Field(
        None,
        ge=facts.VMID_MIN,
        le=facts.VMID_MAX,
        description="Its VMID; with `replicas` that of the first, the others follow. Else the"
        " lowest free one of the range.",
    )
    guest_name: fields.GuestName | None = Field(
        None,
        description="What PVE calls it, if not like its service (`Web01.example.org`)."
        " `{index}`, `{name}` and `{service}` may stand in it.",
    )


class FuseLimit(Part):
    """A limit of its own for one kind of thing."""

    guests: int | None = Field(None, ge=0, description="Guests; none by default.")
    share: fields.ShareOfWhole | None = Field(
        None, description="Share of all guests of qlop; 0% by default."
    )


class LostServices(Part):
    """How many services may vanish from the manifests at once."""

    services: int | None = Field(None, ge=0, description="Services; 3 by default.")
    share: fields.ShareOfWhole | None = Field(
        None, description="Share of all services of qlop; 20% by default."
    )


class FusePart(Part):
    """How much one plan may take away before a person has to agree (`qlop acknowledge`).

    A plan that would destroy, stop, reboot, or move with an interruption more guests than
    the larger of number and share is not carried out.
    """

    guests: int | None = Field(None, ge=0, description="Guests, of all kinds; 3 by default.")
    share: fields.ShareOfWhole | None = Field(
        None, description="Share of all guests of qlop; 10% by default."
    )
    destroy: FuseLimit | None = Field(None, description="Destroyed; then only these count here.")
    stop: FuseLimit | None = Field(None, description="Shut down.")
    reboot: FuseLimit | None = Field(None, description="Rebooted.")
    move: FuseLimit | None = Field(None, description="Moved with an interruption.")
    lost_services: LostServices | None = Field(
        None, description="Owned by qlop, and no longer in any manifest."
    )


class LimitsPart(Part):
    """How many actions may be under way at once."""

    cluster: int | None = Field(None, ge=1, le=1000, description="In all; 24 by default.")
    node: int | None = Field(None, ge=1, le=1000, description="On a node; 6 by default.")
    node_migrations: int | None = Field(
        None, ge=1, le=100, description="Migrations from or to a node; 2 by default."
    )
    storage_clones: int | None = Field(
        None, ge=1, le=100, description="Clones to a storage; 1 by default."
    )


class BudgetPart(Part):
    """How many guests may be down at once for changes, whatever the cause.

    Each service has its own budget besides, `update.maxUnavailable`. What runs is never
    stopped beyond it; what is down may always be started.
    """

    node: int | None = Field(None, ge=1, description="Of those on one node; no limit by default.")
    cluster: int | None = Field(None, ge=1, description="In all; no limit by default.")


class BackoffPart(Part):
    """How long a guest is left alone after a failure; it doubles each time."""

    first: fields.Span | None = Field(None, description="After the first; 10s by default.")
    max: fields.Span | None = Field(None, description="At most; 15m by default.")


class PrunePart(Part):
    """What becomes of guests that no manifest names any more."""

    mode: Literal["never", "stop", "destroy"] | None = Field(
        None,
        description="`never` (the default): it stays as it is. `stop`: it is shut down and kept."
        " `destroy`: it is shut down, kept for `grace`, and then destroyed **with its disks**.",
    )
    grace: fields.Span | None = Field(
        None,
        description="How long it is kept once it is stopped, before it is destroyed; 7d by"
        " default. Until then `qlop undelete` or its manifest brings it back.",
    )
    backup: Literal["required", "notNeeded"] | None = Field(
        None,
        description="`required` (the default): it is destroyed only if there is a backup that"
        " was begun after it was stopped, and that is verified where its storage does that."
        " `notNeeded`: it is destroyed without any.",
    )


class PolicyPart(Part):
    """What qlop respects, whatever services want."""

    prune: Annotated[PrunePart, fields.OR_MODE] | None = Field(
        None,
        description="What happens to a guest of qlop that no manifest names any more."
        " `prune: stop` is short for `prune: {mode: stop}`.",
    )
    fuse: FusePart | None = Field(None, description="Against mass destruction.")
    limits: LimitsPart | None = Field(None, description="Actions at once.")
    budget: BudgetPart | None = Field(None, description="Guests that may be down at once.")
    memory_reserve: fields.ShareOfWhole | None = Field(
        None, description="Share of a node's memory kept free of guests; 10% by default."
    )
    memory_overcommit: fields.Share | None = Field(
        None, description="How much memory may be promised of what is there; 100% by default."
    )
    storage_reserve: fields.ShareOfWhole | None = Field(
        None, description="Share of a storage kept free; 5% by default."
    )
    backoff: BackoffPart | None = Field(None, description="Pauses after failures.")
    timezone: fields.Zone | None = Field(
        None, description="The time zone of windows and black-outs; `UTC` by default."
    )
    blackouts: list[Blackout] | None = Field(
        None, description="When no window is open, whatever day it is."
    )
    windows: list[Window] | None = Field(
        None, description="When services may be changed that wait for a window."
    )


class ClusterSpec(Part):
    """The cluster: what is expected there, and the rules."""

    nodes: Annotated[list[fields.NodeRef], Field(min_length=1)] = Field(
        description="The nodes expected."
    )
    storages: list[fields.StorageRef] | None = Field(
        None,
        description="The storages expected. If given, manifests may name no others.",
    )
    vmid_range: fields.VmIdRange | None = Field(
        None,
        description="VMIDs that guests get; {}-{} by default.".format(*DEFAULT_VMID_RANGE),
    )
    interval: fields.Span | None = Field(
        None, description="How often to look if nothing else calls, 1s to 2m; 30s by default."
    )
    policy: PolicyPart | None = Field(None, description="The rules.")
    defaults: GuestSpec | None = Field(
        None,
        description="What every service inherits. What a kind of guest does not have is left"
        " out for it.",
    )


class Metadata(Part):
    """What the document is called."""

    name: fields.Name = Field(description="Its name, unique among documents of its kind.")
    labels: dict[str, str] | None = Field(None, description="For people and their tools.")
    annotations: dict[str, str] | None = Field(None, description="For people and their tools.")


class Cluster(Part):
    """The one document about the cluster itself."""

    api_version: Literal["qlop/v1"] = Field(description="Always `qlop/v1`.")
    kind: Literal["Cluster"] = Field(description="`Cluster`.")
    metadata: Metadata = Field(description="Its name; it is part of the mark on every guest.")
    spec: ClusterSpec = Field(description="What is expected there, and the rules.")


class Profile(Part):
    """What several services have in common."""

    api_version: Literal["qlop/v1"] = Field(description="Always `qlop/v1`.")
    kind: Literal["Profile"] = Field(description="`Profile`.")
    metadata: Metadata = Field(description="The name by which services refer to it.")
    spec: GuestSpec = Field(description="What the services inherit.")


class Service(Part):
    """One guest, or several that are alike."""

    api_version: Literal["qlop/v1"] = Field(description="Always `qlop/v1`.")
    kind: Literal["Service"] = Field(description="`Service`.")
    metadata: Metadata = Field(description="Its name, which is also that of its guests.")
    spec: ServiceSpec = Field(description="What its guests are.")


KINDS: dict[str, type[Cluster | Profile | Service]] = {
    "Cluster": Cluster,
    "Profile": Profile,
    "Service": Service,
}
