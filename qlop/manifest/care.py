"""Describe how a service is cared for: its checks, how changes reach it, the way back."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from qlop.manifest import fields, forms
from qlop.manifest.part import Part

_STATUS_PATTERN = r"^[1-5]\d\d-[1-5]\d\d$"


def statuses(value: object) -> tuple[int, int]:
    """Return the lowest and highest HTTP status that ``200`` or ``200-399`` means."""
    if type(value) is int and 100 <= value <= 599:
        return value, value
    if isinstance(value, str):
        low, dash, high = value.partition("-")
        if dash and low.isdecimal() and high.isdecimal() and 100 <= int(low) <= int(high) <= 599:
            return int(low), int(high)
    raise forms.problem("malformed", f"{value!r} is no HTTP status; write 200 or 200-399")


Statuses = Annotated[
    tuple[int, int],
    fields.Human(
        statuses,
        (
            ("type", ("integer", "string")),
            ("pattern", _STATUS_PATTERN),
            ("examples", (200, "200-399")),
        ),
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]


class Tcp(Part):
    """Something takes a connection."""

    port: Port = Field(description="The port.")


class Http(Part):
    """A GET is answered as it should be. Redirections are not followed."""

    port: Port = Field(description="The port.")
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] | None = Field(
        None, description="What is asked for, from the `/` on; `/` by default."
    )
    scheme: Literal["http", "https"] | None = Field(None, description="`http` by default.")
    status: Statuses | None = Field(
        None, description="The answers that are right; `200-399` by default."
    )
    host: fields.DnsName | None = Field(
        None,
        description="The name asked for, which a certificate must be for; its address by default.",
    )
    verify: bool | None = Field(
        None, description="Whether an https certificate must be valid; `true` by default."
    )


class Check(Part):
    """One question, asked again and again: exactly one of the first four keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    running: Literal[True] | None = Field(
        None, description="It runs. Seen whenever qlop looks, whatever else stands here."
    )
    agent: Literal[True] | None = Field(
        None, description="VM: the guest agent answers. Costs more than the others: a call of PVE."
    )
    tcp: Tcp | None = Field(None, description="A connection.")
    http: Http | None = Field(None, description="A request.")
    interval: fields.Seconds | None = Field(None, description="How often; 10s by default.")
    timeout: fields.Seconds | None = Field(
        None, description="How long an answer may take; 5s by default."
    )
    failures: int | None = Field(
        None, ge=1, le=100, description="So many in a row are a failure; 3 by default."
    )
    successes: int | None = Field(
        None, ge=1, le=100, description="So many in a row are a recovery; 1 by default."
    )
    start_period: fields.Seconds | None = Field(
        None,
        description="How long after a start or a change failures don't count; 60s by default.",
    )


class Update(Part):
    """How a change goes through the guests of a service, by their numbers.

    A step begins when the guests of the one before are as wanted and healthy. What
    nobody notices (tags, notes) reaches all at once.
    """

    order: Literal["stop-first", "start-first"] | None = Field(
        None,
        description="How a guest is replaced by one that is built anew. `stop-first` (the"
        " default): the old one is down before the new one starts. `start-first`: the new one"
        " runs and is healthy before the old one is shut down; not with what both would have"
        " (a fixed address or MAC, a `vmid`, a persistent disk).",
    )
    canary: int | None = Field(
        None, ge=0, le=1000, description="How many guests go first, alone; 0 by default."
    )
    pause_after_canary: fields.Seconds | None = Field(
        None, description="How long to wait after them; 0s by default."
    )
    batch_size: int | None = Field(
        None, ge=1, le=1000, description="How many go at once after that; 1 by default."
    )
    max_unavailable: int | None = Field(
        None,
        ge=0,
        description="How many guests of the service may be down at once for a change,"
        " whatever the cause; 1 by default, `0` for none ever.",
    )
    progress_deadline: fields.Seconds | None = Field(
        None,
        description="How long after its last action a step may take to be as wanted and"
        " healthy before the rollout counts as stalled; 15m by default.",
    )
    ready_after: fields.Seconds | None = Field(
        None,
        description="How long after qlop started it a guest counts as still coming up, if it has"
        " no `health` checks that could tell; 60s by default, `0s` for not at all.",
    )


class Rollback(Part):
    """What becomes of a change that takes a guest down and leaves it unhealthy."""

    mode: Literal["none", "auto"] | None = Field(
        None,
        description="`none` (the default): it stays. `auto`: a snapshot is taken before, the"
        " guest is watched after, and if it is not healthy, its configuration is set back; the"
        " change is not tried again before the manifest is another one.",
    )
    watch: fields.Seconds | None = Field(
        None, description="How long it is watched; 5m by default."
    )
    disks: bool | None = Field(
        None,
        description="Roll its disks back as well: **what was written since is lost**. `false`"
        " by default.",
    )
    memory: bool | None = Field(
        None, description="VM: the snapshot holds its RAM, too. `false` by default."
    )
