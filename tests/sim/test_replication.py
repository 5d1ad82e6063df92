"""Replication keeps copies of a guest's disks on another node, and forbids what it can't."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from qlop.sim import calendar_event, world
from qlop.sim.world import StorageSpec
from tests.sim.lab import Lab

ROUND_S = 62
ZFS = StorageSpec(name="tank", type="zfspool", content=("images", "rootdir"))


def replicated(**options: Any) -> tuple[Lab, str]:
    """Return a lab in which guest 101, on ZFS on pve1, is replicated to pve2."""
    hospital = world.hospital()
    lab = Lab(replace(hospital, storages=(*hospital.storages, ZFS)))
    assert lab.do("POST", "/nodes/pve1/qemu", vmid=101, scsi0="tank:8") == "OK"
    job = {"id": "101-0", "type": "local", "target": "pve2", **options}
    lab.must("POST", "/cluster/replication", **job)
    return lab, "/nodes/pve1/qemu/101"


def copies(lab: Lab, node: str) -> list[str]:
    rows = lab.get(f"/nodes/{node}/storage/tank/content", vmid=101)
    return [row["volid"] for row in rows]


def status(lab: Lab, node: str = "pve1") -> dict[str, Any]:
    return dict(lab.get(f"/nodes/{node}/replication/101-0/status"))


def test_a_job_copies_what_there_is_and_says_so() -> None:
    lab, _ = replicated()
    assert copies(lab, "pve2") == []

    lab.later(ROUND_S)

    assert copies(lab, "pve2") == copies(lab, "pve1") == ["tank:vm-101-disk-0"]
    told = status(lab)
    assert (told["fail_count"], told["last_sync"]) == (0, told["last_try"])
    lines = [row["t"] for row in lab.get("/nodes/pve1/replication/101-0/log")]
    assert lines[0].endswith("101-0: start replication job")
    assert lines[-1].endswith("101-0: end replication job")
    assert lab.get("/nodes/pve2/replication") == []


def test_a_job_whose_target_is_down_fails_and_is_tried_again() -> None:
    lab, _ = replicated()
    lab.by_hand("node pve2 down")
    lab.later(ROUND_S)
    failed = status(lab)
    assert failed["fail_count"] == 1
    assert "failed: exit code 255" in failed["error"]

    lab.by_hand("node pve2 up")
    lab.later(5 * 60 + ROUND_S)

    assert status(lab)["fail_count"] == 0
    assert copies(lab, "pve2") == ["tank:vm-101-disk-0"]


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"id": "999-0", "target": "pve2"}, "Guest '999' does not exist."),
        ({"id": "101-1", "target": "nosuch"}, "Target 'nosuch' does not exist."),
        ({"id": "101-1", "target": "pve1"}, "Source and target must not be identical"),
        ({"id": "101-0", "target": "pve3"}, "replication job '101-0' already exists"),
        (
            {"id": "101-1", "target": "pve3", "source": "pve2"},
            "Source 'pve2' does not match current node of guest '101' (pve1)",
        ),
        (
            {"id": "101-1", "target": "pve2"},
            "replication job for guest '101' to target 'local/pve2' already exists",
        ),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(form: dict[str, str], reason: str) -> None:
    lab, _ = replicated()

    assert lab.call("POST", "/cluster/replication", type="local", **form).reason == reason


def test_a_schedule_that_is_none_is_refused_by_name() -> None:
    lab, _ = replicated()

    refused = lab.call("PUT", "/cluster/replication/101-0", schedule="soon")

    assert refused.errors is not None
    assert refused.errors["schedule"].startswith("invalid format - invalid calendar event 'soon'")


def test_what_is_not_on_zfs_can_not_be_replicated() -> None:
    lab, guest = replicated()
    lab.clone(102, full=1)

    job = {"id": "102-0", "type": "local", "target": "pve2"}
    refused = lab.call("POST", "/cluster/replication", **job)
    added = lab.call("PUT", f"{guest}/config", scsi1="local-lvm:1")

    assert refused.reason == "missing replicate feature on volume 'local-lvm:vm-102-disk-0'"
    assert added.reason == "cannot add non-replicatable volume to a replicated VM"
    assert lab.call("PUT", f"{guest}/config", scsi1="local-lvm:1,replicate=0").status == 200


def test_a_replicated_guest_is_destroyed_only_with_purge() -> None:
    lab, guest = replicated()
    lab.later(ROUND_S)

    refused = lab.call("DELETE", guest)

    assert refused.reason == (
        "There is a replication job '101-0' for guest '101' - Please remove that first."
    )
    assert lab.do("DELETE", guest, purge=1) == "OK"
    assert lab.get("/cluster/replication") == []
    assert copies(lab, "pve2") == ["tank:vm-101-disk-0"], "the copies are left behind"


def test_it_moves_live_only_to_where_its_copies_are_and_the_job_turns_round() -> None:
    lab, guest = replicated()
    lab.later(ROUND_S)
    lab.do("POST", f"{guest}/status/start")
    form: dict[str, Any] = {"online": 1, "with-local-disks": 1}

    refused = lab.call("POST", f"{guest}/migrate", target="pve3", **form)
    moved = lab.do("POST", f"{guest}/migrate", target="pve2", **form)

    assert refused.reason == (
        "Cannot live-migrate replicated VM to node 'pve3' - not a replication target. Use "
        "'force' to override."
    )
    assert moved == "OK"
    assert lab.get("/nodes/pve2/qemu/101/config")["scsi0"] == "tank:vm-101-disk-0,size=8G"
    job = lab.get("/cluster/replication/101-0")
    assert (job["source"], job["target"]) == ("pve2", "pve1")
    assert copies(lab, "pve1") == copies(lab, "pve2") == ["tank:vm-101-disk-0"]


def test_a_job_removes_itself_and_its_copies_when_it_runs_next() -> None:
    lab, _ = replicated()
    lab.later(ROUND_S)
    lab.must("DELETE", "/cluster/replication/101-0")
    assert lab.get("/cluster/replication/101-0")["remove_job"] == "full"

    lab.later(ROUND_S)

    assert lab.call("GET", "/cluster/replication/101-0").reason == (
        "no such replication job '101-0'"
    )
    assert lab.call("DELETE", "/cluster/replication/101-0").reason == "no such job '101-0'"
    assert copies(lab, "pve2") == []


def test_a_job_can_be_changed_disabled_and_hurried() -> None:
    lab, _ = replicated(schedule="*/30")
    lab.later(ROUND_S)
    first = status(lab)["last_sync"]
    stale = lab.call("PUT", "/cluster/replication/101-0", comment="x", digest="0" * 40)
    assert stale.reason.startswith("detected modified configuration")
    assert lab.call("PUT", "/cluster/replication/101-0", delete="target").reason == (
        "unable to delete required option 'target'"
    )

    lab.must("POST", "/nodes/pve1/replication/101-0/schedule_now")
    lab.later(ROUND_S)
    second = status(lab)["last_sync"]
    lab.must("PUT", "/cluster/replication/101-0", disable=1)
    lab.later(3600)

    assert second > first
    (row,) = lab.get("/nodes/pve1/replication", guest=101)
    assert (row["last_sync"], row["disable"]) == (second, 1)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("*/15", "Wed 10:15"),
        ("*:0/30", "Wed 10:30"),
        ("22:00", "Wed 22:00"),
        ("8..9,22:5", "Wed 22:05"),
        ("mon..tue 6:30", "Mon 06:30"),
        ("sat", "Sat 00:00"),
        ("20", "Wed 10:20"),
        ("hourly", "Wed 11:00"),
    ],
)
def test_a_schedule_comes_due(text: str, due: str) -> None:
    wednesday = dt.datetime(2026, 11, 25, 10, 7, tzinfo=dt.UTC).timestamp()

    at = calendar_event.parse(text).after(wednesday)

    assert at is not None
    assert f"{dt.datetime.fromtimestamp(at, dt.UTC):%a %H:%M}" == due


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("monthly", "2026-12-01 00:00:00"),
        ("quarterly", "2027-01-01 00:00:00"),
        ("semiannually UTC", "2027-01-01 00:00:00"),
        ("yearly", "2027-01-01 00:00:00"),
        ("sat *-1..7 15:00", "2026-12-05 15:00:00"),
        ("2-29 4:30", "2028-02-29 04:30:00"),
        ("2030-*-*", "2030-01-01 00:00:00"),
        ("2027-1,3-15/5 8..17/3:0", "2027-01-15 08:00:00"),
        ("sat..mon 12:00:20/20", "2026-11-28 12:00:20"),
        ("minutely", "2026-11-25 10:08:00"),
        ("2015-10-21", None),
        ("2-30", None),
    ],
)
def test_a_schedule_can_have_dates_and_seconds(text: str, due: str | None) -> None:
    """The examples and the walk of ``compute_next_event`` (crate ``proxmox-time``)."""
    wednesday = dt.datetime(2026, 11, 25, 10, 7, tzinfo=dt.UTC).timestamp()

    at = calendar_event.parse(text).after(wednesday)

    shown = None if at is None else f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M:%S}"
    assert shown == due


def test_a_sync_takes_as_long_as_its_data_and_is_seen_while_it_runs() -> None:
    """``replicate`` in ``PVE/Replication.pm``; ``pid`` as ``PVE/API2/Replication.pm`` tells it."""
    lab, _ = replicated()
    (volume,) = (one for one in lab.cluster.world.volumes.values() if one.vmid == 101)
    volume.used_bytes = 4 * 1024**3
    lab.later(ROUND_S)

    during, copied = status(lab), copies(lab, "pve2")
    lab.later(60)
    first = status(lab)
    lab.later(15 * 60)
    second = status(lab)

    assert during["pid"] > 0
    assert (during["last_try"] > 0, during["last_sync"], copied) == (True, 0, [])
    assert "pid" not in first
    assert first["duration"] == pytest.approx(1 + 4 * 8)
    assert (first["last_sync"], copies(lab, "pve2")) == (during["last_try"], [volume.volid])
    assert second["duration"] == pytest.approx(1), "nothing was written"
    lines = [row["t"].split(": ", 1)[1] for row in lab.get("/nodes/pve1/replication/101-0/log")]
    old, new = (f"__replicate_101-0_{one['last_sync']}__" for one in (first, second))
    assert f"incremental sync '{volume.volid}' ({old} => {new})" in lines


def test_a_rate_makes_it_slower() -> None:
    lab, _ = replicated(rate=10)
    (volume,) = (one for one in lab.cluster.world.volumes.values() if one.vmid == 101)
    volume.used_bytes = 1_000_000_000
    lab.later(ROUND_S + 120)

    assert status(lab)["duration"] == pytest.approx(1 + 100)


def test_a_migration_waits_ten_seconds_for_a_sync_and_gives_up() -> None:
    lab, guest = replicated()
    for volume in lab.cluster.world.volumes.values():
        if volume.vmid == 101:
            volume.used_bytes = 8 * 1024**3
    lab.later(ROUND_S)

    ended = lab.do("POST", f"{guest}/migrate", target="pve2")

    assert "pve-migrate-101' - got timeout" in ended


def test_a_sync_dies_with_its_target_half_way() -> None:
    lab, _ = replicated()
    for volume in lab.cluster.world.volumes.values():
        if volume.vmid == 101:
            volume.used_bytes = 8 * 1024**3
    lab.later(ROUND_S)
    lab.by_hand("node pve2 down")
    lab.later(90)

    failed = status(lab)

    assert failed["fail_count"] == 1
    assert failed["error"].endswith("failed: exit code 255")


@pytest.mark.parametrize("text", ["soon", "1 2 3", "25:00", "x:5"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says of it
        calendar_event.parse(text)
