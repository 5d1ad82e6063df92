"""Notice that manifests changed, within a tenth of a second of their being saved."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import Change, awatch

from qlop.sources import files

QUIET_MS = 20
"""Saving is over when nothing was written for so long: an editor writes in one go."""
CROWD_MS = 500
"""While files keep changing (a checkout), say so at least this often."""
LOOK_S = 1.0
"""How often to look whether the directory is still the one that is watched.

The kernel's notices belong to the directory, not to its name: after it was moved away
and another one put in its place, they would be silent.
"""

_Place = tuple[int, int] | None


async def changes(root: Path) -> AsyncIterator[None]:
    """Yield each time something below ``root`` may have changed.

    Survives that the directory vanishes, comes back, or is replaced: each is a change.
    What changed is not said; a trigger carries no data.
    """
    while True:
        place = _place(root)
        if place is None:
            await _appearance(root)
            yield
            continue
        try:
            async for _ in _changes_of(root, place):
                yield
        except FileNotFoundError:
            pass  # It vanished between the look and the watch.
        yield


async def _changes_of(root: Path, place: _Place) -> AsyncIterator[None]:
    """Yield until ``root`` is no longer the directory at ``place``."""
    ours = _Filter(root)
    async for batch in awatch(
        ours.root,
        watch_filter=ours,
        debounce=CROWD_MS,
        step=QUIET_MS,
        rust_timeout=int(LOOK_S * 1000),
        yield_on_timeout=True,
    ):
        if batch:
            yield
        if _place(root) != place:
            return


class _Filter:
    """Leave out what is hidden below the root, git's own files above all."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._depth = len(self.root.parts)

    def __call__(self, change: Change, path: str) -> bool:
        """Return whether a change of ``path`` may change what ``files.load`` gives."""
        del change
        return not any(files.is_hidden(part) for part in Path(path).parts[self._depth :])


async def _appearance(root: Path) -> None:
    while _place(root) is None:  # noqa: ASYNC110  # nothing tells of a directory not there
        await asyncio.sleep(LOOK_S)


def _place(root: Path) -> _Place:
    try:
        seen = root.stat()
    except OSError:
        return None
    return (seen.st_dev, seen.st_ino)
