"""A node that boots starts its guests as ``startall`` in PVE/API2/Nodes.pm does."""

from tests.sim.lab import Lab


def started(lab: Lab) -> list[tuple[str, str, str]]:
    """Type, id and user of the tasks of the boot, in the order in which they began."""
    rows = [row for row in lab.get("/cluster/tasks") if row["type"] in {"startall", "qmstart"}]
    rows.sort(key=lambda row: (row["starttime"], row["type"] != "startall"))
    return [(row["type"], row["id"], row["user"]) for row in rows]


def lab_with(*startups: str) -> Lab:
    lab = Lab()
    for vmid, startup in enumerate(startups, 101):
        path = lab.clone(vmid)
        lab.must("PUT", f"{path}/config", onboot=1, **({"startup": startup} if startup else {}))
    return lab


def rebooted(lab: Lab, wait_s: float) -> Lab:
    lab.by_hand("node pve1 down")
    lab.later(60)
    lab.by_hand("node pve1 up")
    lab.later(wait_s)
    return lab


def test_lower_orders_start_first_and_those_without_one_last() -> None:
    lab = rebooted(lab_with("", "order=2", "order=1"), 60)

    assert started(lab) == [
        ("startall", "", "root@pam"),
        ("qmstart", "103", "root@pam"),
        ("qmstart", "102", "root@pam"),
        ("qmstart", "101", "root@pam"),
    ]


def test_a_guest_may_ask_for_time_before_the_next() -> None:
    lab = rebooted(lab_with("order=1,up=40", "order=2"), 30)

    begun = [subject for _, subject, _ in started(lab)]
    lab.later(30)

    assert (begun, [subject for _, subject, _ in started(lab)]) == (
        ["", "101"],
        ["", "101", "102"],
    )


def test_a_boot_may_be_set_to_wait() -> None:
    lab = lab_with("")
    lab.must("PUT", "/nodes/pve1/config", **{"startall-onboot-delay": 60})

    assert started(rebooted(lab, 55)) == []

    lab.later(10)

    assert [kind for kind, _, _ in started(lab)] == ["startall", "qmstart"]


def test_a_backup_lock_that_was_left_behind_is_removed() -> None:
    lab = lab_with("")
    lab.by_hand("lock 101 backup")

    rebooted(lab, 30)

    assert "lock" not in lab.get("/nodes/pve1/qemu/101/config")
    assert lab.get("/nodes/pve1/qemu/101/status/current")["status"] == "running"
