"""An executor with its journal, and everything it reports."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from qlop.executor.executor import Executor
from qlop.journal.ledger import Ledger
from qlop.journal.memory import MemoryJournal
from qlop.model.event import Event
from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.model.ids import ActionId, CycleId
from qlop.model.plan import PlannedAction
from qlop.model.policy import Limits
from qlop.ports import Journal, PveApi
from tests.executor.planned import plan_of
from tests.executor.toy import VirtualClock


@dataclass(slots=True)
class House:
    """One life of a daemon, as far as actions go."""

    api: PveApi
    journal: Journal = field(default_factory=MemoryJournal)
    leading: bool = True
    events: list[Event] = field(default_factory=list)
    ends: list[Finished] = field(default_factory=list)
    ledger: Ledger = field(init=False)
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.journal)
        self.executor = Executor(
            api=self.api,
            ledger=self.ledger,
            clock=VirtualClock(),
            on_event=self.events.append,
            on_end=lambda _intended, finished: self.ends.append(finished),
            may_dispatch=lambda: self.leading,
        )

    def start(self, *actions: PlannedAction, limits: Limits | None = None) -> Sequence[ActionId]:
        return self.executor.start(
            plan_of(*actions),
            cycle=CycleId("c1"),
            seen=self.executor.ends,
            limits=limits or Limits(),
        )

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Resume, and leave when every action has ended."""
        async with asyncio.TaskGroup() as group:
            self.executor.resume(group)
            yield

    @asynccontextmanager
    async def cut_short(self) -> AsyncIterator[None]:
        """Resume, and cancel whatever is under way at the end, as a shutdown does."""
        try:
            async with self.living():
                yield
                _shut_down()
        except* _Over:
            pass

    async def carry_out(self, *actions: PlannedAction) -> Finished:
        """Start actions, wait for their ends, return the last."""
        async with self.living():
            self.start(*actions)
        return self.ends[-1]

    def steps(self) -> list[str]:
        """Return the journal in words."""
        return [_word(entry) for entry in self.journal.records()]


class _Over(Exception):  # noqa: N818 - no error
    """The daemon shuts down."""


def _shut_down() -> None:
    raise _Over


def _word(entry: JournalRecord) -> str:
    match entry:
        case Intended():
            return "intended"
        case Dispatched():
            return "dispatched" if entry.upid is None else "task"
        case Finished():
            return entry.ending.value
        case _:
            return type(entry).__name__.lower()


SUCCEEDED = (Ending.SUCCEEDED, "", "")


def said(finished: Finished) -> tuple[Ending, str, str]:
    return finished.ending, finished.error, finished.message
