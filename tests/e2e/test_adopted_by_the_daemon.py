"""Guests become ours while the daemon runs: it signs them, and does nothing else to them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlop.model.guest import GuestKind
from qlop.sim.world import GuestSpec
from tests.e2e import served
from tests.e2e.served import Daemon, Site

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # a process of its own, over HTTPS
    pytest.mark.timeout(120),
]

WEB = GuestSpec(
    vmid=100,
    node="pve1",
    running=True,
    config={
        "name": "web",
        "memory": "1024",
        "cores": "2",
        "scsi0": "nas:1,format=qcow2",
        "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
        "description": "The web.",
        "smbios1": "uuid=00000000-0000-4000-8000-000000000001",
        "args": "-k de",
    },
)
FILES = GuestSpec(
    vmid=101,
    node="pve2",
    kind=GuestKind.CONTAINER.value,
    running=True,
    config={
        "hostname": "files",
        "memory": "512",
        "rootfs": "local-lvm:4",
        "net0": "name=eth0,bridge=vmbr0,ip=dhcp,hwaddr=BC:24:11:00:00:02",
    },
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with served.site(tmp_path, served.spec(WEB, FILES)) as found:
        yield found


def held(daemon: Daemon) -> dict[str, str]:
    """The reasons of all that is held, by guest."""
    status, body = daemon.get("/status")
    guests = json.loads(body)["guests"] if status == 200 else []
    return {guest["name"]: guest["reason"] for guest in guests if guest.get("verdict") == "held"}


def cycles_of(daemon: Daemon) -> int:
    """How often it has looked, whatever came of it."""
    page = daemon.get("/metrics")[1].splitlines()
    counts = [float(line.rpartition(" ")[2]) for line in page if line.startswith("qlop_cycles_t")]
    return int(sum(counts))


def test_they_are_imported_adopted_and_managed_without_a_change(place: Site) -> None:
    place.declare()
    with served.daemon(place) as daemon:
        served.until(daemon.answers, why=daemon.log)
        found = place.qlop("import", "--all", "--out", str(place.desired))
        assert found.returncode == 0, found.stderr
        assert "2 fit" in found.stderr
        served.until(lambda: held(daemon) == {"web": "adoption", "files": "adoption"})
        assert place.cluster.changes == []
        before = place.cluster.files()

        listen = f"127.0.0.1:{daemon.port}"
        adopted = place.qlop("adopt", "--all", QLOP_WEB_LISTEN=listen)

        assert adopted.returncode == 0, adopted.stderr
        served.until(daemon.is_converged, why=daemon.log)
        signed = ["PUT /nodes/pve1/qemu/100/config", "PUT /nodes/pve2/lxc/101/config"]
        assert place.cluster.routes() == signed
        cycles = cycles_of(daemon)
        served.until(lambda: cycles_of(daemon) >= cycles + 3)
        assert place.cluster.routes() == signed
        for vmid, (node, text, runs) in place.cluster.files().items():
            assert (node, runs) == (before[vmid][0], before[vmid][2])
            assert _unsigned(text) == _unsigned(before[vmid][1])

        manifest = place.desired / "web.yaml"
        manifest.write_text(manifest.read_text() + "  onBoot: true\n")
        served.until(lambda: place.cluster.world.guests[100].config.get("onboot") == "1")
        served.until(daemon.is_converged, why=daemon.log)
        assert place.cluster.routes() == sorted([*signed, signed[0]])


def _unsigned(text: str) -> list[str]:
    """What a configuration says besides its notes."""
    return [line for line in text.splitlines() if not line.startswith(("#", "description"))]
