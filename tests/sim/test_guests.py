"""Virtual machines live as PVE's do: created, changed, started, cloned, moved, destroyed."""

import re

from tests.sim.lab import Lab


def test_a_clone_is_locked_and_empty_until_its_disks_are_copied() -> None:
    lab = Lab()
    upid = lab.must("POST", "/nodes/pve1/qemu/9001/clone", newid=101, name="web")
    lab.later(1)
    assert set(lab.get("/nodes/pve1/qemu/101/config")) == {"lock", "digest"}
    assert lab.exit_of(upid) == "OK"
    config = lab.get("/nodes/pve1/qemu/101/config")
    assert config["name"] == "web"
    assert config["scsi0"] == "local-lvm:vm-101-disk-0,size=3G"
    assert "lock" not in config
    assert "template" not in config


def test_a_linked_clone_shares_its_base_and_gets_its_own_identity() -> None:
    lab = Lab()
    lab.clone(101, full=0)
    lab.clone(102, full=0)
    one, two = (lab.get(f"/nodes/pve1/qemu/{vmid}/config") for vmid in (101, 102))
    assert one["smbios1"] != two["smbios1"]
    assert one["vmgenid"] != two["vmgenid"]
    assert re.fullmatch(r"virtio=BC:24:11(:[0-9A-F]{2}){3},bridge=vmbr0", one["net0"])
    assert one["net0"] != two["net0"]
    rows = lab.get("/nodes/pve1/storage/local-lvm/content", vmid=101)
    assert "local-lvm:vm-101-disk-0" in {row["volid"] for row in rows}


def test_a_template_on_local_storage_cannot_be_cloned_to_another_node() -> None:
    response = Lab().call("POST", "/nodes/pve1/qemu/9001/clone", newid=101, target="pve2")
    assert response.reason == "can't clone VM to node 'pve2' (VM uses local storage)"


def test_a_guest_without_what_kvm_needs_is_created_with_defaults() -> None:
    lab = Lab()
    assert lab.do("POST", "/nodes/pve1/qemu", vmid=100, scsi0="local-lvm:8") == "OK"
    config = lab.get("/nodes/pve1/qemu/100/config")
    assert config["scsi0"] == "local-lvm:vm-100-disk-0,size=8G"
    assert config["boot"]
    assert {"smbios1", "vmgenid", "meta"} <= config.keys()


def test_creating_a_guest_that_exists_is_refused_at_once() -> None:
    response = Lab().call("POST", "/nodes/pve1/qemu", vmid=9000)
    assert (response.status, response.reason) == (
        500,
        "unable to create VM 9000 - VM 9000 already exists on node 'pve1'",
    )


def test_tags_are_lowered_sorted_and_joined() -> None:
    lab = Lab()
    guest = lab.clone()
    assert lab.call("PUT", f"{guest}/config", tags="web b,A;b").status == 200
    assert lab.get(f"{guest}/config")["tags"] == "a;b;web"


def test_a_stale_digest_is_refused_and_nothing_is_written() -> None:
    lab = Lab()
    guest = lab.clone()
    before = lab.get(f"{guest}/config")
    assert lab.call("PUT", f"{guest}/config", cores=3, digest=before["digest"]).status == 200
    response = lab.call("PUT", f"{guest}/config", cores=4, digest=before["digest"])
    assert response.status == 500
    assert response.reason == "checksum mismatch (file change by other user?)"
    assert lab.get(f"{guest}/config")["cores"] == 3


def test_what_a_running_guest_cannot_take_at_once_is_pending_until_it_is_restarted() -> None:
    lab = Lab()
    guest = lab.clone()
    assert lab.do("POST", f"{guest}/status/start") == "OK"
    assert lab.call("PUT", f"{guest}/config", memory=4096, description="big").status == 200
    pending = {row["key"]: row for row in lab.get(f"{guest}/pending")}
    assert pending["memory"]["value"] in {2048, "2048"}
    assert pending["memory"]["pending"] in {4096, "4096"}
    assert pending["description"]["value"] == "big"
    assert "pending" not in pending["description"]
    assert lab.do("POST", f"{guest}/status/stop") == "OK"
    assert lab.do("POST", f"{guest}/status/start") == "OK"
    assert str(lab.get(f"{guest}/config", current=1)["memory"]) == "4096"


def test_a_disk_grows_and_never_shrinks() -> None:
    lab = Lab()
    guest = lab.clone()
    assert lab.do("PUT", f"{guest}/resize", disk="scsi0", size="+5G") == "OK"
    assert lab.get(f"{guest}/config")["scsi0"].endswith("size=8G")
    response = lab.call("PUT", f"{guest}/resize", disk="scsi0", size="2G")
    exit_text = response.reason if response.status != 200 else lab.exit_of(str(response.value()))
    assert "shrink" in exit_text
    assert lab.get(f"{guest}/config")["scsi0"].endswith("size=8G")


def test_a_disk_grown_to_the_size_it_has_is_left_as_the_configuration_says() -> None:
    """PVE looks at the volume, and writes nothing if that is as large as it should be."""
    lab = Lab()
    guest = lab.clone()
    config = lab.cluster.world.guests[101].config
    config["scsi0"] = stale = config["scsi0"].replace("size=3G", "size=2G")

    assert lab.do("PUT", f"{guest}/resize", disk="scsi0", size="3G") == "OK"
    assert lab.get(f"{guest}/config")["scsi0"] == stale
    assert stale.endswith("size=2G")


