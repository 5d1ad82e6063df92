"""Options compare as PVE means them, and cost what PVE makes them cost."""

import pytest

from qlop.model.guest import GuestKind, OptionValue
from qlop.model.impact import Impact
from qlop.model.option import (
    canonical,
    change_impact,
    is_met,
    property_default,
    render,
    rule_for,
)
from qlop.model.option_table import RULES, Form

VM, CT = GuestKind.VM, GuestKind.CONTAINER
AT_20 = {"order": "20", "up": "10"}
"""What ``pve_parse_startup_order`` (pve-common, ``PVE/JSONSchema.pm``) makes of such a text."""


@pytest.mark.parametrize(
    ("kind", "key", "written", "value"),
    [
        pytest.param(VM, "tags", "zeta, Alpha;beta;alpha", "alpha;beta;zeta", id="tags-sorted"),
        pytest.param(VM, "tags", " ", "", id="tags-emptied-read-as-blank"),
        pytest.param(VM, "startup", "order=20,up=10", AT_20, id="startup-with-its-key"),
        pytest.param(VM, "startup", "up=10,20", AT_20, id="startup-in-any-order"),
        pytest.param(CT, "startup", "20,up=10", AT_20, id="startup-without-its-key"),
        pytest.param(CT, "startup", ",020,,up=010", AT_20, id="startup-as-pve-reads-it"),
        pytest.param(VM, "onboot", 1, "1", id="number-as-boolean"),
        pytest.param(VM, "onboot", True, "1", id="json-boolean"),
        pytest.param(VM, "onboot", "yes", "1", id="word-as-boolean"),
        pytest.param(VM, "memory", "current=300", "300", id="memory-as-property-string"),
        pytest.param(VM, "memory", 2048, "2048", id="memory-as-number"),
        pytest.param(CT, "cpulimit", "1.50", "1.5", id="trailing-zero"),
        pytest.param(VM, "cpuunits", "262144", "10000", id="cpuunits-clamped-by-pve"),
        pytest.param(VM, "hotplug", "1", "disk,network,usb", id="hotplug-alias"),
        pytest.param(VM, "hotplug", "1,", "disk,network,usb", id="hotplug-alias-of-a-list"),
        pytest.param(
            VM, "hotplug", "usb,network,disk", "disk,network,usb", id="hotplug-any-order"
        ),
        pytest.param(VM, "hotplug", "0", "0", id="hotplug-off"),
        pytest.param(VM, "agent", "1", {"enabled": "1"}, id="agent-short"),
        pytest.param(
            VM,
            "agent",
            "enabled=on,freeze-fs=no",
            {"enabled": "1", "freeze-fs-on-backup": "0"},
            id="agent-by-its-newer-name",
        ),
        pytest.param(VM, "boot", " ", {}, id="boots-from-nothing"),
        pytest.param(VM, "boot", "order=scsi0;net0", {"order": "scsi0;net0"}, id="boot-order"),
        pytest.param(VM, "cpu", "host,flags=+aes", {"cputype": "host", "flags": "+aes"}, id="cpu"),
        pytest.param(VM, "sshkeys", "ssh-ed25519%20AAAA%0A", "ssh-ed25519 AAAA", id="ssh-keys"),
        pytest.param(
            VM,
            "scsi0",
            "volume=local:8/vm-8-disk-0.raw,iothread=yes,mbps=10.0",
            {"file": "local:8/vm-8-disk-0.raw", "iothread": "1", "mbps": "10"},
            id="disk-by-its-alias",
        ),
        pytest.param(CT, "description", "a\r\nb\n", "a\nb", id="description-line-ends"),
        pytest.param(CT, "nameserver", "9.9.9.9,1.1.1.1", "9.9.9.9 1.1.1.1", id="list-in-order"),
        pytest.param(VM, "numa0", "cpus=0-1,memory=512", "cpus=0-1,memory=512", id="not-modelled"),
        pytest.param(VM, "cores", "nan", "nan", id="no-number-at-all"),
    ],
)
def test_canonical(kind: GuestKind, key: str, written: str | float, value: OptionValue) -> None:
    assert canonical(kind, key, written) == value


@pytest.mark.parametrize("kind", GuestKind)
def test_every_default_is_canonical(kind: GuestKind) -> None:
    defaults = {
        key: rule.default for key, rule in RULES[kind].items() if isinstance(rule.default, str)
    }

    assert {key: canonical(kind, key, str(value)) for key, value in defaults.items()} == defaults


@pytest.mark.parametrize("kind", GuestKind)
def test_what_is_rendered_reads_back_the_same(kind: GuestKind) -> None:
    for key, rule in RULES[kind].items():
        if rule.form is Form.PROPERTIES:
            value: OptionValue = canonical(kind, key, render(kind, key, rule.property_defaults))

            assert value == rule.property_defaults, key


