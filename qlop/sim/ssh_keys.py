"""Decide whether a text holds public keys of SSH, one a line.

PVE has ``ssh-keygen -l`` look at each line (pve-common, ``validate_ssh_public_keys``).
"""

import base64
import binascii
import re
from urllib.parse import unquote

from qlop.sim.wire import ApiError

_LINE = re.compile(
    r"(?:\S+ )?((?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp(?:256|384|521)|sk-\S+@openssh\.com"
    r"|ssh-\S+-cert-v01@openssh\.com)) ([A-Za-z0-9+/]+={0,3})(?: .*)?"
)


def check(value: str) -> None:
    """Refuse what is not a list of public keys, percent-encoded.

    Raises:
        ApiError: 500, a line is no key.
    """
    check_lines(unquote(value))


def check_lines(text: str) -> None:
    """Refuse lines that are no public keys; empty ones and comments may be.

    Raises:
        ApiError: 500, a line is no key.
    """
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#") and not _is_key(line.strip()):
            raise ApiError("SSH public key validation error")


def _is_key(line: str) -> bool:
    """Return whether a line names a key's kind, and its blob begins with that name."""
    found = _LINE.fullmatch(line)
    if found is None:
        return False
    try:
        blob = base64.b64decode(found[2] + "=" * (-len(found[2]) % 4), validate=True)
    except binascii.Error:
        return False
    kind = found[1].encode()
    return blob.startswith(len(kind).to_bytes(4, "big") + kind) and len(blob) > len(kind) + 4
