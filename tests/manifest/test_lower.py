"""What is written becomes guests, in PVE's canonical form, and nothing that isn't said."""

from datetime import timedelta

import pytest

from qlop.manifest.load import load
from qlop.model.consent import Consent, Consents
from qlop.model.desired import (
    ArchiveSource,
    CloneSource,
    Desired,
    DesiredDisk,
    DesiredGuest,
    DesiredNic,
    EmptySource,
    ExistingSource,
    ImageSource,
    IsoSource,
    Placement,
    Snapshots,
)
from qlop.model.finding import Origin
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.ids import (
    GuestName,
    NodeName,
    PoolId,
    ServiceName,
    StorageId,
    VmId,
)
from qlop.model.option import canonical, render
from qlop.model.policy import BackupNeed, Fuse, Limits, Policy, Prune, Pruning
from qlop.model.units import GIB
from qlop.model.window import CronWindow, parse_cron
from tests.manifest.trees import CLUSTER, CONTAINER, VM, cluster, loaded, service, tree

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOUQ me@here 100%"
LVM = StorageId("local-lvm")


def desired(*documents: str) -> Desired:
    result = loaded(*documents)
    assert [one for one in result.findings if one.code != "root-only"] == []
    assert result.desired is not None
    return result.desired


def guest(spec: str) -> DesiredGuest:
    (found,) = desired(service(spec)).guests.values()
    return found


def test_a_service_that_says_little_wants_little() -> None:
    assert guest(VM) == DesiredGuest(
        name=GuestName("web"),
        service=ServiceName("web"),
        index=1,
        kind=GuestKind.VM,
        source=CloneSource(template=VmId(9000), full=True, storage=None),
        vmid=None,
        vmid_range=(10_000, 19_999),
        options={"name": "web", "tags": "qlop", "memory": "2048"},
        disks=(),
        nics=(),
        networks_declared=False,
        pool=None,
        power=Power.RUNNING,
        placement=Placement(),
        snapshots=Snapshots(),
        shutdown_timeout=timedelta(minutes=3),
        may_stop=False,
        memory_bytes=2 * GIB,
        origin=Origin(file="a.yaml", line=10, column=18),
    )


EVERYTHING_OF_A_VM = f"""
type: vm
source: {{image: "local:import/debian.qcow2"}}
vmid: 10110
vmidRange: 10100-10199
power: stopped
cpu: {{sockets: 2, cores: 4, type: host, flags: [+aes, -pcid], limit: 2.5, units: 200, numa: true, vcpus: 6}}
memory: 8GiB
balloon: 4GiB
machine: q35
bios: ovmf
efiDisk: {{type: 4m, preEnrolledKeys: true}}
tpm: {{storage: nas, version: v2.0}}
osType: l26
scsiController: virtio-scsi-single
disks:
  - slot: scsi0
    storage: local-lvm
    size: 32GiB
    format: raw
    cache: writeback
    discard: true
    ssd: true
    iothread: true
    backup: false
    readOnly: false
    replicate: false
    aio: native
    serial: A1
    limits: {{mbps: 100, mbpsRead: 50.5, mbpsWrite: 60, iops: 1000, iopsRead: 500, iopsWrite: 400}}
  - {{bus: virtio, index: 3, storage: nas, size: 512MiB, discard: false}}
networks:
  - bridge: vmbr0
    model: e1000
    vlan: 20
    trunks: [30, 40]
    mac: bc:24:11:00:00:0a
    firewall: true
    rate: 12.5
    mtu: 1
    queues: 4
    linkDown: true
    address: 10.0.20.11/24
    gateway: 10.0.20.1
    address6: 2001:db8::11/64
    gateway6: 2001:db8::1
  - {{slot: net5, bridge: vmbr1, address: dhcp}}
dns: {{servers: [10.0.0.2, 10.0.0.3], search: [hospital.lan]}}
cloudInit:
  user: admin
  sshKeys: ["{KEY}"]
  upgrade: false
  type: nocloud
  userData: local:snippets/{{name}}.yaml
  vendorData: local:snippets/vendor.yaml
  networkData: local:snippets/net.yaml
  metaData: local:snippets/meta.yaml
agent: {{type: virtio, trim: true, freeze: false}}
bootOrder: [scsi0, net0]
display: {{type: virtio, memory: 64MiB}}
serialPorts: [socket, /dev/ttyS0]
rng: {{source: /dev/urandom, maxBytes: 1024, period: 1s}}
watchdog: {{model: i6300esb, action: reset}}
hotplug: [usb, disk, network, cpu]
tablet: false
kvm: true
hookScript: local:snippets/hook.pl
onBoot: true
startup: {{order: 2, upDelay: 30s, downDelay: 1m}}
tags: [Web, prod]
description: "The {{name}} of {{service}}, number {{index}} {{of}} 1\\n"
pool: clinic
protection: true
placement: {{nodes: [pve1, pve2], preferred: [pve2], spread: false, apartFrom: [db], togetherWith: [cache]}}
snapshots: {{keep: [before-upgrade], prune: true, memory: true}}
shutdown: {{timeout: 5m, thenStop: true}}
changes:
  impact: {{none: window, hot: ask, reboot: do, downtime: window, dataLoss: warn}}
  fields: {{net0.rate: ignore, placement: do}}
windows:
  - {{name: own, cron: "0 2 * * sat", duration: 4h, timezone: Asia/Jakarta}}
update:
  maxUnavailable: 0
"""


