"""Tasks, log lines and versions."""

from datetime import UTC, datetime

import pytest

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, StorageId, Upid, VmId
from qlop.model.observed import ObservedTask, Verification
from qlop.model.reading import Known, Unknown
from qlop.ports import Json
from qlop.pve import parse
from qlop.pve.parse import TaskStatus
from qlop.pve.upid import find_upid, format_upid, parse_upid, vmid_of
from qlop.pve.versions import remark_on
from tests.pve.fixture import known, payload

PVE1, NAS = NodeName("pve1"), StorageId("nas")
DESTROY = "UPID:pve1:00004A9A:000454E4:6B04FDD9:vzdestroy:202:root@pam!test:"


def test_a_upid_taken_apart_and_put_together() -> None:
    parts = parse_upid(DESTROY)

    assert parts is not None
    assert (parts.node, parts.pid, parts.verb, parts.vmid, parts.user) == (
        "pve1", 0x4A9A, "vzdestroy", 202, "root@pam!test",
    )  # fmt: skip
    assert parts.started_at == datetime.fromtimestamp(1795489241, tz=UTC)
    assert format_upid(parts) == DESTROY


@pytest.mark.parametrize("text", ["", "UPID:x", DESTROY[:-1], "UPID:-a:0:0:0:t:i:u:"])
def test_what_is_no_upid(text: str) -> None:
    assert parse_upid(text) is None


def test_a_upid_in_a_line_of_text() -> None:
    found = find_upid(f"end task {DESTROY} OK")

    assert found == parse_upid(DESTROY)
    assert find_upid("nothing here") is None


@pytest.mark.parametrize(
    ("text", "vmid"),
    [("100", 100), ("999999999", 999999999), ("99", None), ("0100", None), ("local", None)],
)
def test_a_vmid_is_a_number_from_100(text: str, vmid: int | None) -> None:
    assert vmid_of(text) == vmid


BACKUP: dict[str, Json] = {
    "volid": "nas:backup/vzdump-qemu-110-2026_11_24-05_00_00.vma.zst",
    "content": "backup",
    "subtype": "qemu",
    "ctime": 1795496400,
    "vmid": 110,
    "size": 4096,
}


@pytest.mark.parametrize(
    ("more", "verifies", "found"),
    [
        pytest.param({}, False, Verification.NOT_OFFERED, id="a-file"),
        pytest.param({}, True, Verification.PENDING, id="not-verified-yet"),
        pytest.param({"verification": {"state": "ok"}}, True, Verification.GOOD, id="verified"),
        pytest.param(
            {"verification": {"state": "failed"}}, True, Verification.FAILED, id="damaged"
        ),
        pytest.param(
            {"verification": {"state": "failed"}}, False, Verification.FAILED, id="whatever-it-is"
        ),
    ],
)
def test_backups(more: dict[str, Json], *, verifies: bool, found: Verification) -> None:
    row: dict[str, Json] = {**BACKUP, **more}

    (backup,) = known(parse.parse_backups([row], PVE1, NAS, verifies=verifies))

    assert backup.volume == BACKUP["volid"]
    assert (backup.kind, backup.node, backup.storage) == (GuestKind.VM, PVE1, NAS)
    assert backup.taken_at == datetime.fromtimestamp(1795496400, tz=UTC)
    assert backup.verification is found


@pytest.mark.parametrize("lacking", [{"subtype": "x"}, {"ctime": None}, {"content": "iso"}])
def test_what_does_not_say_what_it_is_proves_nothing(lacking: dict[str, Json]) -> None:
    rows: Json = [{**BACKUP, **lacking}]

    assert known(parse.parse_backups(rows, PVE1, NAS, verifies=False)) == ()


@pytest.mark.parametrize("payload", [None, {}, [1], [{**BACKUP, "verification": "ok"}]])
def test_backups_not_understood_are_unknown(payload: Json) -> None:
    assert isinstance(parse.parse_backups(payload, PVE1, NAS, verifies=True), Unknown)


def test_tasks_newest_first() -> None:
    tasks = known(parse.parse_tasks(payload("tasks")))

    assert tasks == (
        ObservedTask(
            upid=Upid(DESTROY),
            node=NodeName("pve1"),
            verb="vzdestroy",
            vmid=VmId(202),
            user="root@pam!test",
            started_at=datetime.fromtimestamp(1795489241, tz=UTC),
            exit_status="OK",
            ended_at=datetime.fromtimestamp(1795489241, tz=UTC),
        ),
        ObservedTask(
            upid=Upid("UPID:pve1:00004A94:000454BD:6B04FDD9:vzdestroy:201:root@pam!test:"),
            node=NodeName("pve1"),
            verb="vzdestroy",
            vmid=VmId(201),
            user="root@pam!test",
            started_at=datetime.fromtimestamp(1795489241, tz=UTC),
            exit_status="OK",
            ended_at=datetime.fromtimestamp(1795489241, tz=UTC),
        ),
    )


