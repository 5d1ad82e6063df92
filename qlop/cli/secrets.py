"""Read a secret from a file that nobody else may read."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qlop.model.finding import Finding, Origin, Severity

BYTES_MAX = 4096
"""A token's secret has 36 characters; more than this is another file by mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret setting, and the systemd credential that may hold it."""

    path: str
    credential: str


SECRETS: Final = (
    Secret(path="api.token_secret", credential="api-token"),
    Secret(path="web.token", credential="web-token"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSecret:
    """What a file held; or, in ``refusal``, why it can't be used, and the ``remedy``."""

    source: str
    text: str = ""
    refusal: str = ""
    remedy: str = ""
    warnings: tuple[Finding, ...] = ()


def read(file: Path, setting: str) -> FoundSecret:
    """Return the secret in ``file``, unless everybody on the machine may read it too.

    A file that its group may read is warned of, not refused: that is how a daemon with a
    user of its own is often given a file of root's.
    """
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        return FoundSecret(source=str(file), refusal=f"{file}: {error.strerror}")
    if mode & stat.S_IRWXO:
        return FoundSecret(
            source=str(file),
            refusal=f"{file} has mode {mode:04o}: everybody on this machine may read "
            f"{setting}, so it is not used",
            remedy=f"chmod 600 {file}; if others may have read it, make a new one",
        )
    found = read_credential(file, setting)
    if not mode & stat.S_IRWXG or found.refusal:
        return found
    warning = Finding(
        severity=Severity.WARNING,
        code="secret-readable",
        message=f"{file} has mode {mode:04o}: its group may read {setting}",
        origin=Origin(file=str(file)),
        hint=f"chmod 600 {file}, if the daemon's user owns it",
    )
    return FoundSecret(source=found.source, text=found.text, warnings=(warning,))


def read_credential(file: Path, setting: str) -> FoundSecret:
    """Return the secret in ``file``, whose protection is systemd's matter."""
    try:
        text = file.read_bytes()[: BYTES_MAX + 1].decode("utf-8").strip()
    except OSError as error:
        return FoundSecret(source=str(file), refusal=f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        return FoundSecret(source=str(file), refusal=f"{file} is not text")
    if not text or "\n" in text or len(text) > BYTES_MAX:
        return FoundSecret(
            source=str(file), refusal=f"{file} should hold {setting} on one line, and nothing else"
        )
    return FoundSecret(source=str(file), text=text)