def test_everything_that_can_be_said_of_a_vm_is_lowered() -> None:
    others = (service(VM, "db"), service(VM, "cache"))
    found = desired(service(EVERYTHING_OF_A_VM), *others)
    web = found.guests[GuestName("web")]

    assert web.source == ImageSource(volume="local:import/debian.qcow2")
    assert (web.vmid, web.vmid_range, web.pool) == (10110, (10100, 10199), PoolId("clinic"))
    assert web.power is Power.STOPPED
    assert web.options == {
        "name": "web",
        "description": "The web of web, number 1 {of} 1",
        "tags": "prod;qlop;web",
        "onboot": "1",
        "startup": {"order": "2", "up": "30", "down": "60"},
        "protection": "1",
        "hookscript": "local:snippets/hook.pl",
        "memory": "8192",
        "balloon": "4096",
        "sockets": "2",
        "cores": "4",
        "vcpus": "6",
        "cpu": {"cputype": "host", "flags": "+aes;-pcid"},
        "cpulimit": "2.5",
        "cpuunits": "200",
        "numa": "1",
        "machine": {"type": "q35"},
        "bios": "ovmf",
        "scsihw": "virtio-scsi-single",
        "ostype": "l26",
        "boot": {"order": "scsi0;net0"},
        "agent": {
            "enabled": "1",
            "type": "virtio",
            "fstrim_cloned_disks": "1",
            "freeze-fs-on-backup": "0",
        },
        "vga": {"type": "virtio", "memory": "64"},
        "serial0": "socket",
        "serial1": "/dev/ttyS0",
        "rng0": {"source": "/dev/urandom", "max_bytes": "1024", "period": "1000"},
        "watchdog": {"model": "i6300esb", "action": "reset"},
        "hotplug": "cpu,disk,network,usb",
        "tablet": "0",
        "kvm": "1",
        "ciuser": "admin",
        "sshkeys": KEY,
        "ciupgrade": "0",
        "citype": "nocloud",
        "cicustom": {
            "user": "local:snippets/web.yaml",
            "vendor": "local:snippets/vendor.yaml",
            "network": "local:snippets/net.yaml",
            "meta": "local:snippets/meta.yaml",
        },
        "ipconfig0": {
            "ip": "10.0.20.11/24",
            "gw": "10.0.20.1",
            "ip6": "2001:db8::11/64",
            "gw6": "2001:db8::1",
        },
        "ipconfig5": {"ip": "dhcp"},
        "nameserver": "10.0.0.2 10.0.0.3",
        "searchdomain": "hospital.lan",
    }
    assert web.disks == (
        DesiredDisk(
            slot="scsi0",
            size_bytes=32 * GIB,
            storage=LVM,
            format="raw",
            properties={
                "cache": "writeback",
                "discard": "on",
                "ssd": "1",
                "iothread": "1",
                "backup": "0",
                "ro": "0",
                "replicate": "0",
                "aio": "native",
                "serial": "A1",
                "mbps": "100",
                "mbps_rd": "50.5",
                "mbps_wr": "60",
                "iops": "1000",
                "iops_rd": "500",
                "iops_wr": "400",
            },
        ),
        DesiredDisk(
            slot="virtio3",
            size_bytes=GIB // 2,
            storage=StorageId("nas"),
            properties={"discard": "ignore"},
        ),
        DesiredDisk(
            slot="efidisk0",
            size_bytes=None,
            storage=LVM,
            properties={"efitype": "4m", "pre-enrolled-keys": "1"},
        ),
        DesiredDisk(
            slot="tpmstate0",
            size_bytes=None,
            storage=StorageId("nas"),
            properties={"version": "v2.0"},
        ),
        DesiredDisk(slot="ide2", size_bytes=None, storage=LVM, volume="cloudinit"),
    )
    assert web.nics == (
        DesiredNic(
            slot="net0",
            mac="BC:24:11:00:00:0A",
            properties={
                "model": "e1000",
                "bridge": "vmbr0",
                "tag": "20",
                "trunks": "30;40",
                "firewall": "1",
                "rate": "12.5",
                "mtu": "1",
                "queues": "4",
                "link_down": "1",
            },
        ),
        DesiredNic(slot="net5", mac=None, properties={"model": "virtio", "bridge": "vmbr1"}),
    )
    assert web.placement == Placement(
        allowed=frozenset({NodeName("pve1"), NodeName("pve2")}),
        preferred=(NodeName("pve2"),),
        spread=False,
        apart_from=frozenset({ServiceName("db")}),
        together_with=frozenset({ServiceName("cache")}),
    )
    assert web.snapshots == Snapshots(keep=("before-upgrade",), prune=True, memory=True)
    assert web.shutdown_timeout == timedelta(minutes=5)
    assert web.may_stop
    assert web.consents == Consents(
        none=Consent.WINDOW,
        hot=Consent.ASK,
        reboot=Consent.DO,
        downtime=Consent.WINDOW,
        data_loss=Consent.WARN,
        fields={"net0.rate": Consent.IGNORE, "placement": Consent.DO},
    )
    assert web.windows == (
        CronWindow(
            name="own",
            cron=parse_cron("0 2 * * sat"),
            duration=timedelta(hours=4),
            zone="Asia/Jakarta",
        ),
    )
    assert found.services[ServiceName("web")].update.max_unavailable == 0


