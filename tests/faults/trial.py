"""Send qlop on an errand while something goes wrong, and say which laws it broke."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from qlop.journal.memory import MemoryJournal
from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.guest import GuestKind
from qlop.model.verdict import Held, Hold
from qlop.ports import Method, PveCall
from qlop.sim import script
from qlop.sim.faults import Effect, Fault
from qlop.sim.state import Guest
from tests import virtual_time
from tests.faults.errands import Errand, prepare
from tests.faults.life import PASSING, Life, seed_of
from tests.faults.town import STRANGERS, VMID, VMIDS, Change, VirtualClock, Watched, Wire, town

CALM = 30.0
"""Seconds between the preparations and the errand: everybody has seen them by then."""

CALM_AFTER = timedelta(seconds=40)
"""How long to go on looking when no fault strikes any more."""

WINDOW = timedelta(seconds=90)
"""How long a fault that strikes for a while goes on."""

REMEDIES_MAX = 3
"""So many holds in a row a person ends by doing what they say."""

UNDONE_BY_POWER_CUT = frozenset({Verb.START, Verb.RESUME, Verb.REBOOT, Verb.SHUTDOWN})
"""What has to be done again after a power cut, or is done by it."""


ANSWERLESS = frozenset({Effect.PIPE, Effect.HALF, Effect.LOSE})
"""What carries a call out and keeps its answer back."""


@dataclass(slots=True)
class Stage:
    """A town in which an errand is due, up to the moment at which the manifests change."""

    errand: Errand
    cluster: Watched
    wire: Wire
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    first_change: int = 0
    first_record: int = 0
    strangers: dict[int, str] = field(default_factory=dict)

    def changes(self) -> list[Change]:
        """Return what our guest has been made to do on the errand."""
        changes = self.cluster.changes[self.first_change :]
        return [one for one in changes if one.vmids & {*VMIDS}]

    def of_errand(self) -> list[Change]:
        """Return those changes that are what the errand is about."""
        changes = [one for one in self.changes() if one.route == self.errand.route]
        is_mark = self.errand.verb is Verb.REPLACE  # The next guest is configured, too.
        return [one for one in changes if VMID in one.vmids] if is_mark else changes


async def staged(errand: Errand, *, seed: int) -> Stage:
    """Bring a town to the point at which the errand is due."""
    cluster = town(seed=seed)
    wire = Wire(cluster)
    stage = Stage(errand, cluster, wire)
    before = Life(
        api=wire,
        prober=wire.prober,
        journal=stage.journal,
        manifests=errand.before.text(errand.kind),
    )
    await before.until_rest()
    assert before.last is not None
    assert all(one.is_ready for one in before.last.status.subjects), before.told()
    await prepare(errand, wire.inner, cluster)
    await asyncio.sleep(CALM)
    stage.first_change = len(cluster.changes)
    stage.first_record = len(stage.journal.records())
    stage.strangers = cluster.strangers()
    return stage


def tried(errand: Errand, faults: Sequence[Fault], *, name: str) -> list[str]:
    """Run the errand with ``faults`` armed, to its rest; return what broke a law."""
    return virtual_time.run(_tried(errand, faults, seed=seed_of(name)))


async def _tried(errand: Errand, faults: Sequence[Fault], *, seed: int) -> list[str]:
    stage = await staged(errand, seed=seed)
    for fault in faults:
        stage.cluster.arm(fault)
    life = Life(
        api=stage.wire,
        prober=stage.wire.prober,
        journal=stage.journal,
        manifests=errand.after.text(errand.kind),
        goals=errand.goals,
        seed=seed % 1000,
    )
    ending = asyncio.get_running_loop().create_task(_disarm(stage.cluster))
    await life.until_rest(at_least=WINDOW + CALM_AFTER)
    await ending
    broken = offences(stage, life)
    for _ in range(REMEDIES_MAX):
        if not await _helped(stage, life):
            break
        await life.until_rest(at_least=WINDOW)
        broken = offences(stage, life)
    if not broken:
        broken = [
            f"held for good: {one.reason.value} {one.message}"
            for one in _holds(life)
            if one.reason not in errand.goals
        ]
    if not broken:
        broken = miscounted(stage, faults)
    return [f"{one} [{life.told()}] [{steps(stage)}]" for one in broken]


async def _disarm(cluster: Watched) -> None:
    await asyncio.sleep(WINDOW.total_seconds())
    cluster.disarm()


async def _helped(stage: Stage, life: Life) -> bool:
    """Do what a hold says that a person can do; return whether there was anything.

    A worker of PVE's own that died leaves its lock behind, and half a snapshot.
    """
    kind = stage.errand.kind
    for held in _holds(life):
        now = VirtualClock().now().timestamp()
        named = re.search(r"\b1000\d\b", held.message)
        vmid = int(named[0]) if named is not None else VMID
        if held.reason is Hold.LOCKED:
            script.do(stage.cluster, f"unlock {vmid}", now)
            return True
        if held.reason is Hold.HALF_MADE:
            script.do(stage.cluster, f"unlock {vmid}", now)
            script.do(stage.cluster, f"guest {vmid} destroy", now)
            return True
        if "delsnapshot" in held.remedy:
            at: dict[str, str | int] = {"node": "pve1", "vmid": VMID}
            at["snapname"] = stage.errand.after.snapshots
            route = f"/nodes/{{node}}/{kind.value}/{{vmid}}/snapshot/{{snapname}}"
            call = PveCall(method=Method.DELETE, route=route, at=at, params={"force": 1})
            await stage.wire.inner.call(call)
            return True
        if "attach it as" in held.remedy:
            await _attach(stage)
            return True
        if "rescan" in held.remedy:
            script.do(stage.cluster, f"guest {vmid} rescan", now)
            return True
    return False


async def _attach(stage: Stage) -> None:
    """Attach the volume that PVE took from one guest and did not give to the other."""
    world, kind = stage.cluster.world, stage.errand.kind
    heir = VMID + 1
    used = " ".join(world.guests[heir].config.values())
    (lost,) = [
        volume.volid
        for volume in world.volumes.values()
        if volume.vmid == heir and volume.volid not in used
    ]
    params = {"scsi1": lost} if kind is GuestKind.VM else {"mp0": f"{lost},mp=/srv"}
    route = f"/nodes/{{node}}/{kind.value}/{{vmid}}/config"
    (slot,) = params
    if slot in world.guests[VMID].config:  # Its volume was renamed, and no more than that.
        old: dict[str, str | int] = {"node": "pve1", "vmid": VMID}
        taken = PveCall(method=Method.PUT, route=route, at=old, params={"delete": slot})
        await stage.wire.inner.call(taken)
    at: dict[str, str | int] = {"node": "pve1", "vmid": heir}
    await stage.wire.inner.call(PveCall(method=Method.PUT, route=route, at=at, params=params))


def _holds(life: Life) -> list[Held]:
    assert life.last is not None
    verdicts = [one.verdict for one in life.last.status.subjects]
    return [one for one in verdicts if isinstance(one, Held)]


def offences(stage: Stage, life: Life) -> list[str]:
    """Return which laws were broken, but for that of exactly one mutation."""
    cluster = stage.cluster
    broken = [f"a cycle broke: {error!r}" for error in life.broke]
    broken += [f"without quorum: {sent}" for sent in stage.wire.sent_blindly]
    broken += [
        f"touched a stranger: {one.route} {one.path}"
        for one in cluster.changes
        if one.vmids & {*STRANGERS}
    ]
    if cluster.strangers() != stage.strangers:
        broken.append("a stranger's configuration changed")
    broken += [f"two at once: {one}" for one in cluster.overlaps]
    broken += [f"a plan broke a law: {one}" for one in life.lawless]
    inflight = fold(stage.journal.records()).inflight
    broken += [f"left in flight: {one.intended.action}" for one in inflight.values()]
    due = [] if stage.errand.verb is Verb.DESTROY else [*stage.errand.leaves]
    found = sorted(guest.vmid for guest in cluster.ours())
    if found != due:
        broken.append(f"guests of ours: {found} instead of {due}")
    return broken + _unrest(life)


def _unrest(life: Life) -> list[str]:
    """Return what shows that the life ended neither converged nor held for a person."""
    if life.last is None:
        return ["no cycle ended"]
    broken = []
    for one in life.last.status.subjects:
        if one.is_ready:
            continue
        verdict = one.verdict
        if not isinstance(verdict, Held) or verdict.reason in PASSING:
            broken.append(f"no rest: {one.name}")
        elif not verdict.message or not verdict.remedy:
            broken.append(f"held without a word: {one.name} {verdict.reason.value}")
    return broken


def miscounted(stage: Stage, faults: Sequence[Fault]) -> list[str]:
    """Return whether the errand's mutation was carried out more or less than once."""
    done = [one for one in stage.of_errand() if stage.cluster.is_done(one)]
    least = most = 1
    effects = {fault.effect for fault in faults if fault.hits}
    if stage.errand.verb is Verb.HAND_OVER and Effect.QUORUM_LOST in effects:
        least = 0  # PVE renamed the volume, and could not write that down.
    if stage.errand.verb is Verb.RESIZE and Effect.QUORUM_LOST in effects:
        least = 0  # PVE grew the volume, and could not write that down.
    if Effect.TASK in effects:
        least = 0  # It may have been far enough for its effect to be there.
    if Effect.NODE_DOWN in effects:
        least = 0
        most = 2 if stage.errand.verb in UNDONE_BY_POWER_CUT else 1
    if stage.errand.verb is Verb.REGENERATE and effects & ANSWERLESS:
        # Nothing shows that the drive was written; it is the same each time.
        most += sum(fault.hits for fault in faults)
    if least <= len(done) <= most:
        return []
    return [f"{len(done)} mutations took effect, not {least} to {most}"]


def steps(stage: Stage) -> str:
    """Return what the cluster was made to do, in words."""
    return ", ".join(
        f"{one.route.rpartition('/')[2]} at {one.at % 100_000:.1f}"
        f" ({stage.cluster.exit_of(one) or 'running'})"
        for one in stage.changes()
    )


def portrait(cluster: Watched) -> list[tuple[object, ...]]:
    """Return all that matters of our guests: two lives that end alike end in equal ones."""
    return [_face(guest) for guest in cluster.ours()]


def _face(guest: Guest) -> tuple[object, ...]:
    drawn = ("vmgenid", "meta", "digest")
    config = {key: value for key, value in guest.config.items() if key not in drawn}
    if "net0" in config and guest.kind.value == "qemu":
        config["net0"] = config["net0"].partition(",")[2]
    snapshots = tuple(sorted(guest.snapshots))
    return guest.vmid, guest.node, guest.is_running, guest.lock, snapshots, sorted(config.items())
