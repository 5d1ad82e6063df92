"""Collect what asks for a cycle. A trigger carries no data: every cycle reads all."""

import asyncio
from datetime import timedelta


class Triggers:
    """A bell: however often it is rung between two cycles, one cycle follows."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._manifests = True

    def ring(self) -> None:
        """Ask for a cycle."""
        self._rung.set()

    def ring_for_manifests(self) -> None:
        """Ask for a cycle that reads the manifests again."""
        self._manifests = True
        self._rung.set()

    def ask_for_manifests(self) -> None:
        """Have the next cycle, whenever it comes, read the manifests again."""
        self._manifests = True

    def take_manifests(self) -> bool:
        """Return whether the manifests are to be read again, and forget it."""
        asked, self._manifests = self._manifests, False
        return asked

    async def wait(self, at_most: timedelta) -> bool:
        """Wait until the bell rings or ``at_most`` has passed; say whether it rang."""
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                await self._rung.wait()
        except TimeoutError:
            return False
        finally:
            self._rung.clear()
        return True