EVERYTHING_OF_A_CONTAINER = f"""
type: container
source: {{archive: "local:vztmpl/debian.tar.zst"}}
cpu: {{cores: 2}}
memory: 1GiB
swap: 0B
osType: debian
rootfs: {{storage: local-lvm, size: 8GiB, acl: true, quota: false, readOnly: false, replicate: true, mountOptions: [noatime, discard]}}
mountPoints:
  - {{path: /srv, storage: local-lvm, size: 20GiB, backup: true}}
  - {{slot: mp9, path: /mnt/scans, hostPath: "/srv/{{service}}/{{index}}", shared: true, readOnly: true}}
networks:
  - {{bridge: vmbr0, address: "10.0.20.2{{index}}/24", gateway: 10.0.20.1, mtu: 1500}}
  - {{bridge: vmbr1, name: lan, address6: auto}}
dns: {{servers: [10.0.0.2]}}
container:
  unprivileged: true
  features: {{nesting: true, keyctl: false, fuse: true, mknod: false, forceRwSys: true, mount: [nfs, cifs]}}
  sshKeys: ["{KEY}"]
  arch: amd64
  timezone: Asia/Jakarta
  console: true
  consoleMode: shell
  tty: 1
"""


def test_everything_that_can_be_said_of_a_container_is_lowered() -> None:
    web = guest(EVERYTHING_OF_A_CONTAINER)

    assert web.kind is GuestKind.CONTAINER
    assert web.source == ArchiveSource(volume="local:vztmpl/debian.tar.zst")
    assert web.options == {
        "hostname": "web",
        "tags": "qlop",
        "memory": "1024",
        "swap": "0",
        "cores": "2",
        "ostype": "debian",
        "nameserver": "10.0.0.2",
        "unprivileged": "1",
        "arch": "amd64",
        "timezone": "Asia/Jakarta",
        "console": "1",
        "cmode": "shell",
        "tty": "1",
        "features": {
            "nesting": "1",
            "keyctl": "0",
            "fuse": "1",
            "mknod": "0",
            "force_rw_sys": "1",
            "mount": "nfs;cifs",
        },
    }
    assert web.create_options == {"ssh-public-keys": KEY}
    assert web.disks == (
        DesiredDisk(
            slot="rootfs",
            size_bytes=8 * GIB,
            storage=LVM,
            properties={
                "acl": "1",
                "quota": "0",
                "ro": "0",
                "replicate": "1",
                "mountoptions": "noatime;discard",
            },
        ),
        DesiredDisk(
            slot="mp0",
            size_bytes=20 * GIB,
            storage=LVM,
            properties={"mp": "/srv", "backup": "1"},
        ),
        DesiredDisk(
            slot="mp9",
            size_bytes=None,
            volume="/srv/web/1",
            properties={"mp": "/mnt/scans", "shared": "1", "ro": "1"},
        ),
    )
    assert web.nics == (
        DesiredNic(
            slot="net0",
            mac=None,
            properties={
                "name": "eth0",
                "bridge": "vmbr0",
                "mtu": "1500",
                "ip": "10.0.20.21/24",
                "gw": "10.0.20.1",
            },
        ),
        DesiredNic(
            slot="net1", mac=None, properties={"name": "lan", "bridge": "vmbr1", "ip6": "auto"}
        ),
    )


