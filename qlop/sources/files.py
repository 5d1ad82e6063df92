"""Read every manifest below a directory, all at one moment or not at all.

What can't be read is said in a finding, never passed over: a file that is missing from
what was read would look like a service that nobody wants any more.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qlop.model.finding import Finding, Origin, Severity
from qlop.model.source import MAX_FILE_BYTES, MAX_FILES, SourceFile, SourceTree

SUFFIXES: Final = (".yaml", ".yml")
DEPTH_MAX = 32
"""Directories below directories; deeper is a mistake, most likely a symlink's."""
TOTAL_BYTES_MAX = 256 * 1024**2
"""All manifests together: a hundred times what ten thousand services need."""
ATTEMPTS = 5
"""How often a directory is read again that changed while it was read."""

_Signature = tuple[int, int, int, int]


class _TreeChangedError(Exception):
    """Something changed between looking and reading."""


def load(root: Path) -> SourceTree:
    """Return every ``*.yaml`` and ``*.yml`` below ``root``, hidden ones left out.

    The files are those of one instant: if anything changed while they were read, they
    are read again. An empty directory, an empty file, or anything that can't be read
    gives a finding of severity error.
    """
    for _ in range(ATTEMPTS):
        try:
            return _load_once(root)
        except _TreeChangedError:
            continue
    return _refused(
        root, "manifests-changing", f"the manifests in {root} keep changing while they are read"
    )


def is_hidden(name: str) -> bool:
    """Return whether a file or directory is none of ours: hidden, or an editor's."""
    return name.startswith(".") or name.endswith(("~", ".tmp", ".swp")) or name == "4913"


def _load_once(root: Path) -> SourceTree:
    walk = _Walk(root=root)
    try:
        paths = sorted(walk.paths())
    except FileNotFoundError:
        return _refused(
            root,
            "manifests-missing",
            f"{root} does not exist",
            "create it, or set desired_state to where the manifests are",
        )
    except NotADirectoryError:
        return _refused(root, "manifests-missing", f"{root} is not a directory")
    except OSError as error:
        return _refused(root, "manifests-unreadable", f"{root}: {error.strerror}")
    if len(paths) > MAX_FILES:
        return _refused(
            root, "manifests-too-many", f"{root} holds more than {MAX_FILES} manifests"
        )
    if not paths and not walk.findings:
        return _refused(
            root,
            "manifests-none",
            f"there is no manifest in {root}",
            "an empty directory is not taken for the wish that nothing should run",
        )
    files: list[SourceFile] = []
    findings = list(walk.findings)
    total = 0
    for path in paths:
        found = _read(root, path, walk.signatures[path])
        if isinstance(found, Finding):
            findings.append(found)
            continue
        total += len(found.content)
        if total > TOTAL_BYTES_MAX:
            return _refused(root, "manifests-too-large", f"{root} holds more than 256 MiB")
        files.append(found)
    _check_unchanged(walk)
    return SourceTree(root=str(root), files=tuple(files), findings=tuple(findings))


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One pass over the directories: where the manifests are, and how they looked."""

    root: Path
    signatures: dict[str, _Signature] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def paths(self) -> Iterator[str]:
        """Yield each manifest's path below the root.

        Raises:
            OSError: if the root itself can't be listed.
        """
        top = self.root.stat()
        yield from self._below("", ((top.st_dev, top.st_ino),))

    def _below(self, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        for name in sorted(entry.name for entry in (self.root / prefix).iterdir()):
            if is_hidden(name):
                continue
            path = f"{prefix}{name}"
            try:
                seen = (self.root / path).stat()
            except OSError as error:
                if name.endswith(SUFFIXES):
                    hint = _link_hint(self.root / path)
                    self._refuse(path, "manifest-unreadable", f"{path}: {error.strerror}", hint)
                continue
            if stat.S_ISDIR(seen.st_mode):
                yield from self._descend(path, seen, above)
            elif name.endswith(SUFFIXES):
                self.signatures[path] = _signature(seen)
                yield path

    def _descend(
        self, path: str, seen: os.stat_result, above: tuple[tuple[int, int], ...]
    ) -> Iterator[str]:
        place = (seen.st_dev, seen.st_ino)
        if place in above:
            message = f"{path} is a symlink to a directory above it"
            self._refuse(
                path, "manifest-loop", message, "remove it: its manifests are read anyway"
            )
        elif len(above) >= DEPTH_MAX:
            self._refuse(path, "manifest-depth", f"{path} is deeper than {DEPTH_MAX} directories")
        else:
            try:
                yield from self._below(f"{path}/", (*above, place))
            except OSError as error:
                self._refuse(path, "manifest-unreadable", f"{path}: {error.strerror}")

    def _refuse(self, path: str, code: str, message: str, hint: str = "") -> None:
        self.findings.append(_finding(path, code, message, hint))


def _link_hint(path: Path) -> str:
    """Return what can be done about a file that is listed and can't be looked at."""
    if path.is_symlink():
        return f"it is a symlink to {path.readlink()}: mend it, or remove it"
    return ""


def _read(root: Path, path: str, expected: _Signature) -> SourceFile | Finding:
    try:
        # A FIFO called x.yaml would block an ordinary open for good.
        handle = os.open(root / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _TreeChangedError from None
    except OSError as error:
        hint = "let the user that qlop runs as read it"
        return _finding(path, "manifest-unreadable", f"{path}: {error.strerror}", hint)
    with os.fdopen(handle, "rb") as stream:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode):
            return _finding(path, "manifest-unreadable", f"{path} is not a file")
        size = seen.st_size
        content = stream.read(MAX_FILE_BYTES) if size <= MAX_FILE_BYTES else b""
        if _signature(os.fstat(handle)) != expected or len(content) != size <= MAX_FILE_BYTES:
            raise _TreeChangedError
    if size == 0:
        return _finding(
            path,
            "manifest-empty",
            f"{path} is empty",
            "a file that is being written looks like this; delete it if it should hold nothing",
        )
    return SourceFile(path=path, content=content, size_bytes=size)


def _check_unchanged(walk: _Walk) -> None:
    again = _Walk(root=walk.root)
    try:
        paths = set(again.paths())
    except OSError:
        raise _TreeChangedError from None
    if paths != walk.signatures.keys() or again.signatures != walk.signatures:
        raise _TreeChangedError


def _signature(seen: os.stat_result) -> _Signature:
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _refused(root: Path, code: str, message: str, hint: str = "") -> SourceTree:
    finding = Finding(severity=Severity.ERROR, code=code, message=message, hint=hint)
    return SourceTree(root=str(root), files=(), findings=(finding,))


def _finding(path: str, code: str, message: str, hint: str = "") -> Finding:
    return Finding(
        severity=Severity.ERROR, code=code, message=message, origin=Origin(file=path), hint=hint
    )
