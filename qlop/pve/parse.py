"""Read tasks, log lines, versions and permissions.

Pure: payload in, model out. Guests' configurations are read in ``parse_config``, the
lists of the cluster in ``parse_resources``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, StorageId, Upid, VmId
from qlop.model.observed import ObservedBackup, ObservedTask, Verification
from qlop.model.reading import Known, Unknown
from qlop.ports import Json
from qlop.pve.payload import Misread, Row, row_of, rows_of, text, whole
from qlop.pve.upid import find_upid, parse_upid, vmid_of

_LOGGED_GUEST = re.compile(r"\b(?:VM|CT) (\d{3,9})\b")
"""``update VM 101: …``, ``resize``, ``snapshot VM 450: s1`` (``log_msg`` in PVE/API2/Qemu.pm)."""

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """How a task stands; ``exit_status`` is PVE's text, empty while it runs."""

    running: bool
    exit_status: str

    @property
    def succeeded(self) -> bool:
        """Return whether it ended well; warnings are no failure (PVE/UPID.pm)."""
        return not self.running and is_success(self.exit_status)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line of the cluster's log. ``id`` is unique: a number and the node it is of."""

    id: str
    node: NodeName
    user: str
    message: str
    vmid: VmId | None
    """The guest that the line is about, None if none can be told."""
    starts_task: bool
    """The line only says that a task began: nothing has changed yet."""


def is_success(exit_status: str) -> bool:
    """Return whether a task's exit text means success (``upid_status_is_error``)."""
    return exit_status == "OK" or exit_status.startswith("WARNINGS: ")


def parse_dispatched(payload: Json) -> Upid | None:
    """Return the UPID that a mutation answered with, None if it was done at once."""
    if isinstance(payload, str) and parse_upid(payload) is not None:
        return Upid(payload)
    return None


def parse_task_status(payload: Json) -> Known[TaskStatus] | Unknown:
    """Return what ``GET …/tasks/{upid}/status`` shows."""
    try:
        row = row_of(payload, "task status")
        status, exit_status = text(row, "status"), text(row, "exitstatus")
    except Misread as error:
        return Unknown(f"task status not understood: {error}")
    if status not in {"running", "stopped"}:
        return Unknown(f"task status not understood: {status!r} is neither running nor stopped")
    running = status == "running"
    return Known(TaskStatus(running=running, exit_status="" if running else exit_status))


def parse_tasks(payload: Json) -> Known[tuple[ObservedTask, ...]] | Unknown:
    """Return a list of tasks, of the cluster or of a node, newest first.

    Entries whose UPID can't be read are left out: they are of no task of a guest.
    """
    try:
        found = [parse_task(row) for row in rows_of(payload, "tasks")]
    except Misread as error:
        return Unknown(f"tasks not understood: {error}")
    return Known(newest_first([task for task in found if task is not None]))


def newest_first(tasks: Iterable[ObservedTask]) -> tuple[ObservedTask, ...]:
    """Return tasks in the order of their start, the last one first."""
    return tuple(sorted(tasks, key=lambda task: (task.started_at, task.upid), reverse=True))


def parse_task(row: Row) -> ObservedTask | None:
    """Return a row of a list of tasks, None if its UPID can't be read.

    Raises:
        Misread: if a value is not a scalar.
    """
    upid = text(row, "upid")
    parts = parse_upid(upid)
    if parts is None:
        return None
    # A node's own list says RUNNING where the cluster's list says nothing (PVE/API2/Tasks.pm).
    status = text(row, "status")
    ended = row.get("endtime") is not None and status != "RUNNING"
    return ObservedTask(
        upid=Upid(upid),
        node=parts.node,
        verb=parts.verb,
        vmid=parts.vmid,
        user=parts.user,
        started_at=parts.started_at,
        exit_status=(status or "unexpected status") if ended else "",
        ended_at=_instant(row, "endtime") if ended else None,
    )


