"""Set a cluster up as a recording found it.

What existed before the first call is read from what the recording first shows of it; what
happened by hand between the calls is listed in ``ACTS``. Neither says what the simulator
has to answer.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qlop.sim import drives, status, volumes
from qlop.sim.access import Token, User
from qlop.sim.cluster import Cluster
from qlop.sim.state import Guest, Kind, Os, Run, Task, Volume
from qlop.sim.world import ClusterSpec, NodeSpec, StorageSpec, Timing
from tests.contract.recordings import Exchange, Note

GIB = 1024**3

TIMING = Timing(
    start_s=1.0,
    stop_s=0.3,
    boot_s=9.0,
    guest_shutdown_s=1.3,
    lxc_start_s=1.0,
    lxc_shutdown_s=1.2,
    create_s=0.02,
    destroy_s=0.1,
    config_s=0.02,
    snapshot_s=0.1,
    allocate_s=0.02,
    copy_s_per_gib=0.2,
    linked_clone_s=0.1,
    unpack_s=0.2,
    lxc_resize_s=21.0,
    migrate_s=4.0,
    migrate_s_per_gib_memory=40.0,
    migrate_s_per_gib_disk=4.0,
)
"""The laboratory's own pace: nothing to copy, no operating system to boot."""

_LOCAL = StorageSpec(
    name="local",
    type="dir",
    content=("images", "rootdir", "iso", "vztmpl", "backup", "snippets"),
    total_gib=270553174016 / GIB,
    options={"path": "/var/lib/vz", "prune-backups": "keep-all=1"},
)
_SHARED = StorageSpec(
    name="shared",
    type="dir",
    content=("vztmpl", "snippets", "rootdir", "images", "backup"),
    total_gib=270553174016 / GIB,
    shared=True,
    options={"path": "/mnt/shared"},
)
_BTR = StorageSpec(
    name="btr",
    type="btrfs",
    content=("images", "rootdir"),
    total_gib=270553174016 / GIB,
    options={"path": "/mnt/btr"},
)


def cluster_for(entries: list[Exchange | Note]) -> tuple[Cluster, str]:
    """Return the cluster at the start of a recording, and the node it talked to."""
    exchanges = [entry for entry in entries if isinstance(entry, Exchange)]
    text = "".join(exchange.url for exchange in exchanges)
    nodes = ("cl1", "cl2") if "/nodes/cl" in text else ("pve1",)
    everything = "".join(f"{exchange.body} {exchange.text}" for exchange in exchanges)
    storages = tuple(
        storage
        for storage in (_LOCAL, _SHARED, _BTR)
        if re.search(rf"\b{storage.name}(:|%3A)", everything)
    )
    spec = ClusterSpec(
        name="lab",
        nodes=tuple(
            NodeSpec(name=node, cores=2, memory_gib=25276514304 / GIB, ip=f"127.0.0.2{index + 1}")
            for index, node in enumerate(nodes)
        ),
        storages=storages,
        timing=TIMING,
    )
    cluster = Cluster(spec, seed=7, now=exchanges[0].at - exchanges[0].seconds)
    root = User(userid="root@pam", password="lab")
    root.tokens["test"] = Token(secret="TOKEN-SECRET", privsep=False)
    cluster.world.access.users["root@pam"] = root
    for host in cluster.world.nodes.values():
        host.has_kvm = False
        host.hotplugs_containers = False
    cluster.world.ha.is_manager_up = len(nodes) > 1
    cluster.world.ha.has_watchdog = False  # The laboratory's nodes were not to reset themselves.
    if master := re.search(r'"node":"(\w+)"[^}]*"type":"master"', everything):
        cluster.world.ha.master = master[1]
    _add_guests(cluster, exchanges)
    _add_volumes(cluster, exchanges)
    _add_tasks(cluster, exchanges)
    return cluster, nodes[0]


def _created(exchange: Exchange) -> int | None:
    """Return the VMID a call brings into being, if it is that kind of call."""
    if exchange.method != "POST" or exchange.status != 200:
        return None
    values = dict(re.findall(r'"?(vmid|newid)"?[=:]\s*(\d+)', exchange.body or ""))
    if re.search(r"/nodes/\w+/(qemu|lxc)$", exchange.path):
        return int(values.get("vmid", 0)) or None
    if exchange.path.endswith("/clone"):
        return int(values.get("newid", 0)) or None
    return None


def _guest_rows(exchange: Exchange) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if exchange.status != 200 or not isinstance(exchange.data, list):
        return
    for row in exchange.data:
        if not isinstance(row, dict) or "vmid" not in row or "volid" in row:
            continue
        if exchange.path.endswith("/cluster/resources"):
            yield row["type"], row
        elif found := re.search(r"/nodes/(\w+)/(qemu|lxc)$", exchange.path):
            yield found[2], {"node": found[1], **row}


