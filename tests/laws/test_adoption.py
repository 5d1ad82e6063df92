"""Adopted unchanged: a guest becomes ours on an order alone, if nothing else would follow."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import ConfigureGuest
from qlop.model.consent import Consent, Consents
from qlop.model.desired import DesiredGuest, ExistingSource, Snapshots
from qlop.model.guest import OptionValue
from qlop.model.ids import OrderId, VmId
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.orders import Adopt, Order
from qlop.model.owner import parse_mark, strip_mark
from qlop.model.reading import Known
from qlop.model.verdict import Held
from qlop.planner import adoption, ownership, planner
from qlop.planner.audit import audit
from tests import builders as b
from tests.laws.world import limit_of, run
from tests.strategies import World, converged_worlds

LATER = b.NOW.replace(hour=23)


@st.composite
def estranged_worlds(draw: st.DrawFn) -> World:
    """A converged world in which some guests lost their mark, and of some something differs."""
    world = draw(converged_worlds())
    guests = dict(world.observed.guests)
    wanted = dict(world.desired.guests)
    orders: list[Order] = []
    found = ownership.index(b.CLUSTER, world.observed, world.source.history)
    for name, want in world.desired.guests.items():
        guest = found.owned.get((want.service, want.index))
        if guest is None or not draw(st.booleans()):
            continue
        guests[guest.vmid] = _unmarked(guest, differs=draw(st.booleans()))
        wanted[name] = _existing(want, guest) if draw(st.booleans()) else _named(want, guest)
        if draw(st.booleans()):
            orders.append(
                Adopt(
                    id=OrderId(f"o{guest.vmid}"),
                    at=b.NOW,
                    by="ani",
                    reason="",
                    until=draw(st.sampled_from([b.NOW, LATER])),
                    vmid=guest.vmid,
                    service=want.service,
                    index=want.index,
                )
            )
    return replace(
        world,
        observed=replace(world.observed, guests=guests),
        desired=replace(world.desired, guests=wanted),
        orders=tuple(orders),
        records=(),
    )


def _unmarked(guest: ObservedGuest, *, differs: bool) -> ObservedGuest:
    have = config_of(guest)
    options: dict[str, OptionValue] = dict(have.options)
    options["description"] = strip_mark(str(options["description"]))
    if differs:
        options["memory"] = "17"
    return replace(guest, config=Known(replace(have, options=options, mark=None)))


def _named(want: DesiredGuest, guest: ObservedGuest) -> DesiredGuest:
    return replace(want, vmid=guest.vmid, snapshots=Snapshots())


def _existing(want: DesiredGuest, guest: ObservedGuest) -> DesiredGuest:
    return replace(_named(want, guest), source=ExistingSource())


def _is_indifferent(consents: Consents) -> bool:
    """Whether there is anything that may differ without ever being mended."""
    said = {consents.none, consents.hot, consents.reboot, *consents.fields.values()}
    return bool(said & {Consent.WARN, Consent.IGNORE})


def config_of(guest: ObservedGuest) -> GuestConfig:
    assert isinstance(guest.config, Known)
    return guest.config.value


def ordered(world: World) -> set[int]:
    return {
        order.vmid for order in world.orders if isinstance(order, Adopt) and order.until > b.NOW
    }


def strangers(world: World) -> set[VmId]:
    return {
        guest.vmid
        for guest in world.observed.guests.values()
        if not guest.template and config_of(guest).mark is None
    }


@given(estranged_worlds())
def test_who_is_not_ours_is_signed_on_an_order_and_nothing_else(world: World) -> None:
    plan = planner.plan(world.source)

    assert audit(world.source, plan) == ()
    for planned in plan.actions:
        action = planned.action
        if action.vmid not in strangers(world):
            continue
        have = config_of(world.observed.guests[action.vmid])
        assert action.vmid in ordered(world)
        assert isinstance(action, ConfigureGuest)
        assert action.set.keys() <= {"description", "tags"}
        assert action.delete == ()
        assert strip_mark(action.set["description"]) == str(have.options["description"]).strip()
        mark = parse_mark(action.set["description"])
        assert mark is not None
        assert (mark.vmid, mark.witness) == (action.vmid, have.witness)


@given(estranged_worlds())
def test_only_what_fits_its_manifest_becomes_ours(world: World) -> None:
    fitting = {one.vmid for one in adoption.proofs(world.source).values() if one.fits}
    last = world
    for stage in run(world, at_most=limit_of(world)):
        last = stage.world

    for vmid in strangers(world):
        before, after = world.observed.guests[vmid], last.observed.guests[vmid]
        if vmid in ordered(world) & fitting:
            assert config_of(after).mark is not None
        else:
            assert after == before


@given(estranged_worlds())
def test_what_differs_is_held_and_the_difference_told(world: World) -> None:
    proofs = adoption.proofs(world.source)
    plan = planner.plan(world.source)

    for proof in proofs.values():
        have = config_of(world.observed.guests[proof.vmid])
        want = world.desired.guests[proof.name]
        if have.options.get("memory") != "17" or _is_indifferent(want.consents):
            continue
        assert not proof.fits
        if proof.vmid in ordered(world) or isinstance(want.source, ExistingSource):
            verdict = plan.verdicts[proof.name].verdict
            assert isinstance(verdict, Held)
            assert verdict.message
