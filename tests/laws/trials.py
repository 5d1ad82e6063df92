"""Risky changes on the simulated hospital, and everything that may befall them.

A service is built and well; then its manifest becomes another one. Meanwhile things happen
to its guests, the daemon dies and comes back, people lend a hand. What the simulator knows
of each guest is the truth that judgments are held against.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum

from hypothesis import strategies as st

from qlop.model.desired import Desired, DesiredGuest
from qlop.model.guest import GuestKind, OptionValue
from qlop.model.health import AgentCheck, Check, HttpCheck
from qlop.model.history import JournalRecord
from qlop.model.ids import GuestName
from qlop.model.rollout import Rollback, RollbackMode, Update
from qlop.model.trial import Judged, Judgment
from qlop.ports import Method, PortError, PveCall
from qlop.sim import script
from qlop.sim.application import serves
from qlop.sim.faults import Effect, Fault, Match
from qlop.sim.inprocess import InProcessApi
from tests import builders as b
from tests.laws.closed import Clock, House
from tests.laws.town import WIRE, container, vm, wanted

VM, CT = GuestKind.VM, GuestKind.CONTAINER
FIRST_VMID = 10000
GOOD, RISKY, THIRD = "cafe0001", "cafe0002", "cafe0003"
SHORT = {"interval": timedelta(seconds=5), "failures": 2, "start_period": timedelta(seconds=20)}
HTTP = HttpCheck(port=80, timeout=timedelta(seconds=2), **SHORT)  # type: ignore[arg-type]  # fields
AGENT = AgentCheck(timeout=timedelta(seconds=5), **SHORT)  # type: ignore[arg-type]  # fields
PATIENCE_S = 200.0
"""Longer than any watch that is drawn, and the settling and starting before it."""
MENDED_S = 260.0
"""So long after the change all that strikes for a while has ended."""
MINE = "mine"
"""A snapshot that a person made."""


class Mishap(Enum):
    """What befalls a guest, or the way to it."""

    CRASHED = "guest {vmid} crash"
    STOPPED = "guest {vmid} stop"
    DESTROYED = "guest {vmid} destroy"
    APP_DOWN = "guest {vmid} app down"
    APP_WELL = "guest {vmid} app ok"
    AGENT_HANGS = "guest {vmid} agent hang"
    DEAF = "guest {vmid} acpi deaf"
    FULL = "storage local-lvm fill 100%"
    FULL_NAS = "storage nas fill 100%"
    NODE_DOWN = "node {node} down"
    NODES_UP = "node pve1 up; node pve2 up; node pve3 up"
    FILE_EDITED = "guest {vmid} set cpuunits=99"
    HAND_MEMORY = "memory"
    HAND_ONBOOT = "onboot"
    HAND_SNAPSHOT = "snapshot"
    HAND_MIGRATES = "migrate"
    SNAPSHOT_REFUSED = "POST */snapshot"
    AGENT_UNASKED = "GET */agent/*"
    REBOOT_LOST = "POST */status/reboot"
    SNAPSHOT_FAILS = "*snapshot"
    REBOOT_FAILS = "*reboot"
    ROLLBACK_FAILS = "*rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """A mishap, so many seconds after the manifest has changed, to one of the guests."""

    at_s: float
    what: Mishap
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A service, a change of it, and what befalls it."""

    kind: GuestKind
    replicas: int
    rollback: Rollback
    update: Update
    asks_agent: bool
    needs: tuple[str, ...]
    """What the application of each guest needs: ``old``, ``new``, ``other``, or nothing."""
    blows: tuple[Blow, ...]
    kills: tuple[int, ...]
    """After so many more records of its journal each life of the daemon ends."""
    later: tuple[float, str] | None
    """When the manifest becomes yet another one, and which: ``back``, ``third``, ``plain``."""
    strange: tuple[str, ...]
    """Names of snapshots that people made before."""

    def desired(self, revision: str, *, mode: RollbackMode = RollbackMode.AUTO) -> Desired:
        """The manifests of a revision."""
        found = wanted(*(self.guest(index, revision) for index in range(1, self.replicas + 1)))
        checks: tuple[Check, ...] = (HTTP, AGENT) if self.asks_agent else (HTTP,)
        services = {
            name: replace(
                service,
                update=self.update,
                checks=checks,
                rollback=replace(self.rollback, mode=mode),
                fingerprint=revision,
            )
            for name, service in found.services.items()
        }
        return replace(found, services=services)

    def guest(self, index: int, revision: str) -> DesiredGuest:
        """One guest of a revision."""
        made = self._vm(index, revision) if self.kind is VM else self._container(index, revision)
        return replace(
            made,
            index=index,
            name=GuestName(f"web-{index}"),
            consents=b.WILLING,
            may_stop=True,
        )

    def _vm(self, index: int, revision: str) -> DesiredGuest:
        options: dict[str, OptionValue] = {
            "name": f"web-{index}",
            "memory": MEMORY[revision],
            "agent": {"enabled": "1"},
            "ipconfig0": {"ip": address(index)},
        }
        return vm("web", options=options)

    def _container(self, index: int, revision: str) -> DesiredGuest:
        nic = replace(container("x").nics[0], properties={**WIRE, "ip": address(index)})
        options: dict[str, OptionValue] = {
            "hostname": f"web-{index}",
            "memory": "512",
            "unprivileged": "1",
            "features": FEATURES[revision],
        }
        return container("web", options=options, nics=(nic,))

    def needed(self, index: int) -> str:
        """What the application of a guest needs, in the words of the simulator."""
        said = self.needs[index - 1]
        if self.kind is VM:
            return {"old": "memory=512", "new": "memory=1024", "other": "memory=7"}.get(said, "")
        words = {"old": "features=nesting=1", "new": "features=nesting=0", "other": "features=x"}
        return words.get(said, "")


