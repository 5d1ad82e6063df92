"""Speak HTTP/1.1 as PVE's own server does: what it reads, keeps, refuses and writes.

After ``PVE/APIServer/AnyEvent.pm``: a connection is kept for a hundred requests and five idle
seconds, any status of 400 and above ends it, requests may be sent ahead of their turn, large
bodies are compressed for those who ask, and an answer that came through other daemons
carries their ``Connection`` headers beside its own.
"""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from functools import lru_cache

from typing_extensions import override

from qlop.sim.forms import MAX_BODY_BYTES

REQUESTS_MAX = 100
"""Requests on one connection; the last is answered with ``Connection: close``
(``keep_alive`` in ``PVE/Service/pveproxy.pm``)."""
IDLE_S = 5.0
"""How long a connection may be silent (``timeout`` in ``AnyEvent.pm``)."""
HEAD_BYTES_MAX = 8 * 1024
_LINES_MAX = 64
_COMPRESSED_OVER_BYTES = 1024
_LINGER_S = 1.0
"""How long what a client still sends after it was refused is read and thrown away."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_END = b"\r\n\r\n"


class Cut(Enum):
    """Where an answer breaks off."""

    NOT = "it arrives"
    HALF = "in the middle of the body"
    ALL = "before its first byte"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came in: ``target`` undecoded, names of ``headers`` in lower case.

    ``body`` is empty if it was too long to be read; ``content-length`` tells.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer to be written; ``at`` is the server's time in epoch seconds.

    ``content_type`` is left out where it is empty, as is ``file``, the name under which the
    body is to be kept, and ``location``, where to ask instead. ``hops`` are the ``Connection`` headers of
    the daemons that the answer came through; an error's are forgotten.
    """

    status: int
    reason: str
    at: float
    body: bytes = b""
    content_type: str = ""
    file: str = ""
    location: str = ""
    hops: tuple[str, ...] = ()
    cut: Cut = Cut.NOT


Answering = Callable[[HttpRequest], HttpAnswer | Awaitable[HttpAnswer]]


@dataclass(slots=True)
class _Head:
    """A request's head. ``refusal``: it is answered with that, unread."""

    method: str = ""
    target: str = ""
    version: str = "HTTP/1.0"
    headers: dict[str, str] = field(default_factory=dict)
    refusal: tuple[int, str, bool] | None = None

    @property
    def length(self) -> int:
        """Return how long the body is said to be."""
        text = self.headers.get("content-length", "0")
        return int(text) if text.isdecimal() else 0

    @property
    def is_too_long(self) -> bool:
        """Return whether the body will not be read."""
        is_form = not self.headers.get("content-type", "").startswith("multipart/")
        return is_form and self.length > MAX_BODY_BYTES

    @property
    def ends(self) -> bool:
        """Return whether the connection ends with this request: as asked, or by an upload."""
        if self.headers.get("content-type", "").startswith("multipart/"):
            return True
        said = self.headers.get("connection", "")
        return "close" in said.lower() if said else self.version == "HTTP/1.0"


