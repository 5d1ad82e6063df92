"""Worlds in which much is down, much is under way, and much more is due.

What takes time is not done at once here: an action is begun, and ends later, well or not;
meanwhile its guest is away, whether the listing shows that or not. All the while guests fall
ill, die, and come back by themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from qlop.executor import intent
from qlop.model.action import (
    Action,
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    RollbackSnapshot,
    ShutdownGuest,
)
from qlop.model.consent import Consent, Consents
from qlop.model.desired import Desired, DesiredGuest, Placement
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.health import Condition, Health, TcpCheck
from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.model.ids import ActionId, CycleId, GuestName, ServiceName, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.plan import Plan, PlannedAction
from qlop.model.policy import Budget, Fuse, Policy
from qlop.model.reading import Known
from qlop.model.rollout import Rollback, RollbackMode, Update
from qlop.model.trial import Judged, Judgment
from qlop.model.units import MIB
from qlop.planner import planner
from qlop.planner.audit import audit
from tests import builders as b
from tests.laws.test_owned_only import is_ours
from tests.laws.world import done
from tests.planner import trio
from tests.strategies import World, ideal, stores

FREELY = Consents(reboot=Consent.DO, downtime=Consent.DO)
WANTED: dict[GuestKind, dict[str, OptionValue]] = {
    GuestKind.VM: {"cores": "4"},
    GuestKind.CONTAINER: {"features": {"nesting": "1"}},
}
WAS: dict[GuestKind, dict[str, OptionValue]] = {
    GuestKind.VM: {"cores": "2"},
    GuestKind.CONTAINER: {"features": {"nesting": "0"}},
}
Place = tuple[ServiceName, int]


def takes_down(action: Action) -> bool:
    if isinstance(action, MigrateGuest):
        return action.mode is MigrationMode.RESTART
    return isinstance(action, ShutdownGuest | RebootGuest | RollbackSnapshot)


@st.composite
def _wants(draw: st.DrawFn, name: str) -> list[DesiredGuest]:
    """The guests of a service, most of which will have to go down for what is wanted."""
    kind = draw(st.sampled_from(GuestKind))
    count = draw(st.integers(2, 4))
    first = b.desired_guest(
        name,
        kind=kind,
        options={"memory": "1024", **WANTED[kind]},
        placement=Placement(
            spread=False,
            allowed=draw(st.sampled_from([None, None, frozenset({b.PVE1, b.PVE2})])),
        ),
        consents=FREELY,
        memory_bytes=1024 * MIB,
    )
    return [
        replace(
            first,
            name=f"{name}-{index}",  # type: ignore[arg-type]  # a name
            index=index,
            power=draw(st.sampled_from([*[Power.RUNNING] * 5, Power.STOPPED])),
        )
        for index in range(1, count + 1)
    ]


@st.composite
def _desired(draw: st.DrawFn) -> Desired:
    names = draw(st.sampled_from([("app",), ("app", "db"), ("app", "db")]))
    limits = st.sampled_from([None, None, 0, 1, 2])
    policy = Policy(fuse=Fuse(guests=100), budget=Budget(node=draw(limits), cluster=draw(limits)))
    found = b.desired(*(one for name in names for one in draw(_wants(name))), policy=policy)
    services = {
        name: replace(
            service,
            update=Update(
                batch_size=draw(st.integers(1, 9)), max_unavailable=draw(st.integers(0, 3))
            ),
            checks=(TcpCheck(port=80),),
            rollback=draw(
                st.sampled_from([Rollback(), Rollback(mode=RollbackMode.AUTO, disks=True)])
            ),
            fingerprint="cafe0001",
        )
        for name, service in found.services.items()
    }
    return replace(found, services=services)


@st.composite
def crowds(draw: st.DrawFn) -> World:
    """Services of which much is due at once, some of their guests down or ill."""
    desired = draw(_desired())
    guests: list[ObservedGuest] = []
    health: dict[VmId, Health] = {}
    records: list[JournalRecord] = []
    mostly = draw(st.sampled_from([Condition.HEALTHY, Condition.HEALTHY, Condition.UNHEALTHY]))
    for number, want in enumerate(desired.guests.values()):
        if draw(st.integers(0, 7)) == 0:
            continue
        guest = ideal(want, 10100 + number, draw(st.sampled_from(b.NODES)))
        guest = replace(guest, power=draw(st.sampled_from([Power.RUNNING] * 6 + [*Power][:2])))
        guest = _drifted(
            guest, draw(st.sampled_from(["as wanted", "option", "option", "pending"]))
        )
        guests.append(guest)
        health |= draw(_healths(guest.vmid, mostly))
        if desired.services[want.service].rollback.disks and draw(st.booleans()):
            records += _bad(want, guest)
            guests[-1] = replace(guest, snapshots=Known((trio.snapshot(),)))
    observed = b.observed(*guests, b.template(), with_template=False, stores=stores())
    return World(
        desired=desired, observed=replace(observed, health=health), records=tuple(records)
    )


@st.composite
def _healths(draw: st.DrawFn, vmid: VmId, mostly: Condition) -> dict[VmId, Health]:
    said = draw(st.sampled_from([*[mostly] * 4, *Condition, None]))
    return {} if said is None else {vmid: trio.health(said)}


def _drifted(guest: ObservedGuest, how: str) -> ObservedGuest:
    """Return a guest as somebody left it."""
    assert isinstance(guest.config, Known)
    have = guest.config.value
    match how:
        case "option":
            have = replace(have, options={**have.options, **WAS[guest.kind]})
        case "pending":
            have = replace(have, pending=frozenset(WAS[guest.kind]))
        case _:
            pass
    return replace(guest, config=Known(have))


def _bad(want: DesiredGuest, guest: ObservedGuest) -> Iterator[JournalRecord]:
    """What stands in the journal of a guest whose change turned out bad: it is undone."""
    judged = trio.judged(Judgment.BAD, want.index)
    for number, record in enumerate((*trio.tried(want.index), judged)):
        action = ActionId(f"{want.name}/tried/{number // 3}")
        match record:
            case Intended():
                yield replace(
                    record,
                    action=action,
                    subject=want.name,
                    service=want.service,
                    vmid=guest.vmid,
                    kind=guest.kind,
                    before={"tags": "before"} if record.before else {},
                )
            case Dispatched() | Finished():
                yield replace(record, action=action)
            case Judged():
                yield replace(record, subject=want.name, service=want.service)
            case _:
                raise AssertionError(record)


@dataclass(slots=True)
class Time:
    """A world that goes on: what is under way in it, and what it was like before that."""

    world: World
    flying: dict[GuestName, tuple[PlannedAction, ObservedGuest]] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Return what is planned now, audited."""
        plan = planner.plan(self.world.source)
        found = audit(self.world.source, plan)
        assert found == (), found
        return plan

    def ready(self, plan: Plan) -> list[PlannedAction]:
        """Return the first step of each guest that has one and is left alone."""
        first: dict[GuestName, PlannedAction] = {}
        for planned in plan.actions:
            first.setdefault(planned.action.subject, planned)
        return [one for subject, one in first.items() if subject not in self.flying]

    def begin(self, planned: PlannedAction, *, is_listed: bool) -> None:
        """Send an action; ``is_listed``: the next look shows that its guest is down."""
        vmid = planned.action.vmid
        before = self.world.observed.guests.get(vmid)
        intended = intent.intended_for(planned, cycle=CycleId("c1"), attempt=1, at=b.NOW)
        sent = Dispatched(at=b.NOW, action=planned.id, attempt=1, upid=None)
        self.world = replace(self.world, records=(*self.world.records, intended, sent))
        if before is None:
            return
        self.flying[planned.action.subject] = planned, before
        if is_listed and takes_down(planned.action):
            self.show(replace(before, power=Power.STOPPED))

    def end(self, subject: GuestName, ending: Ending) -> None:
        """End an action; one that fails leaves its guest as it is listed."""
        planned, before = self.flying.pop(subject)
        finished = Finished(at=b.NOW, action=planned.id, attempt=1, ending=ending, error="x")
        self.world = replace(self.world, records=(*self.world.records, finished))
        if ending is Ending.SUCCEEDED:
            self.show(before)
            self.world = replace(self.world, observed=done(self.world.observed, planned))

    def show(self, guest: ObservedGuest) -> None:
        """Let the next look show a guest like this."""
        guests = {**self.world.observed.guests, guest.vmid: guest}
        self.world = replace(self.world, observed=replace(self.world.observed, guests=guests))

    def befall(self, vmid: VmId, condition: Condition | None, power: Power) -> None:
        """Let a guest fall ill, die or come back by itself."""
        guest = self.world.observed.guests[vmid]
        self.show(replace(guest, power=power))
        health = dict(self.world.observed.health)
        health.pop(vmid, None)
        if condition is not None:
            health[vmid] = trio.health(condition)
        self.world = replace(self.world, observed=replace(self.world.observed, health=health))

    def owned(self) -> dict[Place, ObservedGuest]:
        """Return our guests by place; the newest of one that gives way to another."""
        found: dict[Place, ObservedGuest] = {}
        for guest in sorted(self.world.observed.guests.values(), key=lambda one: one.vmid):
            if is_ours(guest, self.world):
                assert isinstance(guest.config, Known)
                mark = guest.config.value.mark
                assert mark is not None
                found[mark.service, mark.index] = guest
        return found
