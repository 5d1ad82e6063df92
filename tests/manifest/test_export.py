"""Manifests for guests that exist: what they say, what they leave out, and how."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import yaml

from qlop.manifest.export import Exported, claimed, cluster_text, export
from qlop.manifest.export_names import name_for
from qlop.manifest.load import load
from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Power
from qlop.model.ids import ClusterName
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Unknown
from tests import builders as b
from tests.manifest import trees

CLUSTER = """\
apiVersion: qlop/v1
kind: Cluster
metadata: {name: testland}
spec: {nodes: [pve1, pve2, pve3]}
"""
PROFILE = """\
apiVersion: qlop/v1
kind: Profile
metadata: {name: linux}
spec:
  type: vm
  source: {clone: {template: 9000}}
  memory: 2048MiB
  cpu: {cores: 2, type: host}
  onBoot: true
  tags: [prod]
  agent: {enabled: true, trim: true}
  placement: {nodes: [pve2, pve3]}
  snapshots: {keep: [first]}
  startup: {order: 5}
"""


def stranger(
    vmid: int = 100,
    *,
    options: Mapping[str, OptionValue] | None = None,
    disks: tuple[Disk, ...] = (),
    nics: tuple[Nic, ...] = (),
    pending: tuple[str, ...] = (),
    name: str = "Web.Old",
    kind: GuestKind = GuestKind.VM,
    power: Power = Power.RUNNING,
) -> ObservedGuest:
    said = {"memory": "2048", **(options or {})}
    if kind is GuestKind.VM and name:
        said = {"name": name, **said}
    config = b.config(options=said, disks=disks, nics=nics, pending=pending)
    return b.guest(vmid, kind=kind, name=name, power=power, config=config)


def exported(*guests: ObservedGuest, profiles: tuple[str, ...] = (), more: str = "") -> Exported:
    documents = [CLUSTER, PROFILE, *([more] if more else [])]
    return export(guests, trees.tree(*documents), profiles=profiles)


def spec_of(found: Exported) -> dict[str, object]:
    (manifest,) = found.manifests
    assert not found.skipped
    document = yaml.safe_load(manifest.text)
    assert document["kind"] == "Service"
    spec = document["spec"]
    assert isinstance(spec, dict)
    return spec


def test_a_plain_guest_has_a_short_manifest() -> None:
    found = exported(stranger())

    assert found.manifests[0].text == (
        "# VM 100 (Web.Old), as it was found on pve1. To adopt it, which changes nothing else of"
        "\n#   it: qlop adopt web-old\n"
        "apiVersion: qlop/v1\n"
        "kind: Service\n"
        "metadata:\n"
        "  name: web-old\n"
        "spec:\n"
        "  type: vm\n"
        "  source: {existing: true}\n"
        "  vmid: 100\n"
        "  guestName: Web.Old\n"
        "  memory: 2GiB\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"memory": "1536"}, {"memory": "1536MiB"}),
        ({"balloon": "0"}, {"balloon": "0B"}),
        ({"startup": {"order": "2", "up": "3661"}}, {"startup": {"order": 2, "upDelay": "3661s"}}),
        ({"startup": {"up": "90"}}, {"startup": {"upDelay": "1m30s"}}),
        ({"cpulimit": "0.5"}, {"cpu": {"limit": 0.5}}),
        ({"cpu": {"cputype": "host", "flags": "+aes;-pcid"}},
         {"cpu": {"type": "host", "flags": ["+aes", "-pcid"]}}),
        ({"agent": {"enabled": "1"}}, {"agent": True}),
        ({"agent": {"enabled": "1", "fstrim_cloned_disks": "1"}},
         {"agent": {"enabled": True, "trim": True}}),
        ({"hotplug": "0"}, {"hotplug": []}),
        ({"tags": "a;qlop;b"}, {"tags": ["a", "b"]}),
        ({"boot": {"order": "scsi0;net0"}}, {"bootOrder": ["scsi0", "net0"]}),
        ({"serial0": "socket", "serial2": "socket"}, {"serialPorts": ["socket"]}),
        ({"rng0": {"source": "/dev/urandom", "period": "1500"}},
         {"rng": {"source": "/dev/urandom", "period": "1s500ms"}}),
        ({"vga": {"type": "serial0", "clipboard": "vnc"}}, {"display": {"type": "serial0"}}),
        ({"ciuser": "admin", "sshkeys": "ssh-ed25519 AAAA a@b"},
         {"cloudInit": {"user": "admin", "sshKeys": ["ssh-ed25519 AAAA a@b"]}}),
        ({"description": "one\ntwo"}, {"description": "one\ntwo"}),
        ({"description": "yes"}, {"description": "yes"}),
        ({"description": "010"}, {"description": "010"}),
        ({"description": "a: b #c"}, {"description": "a: b #c"}),
        ({"description": "tab\there\u2028and"}, {"description": "tab\there\u2028and"}),
    ],
)  # fmt: skip
def test_options_are_said_in_human_units(
    options: Mapping[str, OptionValue], said: Mapping[str, object]
) -> None:
    spec = spec_of(exported(stranger(options=options)))

    assert {key: spec.get(key) for key in said} == said


def test_what_no_manifest_says_is_named_without_its_value() -> None:
    guest = stranger(
        options={"cipassword": "geheim", "hostpci0": {"host": "01:00"}},
        disks=(
            b.disk("scsi0", volume="nas:vm-100-disk-0", wwn="0x1", ssd="1"),
            b.disk("ide2", volume="nas:iso/x.iso", media="cdrom"),
            b.disk("scsi5", volume="/dev/sdb"),
        ),
    )

    found = exported(guest)

    head = " ".join(found.manifests[0].text.split("apiVersion")[0].replace("#", "").split())
    assert "cipassword; hostpci0; ide2; scsi0: wwn; scsi5" in head
    assert "geheim" not in head
    assert spec_of(found)["disks"] == [
        {"slot": "scsi0", "storage": "nas", "size": "3GiB", "ssd": True}
    ]


def test_what_pve_gives_every_guest_of_its_own_is_not_worth_a_word() -> None:
    plain = stranger(
        options={
            "vmgenid": "2f0d8a34-7a5f-4b6e-9c1d-0a4b7f5e6d21",
            "smbios1": {"uuid": "11111111-2222-3333-4444-555555555555"},
            "boot": {"order": ""},
        }
    )
    named = stranger(
        options={
            "smbios1": {"uuid": "11111111-2222-3333-4444-555555555555", "family": "x"},
            "boot": {"legacy": "cdn"},
        }
    )

    assert "No manifest can say" not in exported(plain).manifests[0].text
    assert "are: boot; smbios1\n" in exported(named).manifests[0].text


def test_no_empty_list_is_left_of_items_that_can_t_be_said() -> None:
    guest = stranger(
        kind=GuestKind.CONTAINER,
        disks=(
            b.disk("rootfs", volume="nas:vm-100-disk-0"),
            b.disk("mp0", volume="/srv/host dir", size_gib=None, mp="/data"),
        ),
    )

    found = exported(guest)

    assert "Left out, and so left alone: mp0" in found.manifests[0].text
    assert "mountPoints" not in spec_of(found)


@pytest.mark.parametrize(
    ("guest", "missing", "why"),
    [
        pytest.param(
            stranger(nics=(Nic(slot="net0", mac="BC:24:11:00:00:01", properties={}),)),
            "networks", "networks: bridge is missing", id="all-nics-where-one-can-t-be-said",
        ),
        pytest.param(
            stranger(options={"boot": {"order": "usb0"}}),
            "bootOrder", "'usb0' is no disk or NIC", id="a-list-with-what-is-not-known",
        ),
        pytest.param(
            stranger(options={"description": "y" * 8000}),
            "description", "8000 characters are more", id="notes-too-long",
        ),
        pytest.param(
            stranger(options={"description": "for {name}"}),
            "description", "description", id="notes-that-would-be-filled-in",
        ),
        pytest.param(
            stranger(options={"cores": "4"}, pending=("cores",)),
            "cpu", "waits for a restart: cores", id="what-waits-for-a-restart",
        ),
    ],
)  # fmt: skip
def test_what_can_t_be_said_is_left_out_and_told(
    guest: ObservedGuest, missing: str, why: str
) -> None:
    found = exported(guest)

    assert missing not in spec_of(found)
    assert why in " ".join(found.manifests[0].text.replace("#", "").split())


def test_an_address_that_two_guests_have_is_said_of_the_first_alone() -> None:
    card = b.nic(mac="BC:24:11:00:00:01")
    told: dict[str, OptionValue] = {"ipconfig0": {"ip": "10.0.0.5/24"}}
    first = stranger(100, options=told, nics=(card,))
    second = stranger(101, options=told, nics=(card,))

    found = exported(first, second)

    one, two = (yaml.safe_load(item.text)["spec"]["networks"] for item in found.manifests)
    assert one == [{"mac": card.mac, "bridge": "vmbr0", "address": "10.0.0.5/24"}]
    assert two == [{"bridge": "vmbr0"}]


def test_containers_are_said_too() -> None:
    guest = stranger(
        kind=GuestKind.CONTAINER,
        name="files",
        power=Power.STOPPED,
        options={
            "hostname": "files",
            "swap": "0",
            "unprivileged": "1",
            "features": {"nesting": "1"},
        },
        disks=(
            b.disk("rootfs", volume="nas:vm-100-disk-0"),
            b.disk("mp0", volume="nas:vm-100-disk-1", mp="/srv", backup="1"),
            b.disk("mp3", volume="/mnt/bind", size_gib=None, mp="/bind"),
        ),
        nics=(b.container_nic(ip="dhcp"),),
    )

    spec = spec_of(exported(guest))

    assert spec["power"] == "stopped"
    assert spec["swap"] == "0B"
    assert spec["container"] == {"unprivileged": True, "features": {"nesting": True}}
    assert spec["mountPoints"] == [
        {"storage": "nas", "size": "3GiB", "path": "/srv", "backup": True},
        {"slot": "mp3", "hostPath": "/mnt/bind", "path": "/bind"},
    ]
    assert spec["networks"] == [{"mac": guest_mac(guest), "bridge": "vmbr0", "address": "dhcp"}]


def guest_mac(guest: ObservedGuest) -> str:
    reading = guest.config
    assert not isinstance(reading, Unknown)
    return reading.value.nics["net0"].mac  # type: ignore[union-attr]


def test_only_what_differs_from_a_profile_is_said() -> None:
    guest = stranger(
        options={
            "cores": "2",
            "cpu": {"cputype": "host"},
            "onboot": "1",
            "tags": "prod",
            "agent": {"enabled": "1", "fstrim_cloned_disks": "1"},
            "startup": {"order": "5"},
        }
    )

    spec = spec_of(exported(replace(guest, node=b.PVE2), profiles=("linux",)))

    assert spec == {
        "profiles": ["linux"],
        "source": {"existing": True},
        "vmid": 100,
        "guestName": "Web.Old",
        "snapshots": {"keep": []},
    }


def test_what_is_inherited_and_not_so_is_taken_back_or_told() -> None:
    found = exported(stranger(), profiles=("linux",))

    spec = spec_of(found)
    assert spec["cpu"] == {"cores": 1, "type": "kvm64"}
    assert spec["onBoot"] is False
    assert spec["tags"] == []
    assert spec["agent"] == {"enabled": False, "trim": False}
    assert spec["placement"] == {"nodes": ["pve1"]}
    assert found.manifests[0].unlike == ("startup.order (from linux)",)
    assert "NOT AS THE GUEST IS" in found.manifests[0].text


def test_a_profile_of_the_other_kind_is_not_inherited() -> None:
    guest = stranger(kind=GuestKind.CONTAINER, name="ct", options={"hostname": "ct"})

    assert "profiles" not in spec_of(exported(guest, profiles=("linux",)))


@pytest.mark.parametrize(
    ("name", "taken", "called"),
    [
        ("web", (), "web"),
        ("Web_01.example.ORG", (), "web-01-example-org"),
        ("", (), "vm-100"),
        ("--", (), "vm-100"),
        ("web", ("web",), "web-100"),
        ("web", ("web", "web-100"), "web-100-x"),
        ("x" * 80, (), "x" * 63),
        ("x" * 80, ("x" * 63,), "x" * 59 + "-100"),
    ],
)
def test_services_get_names_that_dns_allows(
    name: str, taken: tuple[str, ...], called: str
) -> None:
    assert name_for(stranger(name=name), frozenset(taken)) == called


def test_names_of_services_and_their_guests_are_taken() -> None:
    more = """\
apiVersion: qlop/v1
kind: Service
metadata: {name: web}
spec: {type: vm, source: {clone: {template: 9000}}, memory: 1GiB, replicas: 2}
"""
    found = exported(stranger(100, name="web"), stranger(101, name="web-1"), more=more)

    assert [one.service for one in found.manifests] == ["web-100", "web-1-101"]


def test_a_guest_whose_configuration_is_unread_is_skipped() -> None:
    found = exported(b.guest(100, config=Unknown("no answer")))

    assert found.manifests == ()
    assert found.skipped[0].why == "its configuration could not be read"


def test_a_cluster_of_which_there_is_no_manifest_gets_one() -> None:
    text = cluster_text(ClusterName("lab"), b.observed())

    loaded = load(trees.tree(text))

    assert loaded.desired is not None
    assert loaded.desired.cluster.name == "lab"
    assert loaded.desired.cluster.nodes == b.NODES
    assert claimed(loaded) == {}
