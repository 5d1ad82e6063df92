"""Parameters are refused as PVE refuses them, in its words."""

from typing import Any

import pytest

from tests.sim.lab import Lab

VM = "/nodes/pve1/qemu"
FORM = "invalid format - format error\n"
ED25519 = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIJQ8tQhZzHnRmFhzAA2SqQz2vzTQh0iNBtEIvzL2S6iA"

PROPERTY_STRINGS = [
    ("cpu", "host,flags=aes", f"{FORM}cpu.flags: value does not match the regex pattern\n"),
    ("cpu", "host,hidden=2", f"{FORM}cpu.hidden: type check ('boolean') failed - got '2'\n"),
    ("cpu", "custom-mine", "invalid format - Custom cputype 'mine' not found\n"),
    (
        "cpu",
        "kvm64,phys-bits=65",
        (
            f"{FORM}cpu.phys-bits: invalid format - value must be an integer between 8 and 64 or "
            "'host'\n\n"
        ),
    ),
    (
        "watchdog",
        "action=doze",
        (
            f"{FORM}watchdog.action: value 'doze' does not have a value in the enumeration "
            "'reset, shutdown, poweroff, pause, debug, none'\n"
        ),
    ),
    (
        "rng0",
        "max_bytes=1024",
        f"{FORM}rng0.source: property is missing and it is not optional\n",
    ),
    ("smbios1", "uuid=mine", f"{FORM}smbios1.uuid: value does not match the regex pattern\n"),
    ("hostpci0", "mine", f"{FORM}hostpci0.host: value does not match the regex pattern\n"),
    (
        "boot",
        "order=efidisk0",
        f"{FORM}boot.order: invalid format - invalid boot device 'efidisk0'\n\n",
    ),
    ("boot", "order=", "invalid format - missing key in comma-separated list property\n"),
    ("bootdisk", "scsi31", "invalid format - invalid boot disk 'scsi31'\n"),
    (
        "net0",
        "virtio,bridge=a/b",
        f"{FORM}net0.bridge: invalid format - invalid bridge ID 'a/b'\n\n",
    ),
    (
        "ipconfig0",
        "ip=10.0.0.1",
        (
            f"{FORM}ipconfig0.ip: invalid format - value does not look like a valid ipv4 network "
            "configuration\n\n"
        ),
    ),
    (
        "ipconfig0",
        "gw=10.0.0.1",
        f"{FORM}ipconfig0.ip: missing property required by 'ipconfig0.gw'\n",
    ),
    ("hotplug", "disk,fan", "invalid format - invalid hotplug feature 'fan'\n"),
    ("affinity", "x", "invalid format - unable to parse cpuset option\n"),
    (
        "nameserver",
        "a_b",
        "invalid format - value does not look like a valid address: a_b\n",
    ),
]


@pytest.mark.parametrize(("option", "value", "complaint"), PROPERTY_STRINGS)
def test_each_key_of_a_property_string_is_checked(option: str, value: str, complaint: str) -> None:
    """qemu-server ``PVE/QemuServer.pm``, ``CPUConfig.pm``, ``PCI.pm``, ``RNG.pm``: formats."""
    answer = Lab().call("POST", VM, vmid=100, **{option: value})

    assert (answer.status, answer.errors) == (400, {option: complaint})


DRIVES = [
    ("scsi0", "local:iso/x.iso", 400, "explicit 'media=cdrom' is required for iso images"),
    (
        "scsi0",
        "local-lvm:1,import-from=nas:9/vm-9-disk-0.raw",
        400,
        "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>",
    ),
    ("scsi0", "nas:abc", 500, "unable to parse directory volume name 'abc'"),
    ("scsi0", "nas:9/x", 500, "unable to parse volume filename 'x'"),
    ("scsi0", "local-lvm:abc", 500, "unable to parse lvm volume name 'abc'"),
    (
        "scsi0",
        "/dev/sda",
        500,
        (
            "Only root can pass arbitrary filesystem paths. "
            "at /usr/share/perl5/PVE/Storage.pm line 651."
        ),
    ),
]