MEMORY = {GOOD: "512", RISKY: "1024", THIRD: "768"}
FEATURES = {
    GOOD: {"nesting": "1"},
    RISKY: {"nesting": "0"},
    THIRD: {"nesting": "1"},
}


def address(index: int) -> str:
    return f"10.0.20.{10 + index}/24"


BLOWS = st.builds(
    Blow,
    at_s=st.one_of(st.floats(0.5, 40), st.floats(0.5, 150)),
    what=st.sampled_from([*Mishap, *[Mishap.APP_DOWN] * 4, *[Mishap.DESTROYED] * 2]),
    index=st.integers(1, 3),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from([VM, VM, CT]))
    replicas = draw(st.integers(1, 3))
    need = st.sampled_from(["old", "old", "", "", "new", "other"])
    return Case(
        kind=kind,
        replicas=replicas,
        rollback=Rollback(
            mode=RollbackMode.AUTO,
            memory=kind is VM and draw(st.booleans()),
            disks=draw(st.booleans()),
            watch=timedelta(seconds=draw(st.sampled_from([60, 90]))),
        ),
        update=Update(
            canary=draw(st.integers(0, 1)),
            batch_size=draw(st.integers(1, 3)),
            max_unavailable=draw(st.integers(1, 2)),
        ),
        asks_agent=kind is VM and draw(st.booleans()),
        needs=tuple(draw(need) for _ in range(replicas)),
        blows=tuple(draw(st.lists(BLOWS, max_size=3))),
        kills=tuple(draw(st.lists(st.integers(1, 20), max_size=2))),
        later=draw(
            st.one_of(
                st.none(),
                st.none(),
                st.tuples(st.floats(1, 250), st.sampled_from(["back", "third", "plain"])),
            )
        ),
        strange=tuple(draw(st.sampled_from([(), (), (MINE,), (MINE, f"qlop-{RISKY}")]))),
    )


