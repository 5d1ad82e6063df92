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
]
PATIENCE_S = 10.0


def watching(
    root: Path, story: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
) -> None:
    async def run() -> None:
        changes = watch.changes(root)
        pending: asyncio.Queue[None] = asyncio.Queue()

        async def listen(changes: AsyncIterator[None]) -> None:
            async for _ in changes:
                pending.put_nowait(None)

        async def changed() -> None:
            await asyncio.wait_for(pending.get(), PATIENCE_S)
            while not pending.empty():
                pending.get_nowait()

        listener = asyncio.create_task(listen(changes))
        await asyncio.sleep(0.3)
        try:
            await story(changed)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    asyncio.run(run())


def test_a_save_is_noticed_at_once(tmp_path: Path) -> None:
    spans: list[float] = []

    async def story(changed: Callable[[], Awaitable[None]]) -> None:
        for number in range(5):
            begun = time.monotonic()
            (tmp_path / "a.yaml").write_text(f"{number}")
            await changed()
            spans.append(time.monotonic() - begun)
            await asyncio.sleep(0.1)

    watching(tmp_path, story)

    assert sorted(spans)[2] < 0.1, spans


def test_what_git_and_editors_do_beside_it_is_not_noticed(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()

    async def story(changed: Callable[[], Awaitable[None]]) -> None:
        (tmp_path / ".git" / "index").write_text("x")
        (tmp_path / "a.yaml~").write_text("x")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(changed(), 0.4)
        (tmp_path / "sub").mkdir()
        await changed()

    watching(tmp_path, story)


def test_a_directory_that_vanishes_and_comes_back_is_still_watched(tmp_path: Path) -> None:
    root = tmp_path / "desired"
    root.mkdir()

    async def story(changed: Callable[[], Awaitable[None]]) -> None:
        shutil.rmtree(root)
        await changed()
        await asyncio.sleep(1.2)
        root.mkdir()
        await changed()
        await asyncio.sleep(0.3)
        (root / "a.yaml").write_text("x")
        await changed()

    watching(root, story)


def test_a_directory_put_in_the_place_of_another_is_watched(tmp_path: Path) -> None:
    root = tmp_path / "desired"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    root.symlink_to(tmp_path / "one")

    async def story(changed: Callable[[], Awaitable[None]]) -> None:
        root.unlink()
        root.symlink_to(tmp_path / "two")
        await changed()
        await asyncio.sleep(0.3)
        (tmp_path / "two" / "a.yaml").write_text("x")
        await changed()

    watching(root, story)


def test_a_directory_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    root = tmp_path / "desired"

    async def story(changed: Callable[[], Awaitable[None]]) -> None:
        root.mkdir()
        await changed()

    watching(root, story)
