"""Keep the daemon's log out of thousands of lives, and count what was tried."""

import logging
from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

TALLY = pytest.StashKey[Counter[str]]()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing: what a failed test has to say, it says itself."""
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    yield
    structlog.reset_defaults()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Counter[str]:
    """Return the counts that the end of the run prints."""
    return request.config.stash.setdefault(TALLY, Counter())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many cases there were."""
    for what, count in config.stash.get(TALLY, Counter()).items():
        terminalreporter.write_line(f"{what}: {count} cases, all seeded by their names")
