"""Watching manifests: soon after a save, and through everything done to the directory."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from qlop.sources import watch

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # the kernel's notices come in real time
    pytest.mark.timeout(180),
]
PATIENCE_S = 60.0
AGAIN_S = 1.0
"""A save that came before anybody watched is made again after so long."""


class Changed:
    """Waits for a change to be noticed."""

    def __init__(self) -> None:
        self.noticed: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, again: Callable[[], object] = tuple) -> None:
        """Wait until one is noticed; do ``again`` what makes one as long as none is."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                await asyncio.wait_for(self.noticed.get(), AGAIN_S)
                break
            except TimeoutError:
                assert time.monotonic() < deadline, "no change was noticed"
                again()
        while not self.noticed.empty():
            self.noticed.get_nowait()

    async def by(self, make: Callable[[], object]) -> None:
        """Make a change that can be made again, and wait until it is noticed."""
        make()
        await self(make)

    async def nothing(self, seconds: float) -> bool:
        """Return whether none is noticed for a while."""
        await asyncio.sleep(seconds)
        return self.noticed.empty()


def saving(file: Path) -> Callable[[], object]:
    """Return what saves a file, each time with another content."""
    return lambda: file.write_text(f"{time.monotonic()}")


def watching(root: Path, story: Callable[[Changed], Awaitable[None]]) -> None:
    """Tell a story while ``root`` is watched; if it is there, that has begun to work."""

    is_there = root.exists()

    async def run() -> None:
        changed = Changed()

        async def listen(changes: AsyncIterator[None]) -> None:
            async for _ in changes:
                changed.noticed.put_nowait(None)

        listener = asyncio.create_task(listen(watch.changes(root)))
        try:
            if is_there:
                await changed.by(saving(root / "first.yaml"))
            else:
                await asyncio.sleep(0)  # It looks, and the directory is not there.
            await story(changed)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    asyncio.run(run())


def test_a_save_is_noticed_at_once(tmp_path: Path) -> None:
    """The best of five counts: a machine that is busy may be late with the others."""
    spans: list[float] = []

    async def story(changed: Changed) -> None:
        for _ in range(5):
            begun = time.monotonic()
            await changed.by(saving(tmp_path / "a.yaml"))
            spans.append(time.monotonic() - begun)

    watching(tmp_path, story)

    assert min(spans) < watch.LOOK_S / 2, spans


def test_what_git_and_editors_do_beside_it_is_not_noticed(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()

    async def story(changed: Changed) -> None:
        (tmp_path / ".git" / "index").write_text("x")
        (tmp_path / "a.yaml~").write_text("x")
        assert await changed.nothing(0.4)
        (tmp_path / "sub").mkdir()
        await changed()

    watching(tmp_path, story)


def test_a_directory_that_vanishes_and_comes_back_is_still_watched(tmp_path: Path) -> None:
    root = tmp_path / "desired"
    root.mkdir()

    async def story(changed: Changed) -> None:
        shutil.rmtree(root)
        await changed()
        await asyncio.sleep(1.2)
        root.mkdir()
        await changed()
        await changed.by(saving(root / "a.yaml"))

    watching(root, story)


def test_a_directory_put_in_the_place_of_another_is_watched(tmp_path: Path) -> None:
    root = tmp_path / "desired"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    root.symlink_to(tmp_path / "one")

    async def story(changed: Changed) -> None:
        root.unlink()
        root.symlink_to(tmp_path / "two")
        await changed()
        await changed.by(saving(tmp_path / "two" / "a.yaml"))

    watching(root, story)


def test_a_directory_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    root = tmp_path / "desired"

    async def story(changed: Changed) -> None:
        root.mkdir()
        await changed()

    watching(root, story)