@pytest.mark.parametrize(
    ("row", "exit_status"),
    [
        pytest.param({}, "", id="running-in-the-cluster-list"),
        pytest.param({"status": "RUNNING"}, "", id="running-in-a-node-list"),
        pytest.param({"endtime": 5, "status": "boom"}, "boom", id="failed"),
        pytest.param({"endtime": 5}, "unexpected status", id="ended-without-a-word"),
    ],
)
def test_the_exit_text_of_a_task(row: dict[str, Json], exit_status: str) -> None:
    (task,) = known(parse.parse_tasks([{"upid": DESTROY, **row}]))

    assert task.exit_status == exit_status


def test_an_entry_without_a_upid_is_of_no_guest() -> None:
    assert parse.parse_tasks([{"upid": "x"}]) == Known(())


def test_tasks_that_are_not_understood() -> None:
    assert parse.parse_tasks([7]) == Unknown(
        "tasks not understood: tasks: expected objects, got 7"
    )


@pytest.mark.parametrize(
    ("name", "status", "succeeded"),
    [
        ("task-status-running", TaskStatus(running=True, exit_status=""), False),
        ("task-status-warnings", TaskStatus(running=False, exit_status="WARNINGS: 2"), True),
        (
            "task-status-failed",
            TaskStatus(
                running=False,
                exit_status=(
                    "unable to create VM 110 - volume 'local:999/vm-999-disk-0.raw' does not exist"
                ),
            ),
            False,
        ),
    ],
)
def test_task_status(name: str, status: TaskStatus, *, succeeded: bool) -> None:
    read = known(parse.parse_task_status(payload(name)))

    assert (read, read.succeeded) == (status, succeeded)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "task status: expected an object, got null"),
        ({"status": "x"}, "'x' is neither running nor stopped"),
    ],
)
def test_a_task_status_that_is_not_understood(answer: Json, reason: str) -> None:
    assert parse.parse_task_status(answer) == Unknown(f"task status not understood: {reason}")


def test_log_lines_say_which_guest_they_are_about() -> None:
    log = known(parse.parse_log(payload("log")))

    assert [(line.message[:18], line.vmid, line.starts_task) for line in log] == [
        ("update VM 450: -de", 450, False),
        ("update VM 450: -me", 450, False),
        ("end task UPID:cl1:", 450, False),
        ("starting task UPID", 450, True),
        ("end task UPID:cl1:", 450, False),
        ("starting task UPID", 450, True),
        ("end task UPID:cl2:", 400, False),
        ("end task UPID:cl1:", 450, False),
    ]
    assert len({line.id for line in log}) == len(log)


def test_a_log_line_about_no_guest() -> None:
    (line,) = known(parse.parse_log([{"uid": "1", "node": "a", "msg": "starting cluster log"}]))

    assert (line.vmid, line.id) == (None, "1@a/None")


def test_a_log_that_is_not_understood() -> None:
    assert isinstance(parse.parse_log({"x": 1}), Unknown)


def test_task_log() -> None:
    assert known(parse.parse_task_log(payload("task-log")))[-1] == "TASK OK"
    assert isinstance(parse.parse_task_log([{"n": "x"}]), Unknown)


@pytest.mark.parametrize(
    ("answer", "reading"),
    [
        (payload("version"), Known((9, 1, 5))),
        ({"version": "8.2"}, Known((8, 2, 0))),
        ({"version": "new"}, Unknown("version not understood: 'new'")),
        (None, Unknown("version not understood: version: expected an object, got null")),
    ],
)
def test_version(answer: Json, reading: object) -> None:
    assert parse.parse_version(answer) == reading


@pytest.mark.parametrize(
    ("version", "remark"),
    [
        ((8, 1, 3), "PVE 8.1 is older than 8.2, the oldest that qlop knows"),
        ((8, 2, 0), ""),
        ((9, 2, 11), ""),
        ((9, 3, 0), "PVE 9.3 is newer than 9.2, the newest that qlop was checked with"),
        ((10, 0, 1), "PVE 10.0 is newer than 9.2, the newest that qlop knows"),
    ],
)
def test_a_version_that_is_not_known_is_remarked_on(
    version: tuple[int, int, int], remark: str
) -> None:
    assert remark_on(version).partition(":")[0] == remark


def test_permissions() -> None:
    given = known(parse.parse_permissions(payload("permissions")))

    assert given["/access"] == {
        "Datastore.Allocate",
        "Datastore.AllocateSpace",
        "Datastore.AllocateTemplate",
        "Datastore.Audit",
    }
    assert isinstance(parse.parse_permissions({"/": 1}), Unknown)


def test_volumes() -> None:
    assert known(parse.parse_volumes(payload("content"))) == {
        "local:100/vm-100-disk-0.raw",
        "local:101/vm-101-disk-0.qcow2",
    }
    assert isinstance(parse.parse_volumes(None), Unknown)


@pytest.mark.parametrize(
    ("answer", "upid"), [(DESTROY, DESTROY), (None, None), ("done", None), (7, None)]
)
def test_what_a_mutation_answered(answer: Json, upid: str | None) -> None:
    assert parse.parse_dispatched(answer) == upid
