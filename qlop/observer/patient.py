"""Know who is to be asked how it is, and what was heard of it so far."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from qlop.model.address import static_address
from qlop.model.desired import Desired, DesiredGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.health import (
    Check,
    CheckState,
    Condition,
    Health,
    HttpCheck,
    Reply,
    RunningCheck,
    TcpCheck,
    check_text,
    health_of,
)
from qlop.model.ids import NodeName, ServiceName, VmId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.reading import Known
from qlop.observer import pulse
from qlop.observer.pulse import Pulse

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, eq=False, kw_only=True)
class Patient:
    """One guest that is asked how it is.

    ``address`` is the one in its manifest, ``found`` the one that it said itself.
    ``turn`` counts beginnings, so that an answer to an earlier question is dropped.
    """

    vmid: VmId
    kind: GuestKind
    node: NodeName
    checks: tuple[Check, ...]
    address: str
    power: Power
    since: datetime = _LONG_AGO
    """When ``power`` was first seen."""
    found: str = ""
    turn: int = 0
    pulses: list[Pulse] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)

    def is_like(self, other: "Patient") -> bool:
        """Return whether it is asked the same as ``other``, at the same address."""
        return (self.kind, self.checks, self.address) == (other.kind, other.checks, other.address)

    def begin(self, now: datetime, acted_at: datetime | None = None) -> None:
        """Forget what was heard, when an action begun at ``acted_at`` has ended, if one has."""
        self.turn += 1
        self.found = ""
        self.replies.clear()
        known: list[Pulse | None] = [*self.pulses] or [None for _ in self.checks]
        self.pulses = [pulse.begin(now, before, acted_at) for before in known]

    def health(self) -> Health:
        """Return how it is."""
        return health_of(
            tuple(
                self._running(check)
                if isinstance(check, RunningCheck) or self.power is not Power.RUNNING
                else pulse.state_of(check, beat)
                for check, beat in zip(self.checks, self.pulses, strict=True)
            )
        )

    @property
    def was_asked(self) -> bool:
        """Return whether it replied, or not, to any question over the network."""
        return any(number in self.replies for number in self._over_network())

    @property
    def is_silent(self) -> bool:
        """Return whether it left every question over the network without a reply."""
        asked = [number for number in self._over_network() if number in self.replies]
        return bool(asked) and all(self.replies[number] is Reply.SILENT for number in asked)

    def _over_network(self) -> list[int]:
        return [
            number
            for number, check in enumerate(self.checks)
            if isinstance(check, TcpCheck | HttpCheck)
        ]

    def _running(self, check: Check) -> CheckState:
        match self.power:
            case Power.RUNNING:
                condition, message = Condition.HEALTHY, ""
            case Power.UNKNOWN:
                condition, message = Condition.UNKNOWN, "its node does not say whether it runs"
            case _:
                condition, message = Condition.UNHEALTHY, f"it is {self.power.value}"
        return CheckState(
            check=check_text(check), condition=condition, since=self.since, message=message
        )


def patients(desired: Desired, observed: Observed) -> dict[VmId, Patient]:
    """Return the guests that should run, exist, are ours, and have checks."""
    checked = {name: one.checks for name, one in desired.services.items() if one.checks}
    if not checked:
        return {}
    wanted = {
        (want.service, want.index): want
        for want in desired.guests.values()
        if want.service in checked and want.power is Power.RUNNING
    }
    found: dict[VmId, Patient] = {}
    for guest in observed.guests.values():
        want = _want(guest, desired, wanted)
        if want is not None:
            found[guest.vmid] = Patient(
                vmid=guest.vmid,
                kind=guest.kind,
                node=guest.node,
                checks=checked[want.service],
                address=static_address(want),
                power=guest.power,
            )
    return found


def _want(
    guest: ObservedGuest, desired: Desired, wanted: dict[tuple[ServiceName, int], DesiredGuest]
) -> DesiredGuest | None:
    config = guest.config.value if isinstance(guest.config, Known) else None
    mark = config.mark if config is not None else None
    if mark is None or config is None or mark.witness != config.witness:
        return None
    if mark.cluster != desired.cluster.name or mark.vmid != guest.vmid:
        return None
    return wanted.get((mark.service, mark.index))
