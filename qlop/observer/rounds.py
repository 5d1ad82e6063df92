"""Ask guests how they are, beside the cycles: each check in its own rhythm.

The rounds never wait for a cycle and no cycle waits for them. How many are asked at once
is bounded, and so is how long each may take; agents, whose silence costs a worker of
PVE's three seconds, are asked a few at a time.
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NoReturn

from qlop.model.action import Verb
from qlop.model.desired import Desired
from qlop.model.guest import Power
from qlop.model.health import Answer, Check, Condition, Health, Reply, RunningCheck
from qlop.model.history import Intended
from qlop.model.ids import VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedGuest
from qlop.observer import bedside, pulse
from qlop.observer.patient import Patient, patients
from qlop.ports import Clock, Prober, PveApi

PROBES = 64
"""Connections at once. Each lasts milliseconds, or its timeout."""

AGENTS = 3
"""Calls of guest agents at once: pvedaemon has three workers a node by default, and all
may be of one node."""

_CHANGING = frozenset(
    {
        Verb.CONFIGURE,
        Verb.RESIZE,
        Verb.REGENERATE,
        Verb.START,
        Verb.RESUME,
        Verb.REBOOT,
        Verb.MIGRATE,
        Verb.ROLLBACK,
    }
)
"""After these a guest may be another than the one that was asked: see ``Rounds.touch``."""

_HEARING_POLL_S = 0.05

DEAF_FROM = 3
"""So many guests, all silent: it is more likely that qlop itself reaches nobody."""


class Rounds:
    """What is known of how guests are. ``run`` keeps it up to date."""

    def __init__(
        self,
        api: PveApi,
        prober: Prober,
        clock: Clock,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Ask through ``prober`` and, for agents and addresses, through ``api``."""
        self._nurse = bedside.Bedside(api, prober, probes=PROBES, agents=AGENTS)
        self._clock = clock
        self._on_change = on_change
        self._patients: dict[VmId, Patient] = {}
        self._due: list[tuple[datetime, VmId, int, int]] = []
        self._news = asyncio.Event()
        self._shown: Mapping[VmId, Health] = {}
        self._stale = False
        self._looked: tuple[Desired, Mapping[VmId, ObservedGuest]] | None = None

    def look(self, desired: Desired, observed: Observed) -> Mapping[VmId, Health]:
        """Take in whom to ask, and return how they are: the same value until it changes."""
        before = self._looked
        if before is None or before[0] is not desired or before[1] is not observed.guests:
            self._looked = (desired, observed.guests)
            self._admit(patients(desired, observed))
        if self._stale:
            self._stale = False
            now = self._health()
            if now != self._shown:
                self._shown = now
        return self._shown

    def touch(self, vmid: VmId, acted_at: datetime | None = None) -> None:
        """Note that a guest was started or changed: what was known of it is old.

        If an action did that, ``acted_at`` is when it was begun.
        """
        patient = self._patients.get(vmid)
        if patient is not None:
            self._begin(patient, acted_at)

    def note_end(self, intended: Intended) -> None:
        """Note that an action has ended, well or not.

        What is only written, and takes effect with a reboot, changes nothing yet.
        """
        is_pending = intended.verb is Verb.CONFIGURE and intended.impact is Impact.REBOOT
        if intended.verb in _CHANGING and intended.impact >= Impact.HOT and not is_pending:
            self.touch(intended.vmid, intended.at)

    async def run(self) -> NoReturn:
        """Ask, forever."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                pause = self._launch(group)
                try:
                    async with asyncio.timeout(pause):
                        await self._news.wait()
                except TimeoutError:
                    continue

    async def hear(self, at_most: timedelta) -> None:
        """Ask until of every guest that runs it is known how it is, not beside ``run``.

        At most so long: one that does not answer is known to be unwell only later.
        """
        waited, pause = timedelta(), timedelta(seconds=_HEARING_POLL_S)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self.run(), name="hearing")
            while waited < at_most and self._is_anybody_unheard():
                await self._clock.sleep(pause)
                waited += pause
            asking.cancel()

    def _is_anybody_unheard(self) -> bool:
        return any(
            patient.power is Power.RUNNING and patient.health().condition is Condition.UNKNOWN
            for patient in self._patients.values()
        )

    def _admit(self, wanted: Mapping[VmId, Patient]) -> None:
        for vmid in set(self._patients) - set(wanted):
            del self._patients[vmid]
            self._stale = True
        for vmid, patient in wanted.items():
            known = self._patients.get(vmid)
            if known is not None and known.is_like(patient):
                began = known.power is not Power.RUNNING and patient.power is Power.RUNNING
                self._stale |= known.power is not patient.power
                if known.power is not patient.power:
                    known.power, known.since = patient.power, self._clock.now()
                known.node = patient.node
                if began:
                    self._begin(known)
                continue
            self._patients[vmid] = patient
            patient.since = self._clock.now()
            self._begin(patient)

    def _begin(self, patient: Patient, acted_at: datetime | None = None) -> None:
        now = self._clock.now()
        patient.begin(now, acted_at)
        self._stale = True
        if patient.power is Power.RUNNING:
            for number, check in enumerate(patient.checks):
                if not isinstance(check, RunningCheck):
                    heapq.heappush(self._due, (now, patient.vmid, number, patient.turn))
        self._news.set()

    def _launch(self, group: asyncio.TaskGroup) -> float | None:
        """Start what is due; return how many seconds there are until more is."""
        now = self._clock.now()
        while self._due:
            due, vmid, number, turn = self._due[0]
            patient = self._patients.get(vmid)
            if patient is None or patient.turn != turn or patient.power is not Power.RUNNING:
                heapq.heappop(self._due)
                continue
            if due > now:
                return (due - now).total_seconds()
            heapq.heappop(self._due)
            group.create_task(self._ask(patient, number, turn), name=f"probe {vmid}/{number}")
        return None

    async def _ask(self, patient: Patient, number: int, turn: int) -> None:
        check = patient.checks[number]
        try:
            answer = await self._nurse.ask(patient, check)
        except asyncio.CancelledError:
            heapq.heappush(self._due, (self._clock.now(), patient.vmid, number, turn))
            raise
        if self._patients.get(patient.vmid) is not patient or patient.turn != turn:
            return  # It was started or changed meanwhile: the answer is of another guest.
        self._take(patient, number, check, answer)
        due = self._clock.now() + max(check.interval, timedelta(milliseconds=100))
        heapq.heappush(self._due, (due, patient.vmid, number, turn))
        self._news.set()

    def _take(self, patient: Patient, number: int, check: Check, answer: Answer) -> None:
        before = patient.pulses[number]
        after = pulse.fold(check, before, answer, self._clock.now())
        was_silent = patient.replies.get(number) is Reply.SILENT
        patient.pulses[number] = after
        patient.replies[number] = answer.reply
        if answer.reply is Reply.SILENT:
            patient.found = ""  # It may have another address by now.
        is_silent = answer.reply is Reply.SILENT
        shown = (before.condition, before.message, was_silent)
        self._stale |= shown != (after.condition, after.message, is_silent)
        if after.condition is not before.condition:
            self._on_change()

    def _health(self) -> Mapping[VmId, Health]:
        deaf = self._is_deaf()
        return {
            vmid: _unheard(health) if deaf and patient.is_silent else health
            for vmid, patient in sorted(self._patients.items())
            for health in (patient.health(),)
        }

    def _is_deaf(self) -> bool:
        asked = [patient for patient in self._patients.values() if patient.was_asked]
        return len(asked) >= DEAF_FROM and all(patient.is_silent for patient in asked)


def _unheard(health: Health) -> Health:
    if health.condition is not Condition.UNHEALTHY:
        return health
    text = "no guest at all answers: can qlop reach their networks?"
    return Health(
        condition=Condition.UNKNOWN, since=health.since, message=text, checks=health.checks
    )
