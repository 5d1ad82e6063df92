"""Build the world at its first instant from a cluster's description."""

import functools
import random

from qlop.sim import (
    drives,
    ha_crm,
    lxc_options,
    lxc_pending,
    power,
    qemu_disks,
    qemu_options,
    status,
    volumes,
)
from qlop.sim.access import AclEntry, Token, User
from qlop.sim.engine import Pool, World
from qlop.sim.state import Guest, Kind, Node, Os, Run, Storage, Volume
from qlop.sim.world import GIB, ClusterSpec, GuestSpec, VolumeSpec

_BOOTED_BEFORE_S = 86_400.0
"""The nodes have been up for a day when the simulation begins."""


def build(spec: ClusterSpec, *, seed: int, now: float) -> World:
    """Return the world that ``spec`` describes, at ``now`` (epoch seconds)."""
    world = World(spec=spec, random=random.Random(seed), now=now, started_at=now)  # noqa: S311
    world.ha.begin = functools.partial(ha_crm.begin, world)
    _add_nodes(world)
    for storage in spec.storages:
        world.storages[storage.name] = Storage(
            name=storage.name,
            type=storage.type,
            content=list(storage.content),
            total_bytes=int(storage.total_gib * GIB),
            shared=storage.shared,
            nodes=list(storage.nodes),
            options=dict(storage.options),
        )
    for volume in spec.volumes:
        _add_volume(world, volume)
    for poolid in spec.pools:
        world.pools[poolid] = Pool(poolid=poolid)
    _add_access(world)
    for guest in spec.guests:
        _add_guest(world, guest)
    see = functools.partial(status.see, world)
    for index, name in enumerate(world.nodes):
        world.nodes[name].pushed_at = now
        offset = spec.timing.push_s * (index + 1) / (len(world.nodes) + 1)
        world.schedule(offset, functools.partial(world.push, name, see))
    return world


def _add_nodes(world: World) -> None:
    for index, node in enumerate(world.spec.nodes):
        world.nodes[node.name] = Node(
            name=node.name,
            node_id=index + 1,
            cores=node.cores,
            memory_bytes=int(node.memory_gib * GIB),
            version=node.version,
            ip=node.ip or f"192.0.2.{index + 11}",
            boot_at=world.now - _BOOTED_BEFORE_S,
            bridges=list(node.bridges),
        )


def _add_volume(world: World, spec: VolumeSpec) -> None:
    storage = world.storages[spec.volid.partition(":")[0]]
    nodes = [""] if storage.shared else list(spec.nodes) or list(world.nodes)
    kind = spec.volid.partition(":")[2].partition("/")[0]
    size = int(spec.size_gib * GIB)
    name = spec.volid.rpartition("/")[2]
    format_ = {"iso": "iso", "snippets": "snippet"}.get(kind, name.rpartition(".")[2])
    if kind == "vztmpl":
        format_ = "tzst" if name.endswith("zst") else "tgz"
    for node in nodes:
        volumes.add(
            world,
            Volume(
                volid=spec.volid,
                node=node,
                size_bytes=size,
                used_bytes=min(size, 2 * GIB),
                format=format_,
                content=kind,
                ctime=world.stamp() - 86_400,
                os=Os(spec.os),
                notes=spec.notes,
            ),
        )


def _add_access(world: World) -> None:
    access = world.access
    for role, privileges in world.spec.roles.items():
        access.custom_roles[role] = frozenset(privileges)
    for user in world.spec.users:
        access.users[user.userid] = User(
            userid=user.userid,
            password=user.password,
            tokens={
                name: Token(secret=secret, privsep=name in user.privsep)
                for name, secret in user.tokens.items()
            },
        )
    access.users.setdefault("root@pam", User(userid="root@pam"))
    for entry in world.spec.acl:
        kind = "token" if "!" in entry.who else "user"
        access.acl.append(
            AclEntry(
                path=entry.path,
                kind=kind,
                who=entry.who,
                role=entry.role,
                propagate=entry.propagate,
            )
        )


def _add_guest(world: World, spec: GuestSpec) -> None:
    kind = Kind(spec.kind)
    guest = Guest(vmid=spec.vmid, kind=kind, node=spec.node, config={})
    world.guests[spec.vmid] = guest
    config = dict(spec.config)
    is_template = config.pop("template", "0") == "1"
    if kind is Kind.QEMU:
        _configure_vm(world, guest, config)
    else:
        _configure_ct(world, guest, config)
    _install(world, guest, spec)
    if is_template:
        _make_base(world, guest)
    if spec.running:
        guest.run = Run(
            pid=world.new_pid(guest.node),
            started_at=world.now - 3_600,
            booted_at=world.now - 3_500,
            devices=dict(guest.config),
            agent_hung=power.installed(world, guest) is not Os.AGENT,
        )
    if spec.pool:
        world.pools[spec.pool].guests.add(spec.vmid)
        world.access.vm_pool[spec.vmid] = spec.pool
    world.vmlist_version += 1
    guest.version = world.vmlist_version
    guest.keep()
    guest.seen = status.see(world, guest)


def _configure_vm(world: World, guest: Guest, config: dict[str, str]) -> None:
    created = qemu_disks.Created()
    qemu_disks.create(world, guest.node, guest.vmid, config, created)
    config.update(created.values)
    for key in drives.numbered(config, "net"):
        config[key] = qemu_options.print_net(world, config[key])
    if "boot" not in config:
        order = drives.boot_order(config)
        config["boot"] = f"order={';'.join(order)}" if order else " "
    config.setdefault("smbios1", f"uuid={qemu_options.new_uuid(world)}")
    config.setdefault("vmgenid", qemu_options.new_uuid(world))
    config.setdefault("meta", f"creation-qemu=10.0.13,ctime={world.stamp() - 86_400}")
    guest.config = config


def _configure_ct(world: World, guest: Guest, config: dict[str, str]) -> None:
    for key in [name for name in config if drives.is_mount(name)]:
        config[key] = lxc_pending.create_mount(world, guest, config[key])
    for key in drives.numbered(config, "net"):
        config[key] = lxc_options.print_net(world, config[key])
    guest.config = config


def _install(world: World, guest: Guest, spec: GuestSpec) -> None:
    key = "rootfs" if guest.kind is Kind.LXC else drives.boot_disk(guest.config)
    if key is None or key not in guest.config:
        return
    volid = drives.parse(guest.config[key]).get("file", "")
    volume = volumes.find(world, volid, guest.node)
    if volume is not None:
        volume.os = Os(spec.os)
        used = min(volume.size_bytes, int(spec.used_gib * GIB))
        volumes.take(world, volume, max(0, used - volume.used_bytes))


def _make_base(world: World, guest: Guest) -> None:
    for key, value in list(guest.config.items()):
        if not (drives.is_drive(key) or drives.is_mount(key)) or drives.is_cdrom(value):
            continue
        drive = drives.parse(value)
        volume = volumes.find(world, drive.get("file", ""), guest.node)
        if volume is not None:
            volumes.make_base(world, volume)
            drive["file"] = volume.volid
            guest.config[key] = drives.show(drive)
    guest.config["template"] = "1"
