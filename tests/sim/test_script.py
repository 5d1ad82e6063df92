"""What hands do to a cluster is said in commands of a few words."""

import pytest

from qlop.sim import script
from qlop.sim.script import ScriptError
from tests.sim.lab import Lab


def test_a_guest_is_changed_by_hand_and_the_config_says_so() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.by_hand("guest 101 set cores=6 description=mine")
    lab.by_hand("guest 101 rename other")
    config = lab.get(f"{guest}/config")
    assert (config["cores"], config["name"], config["description"]) == (6, "other", "mine")
    lab.by_hand("guest 101 unset description")
    assert "description" not in lab.get(f"{guest}/config")


def test_a_guest_is_started_crashed_and_destroyed_by_hand() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.by_hand("guest 101 start")
    assert lab.get(f"{guest}/status/current")["status"] == "running"
    lab.by_hand("guest 101 crash")
    assert lab.get(f"{guest}/status/current")["status"] == "stopped"
    lab.by_hand("guest 101 destroy")
    assert lab.listed(101) == {}


def test_a_copy_by_hand_carries_the_original_s_mark() -> None:
    lab = Lab()
    guest = lab.clone()
    lab.call("PUT", f"{guest}/config", description="marked")
    lab.by_hand("guest 101 clone 999")
    assert lab.get("/nodes/pve1/qemu/999/config")["description"] == "marked"


def test_a_rescan_notes_the_sizes_of_volumes_and_those_that_nothing_names() -> None:
    lab = Lab()
    guest = lab.clone()
    config = lab.cluster.world.guests[101].config
    there = config["scsi0"]
    lab.by_hand(f"guest 101 set scsi0={there.replace('size=3G', 'size=2G')}")
    assert "size=2G" in lab.get(f"{guest}/config")["scsi0"]
    assert lab.by_hand("guest 101 rescan") == "guest 101: scsi0 is 3G"
    assert lab.get(f"{guest}/config")["scsi0"] == there
    lab.by_hand("guest 101 unset scsi0")
    volume = there.partition(",")[0]
    assert lab.by_hand("guest 101 rescan") == f"guest 101: {volume} is unused"
    assert lab.get(f"{guest}/config")["unused0"] == volume
    assert lab.by_hand("guest 101 rescan") == "guest 101: nothing has changed"


def test_a_locked_guest_is_not_rescanned() -> None:
    lab = Lab()
    lab.clone()
    lab.by_hand("lock 101 backup")
    with pytest.raises(ScriptError, match=r"VM is locked \(backup\)"):
        lab.by_hand("guest 101 rescan")


def test_a_storage_is_filled_by_hand() -> None:
    lab = Lab()
    lab.by_hand("storage local-lvm@pve1 fill 95%")
    status = lab.get("/nodes/pve1/storage/local-lvm/status")
    assert 0.94 < status["used"] / status["total"] < 0.96
    other = lab.get("/nodes/pve2/storage/local-lvm/status")
    assert other["used"] / other["total"] < 0.1


def test_a_revoked_token_is_refused() -> None:
    lab = Lab()
    lab.by_hand("token root@pam!qlop revoke")
    assert lab.call("GET", "/version").status == 401


@pytest.mark.parametrize(
    "command",
    ["", "dance", "guest", "guest 999 stop", "guest x stop", "node pve9 down", "quorum maybe",
     "storage nosuch fill 5%", "fault nosuch", "lock 101", "clock jump far"],
)  # fmt: skip
def test_a_command_that_makes_no_sense_is_refused_with_a_sentence(command: str) -> None:
    with pytest.raises(ScriptError) as caught:
        Lab().by_hand(command)
    assert len(str(caught.value)) > len(command) / 2


def test_a_fault_is_armed_and_cleared_by_command() -> None:
    lab = Lab()
    lab.by_hand('fault 5xx route="GET /version" status=503 text="too busy" times=all')
    response = lab.call("GET", "/version")
    assert (response.status, response.reason) == (503, "too busy")
    lab.by_hand("faults clear")
    assert lab.call("GET", "/version").status == 200


def test_every_command_is_in_the_help() -> None:
    words = {line.split()[0] for line in script.help_text().splitlines() if line[:1].isalpha()}
    assert {"guest", "node", "quorum", "storage", "lock", "fault", "clock", "token"} <= words
