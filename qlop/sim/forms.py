"""Decode requests the way PVE's HTTP server does, quirks included.

After ``PVE/APIServer/AnyEvent.pm``: an unescaped ``=`` cuts a form value, ``;`` separates
like ``&``, a repeated name makes a list, the query overrides the body.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, unquote_plus

import orjson

from qlop.ports import Json
from qlop.sim.access import CSRF_MARK
from qlop.sim.wire import ApiError

MAX_BODY_BYTES = 512 * 1024


def parameters(
    method: str, query: str, headers: Mapping[str, str], body: bytes
) -> dict[str, Json]:
    """Return a request's parameters.

    Raises:
        ApiError: 501 or 506 for what the server does not accept, 500 with a Perl text for
            broken JSON.
    """
    params: dict[str, Json] = {}
    if body and method in {"GET", "DELETE"}:
        raise _plain(f"Unexpected content for method '{method}'", 501)
    if body:
        params.update(_body(headers.get("content-type", ""), body))
    params.update(urlencoded(query))
    params.pop("_dc", None)
    return params


def authorization(headers: Mapping[str, str]) -> str | None:
    """Return what proves who calls: the header, or the cookie with its CSRF token.

    ``headers`` have lower-case names.
    """
    given = headers.get("authorization")
    found = re.search(r"PVEAuthCookie=([^;]*)", headers.get("cookie", ""))
    if given is not None or found is None:
        return given
    return f"PVEAuthCookie={unquote(found[1])}{CSRF_MARK}{headers.get('csrfpreventiontoken', '')}"


def _plain(text: str, status: int) -> ApiError:
    return ApiError(text, status=status, bare=True)


def _body(content_type: str, body: bytes) -> dict[str, Json]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in {"", "application/x-www-form-urlencoded"}:
        return urlencoded(body.decode("utf-8", "replace"))
    if kind == "application/json":
        return _json(body)
    if kind == "multipart/form-data":
        return _multipart(content_type, body)
    raise _plain(f"upload 'Content-Type '{content_type}' not implemented", 506)


def _json(body: bytes) -> dict[str, Json]:
    where = "at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934."
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(
            f"malformed JSON string, neither tag, array, object, number, string or atom, at "
            f'character offset {error.pos} (before "(end of string)") {where}'
        ) from error
    if not isinstance(value, dict):
        raise ApiError(f"Not a HASH reference {where.replace('934', '978')}")
    return value


def urlencoded(text: str) -> dict[str, Json]:
    """Return the fields of a form or query, as PVE decodes them."""
    params: dict[str, Json] = {}
    for part in re.split("[&;]", text):
        if not part:
            continue
        pieces = part.split("=")
        name = unquote_plus(pieces[0])
        value: Json = unquote_plus(pieces[1]) if len(pieces) > 1 else ""
        known = params.get(name)
        if isinstance(known, list):
            known.append(value)
        elif name in params:
            params[name] = [known, value]
        else:
            params[name] = value
    return params


def _multipart(content_type: str, body: bytes) -> dict[str, Json]:
    found = re.search(r'boundary="?([^";]+)', content_type)
    if found is None:
        raise _plain("upload 'Content-Type '" + content_type + "' not implemented", 506)
    params: dict[str, Json] = {}
    for name, file, content in _parts(found[1], body):
        if file is not None:
            params["filename"] = file
            digest = hashlib.sha256(content).hexdigest()[:32]
            params["tmpfilename"] = f"/var/tmp/pveupload-{digest}"  # noqa: S108 - PVE's own
        else:
            params[name] = content.decode("utf-8", "replace")
    return params


def uploaded(content_type: str, body: bytes) -> bytes:
    """Return the content of the file in a form of several parts; empty if there is none."""
    found = re.search(r'boundary="?([^";]+)', content_type)
    if found is None:
        return b""
    return next((text for _, file, text in _parts(found[1], body) if file is not None), b"")


def _parts(boundary: str, body: bytes) -> Iterator[tuple[str, str | None, bytes]]:
    """Yield each part's name, file name and content."""
    for part in body.split(b"--" + boundary.encode()):
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'[ ;]name="([^"]*)"', head)
        file = re.search(rb'filename="([^"]*)"', head)
        if name is not None:
            given = file[1].decode("utf-8", "replace") if file is not None else None
            yield name[1].decode(), given, content.removesuffix(b"\r\n")
