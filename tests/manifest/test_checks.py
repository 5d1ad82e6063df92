"""A service that contradicts itself, or the cluster it is for, is told so."""

import pytest

from qlop.manifest.load import load
from qlop.model.finding import Severity
from tests.manifest.trees import (
    CLUSTER,
    CONTAINER,
    VM,
    cluster,
    is_error,
    loaded,
    said,
    service,
    tree,
)

IMAGE = "type: vm\nmemory: 1GiB\nsource: {image: 'local:import/x.qcow2'}\n"
EMPTY = "type: vm\nmemory: 1GiB\nsource: {empty: true}\n"
ISO = "type: vm\nmemory: 1GiB\nsource: {iso: 'local:iso/x.iso'}\n"
DISK = "disks: [{slot: scsi0, storage: local-lvm, size: 8GiB}]\n"
NIC = "networks: [{{bridge: vmbr0, {}}}]\n"


def disk(*more: str) -> str:
    return "disks:\n" + "".join(f"- {{{one}}}\n" for one in more)


def nic(*more: str) -> str:
    return "networks:\n" + "".join(f"- {{bridge: vmbr0, {one}}}\n" for one in more)


def mount(*more: str) -> str:
    return "mountPoints:\n" + "".join(f"- {{{one}}}\n" for one in more)