@pytest.mark.parametrize(
    ("kind", "key", "want", "have", "met"),
    [
        pytest.param(VM, "agent", {"enabled": "0"}, None, True, id="unset-is-default"),
        pytest.param(VM, "agent", {"enabled": "1"}, None, False, id="unset-is-not-on"),
        pytest.param(VM, "kvm", "1", None, True, id="scalar-default"),
        pytest.param(VM, "scsi0", {"backup": "1"}, {"ssd": "1"}, True, id="disk-default"),
        pytest.param(CT, "mp0", {"backup": "1"}, {}, False, id="mount-points-are-not-backed-up"),
        pytest.param(CT, "net0", {"firewall": "0"}, {"bridge": "vmbr0"}, True, id="nic-default"),
        pytest.param(VM, "cpu", {"cputype": "host"}, {"cputype": "host", "hidden": "1"}, True,
                     id="others-belong-to-whoever-set-them"),
        pytest.param(VM, "unheard-of", "x", None, False, id="no-rule"),
    ],
)  # fmt: skip
def test_is_met(
    kind: GuestKind, key: str, want: OptionValue, have: OptionValue | None, *, met: bool
) -> None:
    assert is_met(kind, key, want, have) is met


@pytest.mark.parametrize(
    ("kind", "key", "want", "have", "impact"),
    [
        pytest.param(VM, "name", "a", "b", Impact.NONE, id="name"),
        pytest.param(VM, "memory", "1024", "512", Impact.REBOOT, id="memory-is-not-hotplugged"),
        pytest.param(CT, "memory", "1024", "512", Impact.HOT, id="container-memory-is"),
        pytest.param(VM, "balloon", "512", "256", Impact.HOT, id="balloon-target"),
        pytest.param(VM, "balloon", "0", None, Impact.REBOOT, id="balloon-device-out"),
        pytest.param(VM, "balloon", "512", "0", Impact.REBOOT, id="balloon-device-in"),
        pytest.param(VM, "hotplug", "disk", None, Impact.NONE, id="hotplug"),
        pytest.param(VM, "hotplug", "disk,memory", "disk", Impact.REBOOT, id="hotplug-memory"),
        pytest.param(VM, "agent", {"fstrim_cloned_disks": "1"}, {"enabled": "1"}, Impact.NONE,
                     id="agent-trim"),
        pytest.param(VM, "agent", {"enabled": "1"}, None, Impact.REBOOT, id="agent-port"),
        pytest.param(VM, "ciuser", "a", "b", Impact.NONE, id="cloud-init-is-written-at-once"),
        pytest.param(VM, "scsi1", {"ssd": "1"}, None, Impact.HOT, id="new-disk"),
        pytest.param(VM, "sata1", {"ssd": "1"}, None, Impact.REBOOT, id="new-sata-disk"),
        pytest.param(VM, "scsi1", {"ssd": "1"}, {}, Impact.REBOOT, id="disk-made-ssd"),
        pytest.param(VM, "sata1", {"backup": "0"}, {}, Impact.NONE, id="disk-not-backed-up"),
        pytest.param(VM, "scsi1", {"mbps_rd": "10"}, {}, Impact.HOT, id="disk-throttled"),
        pytest.param(VM, "scsi1", {"ssd": "0"}, {}, Impact.NONE, id="disk-as-it-is"),
        pytest.param(VM, "net0", {"tag": "5"}, {"model": "virtio"}, Impact.HOT, id="vlan"),
        pytest.param(VM, "net0", {"model": "e1000"}, {"model": "virtio"}, Impact.DOWNTIME,
                     id="nic-replaced"),
        pytest.param(CT, "net0", {"name": "eth1"}, {"name": "eth0"}, Impact.DOWNTIME,
                     id="container-nic-renamed"),
        pytest.param(CT, "net0", {"mtu": "9000"}, {"name": "eth0"}, Impact.REBOOT,
                     id="container-mtu"),
        pytest.param(CT, "mp0", {"mp": "/srv"}, None, Impact.HOT, id="new-mount-point"),
        pytest.param(CT, "mp0", {"ro": "1"}, {"mp": "/srv"}, Impact.REBOOT, id="mount-point"),
        pytest.param(CT, "nameserver", "9.9.9.9", "", Impact.REBOOT, id="container-dns"),
        pytest.param(VM, "unheard-of", "x", None, Impact.REBOOT, id="no-rule"),
    ],
)  # fmt: skip
def test_change_impact(
    kind: GuestKind, key: str, want: OptionValue, have: OptionValue | None, impact: Impact
) -> None:
    assert change_impact(kind, key, want, have) is impact


def test_a_number_behind_an_option_counts_only_where_there_are_several() -> None:
    assert rule_for(VM, "numa0") is None
    assert rule_for(VM, "net31") is RULES[VM]["net"]
    assert property_default(VM, "net31", "firewall") == "0"
    assert property_default(VM, "numa0", "cpus") == ""
