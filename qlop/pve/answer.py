"""Tell PVE's answers from everything else that can come back over HTTP.

Pure: bytes in, data or a ``PortError`` out. A proxy's error page, the web interface, a
captive portal or half a document are never taken for data.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from qlop.ports import ErrorKind, Json, PortError, PveCall, port_error


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back: ``reason`` is the status line's text, ``content_type`` lower case."""

    status: int
    reason: str
    content_type: str
    body: bytes

    @property
    def is_html(self) -> bool:
        """Return whether it is a page for people."""
        return "html" in self.content_type or self.body.lstrip()[:1] == b"<"


class NotPveError(PortError):
    """Whoever answered was not PVE."""


def data_of(call: PveCall, answer: HttpAnswer, authority: str) -> Json:
    """Return the ``data`` of a successful answer.

    Raises:
        NotPveError: if it is no answer of PVE at all; what a mutation did is not known.
        PortError: if it is one that says what was wrong.
    """
    if answer.is_html:
        raise _not_pve(call, answer, f"{authority} answered HTML: is that a proxy or the web"
                       " GUI's port?")  # fmt: skip
    if 300 <= answer.status < 400:
        raise _not_pve(call, answer, f"{authority} answered with a redirection"
                       f" (HTTP {answer.status}): is that a proxy?")  # fmt: skip
    if answer.status >= 400:
        document = _document(answer.body)
        raise port_error(
            call,
            status=answer.status,
            reason=_message(document, answer.reason),
            fields=_fields(document),
        )
    document = _document(answer.body)
    if document is None or "data" not in document:
        start = answer.body[:60].decode("utf-8", "replace")
        raise _not_pve(call, answer, f"{authority} answered no JSON of PVE: {start!r}")
    return document["data"]


def utf8_reason(reason: str | None) -> str:
    """Return a reason phrase in PVE's encoding; ``http.client`` takes it for Latin-1."""
    text = reason or ""
    try:
        return text.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text


def _document(body: bytes) -> dict[str, Json] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _message(document: Mapping[str, Json] | None, reason: str) -> str:
    """Return PVE's text: the reason phrase has but its first line (pve-http-server #6503)."""
    message = (document or {}).get("message")
    return message.strip() if isinstance(message, str) and message.strip() else reason


def _fields(document: Mapping[str, Json] | None) -> Mapping[str, str]:
    errors = (document or {}).get("errors")
    if not isinstance(errors, dict):
        return {}
    return {name: str(text).strip() for name, text in errors.items()}


def _not_pve(call: PveCall, answer: HttpAnswer, message: str) -> NotPveError:
    kind = ErrorKind.AMBIGUOUS if call.is_mutation else ErrorKind.TRANSIENT
    return NotPveError(kind, message, status=answer.status)
