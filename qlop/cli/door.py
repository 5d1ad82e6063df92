"""Say what commands need of the daemon's parts, and where these come from."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

from qlop.controller.cycle import CycleResult, Engine
from qlop.model.event import Event
from qlop.model.history import JournalRecord
from qlop.settings import Settings


class Assembly(Protocol):
    """The parts of a daemon, put together and ready."""

    engine: Engine

    def records(self) -> Sequence[JournalRecord]:
        """Return the journal, oldest first."""
        ...

    async def run(
        self,
        *,
        on_cycle: Callable[[CycleResult, float], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Make cycles until ``stop`` is called."""
        ...

    async def hear(self, at_most: timedelta) -> None:
        """Ask guests how they are, before ``run``, until that is known; at most so long."""
        ...

    def stop(self) -> None:
        """Make ``run`` return; nothing that PVE is doing is broken off."""
        ...


class Door(Protocol):
    """How commands reach a cluster. The one in use is ``qlop.daemon``."""

    def looking(self, settings: Settings) -> AbstractAsyncContextManager[Assembly]:
        """Return parts that can look and plan, and change nothing.

        Raises:
            PortError: if they can't be put together.
        """
        ...

    def acting(
        self, settings: Settings, on_event: Callable[[Event], None]
    ) -> AbstractAsyncContextManager[Assembly]:
        """Return parts that act. They hold the lease and the journal while they last.

        Raises:
            PortError: ``CONFLICT`` if another qlop acts.
        """
        ...
