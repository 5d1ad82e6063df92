"""Describe how a guest is kept: when it starts, where it runs, what may be done to it."""

from typing import Literal

from pydantic import Field

from qlop.manifest import fields
from qlop.manifest.part import Part


class Startup(Part):
    """When it starts as its node boots, and stops as its node goes down."""

    order: int | None = Field(None, ge=0, description="Lower starts earlier and stops later.")
    up_delay: fields.Seconds | None = Field(
        None, description="Pause after its start before the next guest starts."
    )
    down_delay: fields.Seconds | None = Field(None, description="How long its shutdown may take.")


class Placement(Part):
    """Where the guests of a service run. Kept in mind when one is created or must move."""

    nodes: list[fields.NodeRef] | None = Field(
        None, min_length=1, description="The only nodes they may be on; else every node."
    )
    preferred: list[fields.NodeRef] | None = Field(
        None, description="Nodes to choose first, the best one first."
    )
    spread: bool | None = Field(
        None, description="Replicas on different nodes as far as there are any (the default)."
    )
    apart_from: list[fields.Name] | None = Field(
        None, description="Services whose guests must not be on the same node."
    )
    together_with: list[fields.Name] | None = Field(
        None, description="Services whose guests should be on the same node."
    )


class Snapshots(Part):
    """The snapshots that each guest has."""

    keep: list[fields.Snapshot] | None = Field(
        None, description="Their names. One that is not there is taken."
    )
    prune: bool | None = Field(
        None, description="Delete those that qlop took and that are no longer in `keep`."
    )
    memory: bool | None = Field(None, description="VM: with the memory of a running one.")


class Shutdown(Part):
    """How a guest is shut down."""

    timeout: fields.Seconds | None = Field(
        None, description="How long it may take; 3m by default."
    )
    then_stop: bool | None = Field(
        None, description="After that, pull the plug. Otherwise it stays up, and qlop says so."
    )


Word = Literal["do", "window", "ask", "warn"]
FieldWord = Literal["do", "window", "ask", "warn", "ignore"]


class ImpactConsents(Part):
    """What may be done by what it costs those who use the guest.

    What costs more is never freer than what costs less: with `hot: ask` a reboot needs to
    be asked for too.
    """

    none: Word | None = Field(None, description="Nobody notices; `do` by default.")
    hot: Word | None = Field(
        None, description="Done while it runs, hardly noticed (a live migration); `do` by default."
    )
    reboot: Word | None = Field(
        None,
        description="A reboot, for what takes effect only then; `ask` by default. Until then"
        " PVE keeps the change pending.",
    )
    downtime: Word | None = Field(
        None, description="It is not available meanwhile; `ask` by default."
    )
    data_loss: Literal["ask", "warn"] | None = Field(
        None, description="Something stored is gone afterwards; `ask` by default."
    )


class Changes(Part):
    """What qlop may change, and when.

    `do`: at once. `window`: while one of its `windows` is open. `ask`: when somebody has
    approved exactly this action (`qlop approve`). `warn`: say that it differs and leave it.
    `ignore`: don't compare it, it is somebody else's.
    """

    impact: ImpactConsents | None = Field(None, description="By what a change costs.")
    fields: dict[str, FieldWord] | None = Field(
        None,
        description="By what is changed, which then decides alone: options as plans name them"
        " (`memory`, `net0`, `net0.rate`, `scsi0.size`), and `power` (being started and"
        " stopped; `do` by default), `placement` (being moved), `pool` and `replace`"
        " (being built anew).",
    )
