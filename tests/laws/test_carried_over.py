"""Carried over: a persistent disk is never lost, never in two guests, and never forgotten."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import hypothesis
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import Verb
from qlop.model.consent import REPLACE, Consent, Consents
from qlop.model.desired import ArchiveSource, CloneSource, DesiredDisk, DesiredGuest, ImageSource
from qlop.model.folding import fold
from qlop.model.guest import GuestKind
from qlop.model.units import GIB
from qlop.model.verdict import Converged, Held
from qlop.sim import drives
from qlop.sim.faults import Effect, Fault, Match
from qlop.sim.state import Guest, Volume
from qlop.sim.world import VolumeSpec, hospital
from tests import virtual_time
from tests.laws.closed import House
from tests.laws.town import IMAGE, LOCAL, container, vm, wanted

NEWER = "local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst"
FREELY = Consents(fields={REPLACE: Consent.DO})
SPEC = replace(hospital(), volumes=(*hospital().volumes, VolumeSpec(volid=NEWER, size_gib=0.1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is replaced, and what goes wrong: a kill, a lost journal, a task that dies."""

    kind: GuestKind
    persistent: int
    others: int
    cut: int
    loses_journal: bool
    fails_after: float | None

    def before(self) -> DesiredGuest:
        """The guest as it is first."""
        slots = ("scsi1", "scsi2", "scsi3") if self.kind is GuestKind.VM else ("mp0", "mp1", "mp2")
        kept = [
            DesiredDisk(
                slot=slot,
                size_bytes=GIB,
                storage=LOCAL,
                persistent=number < self.persistent,
                properties={} if self.kind is GuestKind.VM else {"mp": f"/srv/{number}"},
            )
            for number, slot in enumerate(slots[: self.persistent + self.others])
        ]
        if self.kind is GuestKind.VM:
            system = DesiredDisk(slot="scsi0", size_bytes=4 * GIB, storage=LOCAL)
            source = CloneSource(template="debian-12-cloud", storage=LOCAL)
            return vm("db", source=source, disks=(system, *kept), consents=FREELY)
        made = container("db", consents=FREELY)
        return replace(made, disks=(*made.disks, *kept))

    def after(self) -> DesiredGuest:
        """The guest as it shall be."""
        newer = self.kind is GuestKind.VM
        source = ImageSource(volume=IMAGE) if newer else ArchiveSource(volume=NEWER)
        return replace(self.before(), source=source)


CASES = st.builds(
    Case,
    kind=st.sampled_from(GuestKind),
    persistent=st.integers(1, 3),
    others=st.just(0),
    cut=st.integers(1, 40),
    loses_journal=st.booleans(),
    fails_after=st.one_of(st.none(), st.floats(0.02, 0.6)),
)


def users(house: House, volume: Volume) -> Iterator[Guest]:
    """The guests that have a volume, in a slot or unused."""
    for guest in house.cluster.world.guests.values():
        files = {drives.parse(value).get("file") for value in guest.config.values()}
        if volume.volid in files:
            yield guest


def of(house: House, guest: DesiredGuest) -> dict[str, Volume]:
    """The volumes of the persistent disks of the one guest of ours, by slot."""
    world = house.cluster.world
    (there,) = [one for one in world.guests.values() if not one.is_template]
    files = {
        disk.slot: drives.parse(there.config[disk.slot])["file"]
        for disk in guest.disks
        if disk.persistent
    }
    return {
        slot: next(volume for volume in world.volumes.values() if volume.volid == file)
        for slot, file in files.items()
    }


def where(house: House, kept: dict[str, Volume]) -> list[str]:
    """What is wrong with where the persistent disks are at the end."""
    assert house.last is not None
    subjects = {str(one.name): one for one in house.last.status.subjects}
    verdict = subjects["db"].verdict
    wrong = []
    for slot, volume in kept.items():
        if volume not in house.cluster.world.volumes.values():
            wrong.append(f"{slot} was destroyed")
            continue
        guests = list(users(house, volume))
        is_told = isinstance(verdict, Held) and slot in verdict.message
        if len(guests) > 1:
            wrong.append(f"{slot} is in {[one.vmid for one in guests]}")
        elif isinstance(verdict, Converged) and not (guests and guests[0].is_running):
            wrong.append(f"{slot} is in no guest that runs, and all is said to be well")
        elif not isinstance(verdict, Converged) and not is_told:
            wrong.append(f"{slot} is not where it should be, and nobody says so: {verdict}")
    return wrong


def is_making(house: House) -> bool:
    """Whether a guest is being made: until it has its mark only the journal knows whose."""
    flying = fold(house.records).inflight.values()
    return any(one.intended.verb in {Verb.CREATE, Verb.CLONE} for one in flying)


async def _replaced(case: Case) -> None:
    house = House(wanted(case.before()), spec=SPEC)
    assert await house.live(), house.left()
    kept = of(house, case.before())
    house.desired = wanted(case.after())
    if case.fails_after is not None:
        task = "qmmove" if case.kind is GuestKind.VM else "move_volume"
        fault = Fault(
            match=Match(task=task),
            effect=Effect.TASK,
            times=1,
            seconds=case.fails_after,
            text="got signal 9",
        )
        house.cluster.arm(fault)
    begun = len(house.records)
    rested = await house.live(die_after=begun + case.cut)
    if not rested:
        await asyncio.sleep(3)
        if case.loses_journal and not is_making(house):
            house.records.clear()
            house.invariants.forget()
        await house.live()
    house.invariants.check_end()

    assert (house.invariants.broken, house.errors) == ([], [])
    assert where(house, kept) == [], house.left()
    if case.fails_after is None:
        assert house.last is not None
        verdicts = {str(one.name): one.verdict for one in house.last.status.subjects}
        assert isinstance(verdicts["db"], Converged), house.left()


@pytest.mark.slow  # builds a guest and replaces it, some dozens of times
@pytest.mark.timeout(180)
@given(CASES)
@hypothesis.settings(max_examples=hypothesis.settings().max_examples * 4 // 5)
def test_wherever_it_is_cut_a_persistent_disk_is_in_one_guest_or_its_place_is_told(
    case: Case,
) -> None:
    with structlog.testing.capture_logs():
        virtual_time.run(_replaced(case))
