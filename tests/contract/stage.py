"""Where a recording is played: what passes and happens there between the calls."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from typing_extensions import override

from qlop.sim import forms, script, status
from qlop.sim.cluster import Cluster
from qlop.sim.wire import SimRequest
from tests.contract import worlds
from tests.contract.recordings import Exchange, Note

Rows = Sequence[Mapping[str, Any]]

POLL_S = 0.25


class Stage(Protocol):
    """A cluster that is being played to."""

    @property
    def now(self) -> float:
        """Return what time it is there, as the recordings count."""
        ...

    def advance(self, at: float) -> None:
        """Let it become ``at``."""
        ...

    def act(self, command: str, ahead: list[Exchange | Note]) -> None:
        """Do by hand what the recording's people did (``acts``)."""
        ...

    def upids(self) -> list[str]:
        """Return the tasks that are known there, the newest first."""
        ...

    def catch_up(self, recorded: Rows, shown: Rows) -> bool:
        """Let the status daemons speak where the recorded ones had; ask again if true.

        The phase of their ten seconds is the host's own.
        """
        ...


class SimulatedStage(Stage):
    """A simulated cluster in this process: time passes at a word."""

    def __init__(self, cluster: Cluster, contacted: str) -> None:
        self._cluster = cluster
        self._contacted = contacted

    @property
    @override
    def now(self) -> float:
        return self._cluster.now

    @override
    def advance(self, at: float) -> None:
        self._cluster.advance(at)

    @override
    def act(self, command: str, ahead: list[Exchange | Note]) -> None:
        word, _, rest = command.partition(" ")
        if word == "adopt":
            worlds.adopt(self._cluster, int(rest), ahead)
        elif word == "call":
            method, path, form = [*rest.split(" ", 2), ""][:3]
            request = SimRequest(
                method=method,
                path=path,
                params=forms.urlencoded(form),
                authorization="PVEAPIToken=root@pam!test=TOKEN-SECRET",
                node=self._contacted,
            )
            self._cluster.handle(request, self._cluster.now)
        elif word == "make":
            worlds.make(self._cluster, rest)
        elif word == "image":
            worlds.add_image(self._cluster, rest)
        else:
            script.do(self._cluster, command, self._cluster.now)

    @override
    def upids(self) -> list[str]:
        return [*reversed(self._cluster.world.tasks)]

    @override
    def catch_up(self, recorded: Rows, shown: Rows) -> bool:
        world = self._cluster.world
        known = {row.get("vmid"): row for row in recorded}
        late: set[str] = set()
        for guest in world.guests.values():
            row = known.get(guest.vmid, {})
            live = status.see(world, guest)
            pairs = (
                (row.get("status"), live.status, guest.seen.status if guest.seen else None),
                (row.get("name"), live.name, guest.seen.name if guest.seen else None),
                (row.get("maxmem"), live.maxmem, guest.seen.maxmem if guest.seen else None),
            )
            if any(told == now != pushed for told, now, pushed in pairs):
                late.add(guest.node)
        for node in late:
            world.publish(node, functools.partial(status.see, world))
        return bool(late)