def test_a_clone_keeps_its_template_s_companions_where_they_are() -> None:
    web = guest(VM + "bios: ovmf\nefiDisk: {type: 4m}\ncloudInit: {user: admin}\n")

    assert [(disk.slot, disk.storage) for disk in web.disks] == [("efidisk0", None)]


def test_a_clone_gets_a_cloud_init_drive_where_its_manifest_says() -> None:
    web = guest(VM + "cloudInit: {storage: nas, slot: ide0}\n")

    assert web.disks == (
        DesiredDisk(slot="ide0", size_bytes=None, storage=StorageId("nas"), volume="cloudinit"),
    )


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("{iso: 'local:iso/debian.iso'}", IsoSource(volume="local:iso/debian.iso")),
        ("{empty: true}", EmptySource()),
        ("{existing: true}\nvmid: 700", ExistingSource()),
        (
            "{clone: {template: debian-12, full: false}}",
            CloneSource(template="debian-12", full=False),
        ),
        (
            "{clone: {template: 9000, storage: nas}}",
            CloneSource(template=VmId(9000), storage=StorageId("nas")),
        ),
    ],
)
def test_a_guest_comes_from_one_place(source: str, meant: object) -> None:
    assert guest(f"type: vm\nmemory: 1GiB\nsource: {source}\n").source == meant


@pytest.mark.parametrize(
    ("more", "key", "value"),
    [
        ("hotplug: []\n", "hotplug", "0"),
        ("agent: false\n", "agent", {"enabled": "0"}),
        ("balloon: 0B\n", "balloon", "0"),
        ("cpu: {limit: 0}\n", "cpulimit", "0"),
        ("cpu: {limit: 1.50}\n", "cpulimit", "1.5"),
        ("onBoot: false\n", "onboot", "0"),
        ("tags: []\n", "tags", "qlop"),
        ("description: ''\n", "description", ""),
    ],
)
def test_what_is_said_to_be_nothing_is_said_all_the_same(
    more: str, key: str, value: OptionValue
) -> None:
    assert guest(VM + more).options[key] == value


@pytest.mark.parametrize("more", ["cpu: {}\n", "startup: {}\n", "display: {}\n", "dns: {}\n"])
def test_an_empty_mapping_says_nothing(more: str) -> None:
    assert guest(CONTAINER + more if more == "dns: {}\n" else VM + more).options.keys() <= {
        "name",
        "hostname",
        "tags",
        "memory",
    }


def test_empty_parts_of_a_container_say_nothing() -> None:
    assert "features" not in guest(CONTAINER + "container: {features: {}}\n").options
    assert guest(CONTAINER + "container: {}\n").create_options == {}