@dataclass(slots=True)
class Drama:
    """A case under way, on a house."""

    case: Case
    house: House
    begun: int = 0
    """How many records there were when the manifest changed."""
    began_s: float = 0.0
    verdicts: list[tuple[float, Judged, bool]] = field(default_factory=list)
    """Each judgment, when it was written, and whether the guest was truly well then."""
    blown: list[tuple[float, int, Mishap]] = field(default_factory=list)
    """When whom what befell, so far as it could."""
    strange: set[tuple[int, str]] = field(default_factory=set)
    """Snapshots that people made."""
    rested: bool = False

    async def play(self) -> None:
        """Build the service, change it, and live on until all is at rest."""
        house, case = self.house, self.case
        assert await house.live(), house.left()
        for index in range(1, case.replicas + 1):
            if needed := case.needed(index):
                self._sim(f"guest {self.vmid(index)} app needs {needed}")
            for name in case.strange:
                await self._snapshot(index, name)
        await house.live(at_least_s=40)
        house.patience_s = PATIENCE_S
        house.watch = self._witness
        self.begun, self.began_s = len(house.records), Clock().now().timestamp()
        house.desired = case.desired(RISKY)
        async with asyncio.TaskGroup() as group:
            for blow in case.blows:
                group.create_task(self._strike(blow))
            if case.later is not None:
                group.create_task(self._edit(*case.later))
            group.create_task(self._mend())
            await self._lives()

    def vmid(self, index: int) -> int:
        """The VMID that a guest was given."""
        return FIRST_VMID + index - 1

    def is_well(self, vmid: int) -> bool:
        """Whether a guest does its work, in truth."""
        world = self.house.cluster.world
        guest = world.guests.get(vmid)
        if guest is None or not world.nodes[guest.node].up:
            return False
        served = serves(world, guest)
        return served is not None and served.status == 200

    def new_records(self) -> Iterator[JournalRecord]:
        """What was written down since the manifest changed."""
        yield from self.house.records[self.begun :]

    async def _lives(self) -> None:
        for more in self.case.kills:
            if not await self.house.live(die_after=len(self.house.records) + more):
                await asyncio.sleep(3)
        left_s = self.began_s + MENDED_S + 20 - Clock().now().timestamp()
        self.rested = await self.house.live(at_least_s=left_s)

    def _witness(self, record: JournalRecord) -> None:
        if isinstance(record, Judged):
            now = Clock().now().timestamp()
            self.house.cluster.advance(now)
            self.verdicts.append((now, record, self.is_well(self.vmid(record.index))))

    def _sim(self, command: str) -> None:
        script.do(self.house.cluster, command, Clock().now().timestamp())

    async def _strike(self, blow: Blow) -> None:
        await asyncio.sleep(blow.at_s)
        index = min(blow.index, self.case.replicas)
        vmid = self.vmid(index)
        guest = self.house.cluster.world.guests.get(vmid)
        if guest is None:
            return
        if blow.what in SENT:
            self.house.cluster.arm(replace(SENT[blow.what]))
        elif blow.what in BY_HAND:
            await self._lend_hand(blow.what, index)
        else:
            for command in blow.what.value.split("; "):
                self._sim(command.format(vmid=vmid, node=guest.node))
        self.blown.append((Clock().now().timestamp(), vmid, blow.what))

    async def _lend_hand(self, what: Mishap, index: int) -> None:
        vmid = self.vmid(index)
        match what:
            case Mishap.HAND_MEMORY:
                await self._hand(Method.PUT, vmid, "/config", memory="640")
            case Mishap.HAND_ONBOOT:
                await self._hand(Method.PUT, vmid, "/config", onboot="1")
            case Mishap.HAND_SNAPSHOT:
                await self._snapshot(index, f"{MINE}2")
            case _:
                node = self.house.cluster.world.guests[vmid].node
                target = "pve2" if node != "pve2" else "pve3"
                how = {"online": 1, "with-local-disks": 1} if self.case.kind is VM else {}
                how |= {"restart": 1} if self.case.kind is CT else {}
                await self._hand(Method.POST, vmid, "/migrate", target=target, **how)

    async def _snapshot(self, index: int, name: str) -> None:
        vmid = self.vmid(index)
        if await self._hand(Method.POST, vmid, "/snapshot", snapname=name):
            await asyncio.sleep(4)
            self.house.cluster.advance(Clock().now().timestamp())
            guest = self.house.cluster.world.guests.get(vmid)
            if guest is not None and name in guest.snapshots:
                self.strange.add((vmid, name))

    async def _hand(self, method: Method, vmid: int, path: str, **params: str | int) -> bool:
        """Do what a person does; PVE may refuse it. Return whether it did not."""
        guest = self.house.cluster.world.guests[vmid]
        api = InProcessApi(self.house.cluster, Clock())
        route = f"/nodes/{guest.node}/{guest.kind.value}/{vmid}{path}"
        with contextlib.suppress(PortError):
            await api.call(PveCall(method=method, route=route, params=params))
            return True
        return False

    async def _edit(self, after_s: float, which: str) -> None:
        await asyncio.sleep(after_s)
        mode = RollbackMode.NONE if which == "plain" else RollbackMode.AUTO
        revision = {"back": GOOD, "third": THIRD, "plain": RISKY}[which]
        self.house.desired = self.case.desired(revision, mode=mode)

    async def _mend(self) -> None:
        """End what strikes for a while."""
        await asyncio.sleep(MENDED_S)
        self.house.cluster.disarm()
        for node in ("pve1", "pve2", "pve3"):
            self._sim(f"node {node} up")
        for vmid in map(self.vmid, range(1, self.case.replicas + 1)):
            if vmid in self.house.cluster.world.guests:
                self._sim(f"guest {vmid} acpi listen")


BY_HAND = frozenset(
    {Mishap.HAND_MEMORY, Mishap.HAND_ONBOOT, Mishap.HAND_SNAPSHOT, Mishap.HAND_MIGRATES}
)
SENT = {
    Mishap.SNAPSHOT_REFUSED: Fault(
        effect=Effect.REFUSE, match=Match(route="POST */snapshot"), times=2
    ),
    Mishap.AGENT_UNASKED: Fault(
        effect=Effect.SERVER, match=Match(route="GET */agent/*"), times=None, status=500
    ),
    Mishap.REBOOT_LOST: Fault(
        effect=Effect.LOSE, match=Match(route="POST */status/reboot"), times=1
    ),
    Mishap.SNAPSHOT_FAILS: Fault(
        effect=Effect.TASK, match=Match(task="*snapshot"), times=1, seconds=0.3
    ),
    Mishap.REBOOT_FAILS: Fault(
        effect=Effect.TASK, match=Match(task="*reboot"), times=1, seconds=0.3
    ),
    Mishap.ROLLBACK_FAILS: Fault(
        effect=Effect.TASK, match=Match(task="*rollback"), times=1, seconds=0.3
    ),
}


def staged(case: Case) -> Drama:
    """Return a case that is about to be played, under virtual time."""
    return Drama(case, House(case.desired(GOOD)))


JUDGED_WELL = frozenset({Judgment.GOOD, Judgment.RESTORED})
