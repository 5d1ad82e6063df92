"""Say what goes to a cluster and what comes back, whatever carries it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A request as it goes out: ``target`` and ``body`` encoded, ``headers`` in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """Return the decoded path, without the query."""
        return unquote(self.target.partition("?")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response as it came in. ``headers`` is ``None`` where nothing was sent over a wire."""

    status: int
    reason: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] | None = None

    @property
    def document(self) -> Mapping[str, Any] | None:
        """Return the JSON object in the body; ``None`` if there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def data(self) -> Any:
        """Return the object's ``data``."""
        return (self.document or {}).get("data")

    @property
    def errors(self) -> Mapping[str, str]:
        """Return what is said of each refused parameter."""
        return (self.document or {}).get("errors") or {}

    @property
    def message(self) -> str | None:
        """Return the error's text."""
        return (self.document or {}).get("message")


class Transport(Protocol):
    """A way to a cluster."""

    def send(self, wire: Wire, now: float) -> Answer | None:
        """Return the answer to a request made at ``now``; ``None``: it can't carry that."""
        ...

    def close(self) -> None:
        """End it."""
        ...
