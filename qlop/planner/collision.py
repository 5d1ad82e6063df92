"""Start no guest whose address or MAC another guest of ours may have up at this moment.

Who renames a service gets a new guest with the address of the old one, which goes on
running as an orphan. Two machines with one address make both unreachable.
"""

from collections.abc import Iterator, Mapping

from qlop.model.action import ResumeGuest, StartGuest, Verb
from qlop.model.address import ip_config
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, Power, Properties
from qlop.model.ids import ActionId, GuestName
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place
from qlop.planner.step import orphan_name, place_of

Claim = tuple[str, str, str]
"""An address or MAC, with the bridge and the VLAN in which it must be the only one."""

_DOWN = frozenset({Power.STOPPED, Power.SUSPENDED})
_RAISING = frozenset({Verb.START, Verb.RESUME, Verb.REBOOT, Verb.ROLLBACK})


def keep_apart(draft: Draft) -> None:
    """Hold back every start that would bring an address up a second time.

    Of two guests of one plan that claim the same, the first by name is started.
    """
    starts = {subject: start for subject in draft.actions if (start := _start(draft, subject))}
    if not starts:
        return
    up = _claims_up(draft)
    places = {place_of(want): want for want in draft.source.desired.guests.values()}
    for subject in sorted(starts):
        planned = draft.actions[subject][0]
        place = (planned.service, planned.index)
        want, guest = places.get(place), draft.ownership.owned.get(place)
        claims = {*wanted_claims(want), *had_claims(guest)}
        other = next(
            (claim for claim in sorted(claims) if up.get(claim, (place,))[0] != place), None
        )
        if other is not None:
            draft.withhold_from(subject, starts[subject], _held(other[0], *up[other][1:]))
            continue
        for claim in claims:
            up[claim] = (place, subject, "is being started")


def _start(draft: Draft, subject: GuestName) -> ActionId | None:
    return next(
        (
            planned.id
            for planned in draft.actions[subject]
            if isinstance(planned.action, StartGuest | ResumeGuest)
        ),
        None,
    )


def _claims_up(draft: Draft) -> dict[Claim, tuple[Place, str, str]]:
    """Return what guests of ours have up, or may: whose it is, and what that guest does."""
    found: dict[Claim, tuple[Place, str, str]] = {}
    names = {verdict.vmid: subject for subject, verdict in draft.verdicts.items()}
    ours = [*draft.ownership.owned.items(), *draft.ownership.heirs.items()]
    ours += [(place, one) for place, each in draft.ownership.formers.items() for one in each]
    for place, guest in sorted(ours, key=lambda one: (one[0], one[1].vmid)):
        flying = draft.flying.get(place)
        is_rising = flying is not None and flying.intended.verb in _RAISING
        if guest.power in _DOWN and not is_rising:
            continue
        doing = {Power.UNKNOWN: "may be running", Power.PAUSED: "is paused"}.get(
            guest.power, "is being started" if is_rising else "is running"
        )
        name = names.get(guest.vmid, orphan_name(*place))
        whose = f"{name} ({guest.vmid} on {guest.node})"
        for claim in had_claims(guest):
            found.setdefault(claim, (place, whose, doing))
    return found


def wanted_claims(want: DesiredGuest | None) -> Iterator[Claim]:
    """Return the fixed addresses and MACs that a guest is to have."""
    for nic in want.nics if want is not None else ():
        assert want is not None
        yield from _claims(nic.properties, ip_config(want, nic), nic.mac or "")


def had_claims(guest: ObservedGuest | None) -> Iterator[Claim]:
    """Return the fixed addresses and the MACs that a guest has by its configuration."""
    if guest is None or not isinstance(guest.config, Known):
        return
    for slot, nic in guest.config.value.nics.items():
        said: object = nic.properties
        if guest.kind is GuestKind.VM:
            said = guest.config.value.options.get(slot.replace("net", "ipconfig"), {})
        addresses = said if isinstance(said, Mapping) else {}
        yield from _claims(nic.properties, addresses, nic.mac)


def _claims(link: Properties, addresses: Properties, mac: str) -> Iterator[Claim]:
    where = link.get("bridge", ""), link.get("tag", "")
    for key in ("ip", "ip6"):
        address, slash, _ = addresses.get(key, "").partition("/")
        if slash:
            yield address, *where
    if mac:
        yield mac.upper(), *where


def _held(what: str, name: str, doing: str) -> Held:
    return Held(
        reason=Hold.ADDRESS_IN_USE,
        message=f"it is not started: {what} is also that of {name}, which {doing}",
        remedy=f"shut {name.split(maxsplit=1)[0]} down, or give one of them another address",
    )