def _add_guests(cluster: Cluster, exchanges: list[Exchange]) -> None:
    gone: set[int] = set()
    for exchange in exchanges:
        if (vmid := _created(exchange)) is not None:
            gone.add(vmid)
        for kind, row in _guest_rows(exchange):
            vmid = int(row["vmid"])
            if vmid not in gone and vmid not in cluster.world.guests:
                _add_guest(cluster, exchanges, kind, vmid, row)
        found = re.search(r"/nodes/(\w+)/(qemu|lxc)/(\d+)/", exchange.path)
        if found is None or exchange.status != 200 or not exchange.data:
            continue
        vmid = int(found[3])
        is_proof = exchange.method == "GET" and exchange.path.endswith(
            ("/config", "/status/current", "/pending", "/snapshot")
        )
        if is_proof and vmid not in gone and vmid not in cluster.world.guests:
            _add_guest(cluster, exchanges, found[2], vmid, {"node": found[1]})


def _add_guest(
    cluster: Cluster, exchanges: list[Exchange], kind: str, vmid: int, row: Mapping[str, Any]
) -> None:
    world = cluster.world
    node = row.get("node", next(iter(world.nodes)))
    config = _first_config(exchanges, kind, vmid)
    if config is None:
        config = _made_up(kind, vmid, row)
    _put(cluster, Guest(vmid=vmid, kind=Kind(kind), node=node, config=config))


def _put(cluster: Cluster, guest: Guest) -> None:
    world = cluster.world
    world.guests[guest.vmid] = guest
    for key, value in guest.config.items():
        if drives.is_drive(key) or drives.is_mount(key) or key.startswith("unused"):
            _add_disk(cluster, guest, key, value)
    world.wrote(guest)
    guest.seen = status.see(world, guest)


def _first_config(exchanges: list[Exchange], kind: str, vmid: int) -> dict[str, str] | None:
    wanted = re.compile(rf"/nodes/\w+/{kind}/{vmid}/config$")
    for exchange in exchanges:
        if _created(exchange) == vmid:
            return None
        is_read = exchange.method == "GET" and exchange.status == 200
        if is_read and wanted.search(exchange.path) and isinstance(exchange.data, dict):
            return {key: str(value) for key, value in exchange.data.items() if key != "digest"}
    return None


def _made_up(kind: str, vmid: int, row: Mapping[str, Any]) -> dict[str, str]:
    config = _made_up_vm(vmid, row) if kind == "qemu" else _made_up_container(vmid, row)
    config |= {key: row[key] for key in ("tags", "lock") if key in row}
    if row.get("template"):
        config["template"] = "1"
    return config


