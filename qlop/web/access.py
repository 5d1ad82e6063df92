"""Decide who may ask what.

From this machine everything may be asked. From elsewhere: health and metrics; the rest
only with the token, as bearer token or as the password a browser asks for. A request
that came through a proxy counts as one from elsewhere.
"""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from enum import Enum

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access(Enum):
    """What a request may do."""

    GRANTED = "granted"
    TOKEN_NEEDED = "token needed"  # noqa: S105  # no secret, but the lack of one
    FORBIDDEN = "forbidden"


def decide(
    *,
    method: str,
    path: str,
    peer: str,
    listen: str,
    headers: Mapping[str, str],
    token: str | None,
) -> Access:
    """Return what a request for ``path`` from ``peer`` to ``listen`` may do.

    ``headers`` looks names up without regard to case. What a page of somebody else's
    asks for in a browser on this machine is refused, but for following a link to us: it
    would ask in its reader's name.
    """
    follows_link = method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"
    if not follows_link and headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return Access.FORBIDDEN
    if path in OPEN_PATHS:
        return Access.GRANTED
    if token is not None and _shows(headers.get("Authorization", ""), token):
        return Access.GRANTED
    if _is_loopback(peer) and not any(name in headers for name in _FORWARDED):
        named = _host_of(headers.get("Host", ""))
        return Access.GRANTED if named in _LOCAL_NAMES | {listen} else Access.FORBIDDEN
    return Access.TOKEN_NEEDED if token is not None else Access.FORBIDDEN


def _shows(authorization: str, token: str) -> bool:
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(shown, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        shown = decoded.partition(":")[2]
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(shown.strip().encode(), token.encode())


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _host_of(host: str) -> str:
    """Return a ``Host`` header without its port, and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
