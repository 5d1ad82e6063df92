"""Round trip: nothing that PVE rewrites is ever taken for drift.

A manifest, in every spelling that a person may use, is lowered, created or written over
what is there, rewritten by the (simulated) cluster as PVE rewrites it, read, and planned
again: the plan is empty, and stays so. Both ways in are tried, since PVE normalizes some
values on update and not on create.
"""

import textwrap
from collections.abc import Coroutine

import pytest
import structlog
import yaml

from qlop.manifest.load import load
from qlop.model.desired import Desired
from qlop.model.source import SourceFile, SourceTree
from tests import virtual_time
from tests.laws.closed import House
from tests.laws.test_closed_loop import converged, settled

HEAD = """\
apiVersion: qlop/v1
kind: Cluster
metadata: {name: hospital}
spec: {nodes: [pve1, pve2, pve3], policy: {fuse: {guests: 9}}}
---
apiVersion: qlop/v1
kind: Service
metadata: {name: web}
spec:
"""
VM_BASE = """
type: vm
power: stopped
source: {empty: true}
memory: 1GiB
scsiController: virtio-scsi-single
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB}]
networks: [{bridge: vmbr0}]
"""
CLONE_BASE = """
type: vm
power: stopped
source: {clone: {template: 9000}}
memory: 1GiB
cloudInit: {user: admin}
networks: [{bridge: vmbr0}]
"""
CT_BASE = """
type: container
power: stopped
source: {archive: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"}
memory: 512MiB
rootfs: {storage: local-lvm, size: 4GiB}
networks: [{bridge: vmbr0}]
container: {unprivileged: true}
"""

