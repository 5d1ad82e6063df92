"""``qlop suspend``, ``freeze`` and ``break-glass``, and how to take them back."""

from collections.abc import Iterable
from typing import Annotated

import typer

from qlop.cli import options, ordering, screen
from qlop.cli.ordering import State
from qlop.model.orders import (
    EVERYTHING,
    BreakGlass,
    Freeze,
    Order,
    Revoke,
    Scope,
    ScopeKind,
    Suspend,
)
from qlop.render.order import what_text

Name = Annotated[str | None, typer.Argument(help="A guest or a service.", show_default=False)]
Service = Annotated[str | None, typer.Option("--service", help="A whole service.")]
Node = Annotated[str | None, typer.Option("--node", help="All that is on, or goes to, a node.")]
All = Annotated[bool, typer.Option("--all", help="Everything.")]
Which = Annotated[
    str | None, typer.Argument(help="The order's id, or what it is about.", show_default=False)
]
OrderName = Annotated[str, typer.Argument(help="The order's id, as `qlop status` lists it.")]
Must = Annotated[str, typer.Option("--reason", "-r", help="Why; needed, and kept.")]


def suspend(
    name: Name = None,
    *,
    service: Service = None,
    node: Node = None,
    span: ordering.For = None,
    until: ordering.Until = None,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Do nothing to a guest, a service or a node for a while. What is under way goes on."""
    head = ordering.head(reason=reason, span=span, until=until)
    scope = scope_of(ordering.state(config, overrides), name=name, service=service, node=node)
    order = Suspend(**head, scope=scope)
    return ordering.give([order], ordering.book_path(config, overrides), as_json=as_json)


def resume(
    which: Which = None,
    *,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """End a suspension before its time; without a name the only one there is."""
    path = ordering.book_path(config, overrides)
    there = ordering.standing(path).suspensions
    meant = [one for one in there if which in {None, one.id, one.scope.name}]
    if not meant or (which is None and len(meant) > 1):
        listed = ", ".join(f"{one.id} ({what_text(one)})" for one in there) or "none"
        screen.complain(f"which suspension? {which or ''}".rstrip(), f"in force: {listed}")
        return options.ERROR
    return ordering.give(_revoked(meant, reason), path, as_json=as_json)


def freeze(
    *,
    span: ordering.For = None,
    until: ordering.Until = None,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Do nothing at all for a while. What is under way goes on; qlop keeps looking."""
    order = Freeze(**ordering.head(reason=reason, span=span, until=until))
    return ordering.give([order], ordering.book_path(config, overrides), as_json=as_json)


def thaw(
    *,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """End every freeze before its time."""
    path = ordering.book_path(config, overrides)
    meant = ordering.standing(path).freezes
    if not meant:
        screen.complain("nothing is frozen")
        return options.ERROR
    return ordering.give(_revoked(meant, reason), path, as_json=as_json)


def break_glass(
    name: Name = None,
    *,
    reason: Must,
    service: Service = None,
    node: Node = None,
    everything: All = False,
    span: ordering.For = None,
    until: ordering.Until = None,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """In an emergency: wait for no window, approval or fuse. It is logged and shown to all."""
    head = ordering.head(reason=reason, span=span, until=until)
    if not reason.strip():
        raise typer.BadParameter("--reason: say why; it is kept")
    if everything and (name or service or node):
        raise typer.BadParameter("--all is everything: leave the name out")
    scope = EVERYTHING
    if not everything:
        known = ordering.state(config, overrides)
        scope = scope_of(known, name=name, service=service, node=node)
    order = BreakGlass(**head, scope=scope)
    return ordering.give([order], ordering.book_path(config, overrides), as_json=as_json)


def revoke(
    order: OrderName,
    *,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Take back any order before its time."""
    path = ordering.book_path(config, overrides)
    there = [*ordering.standing(path)]
    meant = [one for one in there if one.id == order]
    if not meant:
        listed = ", ".join(f"{one.id} ({what_text(one)})" for one in there) or "none"
        screen.complain(f"no order {order} is in force", f"in force: {listed}")
        return options.ERROR
    return ordering.give(_revoked(meant, reason), path, as_json=as_json)


def scope_of(known: State, *, name: str | None, service: str | None, node: str | None) -> Scope:
    """Return what an order is about; a name that nobody has is refused.

    Raises:
        typer.BadParameter: if it is not said, said twice, or there is nothing so called.
    """
    said = [
        Scope(kind=kind, name=value)
        for kind, value in (
            (ScopeKind.GUEST, name),
            (ScopeKind.SERVICE, service),
            (ScopeKind.NODE, node),
        )
        if value is not None
    ]
    if len(said) != 1:
        raise typer.BadParameter("say one of NAME, --service and --node")
    (scope,) = said
    services = frozenset(known.guests.values())
    if scope.kind is ScopeKind.GUEST and name in services and name not in known.guests:
        scope = Scope(kind=ScopeKind.SERVICE, name=scope.name)
    there = {
        ScopeKind.GUEST: frozenset(known.guests),
        ScopeKind.SERVICE: services,
        ScopeKind.NODE: known.nodes,
        ScopeKind.ALL: frozenset[str](),
    }[scope.kind]
    if known.known and scope.name not in there:
        listed = ", ".join(sorted(there))
        raise typer.BadParameter(
            f"there is no {scope.kind.value} {scope.name} (there are {listed})"
        )
    return scope


def _revoked(meant: Iterable[Order], reason: str) -> list[Order]:
    return [
        Revoke(**ordering.head(reason=reason, span="1m", until=None), order=one.id)
        for one in meant
    ]
