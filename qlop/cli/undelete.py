"""``qlop undelete NAME``: keep a guest that no manifest names any more, and start it again."""

from datetime import timedelta
from typing import Annotated

import typer

from qlop.cli import options, ordering, screen
from qlop.model.ids import ServiceName
from qlop.model.orders import Undelete

UNDELETED_FOR = timedelta(days=7)
"""How long it is kept if nobody says: until then its manifest should be back."""

Names = Annotated[list[str], typer.Argument(help="Guests that `qlop status` lists as given up.")]


def undelete(
    names: Names,
    *,
    span: ordering.For = None,
    until: ordering.Until = None,
    reason: ordering.Reason = "",
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Keep guests that no manifest names any more, start them again, and take their tombstones.

    It holds for a week if not said otherwise. Put the manifest back within that time.
    """
    orphans = ordering.state(config, overrides).orphans
    chosen: list[Undelete] = []
    for name in names:
        place = orphans.get(name)
        if place is None:
            listed = ", ".join(sorted(orphans)) or "none"
            screen.complain(
                f"{name} is no guest of qlop that the manifests have given up",
                f"given up: {listed}; what was destroyed comes back from its backup",
            )
            return options.ERROR
        service, index = place
        head = ordering.head(reason=reason, span=span, until=until, default=UNDELETED_FOR)
        chosen.append(Undelete(**head, service=ServiceName(service), index=index))
    return ordering.give(chosen, ordering.book_path(config, overrides), as_json=as_json)
