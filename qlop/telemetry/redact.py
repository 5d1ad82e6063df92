"""Take secrets out of whatever is about to be written to a log."""

import re
from collections.abc import Collection, Mapping, Sequence

from pydantic import SecretBytes, SecretStr

MASK = "***"
DEPTH_MAX = 6
"""Deeper values are written as text: nobody reads them, and a cycle must end somewhere."""

_SECRET_KEY = re.compile(
    r"(?:^|[_.-])(?:api_?key|authorization|ci_?password|cookie|credentials?|passphrase|passwd|"
    r"password|private_?key|secret|ticket|token|csrf\w*)$",
    re.IGNORECASE,
)
_IN_TEXT = (
    # The header of a token, and of a ticket.
    (re.compile(r"(PVEAPIToken[= ])\S+?(?=[\s'\",;)\]}]|$)"), rf"\1{MASK}"),
    (re.compile(r"(PVEAuthCookie=)[^\s;'\"]+"), rf"\1{MASK}"),
    (re.compile(r"(PVE:[\w.@!-]+:[0-9A-F]{8}::)[\w+/=]+"), rf"\1{MASK}"),
    # A token's id with its value, wherever it came from.
    (re.compile(r"([\w.-]+@[\w.-]+![\w.-]+[=:])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
     rf"\1{MASK}"),
    # A form or a dictionary in which a password was sent.
    (re.compile(r"((?:ci)?password['\"]?\s*[=:]\s*['\"]?)[^\s&'\",}]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL),
     MASK),
)  # fmt: skip


def redacted(value: object, secrets: Collection[str] = ()) -> object:
    """Return ``value`` with everything masked that is, or looks like, a secret.

    ``secrets`` are values known to be secret, masked wherever they stand in a text.
    Texts, numbers, mappings and sequences keep their form; other objects become text.
    """
    return _redacted(value, secrets, DEPTH_MAX)


def _redacted(value: object, secrets: Collection[str], depth: int) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _masked(value, secrets)
        case SecretStr() | SecretBytes():
            return MASK
        case Mapping() if depth:
            return {
                str(key): MASK if is_secret_key(str(key)) else _redacted(item, secrets, depth - 1)
                for key, item in value.items()
            }
        case Sequence() if depth and not isinstance(value, bytes | bytearray):
            return [_redacted(item, secrets, depth - 1) for item in value]
        case _:
            return _masked(str(value), secrets)


def is_secret_key(name: str) -> bool:
    """Return whether what goes by ``name`` is a secret: ``token_secret`` is, ``token_id`` not."""
    return _SECRET_KEY.search(name) is not None


def _masked(text: str, secrets: Collection[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    for pattern, mask in _IN_TEXT:
        text = pattern.sub(mask, text)
    return text
