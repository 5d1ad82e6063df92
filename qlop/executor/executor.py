"""Carry out the frontier of a plan, one action per guest, and write down each step.

An action's life: *intended* (journalled), looked at once more, *dispatched* (journalled),
awaited, its arrival observed, *finished* (journalled). Killed at any point, the journal
says how far it came; ``resume`` takes it up from there and never sends it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from qlop.executor import arrive, dispatch, guard, intent
from qlop.executor.frontier import frontier
from qlop.executor.tasks import TaskWatch
from qlop.journal.ledger import Ledger
from qlop.model.action import Action
from qlop.model.event import Event, EventKind
from qlop.model.history import (
    WITHOUT_EFFECT,
    Dispatched,
    Ending,
    Finished,
    Inflight,
    Intended,
    JournalRecord,
    Notice,
)
from qlop.model.ids import ActionId, CycleId, GuestName, Upid
from qlop.model.plan import Plan, PlannedAction
from qlop.model.policy import Limits
from qlop.ports import Clock, ErrorKind, PortError, PveApi, PveCall
from qlop.pve import calls
from qlop.render.action import ending_text, started_text

JOURNAL_PAUSE_FIRST_S = 1.0
JOURNAL_PAUSE_MAX_S = 30.0
"""How often to try again to write down what was already sent, on a disk that is full."""

SENDING_POLL_S = 0.05

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a life ended, before it is dated."""

    ending: Ending
    error: str = ""
    message: str = ""


@dataclass(slots=True, eq=False)
class _Flight:
    """An action that a child task of ours is busy with."""

    intended: Intended
    sent: bool = False
    """The mutation may have reached PVE."""
    sending: bool = False
    task: asyncio.Task[None] | None = None


