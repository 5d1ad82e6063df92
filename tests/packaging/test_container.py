"""The container image, as far as reading its recipe can tell."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_it_is_built_in_one_image_and_run_in_another() -> None:
    images = instructions("FROM")

    assert len(images) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+( AS build)?", one) for one in images)


def test_it_does_not_run_as_root() -> None:
    (user,) = instructions("USER")

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert LINES.index(f"USER {user}") > LINES.index("FROM python:3.13-slim-bookworm")


def test_all_that_is_copied_in_is_there_and_not_ignored() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    sources = [
        source
        for copied in instructions("COPY")
        if not copied.startswith("--from")
        for source in copied.split()[:-1]
    ]

    assert sources
    assert all((ROOT / source).exists() for source in sources)
    assert {source.partition("/")[0] for source in sources} == allowed


def test_it_holds_no_secret_and_starts_the_daemon() -> None:
    assert not any("TOKEN" in one or "SECRET" in one for one in instructions("ENV"))
    assert instructions("ENTRYPOINT") == ['["qlop"]']
    assert instructions("CMD") == ['["run"]']
