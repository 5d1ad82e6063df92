"""Ask one guest one question: over the network, or through PVE."""

import asyncio
from typing import assert_never

from qlop.model.guest import GuestKind
from qlop.model.health import (
    GOOD,
    AgentCheck,
    Answer,
    Check,
    HttpCheck,
    NetworkCheck,
    Reply,
    RunningCheck,
    TcpCheck,
)
from qlop.model.reading import Known, Unknown
from qlop.observer.patient import Patient
from qlop.ports import ErrorKind, PortError, Prober, PveApi
from qlop.pve import calls
from qlop.pve.parse_agent import parse_addresses

PVE_TIMEOUT_S = 15.0
"""PVE itself gives up on an agent after three seconds; the rest is for a busy node."""

_SAID_BY_GUEST = frozenset({ErrorKind.CONFLICT, ErrorKind.INVALID})
"""``QEMU guest agent is not running``, ``No QEMU guest agent configured``: what PVE found
out about the guest. Any other error is about PVE, and says nothing of the guest."""


class Bedside:
    """Asks, no more at once than is good for those who have to answer."""

    def __init__(self, api: PveApi, prober: Prober, *, probes: int, agents: int) -> None:
        """Ask at most so many over the network and so many agents at once."""
        self._api = api
        self._prober = prober
        self._probes = asyncio.Semaphore(probes)
        self._agents = asyncio.Semaphore(agents)

    async def ask(self, patient: Patient, check: Check) -> Answer:
        """Return what came of asking once. Nothing that goes wrong makes it raise."""
        match check:
            case RunningCheck():
                return GOOD  # Seen in the listing, never asked.
            case AgentCheck():
                return await self._ask_agent(patient)
            case TcpCheck() | HttpCheck():
                return await self._ask_network(patient, check)
            case _ as never:
                assert_never(never)

    async def _ask_network(self, patient: Patient, check: NetworkCheck) -> Answer:
        address = patient.address or patient.found
        if not address:
            found = await self._find_address(patient)
            if isinstance(found, Answer):
                return found
            address = patient.found = found
        async with self._probes:
            try:
                async with asyncio.timeout(check.timeout.total_seconds()):
                    return await self._prober.probe(address, check)
            except TimeoutError:
                text = f"{address} does not answer in {check.timeout.total_seconds():g} s"
                return Answer(reply=Reply.SILENT, text=text)

    async def _ask_agent(self, patient: Patient) -> Answer:
        if patient.kind is GuestKind.CONTAINER:
            return GOOD  # Refused with the manifest; a container that runs needs no agent.
        async with self._agents:
            try:
                async with asyncio.timeout(PVE_TIMEOUT_S):
                    await self._api.call(calls.agent_info(patient.node, patient.vmid))
            except PortError as error:
                return _answer_of(error)
            except TimeoutError:
                return Answer(reply=Reply.UNASKED, text="PVE does not answer")
        return GOOD

    async def _find_address(self, patient: Patient) -> str | Answer:
        call = calls.guest_interfaces(patient.kind, patient.node, patient.vmid)
        async with self._agents:
            try:
                async with asyncio.timeout(PVE_TIMEOUT_S):
                    payload = await self._api.call(call)
            except PortError as error:
                text = f"its address is not known: {error}"
                return Answer(reply=_answer_of(error).reply, text=text)
            except TimeoutError:
                return Answer(reply=Reply.UNASKED, text="its address is not known: PVE is silent")
        reading = parse_addresses(patient.kind, payload)
        match reading:
            case Unknown(reason=reason):
                return Answer(reply=Reply.UNASKED, text=f"its address is not known: {reason}")
            case Known(value=()):
                return Answer(reply=Reply.SILENT, text="it has no address yet")
            case Known(value=addresses):
                return addresses[0]
            case _ as never:
                assert_never(never)


def _answer_of(error: PortError) -> Answer:
    reply = Reply.SILENT if error.kind in _SAID_BY_GUEST else Reply.UNASKED
    denied = "qlop may not ask: " if error.kind is ErrorKind.DENIED else ""
    return Answer(reply=reply, text=f"{denied}{error}")
