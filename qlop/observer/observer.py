"""Observe the cluster: a fixed number of calls, and the configurations that changed.

An idle cycle makes four calls, however many guests there are. A configuration is read
when something says that it changed: the guest's row, a task that ended, a line of the
log, the list of file versions (with an SSH key), or the executor (``touch``). ``audit``,
which runs beside the cycles, reads them all again slowly, because some changes leave no
trace (a container's configuration written by the API, any file edited by hand).
"""

from datetime import datetime, timedelta
from typing import NoReturn

from qlop.model.ids import VmId
from qlop.model.observed import Observed
from qlop.model.reading import Known, Unknown
from qlop.observer import assemble, collect
from qlop.observer.assemble import Overview
from qlop.observer.backups import BackupReader
from qlop.observer.collect import Listings
from qlop.observer.events import Events
from qlop.observer.options import Interest, ObserverOptions
from qlop.observer.reader import GuestReader
from qlop.ports import Clock, Json, PveApi, RemoteShell
from qlop.pve import calls, parse, parse_resources, versions
from qlop.pve.parse_resources import ClusterStatus
from qlop.pve.payload import Misread, rows_of

__all__ = ["Interest", "Observer", "ObserverOptions"]

_UNLISTED_PAUSE = timedelta(seconds=1)
"""Until the first listing: a pause of a whole period would put the first round off by it."""


class Observer:
    """The eyes of the daemon; remembers what was seen, so as to read only what changed."""

    def __init__(
        self,
        api: PveApi,
        clock: Clock,
        *,
        shell: RemoteShell | None = None,
        options: ObserverOptions | None = None,
    ) -> None:
        """Observe through ``api``; with ``shell``, see every configuration change exactly."""
        self._api = api
        self._clock = clock
        self._shell = shell
        self._options = options or ObserverOptions()
        self._reader = GuestReader(api, self._options)
        self._events = Events()
        self._backups = BackupReader(api, self._options)
        self._blind_spot = ""
        self._privileges_due: datetime | None = None
        self._remark = ""

    @property
    def remark(self) -> str:
        """Return what a person should know about the version of PVE, empty if nothing."""
        return self._remark

    def touch(self, vmid: VmId) -> None:
        """Read this guest afresh, power included, in the next observation."""
        self._reader.touch(vmid)

    async def observe(self, interest: Interest) -> Observed:
        """Return what the cluster shows now; what could not be read is ``Unknown`` in it."""
        if self._privileges_due is None:
            await self._read_privileges()
        now = self._clock.now()
        listings = await collect.listings(self._api, self._shell)
        gaps: list[str] = []
        rows = _rows(listings, gaps)
        others = self._reader.memory.take(rows) if rows is not None else None
        overview = assemble.overview(others, _status(listings))
        gaps += [*overview.gaps, *self._reader.memory.gaps]
        if rows is not None:
            self._reader.take_offline(overview.offline)
            self._take_events(listings, gaps)
            gaps += await self._reader.read_due(now, interest)
            await self._backups.read_due(now, interest.backups_of, overview)
        if self._blind_spot:
            gaps.append(self._blind_spot)
        return self._observed(now, overview, gaps, listed=rows is not None)

    async def close(self) -> None:
        """Break off what is still being read."""
        await self._reader.close()

    async def audit(self) -> NoReturn:
        """Read all configurations again, forever, the one read longest ago first."""
        while True:
            await self._clock.sleep(self._audit_pause())
            if self._privileges_due is not None and self._privileges_due <= self._clock.now():
                await self._read_privileges()
            seen = self._reader.stalest()
            if seen is not None:
                await self._reader.read_config(seen)

    def _take_events(self, listings: Listings, gaps: list[str]) -> None:
        news = self._events.take(listings)
        gaps += news.gaps
        for vmid in news.changed:
            self._reader.memory.mark_due(vmid)
        for vmid in news.ended:
            self._reader.note_ended(vmid)
            self._backups.note_ended(vmid)
        if news.missed:
            self._reader.suspect_all()

    def _observed(
        self, now: datetime, overview: Overview, gaps: list[str], *, listed: bool
    ) -> Observed:
        complete = (
            listed
            and overview.quorate == Known(value=True)
            and overview.consistent
            and not self._reader.memory.gaps
            and not self._blind_spot
        )
        return Observed(
            taken_at=now,
            quorate=overview.quorate,
            complete=complete,
            nodes=overview.nodes,
            guests=self._reader.renew() if listed else {},
            storages=overview.storages,
            tasks=self._events.tasks.tasks,
            gaps=tuple(gaps),
            backups=self._backups.readings if listed else {},
        )

    def _audit_pause(self) -> timedelta:
        """Return how long to wait so that every guest has its turn once in a period."""
        if self._reader.has_suspects:
            return self._options.audit_pause
        if not self._reader.memory.guests:
            return _UNLISTED_PAUSE
        period = self._options.audit_period
        if self._shell is not None:
            period *= self._options.audit_factor_with_ssh
        return max(self._options.audit_pause, period / len(self._reader.memory.guests))

    async def _read_privileges(self) -> None:
        """Look whether the token may see every guest: PVE leaves out what it may not."""
        self._privileges_due = self._clock.now() + self._options.audit_period
        answer = await collect.read(self._api, calls.permissions(), collect.LISTING_TIMEOUT_S)
        given = parse.parse_permissions(answer.value) if isinstance(answer, Known) else answer
        if isinstance(given, Known):
            self._blind_spot = assemble.lacks_privilege(given.value)
        await self._read_version()

    async def _read_version(self) -> None:
        answer = await collect.read(self._api, calls.version(), collect.LISTING_TIMEOUT_S)
        version = parse.parse_version(answer.value) if isinstance(answer, Known) else answer
        if isinstance(version, Known):
            self._remark = versions.remark_on(version.value)


def _rows(listings: Listings, gaps: list[str]) -> list[dict[str, Json]] | None:
    """Return the rows of the listing, None if there are none to be believed."""
    try:
        if isinstance(listings.resources, Known):
            return rows_of(listings.resources.value, "resources")
        gaps.append(f"the cluster's resources could not be read: {listings.resources.reason}")
    except Misread as error:
        gaps.append(f"the cluster's resources are not understood: {error}")
    return None


def _status(listings: Listings) -> Known[ClusterStatus] | Unknown:
    if isinstance(listings.status, Unknown):
        return listings.status
    return parse_resources.parse_cluster_status(listings.status.value)
