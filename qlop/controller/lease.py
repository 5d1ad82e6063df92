"""Hold the lease: of all qlops on one machine, one acts.

The lease is a lock on a file, which the kernel gives back when its holder dies. PVE does
not fence, so on several machines this is no protection; there the guards before each
mutation and PVE's own digests catch what two masters could do to each other.
"""

import fcntl
import os
from pathlib import Path


class FileLease:
    """A lease on a file that is locked as long as it is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Return whether we hold it."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lease if it is free, and return whether it is ours now.

        Raises:
            OSError: if the file can't be opened.
        """
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lease back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
