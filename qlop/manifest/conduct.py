"""Describe how a guest is kept: when it starts, where it runs, what may be done to it."""

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


class Allow(Part):
    """What qlop may do to a running guest to bring a change about."""

    reboot: bool | None = Field(
        None, description="Reboot it for what takes effect only then. Else the change waits."
    )
    relocate: bool | None = Field(
        None,
        description="Move it although that interrupts it: a container restarts, a VM that"
        " can't move live is shut down, moved and started.",
    )