@pytest.mark.parametrize(("option", "value", "status", "text"), DRIVES)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_drive_is_what_its_volume_says(
    option: str, value: str, status: int, text: str, method: str
) -> None:
    """qemu-server ``check_drive_param``, pve-storage ``parse_volname``, ``check_volume_access``."""
    lab = Lab()
    path, form = VM, {"vmid": "100"}
    if method == "PUT":
        path, form = f"{lab.clone(100)}/config", {}
    answer = lab.call(method, path, **form, **{option: value})

    assert answer.status == status
    assert (answer.errors or {}) == ({option: text} if status == 400 else {})
    assert status == 400 or answer.reason == text


def test_a_second_cloud_init_drive_is_refused() -> None:
    """qemu-server ``create_disks``: ``has_cloudinit``."""
    lab = Lab()
    guest = lab.clone(100)
    here = next(
        key for key, value in lab.get(f"{guest}/config").items() if "cloudinit" in str(value)
    )
    answer = lab.call("PUT", f"{guest}/config", sata3="local-lvm:cloudinit")

    assert answer.reason == f"sata3 - cloud-init drive is already attached at '{here}'"


def test_an_empty_drive_is_a_cdrom() -> None:
    """qemu-server ``cleanup_drive_path``."""
    lab = Lab()
    guest = lab.clone(100)
    lab.must("PUT", f"{guest}/config", scsi5="none")

    assert lab.get(f"{guest}/config")["scsi5"] == "none,media=cdrom"


@pytest.mark.parametrize(
    ("keys", "status"),
    [(ED25519, 200), ("ssh-rsa%20AAAA%20me", 500), ("mine", 500)],
)
def test_a_key_is_looked_at_before_it_is_taken(keys: str, status: int) -> None:
    """pve-common ``validate_ssh_public_keys``: ``ssh-keygen -l`` reads each line."""
    answer = Lab().call("POST", VM, vmid=100, sshkeys=keys)

    assert answer.status == status
    assert status == 200 or answer.reason == "SSH public key validation error"


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"delete": ""}, 500, "no options specified"),
        ({"revert": ""}, 500, "no options specified"),
        ({"delete": "parent"}, 500, "only root can set 'parent' config"),
        (
            {"hookscript": "local:iso/x.iso"},
            400,
            "'local:iso/x.iso' is not in the snippets directory\n",
        ),
        ({"hookscript": "nas:snippets/x"}, 400, "script 'nas:snippets/x' does not exist\n"),
    ],
)
def test_a_change_says_something_that_can_be_done(
    form: dict[str, Any], status: int, told: str
) -> None:
    """qemu-server ``$update_vm_api``; pve-guest-common ``check_hookscript``."""
    lab = Lab()
    answer = lab.call("PUT", f"{lab.clone(100)}/config", **form)

    assert answer.status == status
    assert told in {answer.reason, *(answer.errors or {}).values()}


@pytest.mark.parametrize(
    ("sid", "told"),
    [
        ("mine", "invalid format - value does not look like a valid ha resource id\n"),
        ("vm:abc", "invalid VMID"),
        ("999", "unable to detect SID from VMID - VM/CT 999 does not exist"),
    ],
)
def test_a_service_is_of_a_guest(sid: str, told: str) -> None:
    """pve-ha-manager ``parse_sid``, ``pve_verify_ha_resource_or_vm_id``."""
    answer = Lab().call("POST", "/cluster/ha/resources", sid=sid)

    assert told in {answer.reason, *(answer.errors or {}).values()}


def test_a_locked_guests_snapshot_stays_even_by_force() -> None:
    """pve-guest-common ``snapshot_delete``: ``force`` takes away what the storage lost only."""
    lab = Lab()
    guest = lab.clone(100)
    assert lab.do("POST", f"{guest}/snapshot", snapname="before") == "OK"
    lab.by_hand("lock 100 backup")

    assert lab.do("DELETE", f"{guest}/snapshot/before", force=1) == "VM is locked (backup)"
    assert lab.get(f"{guest}/config")["lock"] == "backup"
