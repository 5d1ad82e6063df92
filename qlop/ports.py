"""Name every way in which qlop touches the outside.

Each port is a ``Protocol`` with at least two implementations: the real one and one
that runs in a test. What crosses a port is plain data; what goes wrong there is a
``PortError`` of one of six kinds.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol
from urllib.parse import quote

from typing_extensions import override

from qlop.model.health import Answer, NetworkCheck
from qlop.model.history import JournalRecord
from qlop.model.orders import Order, Orders

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""What a JSON document can hold. PVE's payloads are of this type until ``pve.parse``."""

Scalar = str | int | float
"""What a parameter of a PVE call can be. Booleans are ``0`` and ``1``, as PVE wants them."""


class Method(Enum):
    """The four HTTP methods PVE's API knows."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class PveCall:
    """One call of the PVE API, before anything is encoded.

    ``route`` is the path template below ``/api2/json`` (``/nodes/{node}/qemu/{vmid}/config``):
    it is also the label under which the call is counted. ``at`` fills the template.
    """

    method: Method
    route: str
    at: Mapping[str, str | int] = field(default_factory=dict)
    params: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Return the path below ``/api2/json``, each value percent-encoded."""
        return self.route.format(
            **{name: quote(str(value), safe="") for name, value in self.at.items()}
        )

    @property
    def is_mutation(self) -> bool:
        """Return whether the call may change the cluster."""
        return self.method is not Method.GET


class ErrorKind(Enum):
    """What a failed call means for whoever made it.

    There are six, and no guess: whatever can't be told apart from a mutation that was
    carried out is ``AMBIGUOUS``.
    """

    TRANSIENT = "transient"
    """Nothing happened; the same call may succeed later."""
    CONFLICT = "conflict"
    """Somebody else was faster, or holds a lock: look again before deciding."""
    NOT_FOUND = "not-found"
    """The subject does not exist, as far as the answering node knows."""
    DENIED = "denied"
    """The token is wrong, expired, or lacks a privilege."""
    INVALID = "invalid"
    """PVE refuses these parameters; repeating them can't help."""
    AMBIGUOUS = "ambiguous"
    """The answer to a mutation was lost; only looking can tell."""


NOT_CONNECTED = 595
"""The status with which pveproxy says that it could not connect to another node."""


class PortError(Exception):
    """Something outside did not do what was asked."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """Say which ``kind`` it is and, in ``message``, what the other side said.

        ``status`` is the HTTP status if there was an answer; ``fields`` are PVE's
        per-parameter complaints of a 400.
        """
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.fields: Mapping[str, str] = dict(fields or {})

    @property
    def is_unsent(self) -> bool:
        """Return whether a call that met it never reached PVE, or not the node it was for.

        Without a status no server was reached; 595 is pveproxy's word that it could not
        connect to the other node.
        """
        return self.kind in {ErrorKind.TRANSIENT, ErrorKind.DENIED} and (
            self.status is None or self.status == NOT_CONNECTED
        )

    @override
    def __str__(self) -> str:
        details = "; ".join(f"{name}: {text}" for name, text in sorted(self.fields.items()))
        return f"{self.message} ({details})" if details else self.message


def port_error(
    call: PveCall, *, status: int, reason: str, fields: Mapping[str, str] | None = None
) -> PortError:
    """Classify an HTTP answer that is not a success.

    PVE puts its error text into the reason phrase and uses 500 for almost everything
    (``PVE/APIServer/Formatter/Standard.pm``), so the text decides where the status can't.
    """
    message = reason.strip() or f"HTTP status {status}"
    return PortError(
        _kind_of(call, status, message.lower()), message, status=status, fields=fields
    )


_CONFLICT_TEXTS = (
    "checksum mismatch",
    "detected modified configuration",
    "is locked",
    "can't lock file",
    "got lock request timeout",
    "already exists",
    "already defined",
    "already a pool member",
    "already running",
    "not running",
    "is running",
    "is paused",
)
_NOT_FOUND_TEXTS = (
    "does not exist",
    "unable to find configuration file",
    "no such",
    "hostname lookup",
    "is not ha managed",
    "not ha managed!",
)
_NO_FILE = "no such file or directory"
"""What the operating system says of a file of the node's: nothing about a guest."""
_MISSING_PARAMETER = re.compile(r"\b(?:storage|volume|pool|target) '[^']*' does not exist")
_TRANSIENT_TEXTS = (
    "no quorum",
    "not ready",
    # Without quorum /etc/pve can't be written; a missing privilege is a 403.
    "permission denied",
    "got timeout",
    "too many",
    "connection refused",
)