def test_replicas_are_numbered_from_one_and_differ_in_what_names_them() -> None:
    found = desired(
        service(
            VM
            + """
replicas: 3
vmid: 10200
description: number {index}
cloudInit: {}
networks:
  - {bridge: vmbr0, address: "10.0.0.1{index}/24", mac: "bc:24:11:00:00:0{index}"}
  - {bridge: vmbr1, address: [10.1.0.5/24, 10.1.0.6/24, dhcp]}
"""
        )
    )

    assert [
        (
            one.name,
            one.index,
            one.vmid,
            one.options["description"],
            one.options["ipconfig0"],
            one.options["ipconfig1"],
            one.nics[0].mac,
        )
        for one in found.guests.values()
    ] == [
        (
            f"web-{number}",
            number,
            10199 + number,
            f"number {number}",
            {"ip": f"10.0.0.1{number}/24"},
            {"ip": address},
            f"BC:24:11:00:00:0{number}",
        )
        for number, address in ((1, "10.1.0.5/24"), (2, "10.1.0.6/24"), (3, "dhcp"))
    ]
    assert found.services[ServiceName("web")].guests == ("web-1", "web-2", "web-3")


def test_one_replica_is_numbered_too() -> None:
    assert list(desired(service(VM + "replicas: 1\n")).guests) == ["web-1"]


def test_labels_and_annotations_are_kept() -> None:
    head = "{name: web, labels: {b: x, a: z}, annotations: {owner: it}}"
    found = desired(service().replace("{name: web}", head))

    assert found.services[ServiceName("web")].labels == {"a": "z", "b": "x"}
    assert found.services[ServiceName("web")].annotations == {"owner": "it"}


def test_the_cluster_has_sane_defaults() -> None:
    found = desired().cluster

    assert (found.name, found.nodes) == ("testland", ("pve1", "pve2", "pve3"))
    assert found.policy == Policy()
    assert found.interval == timedelta(seconds=30)
    assert found.vmid_range == (10_000, 19_999)


def test_everything_that_can_be_said_of_a_cluster_is_lowered() -> None:
    text = """
vmidRange: 500-599
interval: 1m
policy:
  prune: {mode: destroy, grace: 2d, backup: notNeeded}
  fuse: {guests: 0, share: 0%}
  limits: {cluster: 9, node: 3, nodeMigrations: 1, storageClones: 2}
  memoryReserve: 0%
  memoryOvercommit: 120%
  storageReserve: 15%
  backoff: {first: 1s, max: 1h}
"""
    result = load(tree(cluster(text), service()))
    assert result.desired is not None
    found = result.desired.cluster

    assert found.policy == Policy(
        prune=Pruning(mode=Prune.DESTROY, grace=timedelta(days=2), backup=BackupNeed.NOT_NEEDED),
        fuse=Fuse(guests=0, share=0),
        limits=Limits(cluster=9, node=3, node_migrations=1, storage_clones=2),
        memory_reserve_share=0,
        memory_overcommit=1.2,
        storage_reserve_share=0.15,
        backoff_first=timedelta(seconds=1),
        backoff_max=timedelta(hours=1),
    )
    assert (found.interval, found.vmid_range) == (timedelta(minutes=1), (500, 599))
    assert result.desired.guests[GuestName("web")].vmid_range == (500, 599)


@pytest.mark.parametrize("word", Prune)
def test_a_word_stands_for_a_mode_of_pruning(word: Prune) -> None:
    result = load(tree(cluster(f"\npolicy: {{prune: {word.value}}}\n"), service()))

    assert result.desired is not None
    assert result.desired.cluster.policy.prune == Pruning(mode=word)


@pytest.mark.parametrize("spec", [EVERYTHING_OF_A_VM, EVERYTHING_OF_A_CONTAINER])
def test_every_option_survives_being_written_to_pve_and_read_back(spec: str) -> None:
    others = (service(VM, "db"), service(VM, "cache"))
    web = desired(service(spec), *others).guests[GuestName("web")]

    for key, value in web.options.items():
        assert canonical(web.kind, key, render(web.kind, key, value)) == value
    assert CLUSTER


EXISTING = "type: vm\nmemory: 1GiB\nvmid: 700\nsource: {existing: true}\n"


def test_of_an_existing_guest_name_and_tags_are_left_alone_unless_said() -> None:
    silent = guest(EXISTING)
    told = guest(EXISTING + "guestName: '{name}.Example'\ntags: [a]\n")

    assert silent.options == {"memory": "1024"}
    assert told.options == {"memory": "1024", "name": "web.Example", "tags": "a;qlop"}


def test_an_existing_guest_gets_no_disk_that_its_manifest_names_no_storage_for() -> None:
    web = guest(EXISTING + "cloudInit: {user: admin}\nefiDisk: {type: 4m}\n")

    assert [(disk.slot, disk.storage) for disk in web.disks] == [("efidisk0", None)]