ERRORS = [
    ("nothing", "description: x\n", [("missing", "spec")] * 3),
    ("no-memory", "type: vm\nsource: {clone: {template: 9000}}\n", [("missing", "spec")]),
    (
        "two-sources",
        "type: vm\nmemory: 1GiB\nsource: {clone: {template: 9000}, empty: true}\n",
        [("one-source", "spec.source")],
    ),
    ("no-source", "type: vm\nmemory: 1GiB\nsource: {}\n", [("one-source", "spec.source")]),
    (
        "no-template",
        "type: vm\nmemory: 1GiB\nsource: {clone: {full: true}}\n",
        [("missing", "spec.source.clone")],
    ),
    (
        "existing-without-vmid",
        "type: vm\nmemory: 1GiB\nsource: {existing: true}\n",
        [("missing", "spec.source.existing")],
    ),
    ("guest-name", VM + "guestName: web_1\n", [("malformed", "spec.guestName")]),
    (
        "linked-clone-elsewhere",
        "type: vm\nmemory: 1GiB\nsource: {clone: {template: 9000, full: false, storage: nas}}\n",
        [("linked-clone-storage", "spec.source.clone.storage")],
    ),
    ("balloon", VM + "balloon: 3GiB\n", [("balloon-too-large", "spec.balloon")]),
    ("cpu-limit", VM + "cpu: {limit: 129}\n", [("out-of-range", "spec.cpu.limit")]),
    ("vcpus", VM + "cpu: {cores: 2, vcpus: 3}\n", [("out-of-range", "spec.cpu.vcpus")]),
    ("rng", VM + "rng: {period: 1s}\n", [("missing", "spec.rng")]),
    ("display", VM + "display: {memory: 1GiB}\n", [("out-of-range", "spec.display.memory")]),
    ("no-slot", VM + disk("size: 1GiB"), [("no-slot", "spec.disks[0]")]),
    ("bus-alone", VM + disk("bus: scsi"), [("no-slot", "spec.disks[0]")]),
    ("slot-and-bus", VM + disk("slot: scsi0, bus: scsi"), [("no-slot", "spec.disks[0]")]),
    ("index", VM + disk("bus: sata, index: 6"), [("out-of-range", "spec.disks[0].index")]),
    (
        "iothread-on-sata",
        VM + disk("slot: sata0, iothread: true"),
        [("not-on-this-bus", "spec.disks[0].iothread")],
    ),
    (
        "read-only-ide",
        VM + disk("slot: ide0, readOnly: true"),
        [("not-on-this-bus", "spec.disks[0].readOnly")],
    ),
    (
        "ssd-on-virtio",
        VM + disk("slot: virtio0, ssd: true"),
        [("not-on-this-bus", "spec.disks[0].ssd")],
    ),
    (
        "slot-twice",
        VM + disk("slot: scsi0", "bus: scsi, index: 0"),
        [("slot-collision", "spec.disks[1]")],
    ),
    (
        "disk-on-cloud-init",
        VM + "cloudInit: {}\n" + disk("slot: ide2"),
        [("slot-collision", "spec.disks[0]")],
    ),
    (
        "iso-on-cloud-init",
        ISO + DISK + "cloudInit: {}\n",
        [("slot-collision", "spec.cloudInit")],
    ),
    (
        "disk-on-iso",
        ISO + disk("slot: ide2, storage: nas, size: 1GiB"),
        [("slot-collision", "spec.disks[0]")],
    ),
    ("image-alone", IMAGE, [("image-without-disk", "spec.source.image")]),
    (
        "second-disk-without-size",
        IMAGE + disk("slot: scsi0, storage: nas", "slot: scsi1, storage: nas"),
        [("missing", "spec.disks[1]")],
    ),
    (
        "disk-without-storage",
        EMPTY + disk("slot: scsi0, size: 1GiB"),
        [("missing", "spec.disks[0]")],
    ),
    (
        "companions-without-storage",
        EMPTY + "bios: ovmf\nefiDisk: {}\ntpm: {}\ncloudInit: {}\n",
        [("missing", "spec.cloudInit"), ("missing", "spec.efiDisk"), ("missing", "spec.tpm")],
    ),
    (
        "boot-twice",
        VM + "bootOrder: [scsi0, scsi0]\n",
        [("duplicate", f"spec.bootOrder[{n}]") for n in (0, 1)],
    ),
    (
        "archive-without-rootfs",
        "type: container\nmemory: 1GiB\nsource: {archive: 'local:vztmpl/x'}\n",
        [("missing", "spec.source.archive")],
    ),
    (
        "rootfs-without-size",
        "type: container\nmemory: 1GiB\nsource: {archive: 'local:vztmpl/x'}\nrootfs: {storage: nas}\n",
        [("missing", "spec.rootfs")],
    ),
    (
        "mount-without-storage",
        CONTAINER + mount("path: /a, size: 1GiB"),
        [("missing", "spec.mountPoints[0]")],
    ),
    (
        "mount-of-both-kinds",
        CONTAINER + mount("path: /a, size: 1GiB, hostPath: /b"),
        [("either-or", "spec.mountPoints[0]")],
    ),
    (
        "mount-slot-twice",
        CONTAINER + mount("path: /a, slot: mp1, hostPath: /x", "path: /b, hostPath: /y"),
        [("slot-collision", "spec.mountPoints[1]")],
    ),
    (
        "mount-path-twice",
        CONTAINER + mount("path: /a, hostPath: /x", "path: /a/, hostPath: /y"),
        [("duplicate", "spec.mountPoints[1].path")],
    ),
    (
        "volume-shared",
        CONTAINER + mount("path: /a, storage: nas, size: 1GiB, shared: true"),
        [("no-effect", "spec.mountPoints[0].shared")],
    ),
    (
        "nic-slot-twice",
        VM + nic("slot: net1", "vlan: 5"),
        [("slot-collision", "spec.networks[1]")],
    ),
    (
        "nic-name-twice",
        CONTAINER + nic("name: eth1", "vlan: 5"),
        [("slot-collision", "spec.networks[1]")],
    ),
    ("container-mtu", CONTAINER + nic("mtu: 1"), [("out-of-range", "spec.networks[0].mtu")]),
    ("vm-mtu", VM + nic("mtu: 65535"), [("out-of-range", "spec.networks[0].mtu")]),
    (
        "mac-list",
        VM + "replicas: 3\n" + nic("mac: ['bc:24:11:00:00:01', 'bc:24:11:00:00:02']"),
        [("wrong-length", "spec.networks[0].mac")],
    ),
    (
        "address-list",
        CONTAINER + nic("address: [10.0.0.1/24, 10.0.0.2/24]"),
        [("wrong-length", "spec.networks[0].address")],
    ),
    (
        "gateway-alone",
        CONTAINER + nic("gateway: 10.0.0.1"),
        [("gateway-without-address", "spec.networks[0].gateway")],
    ),
    (
        "gateway-and-dhcp",
        CONTAINER + nic("address6: dhcp, gateway6: 'fe80::1'"),
        [("gateway-without-address", "spec.networks[0].gateway6")],
    ),
    (
        "gateway-of-another-family",
        CONTAINER + nic("address: 10.0.0.2/24, gateway: 'fe80::1'"),
        [("malformed", "spec.networks[0].gateway")],
    ),
    (
        "address-without-cloud-init",
        VM + nic("address: dhcp, address6: auto"),
        [
            ("no-cloud-init", "spec.networks[0].address"),
            ("no-cloud-init", "spec.networks[0].address6"),
        ],
    ),
    (
        "vmid-end",
        VM + "vmid: 999999999\nvmidRange: 100-999999999\nreplicas: 2\n",
        [("out-of-range", "spec.vmid"), ("vmid-outside-range", "spec.vmid")],
    ),
    (
        "small-range",
        VM + "vmidRange: 100-101\nreplicas: 3\n",
        [("range-too-small", "spec.vmidRange")],
    ),
    (
        "vmid-outside",
        VM + "vmidRange: 100-101\nvmid: 102\n",
        [("vmid-outside-range", "spec.vmid")],
    ),
    (
        "vmids-outside",
        VM + "vmidRange: 100-103\nvmid: 102\nreplicas: 3\n",
        [("vmid-outside-range", "spec.vmid")],
    ),
    (
        "unknown-nodes",
        VM + "placement: {nodes: [pve9], preferred: [pve1, pve8]}\n",
        [
            ("unknown-node", "spec.placement.nodes[0]"),
            ("no-effect", "spec.placement.preferred[0]"),
            ("no-effect", "spec.placement.preferred[1]"),
            ("unknown-node", "spec.placement.preferred[1]"),
        ],
    ),
    (
        "apart-from-itself",
        VM + "placement: {apartFrom: [web], togetherWith: [web]}\n",
        [
            ("itself", "spec.placement.apartFrom[0]"),
            ("itself", "spec.placement.togetherWith[0]"),
        ],
    ),
    (
        "unknown-storages-of-a-vm",
        "type: vm\nmemory: 1GiB\nsource: {image: 'a1:import/x.qcow2'}\nhookScript: 'a2:snippets/x'\n"
        "bios: ovmf\nefiDisk: {storage: a3}\ntpm: {storage: a4}\n"
        "cloudInit: {storage: a5, userData: 'a6:s/u', vendorData: 'a7:s/v', networkData: 'a8:s/n', metaData: 'a9:s/m'}\n"
        + disk("slot: scsi0, storage: b1"),
        [("root-only", "spec.hookScript")]
        + [
            ("unknown-storage", f"spec.{field}")
            for field in (
                "source.image",
                "hookScript",
                "efiDisk.storage",
                "tpm.storage",
                "cloudInit.storage",
                "cloudInit.userData",
                "cloudInit.vendorData",
                "cloudInit.networkData",
                "cloudInit.metaData",
                "disks[0].storage",
            )
        ],
    ),
    (
        "unknown-storages-of-a-container",
        "type: container\nmemory: 1GiB\nsource: {archive: 'a1:vztmpl/x'}\nrootfs: {storage: a2, size: 1GiB}\n"
        + mount("path: /a, storage: a3, size: 1GiB"),
        [
            ("unknown-storage", "spec.source.archive"),
            ("unknown-storage", "spec.rootfs.storage"),
            ("unknown-storage", "spec.mountPoints[0].storage"),
        ],
    ),
    (
        "unknown-storage-of-a-clone",
        "type: vm\nmemory: 1GiB\nsource: {clone: {template: 9000, storage: local-lvn}}\n",
        [("unknown-storage", "spec.source.clone.storage")],
    ),
]


