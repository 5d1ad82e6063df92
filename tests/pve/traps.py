"""Take each guard of the client away, and see that its test fails.

``python -m tests.pve.traps`` prints a table: trap, whether it was seen open. Names of traps
limit it to those. That the tests pass with the guards is what the test suite shows.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import pytest

from tests import breaking
from tests.pve.trap_table import TRAPS, Trap

_FAILED = {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
"""A guard whose absence breaks even the import of its test is missed, too."""

_HEAVY = ("aiohttp", "cryptography.x509", "orjson", "pydantic", "requests", "rich", "structlog")
"""Imported once, before the processes part: it saves each of them a second."""


def is_seen(trap: Trap) -> bool:
    """Return whether a trap's test fails without its guards, in a process of its own."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device, not a path
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        breaking.install(trap.guards)
        quiet = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
        os._exit(pytest.main([trap.test, *quiet]))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) in _FAILED


def main(names: Sequence[str]) -> int:
    """Print the table; return how many traps nobody would see open."""
    for name in _HEAVY:
        import_module(name)
    chosen = [trap for trap in TRAPS if not names or trap.name in names]
    missed = 0
    for trap in chosen:
        word = "no guard of ours"
        if trap.guards:
            seen = is_seen(trap)
            missed += not seen
            word = "seen" if seen else "NOT SEEN"
        sys.stdout.write(f"{trap.name:<90} {word}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - missed} of {len(chosen)} open traps are seen\n")
    return missed


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