VM_CASES = """
memory: 1024MiB
memory: 1 GiB
memory: 1.5GiB
balloon: 512MiB
balloon: 0B
cpu: {cores: 4}
cpu: {sockets: 2, cores: 1}
cpu: {type: host}
cpu: {type: x86-64-v2-AES, flags: [+aes, -pcid]}
cpu: {limit: 0}
cpu: {limit: 1.50}
cpu: {limit: 2}
cpu: {units: 100}
cpu: {units: 200000}
cpu: {numa: true}
cpu: {numa: false}
cpu: {cores: 4, vcpus: 2}
machine: q35
bios: seabios
bios: ovmf
{bios: ovmf, efiDisk: {storage: local-lvm}}
{bios: ovmf, efiDisk: {storage: local-lvm, type: 4m, preEnrolledKeys: true}}
{bios: ovmf, efiDisk: {storage: nas, type: 2m, preEnrolledKeys: false}}
tpm: {storage: local-lvm, version: v2.0}
osType: l26
osType: win11
scsiController: virtio-scsi-pci
scsiController: lsi
agent: true
agent: false
agent: {enabled: true, trim: true}
agent: {type: isa}
agent: {enabled: true, freeze: false}
agent: {enabled: true, freeze: true, trim: false}
bootOrder: [scsi0, net0]
bootOrder: [net0]
display: {type: serial0}
display: {type: qxl, memory: 32MiB}
display: {type: std}
serialPorts: [socket]
rng: {source: /dev/urandom}
rng: {source: /dev/urandom, maxBytes: 1024, period: 1s}
rng: {source: /dev/urandom, maxBytes: 512, period: 1500ms}
watchdog: {model: i6300esb, action: reset}
watchdog: {action: reset}
hotplug: []
hotplug: [network, disk, usb]
hotplug: [usb, disk]
hotplug: [disk, cpu, memory, network]
tablet: true
tablet: false
kvm: true
kvm: false
onBoot: true
onBoot: false
startup: {order: 1}
startup: {order: 2, upDelay: 30s, downDelay: 1m}
startup: {upDelay: 90s}
tags: []
tags: [zeta, Alpha, beta]
tags: [b, a, b]
description: ''
description: hello
description: "two\\nlines\\n"
description: "  indented, with trailing space  "
description: "umlauts äöü, percent %41 and = signs; a \\"quote\\""
description: "# heading\\n\\n- list: {index} of {service}\\n\\n\\n"
description: "windows\\r\\nlines\\r\\n"
protection: true
protection: false
disks: [{bus: scsi, index: 0, storage: local-lvm, size: 4096MiB}]
disks: [{slot: scsi0, storage: nas, size: 4GiB, format: qcow2}]
disks: [{slot: scsi0, storage: nas, size: 4GiB, format: raw, cache: writeback}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB, cache: none, discard: true, ssd: true}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB, discard: false, ssd: false, iothread: true}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB, backup: false, replicate: false}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB, backup: true, replicate: true, readOnly: false}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB, aio: native, serial: abc-123}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB, limits: {mbps: 10, iops: 100}}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB, limits: {mbpsRead: 10.50, mbpsWrite: 5, iopsRead: 7}}]
disks: [{slot: virtio0, storage: local-lvm, size: 4GiB, iothread: false, readOnly: true}]
disks: [{slot: sata0, storage: local-lvm, size: 1.5GiB}, {slot: ide0, storage: nas, size: 512MiB}]
disks: [{slot: scsi0, storage: local-lvm, size: 4GiB}, {slot: scsi7, storage: local-lvm, size: 100MiB}]
networks: []
networks: [{bridge: vmbr0, model: e1000}]
networks: [{bridge: vmbr0, mac: bc:24:11:aa:bb:cc}]
networks: [{bridge: vmbr0, vlan: 20, firewall: true}]
networks: [{bridge: vmbr0, firewall: false, linkDown: false}]
networks: [{bridge: vmbr0, linkDown: true, mtu: 1400, queues: 4}]
networks: [{bridge: vmbr0, rate: 10}]
networks: [{bridge: vmbr0, rate: 12.50, mtu: 1}]
networks: [{bridge: vmbr0, trunks: [30, 10, 20]}]
networks: [{bridge: vmbr0}, {bridge: vmbr0, slot: net3, model: vmxnet3}]
"""
KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAku2N12GfFwRDMF"
    "yW/Z62jMMd2Nf8H3Nsy2Ii7AsflXuJDMrMfl+EM+7It0wsV/DdjvYVLyLe9pV7/dnPST6vA= me@home office"
)
CLONE_CASES = """
cloudInit: {user: admin}
cloudInit: {user: admin, sshKeys: ["{key}"]}
cloudInit: {user: admin, upgrade: true, type: nocloud}
cloudInit: {user: admin, upgrade: false}
cloudInit: {vendorData: "local:snippets/vendor.yaml"}
cloudInit: {userData: "local:snippets/vendor.yaml", vendorData: "local:snippets/vendor.yaml"}
dns: {servers: [9.9.9.9, 1.1.1.1], search: [example.org, lan]}
dns: {servers: [9.9.9.9]}
networks: [{bridge: vmbr0, address: dhcp}]
networks: [{bridge: vmbr0, address: 10.0.20.11/24, gateway: 10.0.20.1}]
networks: [{bridge: vmbr0, address: "10.0.20.1{index}/24", address6: auto}]
networks: [{bridge: vmbr0, address: [10.0.20.11/24], address6: "2001:DB8::11/64", gateway6: "2001:db8::1"}]
source: {clone: {template: debian-12-cloud, full: true, storage: local-lvm}}
source: {clone: {template: 9001, full: false}}
disks: [{slot: scsi0, size: 8GiB, discard: true, ssd: true}]
disks: [{slot: scsi0}, {slot: scsi1, storage: local-lvm, size: 1GiB}]
"""
CT_CASES = """
cpu: {cores: 2}
cpu: {limit: 1.5, units: 1024}
swap: 0B
swap: 256MiB
onBoot: true
startup: {order: 3, upDelay: 10s}
tags: [Web, app]
description: "two\\nlines\\n"
description: ''
protection: true
protection: false
dns: {servers: [9.9.9.9, 1.1.1.1], search: [example.org]}
container: {unprivileged: true, features: {nesting: true}}
container: {unprivileged: true, features: {nesting: false}}
container: {unprivileged: true, console: true, consoleMode: tty, tty: 2}
container: {unprivileged: true, console: false, consoleMode: shell, tty: 0}
container: {unprivileged: true, timezone: host}
container: {unprivileged: true, timezone: Asia/Jakarta}
rootfs: {storage: local-lvm, size: 4096MiB}
rootfs: {storage: local-lvm, size: 6GiB, acl: true, replicate: false}
rootfs: {storage: local-lvm, size: 4GiB, mountOptions: [noatime, discard]}
mountPoints: [{path: /srv/data, storage: local-lvm, size: 1GiB}]
mountPoints: [{path: /srv/data, storage: local-lvm, size: 512MiB, backup: true, readOnly: false}]
mountPoints: [{slot: mp3, path: /srv, storage: local-lvm, size: 1GiB, acl: false, replicate: true}]
networks: []
networks: [{bridge: vmbr0, name: lan0}]
networks: [{bridge: vmbr0, mac: bc:24:11:aa:bb:cc}]
networks: [{bridge: vmbr0, vlan: 20, firewall: true, rate: 5}]
networks: [{bridge: vmbr0, firewall: false, linkDown: false, mtu: 1400}]
networks: [{bridge: vmbr0, address: dhcp, address6: auto}]
networks: [{bridge: vmbr0, address: 10.0.20.11/24, gateway: 10.0.20.1}]
networks: [{bridge: vmbr0, address6: "2001:DB8::11/64", gateway6: "2001:db8::1"}]
networks: [{bridge: vmbr0}, {bridge: vmbr0}]
"""


