"""A plan that was kept is applied exactly, to its end, or refused; it holds no secret."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlop.sim.world import hospital
from tests.e2e.served import ROOT, SECRET, Site, elapse, owned, service, site, spec

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # real HTTPS
    pytest.mark.timeout(180),
]

STEADY = service("steady", onBoot="true")
WEB = service("web")
APP_PORT = 18_711


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, spec(owned("steady", 10_010, onboot="0")), speed=10) as found:
        found.declare(STEADY, WEB)
        yield found


def kept(place: Site) -> Path:
    file = place.home / "plan.json"
    assert place.qlop("plan", "--out", str(file)).returncode == 2
    assert file.stat().st_mode & 0o077 == 0
    return file


def test_a_kept_plan_is_applied_and_holds_no_secret(place: Site) -> None:
    file = kept(place)

    done = place.qlop("apply", "--plan", str(file), "--json")

    assert (done.returncode, json.loads(done.stdout)["ending"]) == (0, "converged")
    assert len(place.cluster.changes) == 2
    assert SECRET not in file.read_text()
    assert place.qlop("plan").returncode == 0


@pytest.mark.parametrize(
    ("moved", "word"),
    [
        pytest.param("guest 10010 set onboot=1", "no longer needed", id="less-to-do"),
        pytest.param("guest 10010 start", "needed now", id="more-to-do"),
    ],
)
def test_a_kept_plan_is_refused_when_the_world_moved(place: Site, moved: str, word: str) -> None:
    file = kept(place)
    place.do(moved)
    elapse(1.5)  # Ten seconds there: so long PVE's listing may show a guest as it was.
    before = place.cluster.routes()

    done = place.qlop("apply", "--plan", str(file))

    assert done.returncode == 1, done.stdout
    assert "the world moved" in done.stdout
    assert word in done.stdout
    assert place.cluster.routes() == before


def test_a_kept_plan_is_refused_when_the_manifests_moved(place: Site) -> None:
    file = kept(place)
    place.declare(STEADY)

    done = place.qlop("apply", "--plan", str(file))

    assert (done.returncode, place.cluster.changes) == (1, [])
    assert "the manifests: revision" in done.stdout


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": "qlop-plan/1"}'])
def test_what_is_no_plan_is_refused(place: Site, content: str) -> None:
    file = place.home / "plan.json"
    file.write_text(content)

    done = place.qlop("apply", "--plan", str(file))

    assert (done.returncode, place.cluster.changes) == (1, [])
    assert "plan" in done.stderr


CAREFUL = service(
    "careful",
    source="{clone: {template: debian-12-cloud, storage: nas}}",
    disks="",
    memory="MEMORY",
    power="running",
    networks="[{bridge: vmbr0, address: 127.7.0.1/8}]",
    cloudInit="{user: admin}",
    health=f"[{{tcp: {{port: {APP_PORT}}}, interval: 1s, timeout: 1s, failures: 1, startPeriod: 1s}}]",
    rollback="{mode: auto, watch: 4s}",
    changes="{impact: {reboot: do}}",
)


def test_a_change_that_is_watched_goes_through_from_plan_to_apply_in_one_go(
    tmp_path: Path,
) -> None:
    with site(tmp_path, spec()) as place:
        place.declare(CAREFUL.replace("MEMORY", "512MiB"))
        assert place.qlop("apply").returncode == 0
        place.do(f"guest 10000 address 127.7.0.1 {APP_PORT}")
        place.declare(CAREFUL.replace("MEMORY", "768MiB"))
        file = kept(place)
        planned = [one["id"].split("/")[1] for one in json.loads(file.read_text())["actions"]]

        done = place.qlop("apply", "--plan", str(file), "--json")

        assert planned == ["configure", "snapshot", "reboot"], file.read_text()
        assert (done.returncode, json.loads(done.stdout)["ending"]) == (0, "converged"), done
        assert "POST /nodes/pve1/qemu/10000/status/reboot" in place.cluster.routes()


def test_a_hospital_is_built_from_nothing_by_what_was_agreed_to(tmp_path: Path) -> None:
    with site(tmp_path, hospital(), speed=40) as place:
        shutil.copytree(ROOT / "desired-state", place.desired)
        shown = place.qlop("plan", "--out", str(tmp_path / "plan.json"))

        done = place.qlop("apply", "--plan", str(tmp_path / "plan.json"), "--json")

        assert "Then, if all goes well:\n    start simrs-1 (10002) on pve2  [hot]" in shown.stdout
        assert "take snapshot accepted of spk" in shown.stdout
        ending = json.loads(done.stdout)
        assert (done.returncode, ending["ending"], ending["left_out"]) == (0, "converged", [])
        assert place.qlop("plan").returncode == 0


def test_what_nobody_agreed_to_is_not_done_while_guests_are_built(tmp_path: Path) -> None:
    with site(tmp_path, spec(), speed=10) as place:
        place.declare(
            WEB,
            service("later", power="running", dependsOn="[front]"),
            service("front", power="running", update="{readyAfter: 10s}"),
        )
        file = kept(place)
        document = json.loads(file.read_text())
        document["later"] = [one for one in document["later"] if one["subject"] != "later"]
        file.write_text(json.dumps(document))

        done = place.qlop("apply", "--plan", str(file))

        assert done.returncode == 3, done.stdout
        assert "not in the plan, not done: start later" in done.stdout
        started = [one for one in place.cluster.changes if one.path.endswith("/status/start")]
        assert len(started) == 1