def _made_up_vm(vmid: int, row: Mapping[str, Any]) -> dict[str, str]:
    config: dict[str, str] = {}
    if row.get("name") not in {None, f"VM {vmid}"}:
        config["name"] = row["name"]
    if row.get("maxmem", 512 * 1024**2) != 512 * 1024**2:
        config["memory"] = str(row["maxmem"] // 1024**2)
    if (count := row.get("cpus", row.get("maxcpu", 1))) != 1:
        config["cores"] = str(count)
    if row.get("maxdisk"):
        size = drives.size_text(row["maxdisk"])
        config["scsi0"] = f"local:{vmid}/vm-{vmid}-disk-0.raw,size={size}"
        config["boot"] = "order=scsi0"
    if row.get("serial"):
        config["serial0"] = "socket"
    return config


def _made_up_container(vmid: int, row: Mapping[str, Any]) -> dict[str, str]:
    size = drives.size_text(row.get("maxdisk", 4 * GIB))
    config = {
        "hostname": row.get("name", f"CT{vmid}"),
        "memory": str(row.get("maxmem", 512 * 1024**2) // 1024**2),
        "swap": str(row.get("maxswap", 512 * 1024**2) // 1024**2),
        "arch": "amd64",
        "ostype": "debian",
        "rootfs": f"local:{vmid}/vm-{vmid}-disk-0.raw,size={size}",
    }
    if row.get("cpus", 2) != 2:
        config["cores"] = str(row["cpus"])
    return config


def _add_disk(cluster: Cluster, guest: Guest, key: str, value: str) -> None:
    drive = drives.parse(value)
    volid = drive.get("file", "none")
    if ":" not in volid or "iso/" in volid:
        return
    storage = cluster.world.storages.get(volid.partition(":")[0])
    if storage is None or (volid, volumes.place(storage, guest.node)) in cluster.world.volumes:
        return
    owner = re.search(r"(?:vm|base|subvol)-(\d+)-", volid)
    agent = drives.parse(guest.config.get("agent", "0"), "enabled").get("enabled") == "1"
    volumes.add(
        cluster.world,
        Volume(
            volid=volid,
            node=volumes.place(storage, guest.node),
            size_bytes=drives.size_bytes(drive.get("size", "4M")),
            used_bytes=4096,
            format=volid.rpartition(".")[2],
            content="images" if guest.kind is Kind.QEMU else "rootdir",
            ctime=cluster.world.stamp(),
            vmid=int(owner[1]) if owner else guest.vmid,
            os=Os.AGENT if agent and key == drives.boot_disk(guest.config) else Os.NONE,
        ),
    )


def _add_volumes(cluster: Cluster, exchanges: list[Exchange]) -> None:
    """Add what the first listing of a storage shows and nothing before it made."""
    world = cluster.world
    templates = {
        unfold
        for exchange in exchanges
        for unfold in re.findall(r"(\w+)%3Avztmpl%2F([\w.-]+)", exchange.body or "")
        if unfold[1] != "none.tar.gz"
    }
    for storage, template in sorted(templates):
        if world.storages[storage].shared:
            _add_file(cluster, f"{storage}:vztmpl/{template}", "", 670_000)
            continue
        for node in world.nodes:
            _add_file(cluster, f"{storage}:vztmpl/{template}", node, 670_000)


def _add_file(cluster: Cluster, volid: str, node: str, size: int) -> None:
    volumes.add(
        cluster.world,
        Volume(
            volid=volid,
            node=node,
            size_bytes=size,
            used_bytes=size,
            format="tgz",
            content=volid.partition(":")[2].partition("/")[0],
            ctime=cluster.world.stamp(),
        ),
    )


def _add_tasks(cluster: Cluster, exchanges: list[Exchange]) -> None:
    """Add the finished tasks of earlier days that the first listings show."""
    rows: dict[str, Mapping[str, Any]] = {}
    for exchange in exchanges:
        if not exchange.path.endswith("/tasks") or exchange.status != 200:
            continue
        for row in exchange.data or []:
            if row.get("endtime", 0) <= exchanges[0].at:
                rows[row["upid"]] = {**row, **rows.get(row["upid"], {})}
    for row in sorted(rows.values(), key=lambda row: (row["starttime"], row["upid"])):
        token = row.get("tokenid")
        cluster.world.tasks[row["upid"]] = Task(
            upid=row["upid"],
            node=row["node"],
            pid=row.get("pid", 0),
            pstart=row.get("pstart", 0),
            start_at=row["starttime"],
            type=row["type"],
            id=row["id"],
            user=f"{row['user']}!{token}" if token else row["user"],
            end_at=row.get("endtime"),
            exit=row.get("status"),
            log=["TASK OK"],
        )


def add_image(cluster: Cluster, volid: str) -> None:
    """Put a guest's image on a storage that earlier work has left there."""
    owner = re.search(r"vm-(\d+)-", volid)
    volumes.add(
        cluster.world,
        Volume(
            volid=volid,
            node=next(iter(cluster.world.nodes)),
            size_bytes=GIB,
            used_bytes=4096,
            format="raw",
            content="images",
            ctime=cluster.world.stamp(),
            vmid=int(owner[1]) if owner else None,
        ),
    )


def make(cluster: Cluster, text: str) -> None:
    """Create a guest by hand: ``KIND VMID NODE KEY=VALUE…``."""
    kind, vmid, node, *pairs = text.split()
    config = dict(pair.split("=", 1) for pair in pairs)
    _put(cluster, Guest(vmid=int(vmid), kind=Kind(kind), node=node, config=config))


def adopt(cluster: Cluster, vmid: int, ahead: list[Exchange | Note]) -> None:
    """Make a guest as the recording next shows it: it was remade or edited by hand."""
    exchanges = [entry for entry in ahead if isinstance(entry, Exchange)]
    world = cluster.world
    world.guests.pop(vmid, None)
    seen = _seen(exchanges, vmid)
    if seen is None:
        return
    kind, node, running = seen
    for volume in list(volumes.of_guest(world, vmid)):
        volumes.drop(world, volume)
    _add_guest(cluster, exchanges, kind, vmid, {"node": node})
    if running:
        guest = world.guests[vmid]
        guest.run = Run(
            pid=world.new_pid(node),
            started_at=world.now - 60,
            booted_at=world.now - 40,
            devices=dict(guest.config),
        )
        world.changed(guest)


def _seen(exchanges: list[Exchange], vmid: int) -> tuple[str, str, bool] | None:
    """Return kind, node and power of a guest as a recording next shows them."""
    found: tuple[str, str] | None = None
    for exchange in exchanges:
        where = re.search(rf"/nodes/(\w+)/(qemu|lxc)/{vmid}(/|$)", exchange.path)
        if where is None or exchange.status != 200:
            continue
        found = found or (where[2], where[1])
        if exchange.path.endswith("/status/current"):
            return where[2], where[1], exchange.data["status"] == "running"
        if exchange.method == "POST" and "/status/" in exchange.path:
            return where[2], where[1], not exchange.path.endswith("/start")
    return None if found is None else (*found, False)