def _cases(base: str, lines: str) -> list[tuple[str, str]]:
    return [(base, line) for line in lines.strip().splitlines()]


CASES = [
    *_cases(VM_BASE, VM_CASES),
    *_cases(CLONE_BASE, CLONE_CASES.replace("{key}", KEY)),
    *_cases(CT_BASE, CT_CASES),
]


def manifest(base: str, said: str = "{}") -> Desired:
    """The desired state of one service: ``base``, and what is said as it is said."""
    spoken = yaml.safe_load(said)
    kept = {key: value for key, value in yaml.safe_load(base).items() if key not in spoken}
    if said.startswith("{"):
        said = yaml.safe_dump(spoken, allow_unicode=True)
    text = HEAD + textwrap.indent(f"{yaml.safe_dump(kept)}{said}\n", "  ")
    content = text.replace("  {}\n", "").encode()
    file = SourceFile(path="web.yaml", content=content, size_bytes=len(content))
    found = load(SourceTree(root="", files=(file,)), None)
    assert found.desired is not None, found.findings
    return found.desired


def _names(case: tuple[str, str]) -> str:
    base, said = case
    return f"{'container' if base is CT_BASE else 'vm'}: {said}"


async def _is_quiet(house: House) -> None:
    await settled(house)
    assert converged(house), house.left()
    assert await house.stay_calm(60) == []


def _run(story: Coroutine[object, object, None]) -> None:
    with structlog.testing.capture_logs():
        virtual_time.run(story)


@pytest.mark.parametrize("case", CASES, ids=_names)
def test_created_as_said_it_is_as_said(case: tuple[str, str]) -> None:
    async def story() -> None:
        await _is_quiet(House(manifest(*case)))

    _run(story())


ONLY_AT_CREATION = (
    "source",
    "format",
    "rootfs",
    "slot: virtio0",
    "slot: sata0",
    "storage: nas, size: 4GiB",
)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not any(word in case[1] for word in ONLY_AT_CREATION)],
    ids=_names,
)
def test_changed_to_what_is_said_it_is_as_said(case: tuple[str, str]) -> None:
    async def story() -> None:
        house = House(manifest(case[0]))
        await settled(house)
        house.desired = manifest(*case)
        await _is_quiet(house)
        house.desired = manifest(case[0])
        await _is_quiet(house)

    _run(story())


def test_said_while_it_runs_it_is_as_said_after_a_reboot() -> None:
    """What stays pending in PVE until then is no reason to write it again."""
    said = "{cpu: {cores: 4}, memory: 2GiB, power: running, changes: {impact: {reboot: do}}, tags: [b, A]}"

    async def story() -> None:
        house = House(manifest(CLONE_BASE, "power: running"))
        await _is_quiet(house)
        house.desired = manifest(CLONE_BASE, said)
        await _is_quiet(house)
        assert [call.rpartition("/")[2] for _, call in house.sent].count("reboot") == 1

    _run(story())