@pytest.mark.parametrize(
    ("spec", "findings"),
    [pytest.param(spec, findings, id=name) for name, spec, findings in ERRORS],
)
def test_a_contradiction_is_an_error(spec: str, findings: list[tuple[str, str]]) -> None:
    result = loaded(service(spec))

    assert sorted(said(result)) == sorted(findings)
    assert any(is_error(found) for found in result.findings)
    assert result.desired is None


WARNINGS = [
    (
        "hook-script-by-a-token",
        VM + "hookScript: local:snippets/hook.pl\n",
        "root-only",
        "spec.hookScript",
    ),
    ("ovmf-without-efi-disk", EMPTY + DISK + "bios: ovmf\n", "no-efi-disk", "spec.bios"),
    ("efi-disk-without-ovmf", EMPTY + DISK + "efiDisk: {}\n", "no-effect", "spec.efiDisk"),
    (
        "iothread-without-single",
        VM + disk("slot: scsi0, iothread: true"),
        "no-effect",
        "spec.disks[0].iothread",
    ),
    ("dns-without-cloud-init", VM + "dns: {servers: [10.0.0.1]}\n", "no-effect", "spec.dns"),
    (
        "boot-from-nothing",
        EMPTY + DISK + "bootOrder: [scsi0, net0]\n",
        "no-such-device",
        "spec.bootOrder[1]",
    ),
    (
        "gateway-elsewhere",
        CONTAINER + nic("address: 10.0.0.2/24, gateway: 10.0.1.1"),
        "gateway-elsewhere",
        "spec.networks[0].gateway",
    ),
    (
        "too-few-nodes",
        VM + "replicas: 4\nplacement: {spread: true}\n",
        "not-enough-nodes",
        "spec.placement.spread",
    ),
    ("vmid-elsewhere", VM + "vmid: 110\n", "vmid-outside-range", "spec.vmid"),
]


