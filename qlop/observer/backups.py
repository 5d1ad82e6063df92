"""Read which backups there are of guests that are to be destroyed, and of no others."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime

from qlop.model.ids import VmId
from qlop.model.node import ObservedStorage
from qlop.model.observed import ObservedBackup
from qlop.model.reading import Known, Reading, Unknown
from qlop.observer import collect
from qlop.observer.assemble import Overview
from qlop.observer.options import ObserverOptions
from qlop.ports import PveApi
from qlop.pve import calls, parse

VERIFYING = frozenset({"pbs"})
"""Storage types that verify backups; of the others PVE only knows that the file is there."""

TIMEOUT_S = 30.0
"""pveproxy itself gives up on another node after 30 s."""

UNANSWERED = Unknown("the storages did not list them in time; they are asked again later")

Backups = Reading[tuple[ObservedBackup, ...]]


class BackupReader:
    """Keeps the lists of backups that somebody asks for; without a question it asks nobody."""

    def __init__(self, api: PveApi, options: ObserverOptions) -> None:
        """Read through ``api``, as often as ``options`` say."""
        self._api = api
        self._options = options
        self._readings: dict[VmId, Backups] = {}
        self._read_at: dict[VmId, datetime] = {}
        self._shown: Mapping[VmId, Backups] = {}

    @property
    def readings(self) -> Mapping[VmId, Backups]:
        """Return what is known, by guest; the same mapping until something is read."""
        return self._shown

    def note_ended(self, vmid: VmId) -> None:
        """Note that a task of a guest has ended: it may have been a backup."""
        self._read_at.pop(vmid, None)

    async def read_due(self, now: datetime, wanted: frozenset[VmId], overview: Overview) -> None:
        """Read the backups of those wanted whose list is old, and forget the others."""
        if not wanted and not self._readings:
            return
        for vmid in self._readings.keys() - wanted:
            del self._readings[vmid]
            self._read_at.pop(vmid, None)
        period = self._options.backup_period
        due = [
            vmid
            for vmid in sorted(wanted)
            if vmid not in self._read_at or now - self._read_at[vmid] >= period
        ]
        stores = list(_stores(overview))
        limit = asyncio.Semaphore(self._options.concurrency)

        async def read(vmid: VmId) -> None:
            async with limit:
                self._read_at[vmid] = now
                self._readings[vmid] = await self._read(vmid, stores)

        for vmid in due:
            self._readings[vmid] = UNANSWERED
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.reading_time.total_seconds()):
                async with asyncio.TaskGroup() as group:
                    for vmid in due:
                        group.create_task(read(vmid))
        self._shown = dict(self._readings)

    async def _read(self, vmid: VmId, stores: list[ObservedStorage]) -> Backups:
        """Return a guest's backups. What one storage shows counts, whatever others don't."""
        found: list[ObservedBackup] = []
        gaps: list[str] = []
        for store in stores:
            call = calls.guest_backups(store.node, store.storage, vmid)
            answer = await collect.read(self._api, call, TIMEOUT_S)
            reading = (
                parse.parse_backups(
                    answer.value, store.node, store.storage, verifies=store.plugin in VERIFYING
                )
                if isinstance(answer, Known)
                else answer
            )
            if isinstance(reading, Unknown):
                gaps.append(reading.reason)
            else:
                found += reading.value
        if gaps and not found:
            return Unknown("; ".join(gaps))
        return Known(tuple(sorted(found, key=lambda one: (one.taken_at, one.volume, one.node))))


def _stores(overview: Overview) -> Iterator[ObservedStorage]:
    """Yield each storage that keeps backups, a shared one as seen by one node only."""
    told: set[str] = set()
    for _, store in sorted(overview.storages.items()):
        node = overview.nodes.get(store.node)
        if node is None or not node.online or not store.active or "backup" not in store.content:
            continue
        if store.shared and store.storage in told:
            continue
        told.add(store.storage)
        yield store
