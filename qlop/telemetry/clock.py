"""Tell the time, wait, and draw lots, for real: the daemon's ``Clock`` and ``Ids``."""

import asyncio
import random
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, span: timedelta) -> None:
        """Wait for ``span``; at least let others run."""
        await asyncio.sleep(span.total_seconds())


class SystemIds:
    """Chance that can be repeated: the same ``seed`` gives the same ids and jitter."""

    def __init__(self, seed: int | None = None) -> None:
        """Begin at ``seed``; None: where nobody can say."""
        # Identifiers for logs and the spread of intervals, nothing that must be secret.
        self._random = random.Random(seed)  # noqa: S311

    def cycle_id(self) -> str:
        """Return eight hexadecimal digits: enough to find one cycle in a year of logs."""
        return f"{self._random.getrandbits(32):08x}"

    def jitter(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()
