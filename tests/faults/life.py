"""One life of the whole daemon, in virtual time: from its start until it is stopped or dies."""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from qlop.controller.cycle import CycleResult, Engine
from qlop.controller.loop import Loop
from qlop.controller.manifests import Manifests
from qlop.controller.triggers import Triggers
from qlop.executor.executor import Executor
from qlop.journal.ledger import Ledger
from qlop.model.history import Finished, Intended
from qlop.model.reading import Known
from qlop.model.source import SourceFile, SourceTree
from qlop.model.verdict import Act, Held, Hold
from qlop.observer.observer import Observer
from qlop.observer.rounds import Rounds
from qlop.ports import Journal, Prober, PveApi
from qlop.telemetry.clock import SystemIds
from tests.faults.town import VirtualClock

HORIZON = timedelta(hours=3)
"""Within this everything has come to rest, the longest backoffs and patience included."""

RESTING = timedelta(minutes=20)
"""What has been held for so long, and for a reason that time does not end, stays held."""

PASSING = frozenset(
    {
        Hold.OBSERVATION_INCOMPLETE,
        Hold.NO_QUORUM,
        Hold.NODE_OFFLINE,
        Hold.CONFIG_UNREAD,
        Hold.POWER_UNKNOWN,
        Hold.TASK_RUNNING,
        Hold.IN_FLIGHT,
        Hold.AMBIGUOUS,
        Hold.BACKOFF,
        Hold.BUDGET,
        Hold.TOMBSTONED,
        Hold.AUDIT,
    }
)
"""Holds that end by themselves once the world is well: no state to end in."""


def _is_all_seen(result: CycleResult) -> bool:
    assert result.source is not None
    guests = result.source.observed.guests.values()
    return not result.status.gaps and all(isinstance(one.config, Known) for one in guests)


class _Over(Exception):  # noqa: N818 - no error: how the group is left
    pass


class Died(BaseException):
    """The process is gone: nothing of it runs any more, nothing is written any more."""


@dataclass(slots=True)
class Rest:
    """Tells when a life has come to rest: all as wanted, or held for a person to act.

    What is held for one of ``goals`` is where it should come to.
    """

    goals: frozenset[Hold] = frozenset()
    since: timedelta | None = None

    def is_over(self, result: CycleResult, now: timedelta) -> bool:
        subjects = result.status.subjects
        waiting = [one for one in subjects if not one.is_ready]
        if result.plan is None or result.plan.actions or not _is_all_seen(result):
            self.since = None
            return False
        if not waiting:
            return result.status.quorate
        held = [one.verdict for one in waiting if isinstance(one.verdict, Held)]
        if len(held) == len(waiting) and all(one.reason in self.goals for one in held):
            return result.status.quorate
        if len(held) < len(waiting) or any(one.reason in PASSING for one in held):
            self.since = None
            return False
        self.since = self.since if self.since is not None else now
        return now - self.since >= RESTING


@dataclass(slots=True, kw_only=True)
class Life:
    """A daemon over an API, a prober, a journal and manifests, all given."""

    api: PveApi
    prober: Prober
    journal: Journal
    manifests: str
    goals: frozenset[Hold] = frozenset()
    seed: int = 0
    last: CycleResult | None = None
    cycles: int = 0
    broke: list[Exception] = field(default_factory=list)
    lawless: list[str] = field(default_factory=list)
    """Plans that the audit has dropped."""

    async def until_rest(self, *, at_least: timedelta = timedelta()) -> None:
        """Live until there is nothing left to do but what a person must."""
        rest = Rest(self.goals)
        began = asyncio.get_running_loop().time()

        def over(result: CycleResult) -> bool:
            spent = timedelta(seconds=asyncio.get_running_loop().time() - began)
            rested = rest.is_over(result, spent)
            return spent > HORIZON or (rested and spent >= at_least)

        await self.live(over)

    async def live(self, is_over: Callable[[CycleResult], bool]) -> None:
        """Live until ``is_over`` says so of a cycle.

        Raises:
            Died: if something on the way killed the daemon.
        """
        clock, triggers = VirtualClock(), Triggers()
        observer, ledger = Observer(self.api, clock), Ledger(self.journal)
        rounds = Rounds(self.api, self.prober, clock, on_change=triggers.ring)

        def ended(intended: Intended, _: Finished) -> None:
            for vmid in intended.touches:
                observer.touch(vmid)
            rounds.note_end(intended)
            triggers.ring()

        executor = Executor(
            api=self.api, ledger=ledger, clock=clock, on_event=lambda _: None, on_end=ended
        )
        engine = Engine(
            manifests=Manifests(self._tree),
            observer=observer,
            executor=executor,
            history=ledger.history,
            clock=clock,
            ids=SystemIds(self.seed),
            is_leading=lambda: True,
            on_event=lambda _: None,
            rounds=rounds,
        )

        def done(result: CycleResult, _: float) -> None:
            self.last = result
            self.cycles += 1
            self.lawless += [
                found.message for found in result.status.findings if "audit-" in found.code
            ]
            if is_over(result):
                loop.stop()

        loop = Loop(
            engine=engine,
            triggers=triggers,
            clock=clock,
            ids=SystemIds(self.seed + 1),
            on_cycle=done,
            on_error=self.broke.append,
        )
        try:
            async with asyncio.TaskGroup() as group:
                executor.resume(group)
                group.create_task(observer.audit())
                group.create_task(rounds.run())
                await loop.run()
                raise _Over  # noqa: TRY301 - out of the group, not out of the function
        except* _Over:
            pass
        except* Died as deaths:
            raise Died from deaths

    def _tree(self) -> SourceTree:
        text = self.manifests.encode()
        file = SourceFile(path="all.yaml", content=text, size_bytes=len(text))
        return SourceTree(root="town", files=(file,))

    def told(self) -> str:
        """Return how the last cycle saw things, for people who read a failed test."""
        if self.last is None:
            return "no cycle"
        status = self.last.status
        lines = [f"{one.name}: {_said(one.verdict)}" for one in status.subjects]
        lines += [f"gap: {gap}" for gap in status.gaps]
        lines += [f"finding: {found.code} {found.message}" for found in status.findings]
        lines += [f"cycle broke: {error!r}" for error in self.broke]
        return f"{self.cycles} cycles; stalled: {status.stalled!r}; " + "; ".join(lines)


def _said(verdict: object) -> str:
    match verdict:
        case Held(reason=reason, message=message):
            return f"held {reason.value}: {message}"
        case Act(actions=actions):
            return f"acts: {', '.join(actions)}"
        case _:
            return "converged"


def seed_of(name: str) -> int:
    """Return the seed of a case: a function of its name, so that it can be run again."""
    return zlib.crc32(name.encode())
