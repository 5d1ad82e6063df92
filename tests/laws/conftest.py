"""Give every law the time that its worlds need, also on a busy machine."""

from pathlib import Path

import pytest

PATIENCE_S = 180
"""A law draws a hundred worlds and more: alone it takes some ten seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no law be stopped before that; 0 means never, and stays."""
    for item in items:
        own = item.get_closest_marker("timeout")
        if item.path.is_relative_to(Path(__file__).parent) and (
            own is None or 0 < own.args[0] < PATIENCE_S
        ):
            item.add_marker(pytest.mark.timeout(PATIENCE_S), append=False)
