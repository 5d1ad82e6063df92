"""``qlop adopt`` and ``qlop release``: begin to own guests, and cease to."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from qlop import daemon
from qlop.cli import adopting, options, ordering, plan, screen
from qlop.cli.ordering import Head
from qlop.controller.cycle import CycleResult
from qlop.journal.orderbook import SqliteOrderBook
from qlop.model.ids import GuestName, ServiceName, VmId
from qlop.model.orders import Adopt, Order, Release
from qlop.model.proof import Proof
from qlop.planner import adoption, ownership
from qlop.planner.ownership import Place
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plain_value import Document
from qlop.render.proof import proof_document, proof_lines
from qlop.render.status import held_of
from qlop.settings import Settings

ORDERED_FOR = timedelta(hours=1)
"""What was not done in that time (its node was down) is to be ordered anew."""

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Guests, services or VMIDs.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Every guest that a manifest names by VMID.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Released = Annotated[list[str], typer.Argument(help="Guests or VMIDs.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A guest of ours, as it is called."""

    name: GuestName
    place: Place
    vmid: VmId
    is_unbound: bool
    """Its manifest is there and names no VMID: another guest would be made in its place."""


def adopt(
    names: Names = None,
    *,
    everything: All = False,
    dry_run: DryRun = False,
    span: ordering.For = None,
    until: ordering.Until = None,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Begin to own guests that exist, if nothing of them would be changed by that.

    Only the owner mark is written, in the last line of their notes. 0: all of them fit and
    are adopted, 3: some do not fit, and are left alone.
    """
    if not names and not everything:
        raise typer.BadParameter("say which guests, or --all")
    settings = options.settings_of(config, overrides)
    result = asyncio.run(plan.looked(daemon, settings))
    if result.source is None or plan.problem_of(result):
        screen.complain(plan.problem_of(result) or "the cluster could not be seen whole")
        return options.ERROR
    proofs = adoption.proofs(result.source)
    chosen, unknown = chosen_proofs(proofs, [] if everything else names or [])
    if unknown:
        waiting = ", ".join(proofs) or "none"
        screen.complain(
            f"nothing to adopt is called {', '.join(unknown)}", f"there are: {waiting}"
        )
        return options.ERROR
    if as_json:
        screen.show_json([proof_document(one) for one in chosen])
    else:
        screen.show(proof_lines(chosen) or [line("no manifest names a guest that is not ours")])
    fitting = [one for one in chosen if one.fits]
    outcome = options.CONVERGED if len(fitting) == len(chosen) else options.HELD
    if dry_run or not fitting:
        return outcome
    head = ordering.head(reason=reason, span=span, until=until, default=ORDERED_FOR)
    orders = [adopt_order(one, head) for one in fitting]
    give(orders, ordering.book_path(config, overrides))
    return outcome if await_adoption(settings, fitting) else options.ERROR


def release(
    names: Released,
    *,
    span: ordering.For = None,
    until: ordering.Until = None,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Cease to own guests: the mark is taken away, and all else of them stays as it is."""
    settings = options.settings_of(config, overrides)
    result = asyncio.run(plan.looked(daemon, settings))
    owned = owned_by(result)
    if result.source is None or plan.problem_of(result):
        screen.complain(plan.problem_of(result) or "the cluster could not be seen whole")
        return options.ERROR
    chosen = [one for one in owned if is_called(names, one.name, one.place[0], one.vmid)]
    unknown = [name for name in names if not any(_is(name, one) for one in owned)]
    if unknown:
        screen.complain(f"no guest of ours is called {', '.join(unknown)}")
        return options.ERROR
    unbound = [one for one in chosen if one.is_unbound]
    if unbound:
        listed = ", ".join(f"{one.name} ({one.vmid})" for one in unbound)
        screen.complain(
            f"a new guest would be made in the place of {listed}: its manifest does not say that vmid",
            "remove the manifest first, or write the vmid into it",
        )
        return options.ERROR
    head = ordering.head(reason=reason, span=span, until=until, default=ORDERED_FOR)
    give([release_order(one, head) for one in chosen], ordering.book_path(config, overrides))
    left = await_release(settings, chosen)
    if as_json:
        screen.show_json([release_document(one, is_released=one not in left) for one in chosen])
    return options.ERROR if left else options.CONVERGED


def await_adoption(settings: Settings, fitting: Sequence[Proof]) -> bool:
    """Have guests adopted, say how that ended, and return whether all of them are ours."""
    vmids = frozenset(one.vmid for one in fitting)

    def done(seen: CycleResult) -> bool:
        return vmids <= {one.vmid for one in owned_by(seen)}

    last = asyncio.run(adopting.carried_out(daemon, settings, vmids, done))
    owned = {one.vmid for one in owned_by(last)}
    left = [one.name for one in fitting if one.vmid not in owned]
    screen.tell(
        outcome_lines("adopted", [one.name for one in fitting if one.vmid in owned], left, last)
    )
    return not left


def await_release(settings: Settings, chosen: Sequence[Owned]) -> list[Owned]:
    """Have guests released, say how that ended, and return those that are still ours."""
    vmids = frozenset(one.vmid for one in chosen)

    def done(seen: CycleResult) -> bool:
        return seen.source is not None and not vmids & {one.vmid for one in owned_by(seen)}

    last = asyncio.run(adopting.carried_out(daemon, settings, vmids, done))
    seen = last is not None and last.source is not None
    owned = {one.vmid for one in owned_by(last)} if seen else vmids
    left = [one for one in chosen if one.vmid in owned]
    gone = [one.name for one in chosen if one.vmid not in owned]
    screen.tell(outcome_lines("released", gone, [one.name for one in left], last))
    return left


def give(orders: Iterable[Order], path: Path) -> None:
    """Write orders into the book.

    Raises:
        PortError: ``DENIED`` if the caller may give none.
    """
    book = SqliteOrderBook(path)
    for order in orders:
        book.append(order)


def adopt_order(proof: Proof, head: Head) -> Adopt:
    """Return the order to adopt a guest."""
    return Adopt(
        id=ordering.new_id(),
        at=head["at"],
        by=head["by"],
        reason=head["reason"],
        until=head["until"],
        vmid=proof.vmid,
        service=proof.service,
        index=proof.index,
    )


def release_order(owned: Owned, head: Head) -> Release:
    """Return the order to release a guest."""
    service, index = owned.place
    return Release(
        id=ordering.new_id(),
        at=head["at"],
        by=head["by"],
        reason=head["reason"],
        until=head["until"],
        vmid=owned.vmid,
        service=service,
        index=index,
    )


def release_document(owned: Owned, *, is_released: bool) -> Document:
    """Return how the release of a guest ended, for ``--json``."""
    service, index = owned.place
    return {
        "guest": owned.name,
        "service": service,
        "index": index,
        "vmid": owned.vmid,
        "released": is_released,
    }


def chosen_proofs(
    proofs: Mapping[GuestName, Proof], names: Sequence[str]
) -> tuple[list[Proof], list[str]]:
    """Return the proofs that ``names`` mean, all if there are none, and names that mean none."""
    if not names:
        return [*proofs.values()], []
    chosen = [one for one in proofs.values() if is_called(names, one.name, one.service, one.vmid)]
    unknown = [
        name
        for name in names
        if not any(is_called([name], one.name, one.service, one.vmid) for one in chosen)
    ]
    return chosen, unknown


def is_called(names: Iterable[str], name: GuestName, service: ServiceName, vmid: VmId) -> bool:
    """Return whether one of ``names`` means a guest: its own, its service's, or its VMID."""
    return bool({name, service, str(vmid)} & {*names})


def owned_by(result: CycleResult | None) -> list[Owned]:
    """Return the guests that a look shows to be ours."""
    if result is None or result.source is None:
        return []
    source = result.source
    found = ownership.index(source.desired.cluster.name, source.observed, source.history)
    wanted = {(want.service, want.index): want for want in source.desired.guests.values()}
    owned = []
    for place, guest in sorted(found.owned.items()):
        want = wanted.get(place)
        name = want.name if want is not None else GuestName(f"{place[0]}-{place[1]}")
        owned.append(
            Owned(
                name=name,
                place=place,
                vmid=guest.vmid,
                is_unbound=want is not None and want.vmid != guest.vmid,
            )
        )
    return owned


def outcome_lines(
    what: str, finished: Sequence[str], left: Sequence[str], last: CycleResult | None
) -> list[Line]:
    """Return what was done, and of what was not, why."""
    lines = [line(Span(f"{what}: ", Tone.GOOD), ", ".join(finished))] if finished else []
    subjects = {one.name: one for one in last.status.subjects} if last is not None else {}
    for name in left:
        subject = subjects.get(GuestName(name))
        held = held_of(subject) if subject is not None else None
        why = held.message if held is not None else "the order stands; `qlop status` shows it"
        lines.append(line(Span(f"not {what} yet: ", Tone.WARN), f"{name}: {why}"))
    return lines


def _is(name: str, owned: Owned) -> bool:
    return is_called([name], owned.name, owned.place[0], owned.vmid)
