"""Ask a running daemon over its listen address."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import quote

from qlop.render import line
from qlop.render.line import Line
from qlop.render.plain_value import Plain
from qlop.settings import WebSettings

TIMEOUT_S = 5.0
"""It answers from memory; a daemon that takes longer is not one to be waited for."""
ANSWER_BYTES_MAX = 64 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a daemon answered: for machines and for people."""

    document: Plain
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A daemon is there and does not answer the question; ``message`` says why."""

    message: str


def ask(web: WebSettings, *parts: str) -> Answer | Refusal | None:
    """Return the answer to ``/parts…``; None if no daemon is there."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    headers = {"Host": web.listen.authority}
    if web.token is not None:
        headers["Authorization"] = f"Bearer {web.token.get_secret_value()}"
    connection = http.client.HTTPConnection(
        reachable(web.listen.host), web.listen.port, timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", f"{path}?as=lines", headers=headers)
        response = connection.getresponse()
        body = response.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if response.status != 200:
        return Refusal(message=body.decode(errors="replace").strip())
    try:
        found = json.loads(body)
        return Answer(document=found["document"], lines=line.parse(found["lines"]))
    except (ValueError, TypeError, KeyError):
        return None  # Something else listens there.


def reachable(host: str) -> str:
    """Return where to connect to what listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared only
