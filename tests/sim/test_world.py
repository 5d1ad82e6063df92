"""A cluster is described as a value, in code or in YAML; the kernel of it is checked."""

import json
import time

import pytest

from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.world import SpecError
from tests.sim.lab import START, Lab

SMALL = """
name: tiny
nodes:
  - {name: a, cores: 2, memory_gib: 4}
  - {name: b, cores: 2, memory_gib: 4, version: 8.4.5}
storages:
  - {name: local, type: dir, content: [images, iso], options: {path: /var/lib/vz}}
guests:
  - vmid: 100
    node: b
    running: true
    config: {name: web, cores: 1, memory: 512, agent: 1, scsi0: "local:8"}
pools: [team]
timing: {start_s: 9}
"""


def test_yaml_describes_a_cluster() -> None:
    lab = Lab(world.load(SMALL))
    assert sorted(row["node"] for row in lab.get("/nodes")) == ["a", "b"]
    assert lab.get("/nodes/b/qemu/100/status/current")["status"] == "running"
    assert lab.get("/nodes/b/qemu/100/config")["scsi0"] == "local:100/vm-100-disk-0.raw,size=8G"
    assert lab.get("/nodes/b/version")["version"] == "8.4.5"
    assert [row["poolid"] for row in lab.get("/pools")] == ["team"]


def test_a_base_is_added_to() -> None:
    spec = world.load("base: hospital\nguests: [{vmid: 100, node: pve1, config: {name: x}}]")
    assert {guest.vmid for guest in spec.guests} == {100, 9000, 9001, 9002, 9003}


@pytest.mark.parametrize(
    "text", ["colour: red", "nodes: [{nam: a}]", "base: moon", "[]", "guests: [5]"]
)
def test_a_description_with_a_mistake_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        world.load(text)


def test_the_hospital_has_three_nodes_and_four_templates() -> None:
    lab = Lab()
    rows = lab.get("/cluster/resources")
    assert {row["node"]: row["maxcpu"] for row in rows if row["type"] == "node"} == {
        "pve1": 8,
        "pve2": 8,
        "pve3": 4,
    }
    assert {row["vmid"] for row in rows if row.get("template")} == {9000, 9001, 9002, 9003}


def test_the_list_of_guests_on_disk_rises_with_each_change() -> None:
    lab = Lab()
    before = json.loads(lab.cluster.version_text())
    vmlist = json.loads(lab.cluster.vmlist_text())
    assert vmlist["ids"]["9001"]["node"] == "pve1"
    lab.clone()
    after = json.loads(lab.cluster.vmlist_text())
    assert after["version"] > vmlist["version"]
    assert after["ids"]["101"]["type"] == "qemu"
    assert json.loads(lab.cluster.version_text())["vmlist"] > before["vmlist"]
    lab.by_hand("guest 101 set cores=8")
    assert (
        json.loads(lab.cluster.vmlist_text())["ids"]["101"]["version"]
        > after["ids"]["101"]["version"]
    )


@pytest.mark.slow  # builds ten thousand guests: about two seconds
def test_ten_thousand_guests_are_listed_in_half_a_second() -> None:
    lab = Lab()
    lab.cluster = Cluster(world.fleet(64, 10_000), seed=1, now=START)
    slowest, body = 0.0, b""
    for _ in range(3):
        lab.later(10)
        began = time.process_time()
        body = lab.call("GET", "/cluster/resources").body()
        slowest = max(slowest, time.process_time() - began)
    assert len(json.loads(body)["data"]) > 10_000
    assert slowest < 0.5
