"""Foresee what comes after a plan, if all of it goes well: so that it can be agreed to.

Pure. The planner plans by what is there; what waits for a guest to be built, started or
healthy is in no plan before that. So each first step is taken for done, the planner is
asked again what it makes of that world, and so on until it wants nothing more. That nothing
is made up for it is the point: what is foreseen was decided by the planner itself, of a
world that the audit found nothing wrong with.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from qlop.controller import effect
from qlop.executor.intent import intended_for
from qlop.model.folding import Folding
from qlop.model.history import Ending, Finished, JournalRecord
from qlop.model.ids import ActionId, CycleId
from qlop.model.observed import Observed
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.model.verdict import Act, Held, Hold
from qlop.planner import planner
from qlop.planner.audit import audit

ROUNDS_MAX = 200
"""A guest takes some five steps; this is for chains of services that wait for one another."""
HORIZON = timedelta(days=1)
"""Nobody waits longer for an ``apply``."""
STEP = timedelta(seconds=1)
_TIME_HELPS = frozenset({Hold.VERIFYING, Hold.ROLLOUT, Hold.DEPENDENCY, Hold.BUDGET})
"""What ends by itself while guests come up or are watched. Windows and approvals are waited
for by nobody who applies a plan."""
_CYCLE = CycleId("foreseen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What is done after a plan; not ``whole`` if it goes on further than was looked."""

    actions: tuple[PlannedAction, ...] = ()
    whole: bool = True


@dataclass(slots=True, kw_only=True)
class _World:
    """The world as it will be."""

    observed: Observed
    now: datetime
    folding: Folding
    taken: dict[ActionId, PlannedAction] = field(default_factory=dict)

    def take(self, planned: PlannedAction) -> None:
        """Take an action for done."""
        history = self.folding.history()
        attempt = history.attempts.get(planned.id, 0) + 1
        begun = intended_for(planned, cycle=_CYCLE, attempt=attempt, at=self.now)
        ended = Finished(at=self.now, action=planned.id, attempt=attempt, ending=Ending.SUCCEEDED)
        self.folding.add(begun)
        self.folding.add(ended)
        self.observed = effect.after(self.observed, planned, self.now)
        self.taken[planned.id] = planned

    def pass_time(self, until: datetime) -> None:
        """Let it be later; then everything is looked at."""
        self.now = max(until, self.now + STEP)
        self.observed = replace(self.observed, taken_at=self.now)


def foresee(source: PlanInput, plan: Plan, records: Iterable[JournalRecord]) -> Foresight:
    """Return what is done after ``plan``, which was made of ``source``, in its order.

    ``records`` is the journal that ``source.history`` is of. Nothing goes wrong in this,
    and guests that were started are healthy at once. What the plan says itself is left out.
    """
    folding = Folding()
    for record in records:
        folding.add(record)
    world = _World(observed=source.observed, now=source.now, folding=folding)
    current = plan
    for _ in range(ROUNDS_MAX):
        if not _carry_out(world, current, until=source.now + HORIZON):
            return Foresight(actions=_after(plan, world))
        source = replace(source, observed=world.observed, history=folding.history(), now=world.now)
        current = planner.plan(source)
        if audit(source, current):
            break
    return Foresight(actions=_after(plan, world), whole=False)


def _carry_out(world: _World, plan: Plan, *, until: datetime) -> bool:
    """Take the first steps of a plan for done, or let time pass; False if neither helps."""
    there = {planned.id for planned in plan.actions}
    ready = [
        planned
        for planned in plan.actions
        if planned.id not in world.taken and not there & set(planned.after)
    ]
    for planned in ready:
        world.take(planned)
    for judged in plan.judgments:
        world.folding.add(judged)
    if ready or plan.judgments:
        world.pass_time(world.now)
        return True
    later = plan.reconsider_at
    if later is None or not world.now < later <= until or not _may_pass(plan):
        return False
    world.pass_time(later)
    return True


def _may_pass(plan: Plan) -> bool:
    verdicts = [one.verdict for one in plan.verdicts.values()]
    holds = [one.held if isinstance(one, Act) else one for one in verdicts]
    return any(isinstance(one, Held) and one.reason in _TIME_HELPS for one in holds)


def _after(plan: Plan, world: _World) -> tuple[PlannedAction, ...]:
    said = {planned.id for planned in plan.actions}
    return tuple(planned for one, planned in world.taken.items() if one not in said)