class Connection(asyncio.Protocol):
    """One client's connection: its requests are answered one after the other."""

    def __init__(
        self,
        answering: Answering,
        now: Callable[[], float],
        gone: Callable[["Connection"], None],
        *,
        plain: bool = False,
    ) -> None:
        """Ask ``answering`` for every answer; tell ``gone`` when the connection has ended.

        One that is ``plain``, without TLS, is sent elsewhere and ends.
        """
        self._plain = plain
        self._answering = answering
        self._now = now
        self._gone = gone
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._port = 0
        self._left = REQUESTS_MAX
        self._pending: asyncio.Task[None] | None = None
        self._closing = False
        self._idle: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port = transport.get_extra_info("sockname")[1]
        self._wait()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._stop_waiting()  # A call that waits goes on: its worker does not look back.
        self._gone(self)

    @override
    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer += data
        self._stop_waiting()
        self._serve()

    def abort(self) -> None:
        """Break the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def drop(self) -> None:
        """Break the connection off, and give up whatever call still waits."""
        self.abort()
        if self._pending is not None:
            self._pending.cancel()

    def _serve(self) -> None:
        """Answer what has come in, until something is missing or takes its time."""
        while self._pending is None and self._transport is not None and not self._closing:
            end = self._buffer.find(_END)
            if end < 0:
                if len(self._buffer) > HEAD_BYTES_MAX:
                    self.abort()  # AnyEvent.pm dies of it, and the connection with it.
                break
            head = _head(bytes(self._buffer[:end]))
            start = end + len(_END)
            length = 0 if head.refusal or head.is_too_long else head.length
            if len(self._buffer) < start + length:
                break
            body = bytes(self._buffer[start : start + length])
            del self._buffer[: start + length]
            self._one(head, body)
        if self._pending is None:
            self._wait()

    def _one(self, head: _Head, body: bytes) -> None:
        self._left -= 1
        if head.refusal is not None:
            status, text, is_told = head.refusal
            self._write(
                head,
                HttpAnswer(
                    status=status,
                    reason=text,
                    body=text.encode() if is_told else b"",
                    at=self._now(),
                ),
            )
            return
        if self._plain:
            self._redirect(head)
            return
        answer = self._answering(
            HttpRequest(
                method=head.method,
                target=head.target,
                headers=head.headers,
                body=body,
                port=self._port,
            )
        )
        if isinstance(answer, HttpAnswer):
            self._write(head, answer)
        else:
            self._pending = asyncio.ensure_future(self._later(head, answer))

    def _redirect(self, head: _Head) -> None:
        """Send a client without TLS to where there is (``ensure_tls_connection``).

        One that names no host gets no answer: the server dies of it, quietly.
        """
        host = head.headers.get("host", "")
        if not host:
            return
        is_read = head.method in {"GET", "HEAD"}
        status, text = (301, "Moved Permanently") if is_read else (308, "Permanent Redirect")
        bare = host.removeprefix("http://").removeprefix("https://")
        self._write(
            head,
            HttpAnswer(
                status=status,
                reason=text,
                body=text.encode(),
                at=self._now(),
                location=f"https://{bare}{head.target}",
            ),
        )
        self._end(_LINGER_S)

    async def _later(self, head: _Head, answer: Awaitable[HttpAnswer]) -> None:
        written = await answer
        self._pending = None
        self._write(head, written)
        self._serve()

    def _write(self, head: _Head, answer: HttpAnswer) -> None:
        if self._transport is None:
            return
        if answer.cut is Cut.ALL:
            self.abort()
            return
        keeps = answer.status < 400 and self._left > 0 and not head.ends
        compressed, encoding = _compressed(answer, head.headers.get("accept-encoding", ""))
        lines = _lines(head.version, answer, len(compressed), encoding, keeps=keeps)
        whole = "\r\n".join([*lines, "", ""]).encode() + compressed
        if answer.cut is Cut.HALF:
            self._transport.write(whole[: len(whole) - len(compressed) // 2])
            self._end(0.0)
            return
        self._transport.write(whole)
        if not keeps:
            self._end(_LINGER_S if head.is_too_long or head.refusal else 0.0)

    def _end(self, linger_s: float) -> None:
        self._closing = True
        transport = self._transport
        if transport is None:
            return
        if linger_s:
            asyncio.get_running_loop().call_later(linger_s, transport.close)
        else:
            transport.close()

    def _wait(self) -> None:
        """Let the connection end if nothing comes for a while."""
        if self._transport is not None and not self._closing and self._idle is None:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(IDLE_S, self._transport.close)

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def _head(data: bytes) -> _Head:
    """Return a request's head, with what is wrong with it."""
    first, *rest = data.decode("latin-1").lstrip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        return _Head(refusal=(400, "bad request", True))
    head = _Head(method=words[0], target=words[1], version=words[2])
    if not head.version.startswith("HTTP/1."):
        number = head.version.removeprefix("HTTP/")
        head.refusal = (506, f"http protocol version {number} not supported", True)
        return head
    if len(rest) >= _LINES_MAX:
        head.refusal = (400, "bad request", True)
        return head
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            head.refusal = (506, "unable to parse request header", True)
            return head
        head.headers[name.strip().lower()] = value.strip()
    head.refusal = _refusal(head)
    return head


def _refusal(head: _Head) -> tuple[int, str, bool] | None:
    if head.method not in _METHODS:
        return 501, f"method '{head.method}' not available", False
    encoding = head.headers.get("transfer-encoding", "")
    if encoding.lower() == "chunked":
        return 501, "chunked transfer encoding not supported", True
    if encoding:
        return 501, f"Unknown transfer encoding '{encoding}'", True
    return None


def _compressed(answer: HttpAnswer, accepted: str) -> tuple[bytes, str]:
    """Return the body as it is sent, and what was done to it. Fast is good enough here."""
    if len(answer.body) <= _COMPRESSED_OVER_BYTES:
        return answer.body, ""
    if "gzip" in accepted:
        return gzip.compress(answer.body, 1), "gzip"
    if "deflate" in accepted:
        return zlib.compress(answer.body, 1), "deflate"
    return answer.body, ""


def _lines(
    version: str, answer: HttpAnswer, length: int, encoding: str, *, keeps: bool
) -> Iterator[str]:
    """Yield the lines of an answer's head, in the order of Perl's ``HTTP::Headers``."""
    date = _date(int(answer.at))
    yield f"{version} {answer.status} {answer.reason}"
    yield "Cache-Control: max-age=0"
    if keeps:
        for hop in answer.hops:
            yield f"Connection: {hop}"
    yield f"Connection: {'Keep-Alive' if keeps else 'close'}"
    yield f"Date: {date}"
    yield "Pragma: no-cache"
    if answer.location:
        yield f"Location: {answer.location}"
    yield "Server: pve-api-daemon/3.0"
    if encoding:
        yield f"Content-Encoding: {encoding}"
    if length:
        yield f"Content-Length: {length}"
    if answer.content_type:
        yield f"Content-Type: {answer.content_type}"
    yield f"Expires: {date}"
    if answer.file:
        yield f'Content-Disposition: attachment; filename="{answer.file}"'


@lru_cache(4)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
