"""Say what is wrong with an input, where, and what would be right."""

from dataclasses import dataclass
from enum import Enum

from typing_extensions import override


class Severity(Enum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Origin:
    """A place in a manifest: line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    @override
    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing a person should know about an input or a plan.

    ``code`` is stable and greppable (``unknown-key``); ``field`` is the dotted path
    inside the document (``spec.disks[0].size``), empty if it concerns the whole.
    """

    severity: Severity
    code: str
    message: str
    origin: Origin | None = None
    field: str = ""
    hint: str = ""
