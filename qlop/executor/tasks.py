"""Follow a PVE task to its end, however long it takes to get an answer about it."""

import re
from dataclasses import dataclass
from datetime import timedelta

import structlog

from qlop.model.ids import NodeName, Upid
from qlop.model.reading import Known, Unknown
from qlop.ports import Clock, ErrorKind, Json, Method, PortError, PveApi, PveCall, port_error
from qlop.pve import calls
from qlop.pve.parse import is_success, parse_task_log, parse_task_status
from qlop.pve.upid import parse_upid

POLL_FIRST_S = 0.1
"""Most starts and configuration tasks are over within a second."""

POLL_SHARE = 0.05
"""A task is asked about again after this share of its age: it is noticed at most 5 % late."""

POLL_MAX_S = 2.0

POLL_SPACING_S = 0.03
"""With n tasks under way each waits at least n times this between two questions: all of
them together ask some 33 times a second, a tenth of what one node answers."""

SILENCE_PAUSE_MAX_S = 10.0
"""How seldom a node that does not answer is asked."""

LOG_LINES = 500
LOG_TAIL = 3
LOG_TAIL_CHARS = 600

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """How a task ended: ``error`` is None if it succeeded; ``message`` is for people."""

    error: ErrorKind | None
    message: str = ""


class TaskWatch:
    """All the tasks that are waited for, sharing one budget of questions."""

    def __init__(self, api: PveApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._watched = 0

    async def end_of(self, upid: Upid) -> TaskEnd:
        """Return how the task ended, waiting for it without any deadline.

        A question that gets no answer says nothing about the task: it goes on being
        asked. ``AMBIGUOUS`` means that its node no longer knows of it.
        """
        parts = parse_upid(upid)
        if parts is None:
            return TaskEnd(error=ErrorKind.AMBIGUOUS, message=f"{upid!r:.80} is no UPID")
        self._watched += 1
        try:
            return await self._end_of(parts.node, upid)
        finally:
            self._watched -= 1

    async def _end_of(self, node: NodeName, upid: Upid) -> TaskEnd:
        waited_s = 0.0
        silent_s = 0.0
        while True:
            pause_s = self._pause_s(waited_s, silent_s)
            await self._clock.sleep(timedelta(seconds=pause_s))
            waited_s += pause_s
            try:
                exit_status = _exit_status(await self._api.call(calls.task_status(node, upid)))
            except PortError as error:
                if "no such task" in str(error):
                    return TaskEnd(
                        error=ErrorKind.AMBIGUOUS, message=f"{node} no longer knows task {upid}"
                    )
                if not silent_s:
                    log.warning(
                        "task can't be asked about", upid=upid, node=node, error=str(error)
                    )
                silent_s += pause_s
                continue
            if silent_s:
                log.info("task can be asked about again", upid=upid, node=node)
                silent_s = 0.0
            if exit_status is not None:
                return await self._judged(node, upid, exit_status)

    def _pause_s(self, waited_s: float, silent_s: float) -> float:
        if silent_s:
            return min(max(POLL_FIRST_S, silent_s), SILENCE_PAUSE_MAX_S)
        share_s = min(max(POLL_FIRST_S, waited_s * POLL_SHARE), POLL_MAX_S)
        return max(share_s, self._watched * POLL_SPACING_S)

    async def _judged(self, node: NodeName, upid: Upid, exit_status: str) -> TaskEnd:
        if exit_status == "OK":
            return TaskEnd(error=None)
        lines = await self._log_of(node, upid)
        if is_success(exit_status):
            warnings = [line for line in lines if line.lower().startswith("warn")]
            return TaskEnd(error=None, message=_shortened([exit_status, *warnings[-LOG_TAIL:]]))
        said = [line for line in lines if not line.startswith("TASK ERROR")]
        said = [line for line in said if _COMPLAINS(line) and exit_status not in line] or said
        kind = port_error(_AS_IF_AT_ONCE, status=500, reason=exit_status).kind
        return TaskEnd(error=kind, message=_shortened([exit_status, *said[-LOG_TAIL:]]))

    async def _log_of(self, node: NodeName, upid: Upid) -> list[str]:
        """Return the task's log, empty if it can't be had: it is only for people."""
        try:
            answer = await self._api.call(calls.task_log(node, upid, limit=LOG_LINES))
        except PortError:
            return []
        reading = parse_task_log(answer)
        lines = reading.value if isinstance(reading, Known) else ()
        return [line.strip() for line in lines if line.strip()]


_COMPLAINS = re.compile(
    r"can't|cannot|could not|unable|failed|error|refused|denied|no space|no such|timeout"
    r"|not found|does not exist",
    re.IGNORECASE,
).search
"""What went wrong is said in the middle of a long log: a migration's ends with cleaning up."""

_AS_IF_AT_ONCE = PveCall(method=Method.POST, route="/task")
"""A task's exit status has the words of the error that a synchronous call would give."""


def _exit_status(answer: Json) -> str | None:
    """Return the exit status, None while the task runs.

    Raises:
        PortError: if the answer is of another form.
    """
    reading = parse_task_status(answer)
    if isinstance(reading, Unknown):
        raise PortError(ErrorKind.INVALID, reading.reason)
    return None if reading.value.running else reading.value.exit_status


def _shortened(lines: list[str]) -> str:
    """Return the lines as one text, cut at the front of its tail if it is too long."""
    head, *tail = lines
    if not tail:
        return head
    text = " | ".join(tail)
    if len(text) > LOG_TAIL_CHARS:
        text = "…" + text[-LOG_TAIL_CHARS:]
    return f"{head} (log: {text})"