def test_a_detached_disk_becomes_unused_and_can_be_deleted_for_good() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/config", scsi1="local-lvm:4")
    assert lab.call("PUT", f"{guest}/config", delete="scsi1").status == 200
    assert lab.get(f"{guest}/config")["unused0"].startswith("local-lvm:vm-101-disk-")
    volume = lab.get(f"{guest}/config")["unused0"]
    assert lab.call("PUT", f"{guest}/config", delete="unused0").status == 200
    rows = lab.get("/nodes/pve1/storage/local-lvm/content", vmid=101)
    assert volume not in {row["volid"] for row in rows}


def test_a_running_guest_shuts_down_when_it_has_booted() -> None:
    lab = Lab()
    guest = lab.clone()
    assert lab.do("POST", f"{guest}/status/start") == "OK"
    lab.later(30)
    assert lab.do("POST", f"{guest}/status/shutdown", timeout=60) == "OK"
    assert lab.get(f"{guest}/status/current")["status"] == "stopped"


def test_a_deaf_guest_outlives_a_shutdown_and_dies_if_forced() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.call("PUT", f"{guest}/config", agent=0)
    lab.do("POST", f"{guest}/status/start")
    lab.by_hand("guest 101 acpi deaf")
    lab.later(30)
    text = "VM quit/powerdown failed - got timeout"
    assert lab.do("POST", f"{guest}/status/shutdown", timeout=10) == text
    assert lab.do("POST", f"{guest}/status/shutdown", timeout=10, forceStop=1) == "OK"


def test_starting_a_running_guest_fails_in_the_task() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/status/start")
    assert lab.do("POST", f"{guest}/status/start") == "VM 101 already running"


def test_a_snapshot_brings_the_old_config_back() -> None:
    lab = Lab()
    guest = lab.clone()
    assert lab.do("POST", f"{guest}/snapshot", snapname="before") == "OK"
    lab.call("PUT", f"{guest}/config", cores=7)
    assert lab.do("POST", f"{guest}/snapshot/before/rollback") == "OK"
    assert lab.get(f"{guest}/config")["cores"] == 2
    names = [row["name"] for row in lab.get(f"{guest}/snapshot")]
    assert sorted(names) == ["before", "current"]
    assert lab.do("DELETE", f"{guest}/snapshot/before") == "OK"


def test_a_second_snapshot_of_a_name_is_refused() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/snapshot", snapname="one")
    exit_text = lab.do("POST", f"{guest}/snapshot", snapname="one")
    assert exit_text == "snapshot name 'one' already used"


def test_a_live_migration_with_local_disks_moves_guest_and_volumes() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/status/start")
    exit_text = lab.do(
        "POST", f"{guest}/migrate", target="pve2", online=1, **{"with-local-disks": 1}
    )
    assert exit_text == "OK"
    assert lab.get("/nodes/pve2/qemu/101/status/current")["status"] == "running"
    assert lab.call("GET", f"{guest}/config").status == 500
    rows = lab.get("/nodes/pve1/storage/local-lvm/content", vmid=101)
    assert rows == []


def test_a_running_guest_is_not_migrated_offline() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/status/start")
    response = lab.call("POST", f"{guest}/migrate", target="pve2")
    assert response.reason == "can't migrate running VM without --online"


def test_a_running_guest_is_not_destroyed_and_a_stopped_one_leaves_nothing() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/status/start")
    running = lab.call("DELETE", guest, purge=1)
    text = running.reason if running.status != 200 else lab.exit_of(str(running.value()))
    assert "running" in text
    lab.do("POST", f"{guest}/status/stop")
    assert lab.do("DELETE", guest, purge=1) == "OK"
    assert lab.listed(101) == {}
    assert lab.get("/nodes/pve1/storage/local-lvm/content", vmid=101) == []


def test_a_base_with_linked_clones_cannot_be_destroyed() -> None:
    lab = Lab()
    lab.clone(101, full=0)
    exit_text = lab.do("DELETE", "/nodes/pve1/qemu/9001")
    assert "base volume" in exit_text
    assert lab.call("GET", "/nodes/pve1/qemu/9001/config").status == 200


def test_a_cloud_image_can_be_imported_as_a_disk() -> None:
    lab = Lab()
    source = "local:import/debian-12-genericcloud-amd64.qcow2"
    form = {"vmid": 100, "scsi0": f"local-lvm:0,import-from={source}"}
    assert lab.do("POST", "/nodes/pve1/qemu", **form) == "OK"
    assert lab.get("/nodes/pve1/qemu/100/config")["scsi0"].endswith("size=3G")


def test_the_agent_answers_when_the_guest_has_booted_and_not_when_it_hangs() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.do("POST", f"{guest}/status/start")
    early = lab.call("POST", f"{guest}/agent/ping")
    assert early.status == 500
    lab.later(60)
    assert lab.call("POST", f"{guest}/agent/ping").status == 200
    lab.by_hand("guest 101 agent hang")
    hung = lab.call("POST", f"{guest}/agent/ping")
    assert hung.status == 500
    assert hung.delay_s >= 3
    assert "QEMU guest agent is not running" in hung.reason or "timeout" in hung.reason
