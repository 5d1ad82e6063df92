"""Keep the daemon's log out of thousands of lives, and count what was tried."""

import logging
from collections import Counter
from collections.abc import Generator, Iterator

import pytest
import structlog

TALLY = pytest.StashKey[Counter[str]]()
COUNTED = ("faults", "kills")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing: what a failed test has to say, it says itself."""
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    yield
    structlog.reset_defaults()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Counter[str]:
    """Return the counts of this test; the end of the run prints the sums of all."""
    node: pytest.Item = request.node
    return node.stash.setdefault(TALLY, Counter())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send the counts along with the report: the workers of a run share nothing else."""
    report = yield
    if report.when == "call":
        report.user_properties += [*item.stash.get(TALLY, Counter()).items()]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases there were."""
    found: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for what, count in getattr(report, "user_properties", ()):
                if what.startswith(COUNTED):
                    found[what] += int(count)
    for what, count in sorted(found.items()):
        terminalreporter.write_line(f"{what}: {count:,} cases, all seeded by their names")