class Executor:
    """Runs actions as children of a task group that somebody else owns.

    ``resume`` must be called first, once. No failure of an action leaves it as an
    exception; what it reports goes to ``on_event`` and, with the records, to ``on_end``.
    """

    def __init__(
        self,
        *,
        api: PveApi,
        ledger: Ledger,
        clock: Clock,
        on_event: Callable[[Event], None],
        on_end: Callable[[Intended, Finished], None],
        may_dispatch: Callable[[], bool] = lambda: True,
        call_for: Callable[[Action], PveCall] = calls.call_for,
    ) -> None:
        """Take the ports. ``may_dispatch`` is asked right before each mutation (the lease)."""
        self._api = api
        self._ledger = ledger
        self._clock = clock
        self._on_event = on_event
        self._on_end = on_end
        self._may_dispatch = may_dispatch
        self._call_for = call_for
        self._watch = TaskWatch(api, clock)
        self._group: asyncio.TaskGroup | None = None
        self._flights: dict[GuestName, _Flight] = {}
        self._ends = 0
        self._last_end: dict[GuestName, int] = {}
        self._stopped = False
        self._trouble = ""

    @property
    def inflight(self) -> frozenset[GuestName]:
        """Return the guests that an action is being carried out on at this moment."""
        return frozenset(self._flights)

    @property
    def ends(self) -> int:
        """Return how many actions have ended so far; see ``start``."""
        return self._ends

    @property
    def trouble(self) -> str:
        """Return why the journal can't be written, empty if it can. Nothing is sent then."""
        return self._trouble

    def resume(self, group: asyncio.TaskGroup) -> None:
        """Take up, as children of ``group``, what an earlier run left in flight.

        A task of PVE's is awaited; what was answered without one is done; what may or
        may not have been sent becomes ``UNKNOWN``, for the controller to settle by looking.
        """
        self._group = group
        for left in self._ledger.history().inflight.values():
            if not left.ambiguous:
                flight = _Flight(intended=left.intended, sent=True)
                self._launch(flight, partial(self._take_up, flight, left))

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        """Start what is on the frontier of ``plan``, return at once which actions it was.

        ``seen`` is what ``ends`` was before the observation began that the plan was made
        from: a guest on which an action has ended since is left to a later plan, which
        will have seen its effect.
        """
        assert self._group is not None, "resume comes first"
        if self._stopped or not self._may_dispatch():
            return ()
        history = self._ledger.history()
        stale = {name for name, end in self._last_end.items() if end > seen}
        ready = frontier(
            plan,
            busy=stale | history.inflight.keys() | self._flights.keys(),
            taken=[queue for left in history.inflight.values() for queue in left.intended.takes],
            underway=len(history.inflight),
            limits=limits,
        )
        started: list[ActionId] = []
        for planned in ready:
            attempt = history.attempts.get(planned.id, 0) + 1
            intended = intent.intended_for(
                planned, cycle=cycle, attempt=attempt, at=self._clock.now()
            )
            if not self._write(intended):
                break
            flight = _Flight(intended=intended)
            self._launch(flight, partial(self._carry_out, flight, planned))
            started.append(planned.id)
        return tuple(started)

    def settle(
        self,
        action: ActionId,
        attempt: int,
        ending: Ending,
        message: str,
        *,
        upid: Upid | None = None,
        error: ErrorKind = ErrorKind.TRANSIENT,
    ) -> bool:
        """Record how an action in flight ended, as looking has shown; return whether it was.

        With ``upid`` its task was found: it is awaited, and ``ending`` is left to it.
        ``error`` is the kind of a ``FAILED`` ending. Nothing is recorded if the action is
        not in flight in this attempt, is being sent at this moment, or if the journal
        can't be written.
        """
        left = self._find(action, attempt)
        if left is None:
            return False
        former = self._flights.get(left.intended.subject)
        if former is not None and not left.dispatched:
            return False
        if upid is not None:
            if not self._write(self._dispatched(left.intended, upid)):
                return False
            self._abandon(former)
            flight = _Flight(intended=left.intended, sent=True)
            self._launch(flight, partial(self._follow, flight, upid))
            return True
        kind = error.value if ending is Ending.FAILED else ""
        finished = self._finished(left.intended, _End(ending=ending, error=kind, message=message))
        if not self._write(finished):
            return False
        self._abandon(former)
        self._report(left.intended, finished)
        return True

    def note(self, notices: Iterable[Notice]) -> None:
        """Write down what a plan wants remembered, as far as the journal can be written."""
        for notice in notices:
            if not self._write(notice):
                return
            log.info("noted", notice=type(notice).__name__.lower(), service=notice.service)

    def stop(self) -> None:
        """Send nothing from now on. What PVE already does goes on, and is followed."""
        self._stopped = True

    async def await_sent(self, within: timedelta) -> None:
        """Wait until no mutation is on its way to PVE, at most ``within``.

        Cancelling the group after that leaves no doubt about what was sent.
        """
        waited = timedelta()
        pause = timedelta(seconds=SENDING_POLL_S)
        while waited < within and any(flight.sending for flight in self._flights.values()):
            await self._clock.sleep(pause)
            waited += pause

    def _find(self, action: ActionId, attempt: int) -> Inflight | None:
        for left in self._ledger.history().inflight.values():
            if (left.intended.action, left.intended.attempt) == (action, attempt):
                return left
        return None

    def _abandon(self, flight: _Flight | None) -> None:
        if flight is not None:
            del self._flights[flight.intended.subject]
            if flight.task is not None:
                flight.task.cancel()

    def _launch(self, flight: _Flight, life: Callable[[], Awaitable[_End]]) -> None:
        assert self._group is not None, "resume comes first"
        self._flights[flight.intended.subject] = flight
        flight.task = self._group.create_task(
            self._live(flight, life), name=f"action {flight.intended.action}"
        )

    async def _live(self, flight: _Flight, life: Callable[[], Awaitable[_End]]) -> None:
        """Bring ``life`` to an end that is written down, whatever happens in it.

        Cancelled, it writes nothing: the journal then says that the action is in flight.
        """
        intended = flight.intended
        with structlog.contextvars.bound_contextvars(cycle=intended.cycle, action=intended.action):
            try:
                end = await life()
            except PortError as error:
                end = _ended_by(error)
            except Exception as error:  # the action boundary: one bug must not end the daemon
                log.exception("action broke", attempt=intended.attempt)
                end = _broken(flight, error)
            finished = await self._record_end(flight, end)
            if self._flights.get(intended.subject) is flight:
                del self._flights[intended.subject]
            self._report(intended, finished)

    async def _carry_out(self, flight: _Flight, planned: PlannedAction) -> _End:
        intended = flight.intended
        self._say(intended, EventKind.ACTION_STARTED, started_text(intended))
        try:
            objection = await guard.objection(self._api, planned)
        except PortError as error:
            return _unsent(error, f"{intended.node} could not be asked about it: ")
        if objection:
            return _objected(objection)
        if self._stopped:
            return _End(ending=Ending.SUPERSEDED, message="qlop is stopping")
        if not self._may_dispatch():
            return _End(ending=Ending.SUPERSEDED, message="this qlop no longer leads")
        call = self._call_for(planned.action)
        flight.sent = flight.sending = True
        try:
            upid = await dispatch.send(self._api, call)
            await self._record(self._dispatched(intended, upid))
        except PortError as error:
            if error.is_unsent:
                return _unsent(error)
            raise
        finally:
            flight.sending = False
        log.info("action dispatched", subject=intended.subject, upid=upid)
        if upid is None:
            return _End(ending=Ending.SUCCEEDED)
        return await self._follow(flight, upid)

    async def _take_up(self, flight: _Flight, left: Inflight) -> _End:
        if left.upid is not None:
            log.info("task taken up", subject=left.intended.subject, upid=left.upid)
            return await self._follow(flight, left.upid)
        if left.dispatched:
            return _End(ending=Ending.SUCCEEDED)
        return _End(
            ending=Ending.UNKNOWN,
            error=ErrorKind.AMBIGUOUS.value,
            message="qlop ended while it was being sent",
        )

    async def _follow(self, flight: _Flight, upid: Upid) -> _End:
        """Wait for the task's end and for its arrival."""
        end = await self._watch.end_of(upid)
        if end.error is ErrorKind.AMBIGUOUS:
            return _End(ending=Ending.UNKNOWN, error=end.error.value, message=end.message)
        if end.error is not None:
            return _End(ending=Ending.FAILED, error=end.error.value, message=end.message)
        missing = await arrive.absence(self._api, self._clock, flight.intended, upid)
        if missing is not None:
            kind = ErrorKind.TRANSIENT if missing.is_seen else ErrorKind.AMBIGUOUS
            return _End(
                ending=Ending.FAILED if missing.is_seen else Ending.UNKNOWN,
                error=kind.value,
                message=f"{WITHOUT_EFFECT} {missing.message}",
            )
        return _End(ending=Ending.SUCCEEDED, message=end.message)

    def _dispatched(self, intended: Intended, upid: Upid | None) -> Dispatched:
        return Dispatched(
            at=self._clock.now(), action=intended.action, attempt=intended.attempt, upid=upid
        )

    def _finished(self, intended: Intended, end: _End) -> Finished:
        return Finished(
            at=self._clock.now(),
            action=intended.action,
            attempt=intended.attempt,
            ending=end.ending,
            error=end.error,
            message=end.message,
        )

    async def _record_end(self, flight: _Flight, end: _End) -> Finished:
        finished = self._finished(flight.intended, end)
        await self._record(finished)
        return finished

    async def _record(self, record: JournalRecord) -> None:
        """Write ``record``, however long the disk is full: what it says has happened."""
        pause_s = JOURNAL_PAUSE_FIRST_S
        while not self._write(record):
            await self._clock.sleep(timedelta(seconds=pause_s))
            pause_s = min(pause_s * 2, JOURNAL_PAUSE_MAX_S)

    def _write(self, record: JournalRecord) -> bool:
        try:
            self._ledger.append(record)
        except PortError as error:
            self._trouble = str(error)
            log.error("journal not written", error=str(error))  # noqa: TRY400 - no bug of ours
            return False
        self._trouble = ""
        return True

    def _report(self, intended: Intended, finished: Finished) -> None:
        self._ends += 1
        self._last_end[intended.subject] = self._ends
        well = finished.ending in {Ending.SUCCEEDED, Ending.SUPERSEDED}
        kind = EventKind.ACTION_FINISHED if well else EventKind.ACTION_FAILED
        tell = log.info if well else log.error
        tell(
            "action finished",
            subject=intended.subject,
            verb=intended.verb.value,
            ending=finished.ending.value,
            error=finished.error,
            message=finished.message,
        )
        self._say(intended, kind, ending_text(intended, finished))
        self._on_end(intended, finished)

    def _say(self, intended: Intended, kind: EventKind, message: str) -> None:
        self._on_event(
            Event(
                at=self._clock.now(),
                cycle=intended.cycle,
                kind=kind,
                subject=intended.subject,
                message=message,
                action=intended.action,
            )
        )


def _ended_by(error: PortError) -> _End:
    ending = Ending.UNKNOWN if error.kind is ErrorKind.AMBIGUOUS else Ending.FAILED
    return _End(ending=ending, error=error.kind.value, message=str(error))


def _unsent(error: PortError, what: str = "") -> _End:
    return _End(ending=Ending.SUPERSEDED, error=error.kind.value, message=f"{what}{error}")


def _objected(objection: str) -> _End:
    """Return the end of what the guest is not as planned for: looked at again, and not at once.

    PVE's list of guests may be some ten seconds behind what a node says of one of them.
    """
    return _End(ending=Ending.SUPERSEDED, error=ErrorKind.CONFLICT.value, message=objection)


def _broken(flight: _Flight, error: Exception) -> _End:
    message = f"a bug in qlop: {type(error).__name__}: {error}"
    if flight.sent:
        return _End(ending=Ending.UNKNOWN, error=ErrorKind.AMBIGUOUS.value, message=message)
    return _End(ending=Ending.FAILED, error=ErrorKind.INVALID.value, message=message)