def _kind_of(call: PveCall, status: int, text: str) -> ErrorKind:
    if status in {401, 403}:
        return ErrorKind.DENIED
    if status == 404 or (status == 400 and "no such task" in text):
        return ErrorKind.NOT_FOUND
    if status == NOT_CONNECTED:
        return ErrorKind.TRANSIENT
    if status in {408, 429}:  # The server says itself that it did not take the request.
        return ErrorKind.TRANSIENT
    if 400 <= status < 500 or status in {501, 506}:
        return ErrorKind.INVALID
    if status == 500:
        # What a mutation names among its parameters is not what it is about.
        if call.is_mutation and _MISSING_PARAMETER.search(text):
            return ErrorKind.INVALID
        return _kind_of_text(text)
    return ErrorKind.AMBIGUOUS if call.is_mutation else ErrorKind.TRANSIENT


def _kind_of_text(text: str) -> ErrorKind:
    said = text.replace(_NO_FILE, "")
    for kind, texts in (
        (ErrorKind.CONFLICT, _CONFLICT_TEXTS),
        (ErrorKind.NOT_FOUND, _NOT_FOUND_TEXTS),
        (ErrorKind.TRANSIENT, _TRANSIENT_TEXTS),
    ):
        if any(sample in said for sample in texts):
            return kind
    return ErrorKind.INVALID


class PveApi(Protocol):
    """The PVE API, one method wide."""

    async def call(self, call: PveCall) -> Json:
        """Return the ``data`` of the answer.

        Raises:
            PortError: with the kind that says what the failure means.
        """
        ...


class RemoteShell(Protocol):
    """A command on a node, over SSH, with a key that can run only that command."""

    async def run(self, command: str, *, timeout_s: float) -> str:
        """Return the standard output of ``command``.

        Raises:
            PortError: ``TRANSIENT`` if no node could be asked, ``DENIED`` if the key or
                the host key was refused.
        """
        ...


class Prober(Protocol):
    """Whether a guest's service answers, over the network."""

    async def probe(self, address: str, check: NetworkCheck) -> Answer:
        """Return what one question came to. Whoever asks sets the time limit.

        Whatever goes wrong is an answer: nothing is raised.
        """
        ...


class Clock(Protocol):
    """Wall time, and waiting."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    async def sleep(self, span: timedelta) -> None:
        """Wait for ``span``."""
        ...


class Ids(Protocol):
    """Chance: identifiers and jitter, from a source that can be seeded."""

    def cycle_id(self) -> str:
        """Return a short identifier for one cycle."""
        ...

    def jitter(self) -> float:
        """Return a number in [0, 1)."""
        ...


class Journal(Protocol):
    """The append-only record of what was intended and how it ended.

    A record is durable when ``append`` returns: a mutation may be sent after that, and
    not before.
    """

    def append(self, record: JournalRecord) -> None:
        """Write ``record`` durably.

        Raises:
            PortError: ``TRANSIENT`` if it could not be written (a full disk, say).
        """
        ...

    def records(self) -> Sequence[JournalRecord]:
        """Return every record that history is folded from, oldest first."""
        ...


class OrderBook(Protocol):
    """The append-only record of what people ordered. Several may write to it."""

    def append(self, order: Order) -> None:
        """Write ``order`` durably.

        Raises:
            PortError: ``DENIED`` if the caller may give no orders, ``TRANSIENT`` if it
                could not be written.
        """
        ...

    def records(self) -> Sequence[Order]:
        """Return every order ever given, oldest first.

        Raises:
            PortError: if they can't be read.
        """
        ...

    def orders(self) -> Orders:
        """Return what they amount to, ended ones included; the same value until a new one.

        Cheap enough to be asked in every cycle.

        Raises:
            PortError: if it can't be known: then nothing may be done.
        """
        ...
