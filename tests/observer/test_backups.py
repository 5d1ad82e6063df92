"""Backups are asked for only of guests that are to be destroyed, and not over and over."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, StorageId, VmId
from qlop.model.node import ObservedNode, ObservedStorage
from qlop.model.observed import Verification
from qlop.model.reading import Known, Unknown
from qlop.observer.assemble import Overview
from qlop.observer.backups import BackupReader
from qlop.observer.options import ObserverOptions
from qlop.ports import ErrorKind, Json, PortError, PveCall

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
WEB, DB = VmId(110), VmId(111)
BOTH = frozenset({WEB, DB})
CTIME = 1795496400


def store(storage: str, node: str, **more: object) -> ObservedStorage:
    fields: dict[str, object] = {
        "storage": StorageId(storage),
        "node": NodeName(node),
        "shared": True,
        "active": True,
        "content": frozenset({"backup"}),
        "plugin": "nfs",
    }
    return ObservedStorage(**(fields | more))  # type: ignore[arg-type]  # fields


def overview(*stores: ObservedStorage, offline: str = "") -> Overview:
    return Overview(
        quorate=Known(True),
        consistent=True,
        nodes={
            NodeName(name): ObservedNode(name=NodeName(name), online=name != offline)
            for name in ("pve1", "pve2")
        },
        storages={(one.storage, one.node): one for one in stores},
        gaps=(),
    )


@dataclass(slots=True)
class Shelves:
    """Storages that list one backup of every guest, but for those that don't answer."""

    asked: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    empty: bool = False

    async def call(self, call: PveCall) -> Json:
        self.asked.append(f"{call.at['storage']}@{call.at['node']} {call.params['vmid']}")
        assert call.params["content"] == "backup"
        if call.at["storage"] in self.silent:
            raise PortError(ErrorKind.TRANSIENT, "no answer")
        if self.empty:
            return []
        volume = f"{call.at['storage']}:backup/x"
        return [{"volid": volume, "content": "backup", "subtype": "qemu", "ctime": CTIME}]


NAS = overview(store("nas", "pve1"), store("nas", "pve2"))


def reader(shelves: Shelves) -> BackupReader:
    return BackupReader(shelves, ObserverOptions())


async def test_nobody_is_asked_about_guests_that_stay() -> None:
    shelves = Shelves()
    backups = reader(shelves)

    await backups.read_due(NOW, frozenset(), NAS)

    assert (shelves.asked, backups.readings) == ([], {})


async def test_a_shared_storage_is_asked_once_and_a_local_one_on_each_node() -> None:
    shelves = Shelves()
    local = [store("local", node, shared=False) for node in ("pve1", "pve2")]

    await reader(shelves).read_due(NOW, frozenset({WEB}), overview(*local, *NAS.storages.values()))

    assert sorted(shelves.asked) == ["local@pve1 110", "local@pve2 110", "nas@pve1 110"]


async def test_what_can_not_hold_a_backup_or_be_reached_is_not_asked() -> None:
    shelves = Shelves()
    seen = overview(
        store("vms", "pve1", content=frozenset({"images"})),
        store("off", "pve1", active=False),
        store("far", "pve2"),
        offline="pve2",
    )

    await reader(shelves).read_due(NOW, frozenset({WEB}), seen)

    assert shelves.asked == []


async def test_a_list_is_read_again_when_it_is_old() -> None:
    shelves = Shelves()
    backups = reader(shelves)
    for minutes in (0, 1, 9, 10, 11):
        await backups.read_due(NOW + timedelta(minutes=minutes), BOTH, NAS)

    assert shelves.asked == ["nas@pve1 110", "nas@pve1 111"] * 2


async def test_a_task_of_the_guest_makes_its_list_old_at_once() -> None:
    shelves = Shelves()
    backups = reader(shelves)
    await backups.read_due(NOW, BOTH, NAS)
    backups.note_ended(DB)
    await backups.read_due(NOW + timedelta(seconds=15), BOTH, NAS)

    assert shelves.asked == ["nas@pve1 110", "nas@pve1 111", "nas@pve1 111"]


async def test_what_is_found_says_what_it_is() -> None:
    backups = reader(Shelves())
    seen = overview(store("pbs", "pve1", plugin="pbs"), store("nas", "pve1"))

    await backups.read_due(NOW, frozenset({WEB}), seen)

    found = backups.readings[WEB]
    assert isinstance(found, Known)
    assert {one.storage: one.verification for one in found.value} == {
        "pbs": Verification.PENDING,
        "nas": Verification.NOT_OFFERED,
    }
    assert {(one.kind, one.node, one.taken_at.timestamp()) for one in found.value} == {
        (GuestKind.VM, "pve1", CTIME)
    }


async def test_what_one_storage_shows_counts_whatever_another_does_not() -> None:
    backups = reader(Shelves(silent={"pbs"}))

    await backups.read_due(NOW, frozenset({WEB}), overview(store("pbs", "pve1"), *NAS.storages.values()))  # fmt: skip

    found = backups.readings[WEB]
    assert isinstance(found, Known)
    assert [one.storage for one in found.value] == ["nas"]


async def test_that_nothing_was_found_is_known_only_if_all_have_answered() -> None:
    both = overview(store("pbs", "pve1"), *NAS.storages.values())
    for silent, kind in ((set[str](), Known), ({"pbs"}, Unknown)):
        backups = reader(Shelves(silent=silent, empty=True))

        await backups.read_due(NOW, frozenset({WEB}), both)

        assert isinstance(backups.readings[WEB], kind)


async def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    backups = reader(Shelves())
    await backups.read_due(NOW, BOTH, NAS)
    await backups.read_due(NOW, frozenset({DB}), NAS)

    assert set(backups.readings) == {DB}
