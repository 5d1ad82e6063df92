"""Each option needs the privileges that the page on installing says, and no other."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from qlop.sim import world
from qlop.sim.wire import SimResponse
from tests.sim.documented import CREDENTIAL, PAGE, ROLES, granted
from tests.sim.lab import Lab
from tests.sim.test_containers import made

ROOT_ONLY = "root@pam"
NONE = "\N{EN DASH}"

VALUES = {
    "qemu": {
        "cores": "2", "cpulimit": "1", "cpuunits": "200", "sockets": "2", "vcpus": "1",
        "numa": "1", "cpu": "host", "memory": "1024", "balloon": "512", "machine": "q35",
        "scsihw": "virtio-scsi-single", "smbios1": "uuid=00000000-0000-4000-8000-000000000001",
        "vga": "std", "watchdog": "i6300esb", "tablet": "0", "kvm": "1", "hotplug": "disk",
        "rng0": "source=/dev/urandom", "serial0": "socket", "description": "x", "onboot": "1",
        "protection": "1", "ostype": "l26", "tags": "web", "name": "web", "bios": "seabios",
        "agent": "1", "startup": "order=1", "boot": "order=scsi0", "scsi1": "local-lvm:1",
        "virtio1": "local-lvm:1", "sata1": "local-lvm:1", "efidisk0": "local-lvm:1",
        "tpmstate0": "local-lvm:1", "ide2": "none,media=cdrom",
        "net0": "virtio,bridge=vmbr0,tag=20", "nameserver": "9.9.9.9",
        "searchdomain": "example.org", "ciuser": "admin",
        "sshkeys": "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIA", "ciupgrade": "0",
        "citype": "nocloud", "cicustom": "", "ipconfig0": "ip=dhcp", "hookscript": "nas:snippets/x",
    },
    "lxc": {
        "cores": "2", "cpulimit": "1", "cpuunits": "200", "memory": "1024", "swap": "256",
        "description": "x", "onboot": "1", "protection": "1", "ostype": "debian", "tags": "web",
        "arch": "amd64", "timezone": "host", "console": "1", "cmode": "tty", "tty": "2",
        "startup": "order=1", "mp0": "local-lvm:1,mp=/data",
        "net0": "name=eth0,bridge=vmbr0,tag=20", "hostname": "web", "nameserver": "9.9.9.9",
        "searchdomain": "example.org", "features": "nesting=1", "hookscript": "nas:snippets/x",
    },
}  # fmt: skip


def rows() -> Iterator[tuple[str, str, str]]:
    """Kind, option and what it needs, one by one, as the page has them."""
    table = PAGE.split("| Options | VM | Container |")[1].split("\n\n")[0]
    for options, vm, container in re.findall(
        r"^\| (`.+`) \| (.+) \| (.+) \|$", table, re.MULTILINE
    ):
        for option in re.findall(r"`(\w+)`", options):
            for kind, needs in (("qemu", vm), ("lxc", container)):
                if needs != NONE:
                    yield kind, option, needs


ROWS = list(rows())


def put(kind: str, option: str, roles: Mapping[str, frozenset[str]]) -> SimResponse:
    """Set one option of a stopped guest with qlop's token, which has these roles."""
    spec = world.hospital()
    script = world.VolumeSpec(volid="nas:snippets/x", size_gib=0.001)
    lab = Lab(granted(replace(spec, volumes=(*spec.volumes, script)), roles))
    guest = lab.clone(101) if kind == "qemu" else made(lab)
    return lab.call(
        "PUT", f"{guest}/config", as_=f"PVEAPIToken={CREDENTIAL}", **{option: VALUES[kind][option]}
    )


def without(*gone: str) -> dict[str, frozenset[str]]:
    """The roles of the page but for some privileges."""
    return {name: privileges - set(gone) for name, privileges in ROLES.items()}


def only(*kept: str) -> dict[str, frozenset[str]]:
    """The roles of the page, of the rights on guests and of ``Sys.Modify`` only these."""
    bare = frozenset(kept) | {"VM.Audit"}
    if not any(one.startswith("VM.Config.") for one in kept):
        bare |= {"VM.Config.CPU"}  # Any one opens the door to a configuration.
    return {**ROLES} | {
        name: ROLES[name] & bare for name in ("QlopGuests", "QlopSysModify") if name in ROLES
    }


GRANTED = [row for row in ROWS if row[2] != ROOT_ONLY]


def test_the_page_has_a_row_for_every_option_tried() -> None:
    told = {(kind, option) for kind, option, _ in ROWS}

    assert told == {(kind, option) for kind, values in VALUES.items() for option in values}
    assert len(told) == len(ROWS)


@pytest.mark.parametrize(("kind", "option", "needs"), GRANTED)
def test_what_the_page_asks_for_is_enough(kind: str, option: str, needs: str) -> None:
    for enough in needs.split(" or "):
        answer = put(kind, option, only(*enough.split(" and ")))

        assert answer.status == 200, (enough, answer.reason, answer.errors)


@pytest.mark.parametrize(("kind", "option", "needs"), GRANTED)
def test_without_it_pve_refuses_and_names_it(kind: str, option: str, needs: str) -> None:
    choices = needs.split(" or ")
    missing = choices if len(choices) > 1 else needs.split(" and ")
    for gone in [choices] if len(choices) > 1 else [[one] for one in missing]:
        answer = put(kind, option, without(*gone))

        assert answer.status == 403, (gone, answer.reason)
        path = "/" if gone == ["Sys.Modify"] else "/vms/"
        assert answer.reason.startswith(f"Permission check failed ({path}"), answer.reason
        assert gone[0] in answer.reason


@pytest.mark.parametrize(("kind", "option"), [row[:2] for row in ROWS if row[2] == ROOT_ONLY])
def test_what_is_for_root_alone_no_token_may(kind: str, option: str) -> None:
    answer = put(kind, option, ROLES)

    assert answer.status in {403, 500}
    assert "root" in answer.reason


def test_a_bridge_needs_a_right_of_its_own() -> None:
    answer = put("qemu", "net0", without("SDN.Use"))

    assert (answer.status, answer.reason) == (
        403,
        "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)",
    )
