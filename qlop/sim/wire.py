"""Say what crosses between a client and the simulated cluster, and how it can go wrong.

``SimRequest`` and ``SimResponse`` are HTTP after decoding and before encoding: adapters
(``inprocess``, ``server``) turn them into a port's answer or into bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson
from typing_extensions import override

from qlop.ports import Json

Row = dict[str, Json]
"""One object of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimRequest:
    """One call of the API as one node's proxy receives it.

    ``path`` is the percent-decoded path below ``/api2/json``; ``params`` are the decoded
    query and body; ``node`` is the node whose port was contacted (empty: the first that
    is up); ``waited_s`` is how long the call has waited for a lock so far; ``upload`` is the
    content of a file that came with it.
    """

    method: str
    path: str
    params: Mapping[str, Json] = field(default_factory=dict)
    authorization: str | None = None
    node: str = ""
    waited_s: float = 0.0
    upload: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimResponse:
    """What the node answers, and after how many seconds of simulated time.

    ``encoded`` is the JSON text of ``data`` where it is kept encoded (large lists).
    ``blocked`` means: no answer yet, the call waits for a lock; ask again a little later
    with ``waited_s`` grown. ``empty`` answers have no body at all (401, 595). ``lost``
    answers never reach the client although the call was carried out; ``half`` ones are
    cut in the middle of the body. ``hops`` are the ``Connection`` headers of the daemons that
    an answer came through. ``file`` names an answer that is a text to be kept, ``content``.
    """

    status: int = 200
    reason: str = "OK"
    data: Json = None
    encoded: bytes | None = None
    errors: Mapping[str, str] | None = None
    message: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)
    delay_s: float = 0.0
    blocked: bool = False
    empty: bool = False
    lost: bool = False
    half: bool = False
    hops: tuple[str, ...] = ()
    file: str = ""
    content: bytes = b""

    def body(self) -> bytes:
        """Return the JSON document that the node sends."""
        if self.empty or self.file:
            return self.content
        head: Row = dict(self.extra)
        if self.errors is not None:
            head["errors"] = dict(self.errors)
        if self.message is not None:
            head["message"] = self.message
        if self.encoded is None:
            head["data"] = self.data
            return orjson.dumps(head)
        if not head:
            return b'{"data":' + self.encoded + b"}"
        return orjson.dumps(head)[:-1] + b',"data":' + self.encoded + b"}"

    def value(self) -> Json:
        """Return ``data`` as a client that decodes the body would see it: a fresh copy."""
        data: Json = orjson.loads(
            self.encoded if self.encoded is not None else orjson.dumps(self.data)
        )
        return data


def extjs(response: SimResponse) -> SimResponse:
    """Return the answer as the ``extjs`` formatter wraps it: always 200, with ``success``."""
    if response.status == 200:
        return replace(response, extra={**response.extra, "success": 1})
    status: Json = str(response.status) if response.errors else response.status
    return replace(
        response,
        status=200,
        reason="OK",
        empty=False,
        extra={**response.extra, "success": 0, "status": status},
    )


class ApiError(Exception):
    """The call is answered with an error status.

    ``text`` is what a Perl ``die`` carries: PVE puts its first line into the reason phrase
    and the whole, with a newline, into ``message``. Some of the server's own errors are
    ``bare``, without the newline, or ``empty``, without a JSON body.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int = 500,
        errors: Mapping[str, str] | None = None,
        delay_s: float = 0.0,
        empty: bool = False,
        bare: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.errors = errors
        self.delay_s = delay_s
        self.empty = empty
        self.bare = bare

    @override
    def __str__(self) -> str:
        return self.text

    def response(self) -> SimResponse:
        """Return the answer this error becomes on the wire."""
        return SimResponse(
            status=self.status,
            reason=self.text.split("\n", 1)[0],
            errors=self.errors,
            message=None if self.empty else self.text.rstrip("\n") + "\n" * (not self.bare),
            delay_s=self.delay_s,
            empty=self.empty,
        )


def bad_parameters(errors: Mapping[str, str]) -> ApiError:
    """Return the error of a call whose parameters PVE refuses."""
    return ApiError("Parameter verification failed.", status=400, errors=errors)


class TaskError(Exception):
    """A worker dies; its text becomes the task's exit status."""


class LockWait(Exception):  # noqa: N818 - it is not an error but a call that still waits
    """The call waits for a lock that somebody else holds."""
