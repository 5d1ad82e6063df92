"""``qlop approve ID`` and ``qlop acknowledge FINGERPRINT``: yes, do exactly that."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer

from qlop.cli import options, ordering, screen
from qlop.model.ids import ActionId, ServiceName
from qlop.model.orders import Acknowledge, Approve
from qlop.render.plain_value import Plain

APPROVED_FOR = timedelta(hours=24)
"""How long an approval holds if nobody says: a change agreed to is one for today."""
ACKNOWLEDGED_FOR = timedelta(hours=24)
LOSS_ACKNOWLEDGED_FOR = timedelta(days=90)
"""Of services that are gone from the manifests: their guests may be kept for long."""
ID_LENGTH_MIN = 4
"""So many digits of an id are needed: fewer are a slip of the hand."""

Ids = Annotated[list[str], typer.Argument(help="Ids that `qlop status` lists.")]
Fingerprint = Annotated[str, typer.Argument(help="The fingerprint that the hold names.")]


def approve(
    ids: Ids,
    *,
    span: ordering.For = None,
    until: ordering.Until = None,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Approve actions that wait for it: exactly these, once, for a day if not said otherwise."""
    head = ordering.head(reason=reason, span=span, until=until, default=APPROVED_FOR)
    asks = ordering.state(config, overrides).asks
    chosen: list[Approve] = []
    for given in ids:
        found = [ask for ask in asks if is_meant(ask, given)]
        if len(found) != 1:
            waiting = ", ".join(f"{ask['id']} ({ask['summary']})" for ask in asks) or "nothing"
            which = "nothing waits for an approval as" if not found else "several wait as"
            screen.complain(f"{which} {given}", f"waiting: {waiting}")
            return options.ERROR
        action = ActionId(str(found[0]["action"]))
        chosen.append(replace(Approve(**head, action=action), id=ordering.new_id()))
    return ordering.give(chosen, ordering.book_path(config, overrides), as_json=as_json)


def acknowledge(
    fingerprint: Fingerprint,
    *,
    span: ordering.For = None,
    until: ordering.Until = None,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Let a plan be carried out that a fuse holds: exactly what it held, and no more."""
    fuses = ordering.state(config, overrides).fuses
    found = next((fuse for fuse in fuses if fuse["fingerprint"] == fingerprint), None)
    if found is None:
        blown = ", ".join(f"{fuse['fingerprint']}: {fuse['message']}" for fuse in fuses)
        screen.complain(f"no fuse holds a plan as {fingerprint}", f"blown: {blown or 'none'}")
        return options.ERROR
    services = frozenset(map(ServiceName, ordering.texts(found["services"])))
    default = LOSS_ACKNOWLEDGED_FOR if services else ACKNOWLEDGED_FOR
    order = Acknowledge(
        **ordering.head(reason=reason, span=span, until=until, default=default),
        fuse=fingerprint,
        actions=frozenset(map(ActionId, ordering.texts(found["actions"]))),
        services=services,
    )
    return ordering.give([order], ordering.book_path(config, overrides), as_json=as_json)


def is_meant(ask: Mapping[str, Plain], given: str) -> bool:
    """Return whether ``given`` names what waits: by its id, its whole id, or its guest."""
    action = str(ask["action"])
    fingerprint = action.rpartition("/")[2]
    by_digits = len(given) >= ID_LENGTH_MIN and fingerprint.startswith(given)
    return by_digits or given in {action, ask["subject"]}
