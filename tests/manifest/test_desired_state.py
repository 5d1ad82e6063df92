"""The hospital's desired state is sound, and fits when its largest node is gone."""

from pathlib import Path

import pytest

from qlop.manifest.load import load
from qlop.model.desired import CloneSource, Desired
from qlop.model.guest import GuestKind
from qlop.model.source import SourceFile, SourceTree
from qlop.model.units import GIB

ROOT = Path(__file__).parents[2] / "desired-state"
NODES_GIB = {"pve1": 24, "pve2": 32, "pve3": 24}


@pytest.fixture(scope="module")
def hospital() -> Desired:
    files = tuple(
        SourceFile(
            path=path.relative_to(ROOT).as_posix(),
            content=path.read_bytes(),
            size_bytes=path.stat().st_size,
        )
        for path in ROOT.rglob("*.yaml")
    )
    result = load(SourceTree(root=str(ROOT), files=files))
    assert result.findings == ()
    assert result.desired is not None
    return result.desired


def test_it_has_the_hospital_s_eight_services(hospital: Desired) -> None:
    assert set(hospital.services) == {
        "simrs",
        "simrs-db",
        "apm-registration",
        "apm-control-plan",
        "assets",
        "documents",
        "spk",
        "bpjs",
    }
    assert len(hospital.guests) == 10
    assert set(hospital.cluster.nodes) == set(NODES_GIB)


def test_it_has_containers_and_machines(hospital: Desired) -> None:
    containers = [
        guest.name for guest in hospital.guests.values() if guest.kind is GuestKind.CONTAINER
    ]

    assert containers == ["apm-control-plan", "documents"]


def test_it_fits_without_its_largest_node(hospital: Desired) -> None:
    memory = sum(guest.memory_bytes for guest in hospital.guests.values())
    left = sum(NODES_GIB.values()) - max(NODES_GIB.values())
    usable = left * (1 - hospital.cluster.policy.memory_reserve_share)

    assert memory <= usable * GIB


def test_its_machines_come_from_a_template_that_every_node_reaches(hospital: Desired) -> None:
    sources = {guest.source for guest in hospital.guests.values() if guest.kind is GuestKind.VM}

    assert all(isinstance(source, CloneSource) for source in sources)
