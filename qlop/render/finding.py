"""Show findings: where, how bad, what is wrong, what would be right."""

from collections.abc import Sequence

from qlop.model.finding import Finding, Severity
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plain_value import Document

_TONES = {Severity.ERROR: Tone.BAD, Severity.WARNING: Tone.WARN, Severity.INFO: Tone.DIM}


def finding_lines(finding: Finding) -> list[Line]:
    """Return ``file:line:column: error: message [code]`` and, below it, the hint."""
    where = f"{finding.origin}: " if finding.origin else ""
    first = line(
        Span(where, Tone.STRONG),
        Span(f"{finding.severity.value}: ", _TONES[finding.severity]),
        finding.message,
        Span(f" [{finding.code}]", Tone.DIM),
    )
    hints = finding.hint.splitlines()
    return [first, *(line("    ", Span(hint, Tone.DIM)) for hint in hints)]


def findings_lines(findings: Sequence[Finding]) -> list[Line]:
    """Return every finding, and below them how many there are of each severity."""
    lines = [one for finding in findings for one in finding_lines(finding)]
    return [*lines, line(count_text(findings))] if findings else lines


def count_text(findings: Sequence[Finding]) -> str:
    """Return ``2 errors, 1 warning``; ``no findings`` if there are none."""
    parts = []
    for severity, noun in ((Severity.ERROR, "error"), (Severity.WARNING, "warning")):
        count = sum(finding.severity is severity for finding in findings)
        if count:
            parts.append(f"{count} {noun}{'s' if count > 1 else ''}")
    return ", ".join(parts) or "no findings"


def finding_document(finding: Finding) -> Document:
    """Return the finding for JSON."""
    origin = finding.origin
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "message": finding.message,
        "file": origin.file if origin else None,
        "line": origin.line if origin else None,
        "column": origin.column if origin else None,
        "field": finding.field,
        "hint": finding.hint,
    }
