"""Hold manifest files as they were read, before anything is made of them."""

from dataclasses import dataclass

from qlop.model.finding import Finding

MAX_FILE_BYTES = 1024**2
"""A manifest larger than this is refused unparsed; people don't write such files."""

MAX_FILES = 50_000
"""More files than any cluster has guests: somebody pointed at the wrong directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file: its path below the root, with ``/``, and what is in it.

    ``size_bytes`` is that of the whole file. Of a file above ``MAX_FILE_BYTES`` nothing
    needs to be read: ``content`` may then be cut short or empty.
    """

    path: str
    content: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """Every manifest below ``root`` (``*.yaml``, ``*.yml``), in any order.

    ``findings`` are what went wrong while reading (a file that may not be read, a
    directory that vanished); one of severity error keeps the tree from being taken.
    """

    root: str
    files: tuple[SourceFile, ...]
    findings: tuple[Finding, ...] = ()
