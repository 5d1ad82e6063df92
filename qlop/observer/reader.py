"""Read guests: whose turn it is, how many at once, and which answer is the latest."""

from datetime import datetime
from typing import TypeVar

from qlop.model.guest import Power
from qlop.model.ids import NodeName, VmId
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.reading import Known, Reading, Unknown
from qlop.model.units import counted
from qlop.observer import assemble, collect
from qlop.observer.assemble import Override
from qlop.observer.memory import NOT_ASKED, NOT_READ, Doubt, GuestMemory, Seen
from qlop.observer.options import Interest, ObserverOptions
from qlop.observer.shift import Job, Shift
from qlop.ports import PveApi

T = TypeVar("T")
UNSURE_MAX = 16
"""So many are read at each look that nothing says has changed; the others wait for the audit."""
CHANGED = Unknown("it has changed and could not be read again yet")


class GuestReader:
    """Keeps what is known of each guest up to date, reading as little as that takes."""

    def __init__(self, api: PveApi, options: ObserverOptions) -> None:
        """Read through ``api``, within the limits of ``options``."""
        self._api = api
        self._options = options
        self.memory = GuestMemory()
        self._guests: dict[VmId, ObservedGuest] = {}
        self._offline: frozenset[NodeName] = frozenset()
        self._touched: set[VmId] = set()
        self._doubts: dict[VmId, Doubt] = {}
        self._suspects: set[VmId] = set()
        self._overridden: set[VmId] = set()
        self._interest: Interest | None = None
        self._tickets = 0
        self._shift = Shift(options.concurrency)

    async def close(self) -> None:
        """Break off what is being read."""
        await self._shift.close()

    def touch(self, vmid: VmId) -> None:
        """Have a guest read anew, power included, at the next ``read_due``.

        What the listing says of its power may be from before: for a while its own node is
        asked in every ``read_due``, and what it does is not known unless that answers.
        """
        self._touched.add(vmid)
        self._doubts.setdefault(vmid, Doubt()).renew()
        if self.memory.find(vmid) is not None:
            self.memory.dirty.add(vmid)

    def note_ended(self, vmid: VmId) -> None:
        """Note that a task of a guest has ended: everything about it may have changed."""
        self.memory.mark_due(vmid)
        self.memory.mark_snapshots_due(vmid)
        if vmid in self._overridden:
            self._touched.add(vmid)

    def suspect_all(self) -> None:
        """Note that any configuration may have changed unseen: the audit comes by soon."""
        self._suspects |= {seen.row.vmid for seen in self.memory if not seen.config_due}

    @property
    def has_suspects(self) -> bool:
        """Return whether the audit has reason to hurry."""
        return bool(self._suspects)

    def take_offline(self, offline: frozenset[NodeName]) -> None:
        """Note which nodes are offline: what their guests do is seen or lost by that."""
        changed = offline ^ self._offline
        self._offline = offline
        if changed:
            self.memory.dirty |= {
                seen.row.vmid for seen in self.memory if seen.row.node in changed
            }

    def stalest(self) -> Seen | None:
        """Return the guest whose turn it is in the audit round, None if it is nobody's."""
        while self._suspects:
            seen = self.memory.find(self._suspects.pop())
            if seen is not None and self._is_reachable(seen):
                return seen
        vmid = next(iter(self.memory.by_age), None)
        if vmid is None:
            return None
        self.memory.by_age.move_to_end(vmid)
        seen = self.memory.find(vmid)
        return seen if seen is not None and self._is_reachable(seen) else None

    async def read_due(self, now: datetime, interest: Interest) -> tuple[str, ...]:
        """Read whatever is due, as long as one observation may; return the gaps left."""
        if interest != self._interest:
            self._interest = interest
            for seen in self.memory:
                self._take_interest(seen)
        touched = {seen.row.vmid for seen in self._reachable(sorted(self._touched))}
        self._touched = set(touched)
        for vmid in touched:
            self.memory.mark_due(vmid)
            self.memory.mark_snapshots_due(vmid)
        self._doubt_listing(now)
        self._expire_overrides(now)
        asked = self._reachable(self._whom_to_ask())
        due = self._reachable(
            sorted(self.memory.due, key=lambda vmid: (vmid not in touched, vmid))
        )
        jobs = [self._asking(seen, now) for seen in asked]
        jobs += [self._reading(seen) for seen in due if not seen.underway]
        unsure = self._reachable(sorted(interest.unsure - self.memory.due))[:UNSURE_MAX]
        jobs += [self._rereading(seen) for seen in unsure if not seen.underway]
        if await self._shift.work(jobs, self._options.reading_time):
            return ()
        late = sum(seen.config_due or seen.underway for seen in due)
        text = f"{counted(late, 'guest')} could not be read in time; the next look goes on"
        return (text,) if late else ()

    def renew(self) -> dict[VmId, ObservedGuest]:
        """Return all guests: the same objects, and the same mapping, where nothing changed."""
        changed = self.memory.removed
        for vmid in self.memory.dirty:
            seen = self.memory.find(vmid)
            if seen is None:
                continue
            guest = assemble.guest_of(
                seen.row,
                _believed(seen.config, due=seen.config_due or seen.underway),
                _believed(seen.snapshots, due=seen.snapshots_due or seen.underway),
                override=seen.override,
                told=self._is_reachable(seen) and self._is_heard(vmid),
            )
            if guest != seen.guest:
                seen.guest = guest
                changed = True
        self.memory.dirty.clear()
        self.memory.removed = False
        if changed:
            self._guests = {
                seen.row.vmid: seen.guest for seen in self.memory if seen.guest is not None
            }
        return self._guests

    async def read_config(self, seen: Seen) -> None:
        """Read a guest's configuration; a slow answer never replaces a later one."""
        self._tickets += 1
        ticket = self._tickets
        row = seen.row
        power = seen.override.power if seen.override is not None else row.power
        seen.config_due = False
        reading: Known[GuestConfig] | Unknown = NOT_READ
        try:
            reading = await collect.config(
                self._api,
                row.kind,
                row.node,
                row.vmid,
                power=power,
                before=_value(seen.config) if seen.pending_known else None,
            )
        finally:
            if isinstance(reading, Unknown):
                seen.config_due = True
        if ticket < seen.applied:
            return
        seen.applied = ticket
        seen.pending_known = isinstance(reading, Known) and power is not Power.STOPPED
        self._apply_config(seen, reading)

    def _apply_config(self, seen: Seen, reading: Known[GuestConfig] | Unknown) -> None:
        vmid = seen.row.vmid
        before, after = _value(seen.config), _value(reading)
        self.memory.dirty.add(vmid)
        self.memory.by_age.pop(vmid, None)
        if self.memory.find(vmid) is seen:
            self.memory.by_age[vmid] = None
        if before is None or after is None:
            seen.config = reading
            self.memory.mark_snapshots_due(vmid)
        elif before is not after and (before.digest, before.pending) != (
            after.digest,
            after.pending,
        ):
            seen.config = reading
            if before.options.get("parent") != after.options.get("parent"):
                self.memory.mark_snapshots_due(vmid)
        self._take_interest(seen)
        self._settle_due(seen)

    def _take_interest(self, seen: Seen) -> None:
        """Begin or cease to follow a guest's snapshots."""
        config = _value(seen.config)
        mark = config.mark if config is not None else None
        wanted = (
            mark is not None
            and self._interest is not None
            and mark.cluster == self._interest.cluster
            and mark.service in self._interest.snapshots_of
        )
        if wanted and seen.snapshots is NOT_ASKED:
            seen.snapshots = NOT_READ
            self.memory.mark_snapshots_due(seen.row.vmid)
        elif not wanted and config is not None and seen.snapshots is not NOT_ASKED:
            seen.snapshots, seen.snapshots_due = NOT_ASKED, False
            self.memory.dirty.add(seen.row.vmid)

    async def _read_snapshots(self, seen: Seen) -> None:
        row = seen.row
        seen.snapshots_due = False
        reading: Reading[object] = NOT_READ
        try:
            seen.snapshots = reading = await collect.snapshots(
                self._api, row.kind, row.node, row.vmid
            )
        finally:
            if isinstance(reading, Unknown):
                seen.snapshots_due = True
        self.memory.dirty.add(row.vmid)
        self._settle_due(seen)

    async def _read_power(self, seen: Seen, now: datetime) -> None:
        """Ask a guest's node; an answer from before the last end of an action is none."""
        row = seen.row
        doubt = self._doubts.get(row.vmid)
        turn = doubt.begin() if doubt is not None else 0
        try:
            reading = await collect.power(self._api, row.kind, row.node, row.vmid)
        finally:
            if doubt is not None:
                doubt.asking = False
        if isinstance(reading, Unknown) or (doubt is not None and doubt.turn != turn):
            return
        if doubt is not None:
            doubt.heard = True
            self.memory.dirty.add(row.vmid)
        override = Override(
            power=reading.value[0], listed=row.power, until=now + self._options.override
        )
        self._set_override(seen, override if override.holds(seen.row, now) else None)

    def _is_heard(self, vmid: VmId) -> bool:
        doubt = self._doubts.get(vmid)
        return doubt is None or doubt.heard

    def _doubt_listing(self, now: datetime) -> None:
        """Ask anew about guests of whom the listing may say what was before our action's end."""
        for vmid, doubt in tuple(self._doubts.items()):
            if doubt.until is None:
                doubt.until = now + self._options.override
            if (doubt.until <= now and doubt.heard) or self.memory.find(vmid) is None:
                del self._doubts[vmid]
                continue
            doubt.heard = False
            self.memory.dirty.add(vmid)

    def _expire_overrides(self, now: datetime) -> None:
        for vmid in tuple(self._overridden):
            seen = self.memory.find(vmid)
            if seen is None:
                self._overridden.discard(vmid)
            elif seen.override is None or not seen.override.holds(seen.row, now):
                self._set_override(seen, None)

    def _set_override(self, seen: Seen, override: Override | None) -> None:
        vmid = seen.row.vmid
        if override != seen.override:
            seen.override = override
            self.memory.dirty.add(vmid)
        if override is None:
            self._overridden.discard(vmid)
        else:
            self._overridden.add(vmid)

    def _asking(self, seen: Seen, now: datetime) -> Job:
        async def ask() -> None:
            self._touched.discard(seen.row.vmid)
            await self._read_power(seen, now)

        return Job(node=seen.row.node, run=ask)

    def _reading(self, seen: Seen) -> Job:
        async def read() -> None:
            seen.underway = True
            try:
                if seen.config_due:
                    await self.read_config(seen)
                if seen.snapshots_due:
                    await self._read_snapshots(seen)
            finally:
                seen.underway = False
                self.memory.dirty.add(seen.row.vmid)

        return Job(node=seen.row.node, run=read)

    def _rereading(self, seen: Seen) -> Job:
        async def read() -> None:
            await self.read_config(seen)

        return Job(node=seen.row.node, run=read)

    def _whom_to_ask(self) -> list[VmId]:
        """Return the guests whose node is to be asked what they do, the doubted ones first."""
        doubted = sorted(vmid for vmid, doubt in self._doubts.items() if not doubt.asking)
        unreported = sorted(self.memory.unreported - self._overridden - self._doubts.keys())
        return [*doubted, *unreported[: self._options.status_reads]]

    def _reachable(self, vmids: list[VmId]) -> list[Seen]:
        found = [seen for seen in map(self.memory.find, vmids) if seen is not None]
        return [seen for seen in found if self._is_reachable(seen)]

    def _is_reachable(self, seen: Seen) -> bool:
        return seen.row.node not in self._offline

    def _settle_due(self, seen: Seen) -> None:
        if not seen.config_due and not seen.snapshots_due:
            self.memory.due.discard(seen.row.vmid)


def _value(reading: Reading[GuestConfig]) -> GuestConfig | None:
    return reading.value if isinstance(reading, Known) else None


def _believed(reading: Reading[T], *, due: bool) -> Reading[T]:
    """Return a reading, or that it is old: what has changed is not what was read."""
    return CHANGED if due and isinstance(reading, Known) else reading
