"""Containers live as PVE's do."""

from typing import Any

from tests.sim.lab import Lab

TEMPLATE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"


def made(lab: Lab, **form: Any) -> str:
    given = {
        "vmid": 200,
        "ostemplate": TEMPLATE,
        "rootfs": "local-lvm:8",
        "hostname": "ct",
        "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
        **form,
    }
    assert lab.do("POST", "/nodes/pve2/lxc", **given) == "OK"
    return "/nodes/pve2/lxc/200"


def test_a_container_is_unpacked_from_a_template() -> None:
    lab = Lab()
    config = lab.get(f"{made(lab)}/config")
    assert config["rootfs"] == "local-lvm:vm-200-disk-0,size=8G"
    assert config["ostype"] == "debian"
    assert config["hostname"] == "ct"
    assert "hwaddr=BC:24:11:" in config["net0"]


def test_a_container_starts_with_its_creation_if_asked() -> None:
    lab = Lab()
    guest = made(lab, start=1)
    lab.later(15)
    assert lab.get(f"{guest}/status/current")["status"] == "running"
    assert lab.listed(200)["status"] == "running"


def test_a_missing_template_is_refused() -> None:
    response = Lab().call(
        "POST",
        "/nodes/pve2/lxc",
        vmid=200,
        ostemplate="local:vztmpl/none.tar.gz",
        rootfs="local:8",
    )
    assert response.status in {400, 500}


def test_a_running_container_takes_more_memory_at_once() -> None:
    lab = Lab()
    guest = made(lab, start=1)
    assert lab.call("PUT", f"{guest}/config", memory=1024).status == 200
    pending = {row["key"]: row for row in lab.get(f"{guest}/pending")}
    assert "pending" not in pending["memory"]
    assert str(pending["memory"]["value"]) == "1024"


def test_a_running_container_moves_only_with_a_restart() -> None:
    lab = Lab()
    guest = made(lab, start=1)
    lab.later(5)
    refused = lab.call("POST", f"{guest}/migrate", target="pve1")
    text = refused.reason if refused.status != 200 else lab.exit_of(str(refused.value()))
    assert "running" in text
    assert lab.do("POST", f"{guest}/migrate", target="pve1", restart=1) == "OK"
    assert lab.get("/nodes/pve1/lxc/200/status/current")["status"] == "running"


def test_a_volume_that_is_as_large_as_it_should_be_is_no_task() -> None:
    lab = Lab()
    guest = made(lab)
    assert lab.do("PUT", f"{guest}/resize", disk="rootfs", size="9G") == "OK"
    refused = lab.call("PUT", f"{guest}/resize", disk="rootfs", size="9G")
    assert (refused.status, refused.reason) == (500, "disk is already at specified size")
    assert lab.get(f"{guest}/config")["rootfs"].endswith("size=9G")


def test_a_mount_point_is_added_and_its_volume_counted() -> None:
    lab = Lab()
    guest = made(lab)
    assert lab.call("PUT", f"{guest}/config", mp0="local-lvm:4,mp=/srv").status == 200
    assert lab.get(f"{guest}/config")["mp0"] == "local-lvm:vm-200-disk-1,mp=/srv,size=4G"


def test_a_destroyed_container_leaves_nothing() -> None:
    lab = Lab()
    guest = made(lab)
    assert lab.do("DELETE", guest, purge=1) == "OK"
    assert lab.listed(200) == {}
    assert lab.get("/nodes/pve2/storage/local-lvm/content", vmid=200) == []


def test_the_volumes_of_a_new_container_are_made_root_first_then_by_number() -> None:
    """pve-container, ``valid_volume_keys`` in ``PVE/LXC/Config.pm``."""
    lab = Lab()
    mounts = {f"mp{number}": f"local-lvm:1,mp=/m{number}" for number in (10, 2)}

    config = lab.get(f"{made(lab, **mounts)}/config")

    volumes = [config[slot].partition(",")[0] for slot in ("rootfs", "mp2", "mp10")]
    assert volumes == [f"local-lvm:vm-200-disk-{number}" for number in range(3)]