def _instant(row: Row, name: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(whole(row, name), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def parse_log(payload: Json) -> Known[tuple[LogEntry, ...]] | Unknown:
    """Return the cluster's log, in the order given."""
    try:
        return Known(tuple(parse_log_entry(row) for row in rows_of(payload, "cluster log")))
    except Misread as error:
        return Unknown(f"cluster log not understood: {error}")


def parse_log_entry(row: Row) -> LogEntry:
    """Return a line of the cluster's log.

    Raises:
        Misread: if a value is not a scalar.
    """
    message = text(row, "msg")
    about = _LOGGED_GUEST.search(message)
    task = find_upid(message) if about is None else None
    vmid = vmid_of(about[1]) if about is not None else task.vmid if task is not None else None
    return LogEntry(
        id=f"{row.get('id') or row.get('uid')}@{row.get('node')}/{row.get('time')}",
        node=NodeName(text(row, "node")),
        user=text(row, "user"),
        message=message,
        vmid=vmid,
        starts_task=message.startswith("starting task "),
    )


def parse_task_log(payload: Json) -> Known[tuple[str, ...]] | Unknown:
    """Return the lines of a task's log, by line number."""
    try:
        rows = rows_of(payload, "task log")
        lines = sorted((whole(row, "n"), text(row, "t")) for row in rows)
    except Misread as error:
        return Unknown(f"task log not understood: {error}")
    return Known(tuple(line for _, line in lines))


def parse_version(payload: Json) -> Known[tuple[int, int, int]] | Unknown:
    """Return the version that ``GET /version`` tells, patch level 0 if there is none."""
    try:
        written = text(row_of(payload, "version"), "version")
    except Misread as error:
        return Unknown(f"version not understood: {error}")
    found = _VERSION.match(written)
    if found is None:
        return Unknown(f"version not understood: {written!r}")
    return Known((int(found[1]), int(found[2]), int(found[3] or 0)))


def parse_permissions(payload: Json) -> Known[Mapping[str, frozenset[str]]] | Unknown:
    """Return the privileges that the caller has, by path, from ``GET /access/permissions``."""
    try:
        rows = row_of(payload, "permissions")
        return Known(
            {
                path: frozenset(
                    name for name, given in row_of(row, path).items() if given is not None
                )
                for path, row in rows.items()
            }
        )
    except Misread as error:
        return Unknown(f"permissions not understood: {error}")


def parse_backups(
    payload: Json, node: NodeName, storage: StorageId, *, verifies: bool
) -> Known[tuple[ObservedBackup, ...]] | Unknown:
    """Return the backups in a storage's content list, as ``node`` sees it.

    ``verifies``: the storage is one that verifies backups (a Proxmox Backup Server), so
    that one without a state is yet to be verified. What says neither when it was begun
    nor of which kind of guest it is proves nothing, and is left out.
    """
    try:
        rows = rows_of(payload, "content")
        found = [_backup(row, node, storage, verifies=verifies) for row in rows]
    except Misread as error:
        return Unknown(f"storage content not understood: {error}")
    return Known(tuple(one for one in found if one is not None))


_SUBTYPES = {"qemu": GuestKind.VM, "lxc": GuestKind.CONTAINER}


def _backup(
    row: Row, node: NodeName, storage: StorageId, *, verifies: bool
) -> ObservedBackup | None:
    kind, begun = _SUBTYPES.get(text(row, "subtype")), whole(row, "ctime")
    if kind is None or begun <= 0 or text(row, "content", "backup") != "backup":
        return None
    verification = Verification.PENDING if verifies else Verification.NOT_OFFERED
    if row.get("verification") is not None:
        state = text(row_of(row["verification"], "verification"), "state")
        verification = Verification.GOOD if state == "ok" else Verification.FAILED
    return ObservedBackup(
        volume=text(row, "volid"),
        storage=storage,
        node=node,
        kind=kind,
        taken_at=datetime.fromtimestamp(begun, tz=UTC),
        verification=verification,
    )


def parse_volumes(payload: Json) -> Known[frozenset[str]] | Unknown:
    """Return the volume ids of a storage's content list."""
    try:
        return Known(frozenset(text(row, "volid") for row in rows_of(payload, "content")))
    except Misread as error:
        return Unknown(f"storage content not understood: {error}")
