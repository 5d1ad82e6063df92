"""Play every story, and compare how it went with how it was accepted to go."""

import pytest

from tests.scenarios import stage, stories, story


def _cases() -> list[object]:
    return [
        pytest.param(name, id=name, marks=[pytest.mark.slow] if story.is_slow(name) else [])
        for name in story.names()
    ]


@pytest.mark.parametrize("name", _cases())
def test_story(name: str) -> None:
    played = stage.play(story.read(name))

    assert not played.broken
    assert not stories.difference(name, played.transcript), (
        f"see `scripts/stories {name}`; if that is how it should go, accept it there"
    )