@pytest.mark.parametrize(
    ("spec", "code", "field"),
    [pytest.param(*rest, id=name) for name, *rest in WARNINGS],
)
def test_what_may_be_meant_is_a_warning(spec: str, code: str, field: str) -> None:
    result = loaded(service(spec))

    assert said(result) == [(code, field)]
    assert result.findings[0].severity is Severity.WARNING
    assert result.desired is not None


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(EMPTY, id="diskless"),
        pytest.param(ISO + DISK + "bootOrder: [ide2, scsi0]\n", id="boot-from-iso"),
        pytest.param(IMAGE + disk("slot: scsi0, storage: nas"), id="image-gives-the-size"),
        pytest.param(
            "type: container\nmemory: 1GiB\nsource: {clone: {template: 9100}}\n"
            + mount("path: /a"),
            id="container-clone",
        ),
        pytest.param(VM + "bios: ovmf\n", id="efi-disk-of-the-template"),
        pytest.param(VM + "cloudInit: {}\ndns: {servers: [10.0.0.1]}\n", id="dns"),
        pytest.param(VM + "bootOrder: [scsi0]\n", id="boot-from-the-template-s-disk"),
        pytest.param(
            CONTAINER + nic("address: 10.0.0.2/24, gateway: 10.0.0.1"), id="gateway-inside"
        ),
        pytest.param(VM + "vmid: 110\nvmidRange: 100-199\n", id="own-range"),
        pytest.param(VM + "replicas: 3\nplacement: {spread: true}\n", id="enough-nodes"),
        pytest.param(VM + "rng: {source: /dev/urandom}\n", id="rng"),
        pytest.param(
            "type: vm\nmemory: 1GiB\nsource: {existing: true}\nvmid: 100\n"
            "hookScript: local:snippets/hook.pl\n",
            id="hook-script-that-is-there",
        ),
        pytest.param(VM + "cpu: {sockets: 2, cores: 2, vcpus: 4}\n", id="vcpus"),
    ],
)
def test_what_is_sound_has_no_finding(spec: str) -> None:
    assert loaded(service(spec)).findings == ()


def test_a_guest_s_name_fits_into_a_dns_label() -> None:
    result = loaded(service(VM + "replicas: 10\n", name="a" * 61))

    assert said(result) == [("name-too-long", "spec.replicas")]


def test_a_range_has_room_for_the_replicas() -> None:
    result = load(tree(cluster("vmidRange: 100-101\n"), service(VM + "replicas: 3\n")))

    assert said(result) == [("range-too-small", "spec.replicas")]


def test_storages_are_free_if_the_cluster_names_none() -> None:
    text = CLUSTER.replace("  storages: [local, local-lvm, nas]\n", "")
    result = load(tree(text, service(VM + disk("slot: scsi0, storage: any, size: 1GiB"))))

    assert result.findings == ()


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ("nodes: [a, b, a]\n", "duplicate", "spec.nodes[2]"),
        ("nodes: [a]\nstorages: [nas, nas]\n", "duplicate", "spec.storages[1]"),
        ("nodes: [a]\ninterval: 100ms\n", "too-small", "spec.interval"),
        (
            "nodes: [a]\npolicy: {backoff: {first: 1h}}\n",
            "contradiction",
            "spec.policy.backoff",
        ),
        (
            "nodes: [a]\npolicy: {memoryOvercommit: 0%}\n",
            "too-small",
            "spec.policy.memoryOvercommit",
        ),
    ],
)
def test_a_cluster_that_contradicts_itself_is_told_so(more: str, code: str, field: str) -> None:
    head = CLUSTER.partition("spec:\n")[0] + "spec:\n"
    result = load(tree(head + "".join(f"  {line}\n" for line in more.splitlines())))

    assert said(result) == [(code, field)]
