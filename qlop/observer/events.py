"""Notice what happened since the last observation: tasks, log lines, file versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qlop.model.ids import VmId
from qlop.model.observed import ObservedTask
from qlop.model.reading import Known, Unknown
from qlop.observer.collect import Listings
from qlop.ports import Json
from qlop.pve import calls, parse, vmlist
from qlop.pve.payload import Misread, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened: whose file ``changed``, whose task ``ended``.

    ``missed``: something may have happened that can't be seen any more.
    """

    changed: frozenset[VmId]
    ended: frozenset[VmId]
    missed: bool
    gaps: tuple[str, ...]


@dataclass(slots=True)
class TaskMemory:
    """The tasks of the last listing, so that a task that ended is noticed once."""

    known: dict[tuple[Json, Json], ObservedTask | None] | None = None
    tasks: tuple[ObservedTask, ...] = ()

    def take(self, rows: list[dict[str, Json]]) -> set[VmId]:
        """Take a listing in; return the guests whose tasks have ended since the last one."""
        before = self.known
        after: dict[tuple[Json, Json], ObservedTask | None] = {}
        fresh: list[ObservedTask] = []
        for row in rows:
            key = (row.get("upid"), row.get("status"))
            if before is not None and key in before:
                after[key] = before[key]
            else:
                after[key] = task = parse.parse_task(row)
                if task is not None:
                    fresh.append(task)
        if before is None or fresh or len(after) != len(before):
            found = [task for task in after.values() if task is not None]
            self.tasks = parse.newest_first(found)
        self.known = after
        if before is None:
            return set()
        return {task.vmid for task in fresh if task.exit_status and task.vmid is not None}


@dataclass(slots=True)
class LogMemory:
    """The lines of the log that were there before."""

    known: frozenset[tuple[Json, ...]] | None = None

    def take(self, rows: list[dict[str, Json]], lines_max: int) -> set[VmId] | None:
        """Take the log in; return the guests that new lines are about.

        None means that lines may have been missed: nothing of the last time is there.
        """
        before = self.known
        keyed = [((row.get("uid"), row.get("node"), row.get("time")), row) for row in rows]
        self.known = frozenset(key for key, _ in keyed)
        if before is None:
            return set()
        if before and len(rows) >= lines_max and not before & self.known:
            return None
        return {
            entry.vmid
            for key, row in keyed
            if key not in before
            for entry in (parse.parse_log_entry(row),)
            if entry.vmid is not None and not entry.starts_task
        }


@dataclass(slots=True)
class VersionMemory:
    """The versions of the guests' files, as one process counted them."""

    instance: str = ""
    version: int = -1
    versions: Mapping[VmId, int] = field(default_factory=dict)

    def is_same_process(self, instance: str) -> bool:
        """Return whether its counters can be compared with those kept."""
        return self.instance == instance

    def take(self, instance: str, version: int, versions: Mapping[VmId, int]) -> set[VmId]:
        """Take a list in; return the guests whose files changed, were it the same process."""
        before = self.versions
        self.instance, self.version, self.versions = instance, version, versions
        return {vmid for vmid, number in versions.items() if before.get(vmid) != number}


@dataclass(slots=True)
class Events:
    """Everything that tells of changes, and what it told the last time."""

    tasks: TaskMemory = field(default_factory=TaskMemory)
    log: LogMemory = field(default_factory=LogMemory)
    files: VersionMemory = field(default_factory=VersionMemory)

    def take(self, listings: Listings) -> News:
        """Take the listings of one observation in; return what is new in them."""
        gaps: list[str] = []
        ended = self._take_tasks(listings.tasks, gaps)
        logged = self._take_log(listings.log, gaps)
        written = self._take_files(listings.vmlist, gaps)
        return News(
            changed=frozenset((logged or set()) | (written or set())),
            ended=frozenset(ended),
            missed=logged is None or written is None,
            gaps=tuple(gaps),
        )

    def _take_tasks(self, reading: Known[Json] | Unknown, gaps: list[str]) -> set[VmId]:
        try:
            if isinstance(reading, Known):
                return self.tasks.take(rows_of(reading.value, "tasks"))
            gaps.append(f"tasks could not be read: {reading.reason}")
        except Misread as error:
            gaps.append(f"tasks not understood: {error}")
        self.tasks.tasks = ()
        return set()

    def _take_log(self, reading: Known[Json] | Unknown, gaps: list[str]) -> set[VmId] | None:
        try:
            if isinstance(reading, Known):
                return self.log.take(rows_of(reading.value, "cluster log"), calls.LOG_LINES)
            gaps.append(f"the cluster's log could not be read: {reading.reason}")
        except Misread as error:
            gaps.append(f"cluster log not understood: {error}")
        return set()

    def _take_files(
        self, reading: Known[str] | Unknown | None, gaps: list[str]
    ) -> set[VmId] | None:
        if reading is None:
            return set()
        head = vmlist.parse_head(reading.value) if isinstance(reading, Known) else reading
        if isinstance(head, Unknown):
            gaps.append(f"the versions of the guests' files are not known: {head.reason}")
            return set()
        known = self.files.is_same_process(head.value.instance)
        if known and head.value.version == self.files.version:
            return set()
        versions = vmlist.parse_versions(head.value.rest)
        if isinstance(versions, Unknown):
            gaps.append(versions.reason)
            return set()
        written = self.files.take(head.value.instance, head.value.version, versions.value)
        return written if known else None
