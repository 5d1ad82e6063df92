"""Verify whom we talk to over TLS, and explain it when that fails.

Either a certificate authority vouches for the server, or its certificate has a
fingerprint that was pinned, or there is no connection. The environment has no say in it.
"""

import contextlib
import hashlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.connection import HTTPSConnection

_EXPIRED = 10
_NOT_YET_VALID = 9
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})
"""OpenSSL's verification errors (``X509_V_ERR_…``)."""


class FingerprintError(ssl.SSLError):
    """The server's certificate is none of those that were pinned."""

    def __init__(self, pinned: tuple[str, ...], found: str) -> None:
        """Keep both, so that a person can compare them."""
        super().__init__(f"fingerprint {found} is not pinned")
        self.pinned = pinned
        self.found = found


def context_for(ca_file: Path | None, pins: tuple[str, ...]) -> ssl.SSLContext:
    """Return what decides about certificates: a CA file, pins, or the system's CAs.

    Raises:
        OSError: if the CA file can't be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
    if ca_file is not None:
        # PVE's own CA is older than the rules that newer Pythons are strict about.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    elif pins:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # The pin is checked instead, right after.
    return context


class TrustingAdapter(HTTPAdapter):
    """Connects as ``context`` and ``pins`` demand, and knows whether anything was sent.

    ``sent`` is true from the moment the first byte of a request may have left.
    """

    def __init__(self, context: ssl.SSLContext, pins: tuple[str, ...]) -> None:
        """Trust what ``context`` verifies; with ``pins``, these certificates alone."""
        self._context = context
        self._connection_class = _connection_class(self, pins)
        self._connection: HTTPSConnection | None = None
        self.sent = False
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def forget_connections(self) -> None:
        """Close what is kept open: a mutation must not go out on a dying connection."""
        self.poolmanager.clear()

    def abort(self) -> None:
        """End whatever waits on the connection, from another thread."""
        sock = self._connection.sock if self._connection is not None else None
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def begin(self, connection: HTTPSConnection) -> None:
        """Note that a request is about to go out on ``connection``."""
        self._connection = connection
        self.sent = True

    @override
    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(
            connections, maxsize, block, ssl_context=self._context, **pool_kwargs
        )

    @override
    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: object, cert: object = None
    ) -> Any:
        # Only the address: requests would add its own CA bundle to what the context trusts.
        host, _ = super().build_connection_pool_key_attributes(request, True)
        return host, {}

    @override
    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:
        """Leave all of it to the context."""

    @override
    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: object,
        proxies: object = None,
        cert: object = None,
    ) -> Any:
        pool: Any = super().get_connection_with_tls_context(request, True)
        pool.ConnectionCls = self._connection_class
        return pool


def _connection_class(adapter: TrustingAdapter, pins: tuple[str, ...]) -> type[HTTPSConnection]:
    class Connection(HTTPSConnection):
        @override
        def connect(self) -> None:
            super().connect()
            if pins:
                assert isinstance(self.sock, ssl.SSLSocket), "there is no proxy in between"
                found = fingerprint(self.sock.getpeercert(binary_form=True) or b"")
                if found not in pins:
                    self.close()
                    raise FingerprintError(pins, found)
                self.is_verified = True

        @override
        def request(self, *args: Any, **kwargs: Any) -> None:
            adapter.begin(self)
            super().request(*args, **kwargs)

    return Connection


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate (DER), as people compare it."""
    digits = hashlib.sha256(certificate).hexdigest().upper()
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


def explain(error: BaseException) -> str | None:
    """Return what is wrong with a server's TLS, and the remedy; None if it is not that."""
    for cause in causes(error):
        if isinstance(cause, FingerprintError):
            return (
                f"its certificate has the fingerprint {cause.found}, pinned is"
                f" {' or '.join(cause.pinned)}; if the certificate was renewed, pin the new one"
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _explain_verification(cause)
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError):
            return f"no TLS connection: {cause.reason or cause}; is that the API's port?"
    return None


def _explain_verification(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired; renew it on that node (pvecm updatecerts --force)"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet; is this machine's clock right?"
    if code in _WRONG_NAME:
        return (
            "its certificate is for another name; use the name that is in it as endpoint,"
            " or pin its fingerprint"
        )
    if code in _UNKNOWN_ISSUER:
        return (
            "its certificate is by a CA that is not trusted; give the cluster's CA as ca_file"
            " (/etc/pve/pve-root-ca.pem), or pin the certificate's fingerprint"
        )
    return f"its certificate is not accepted: {error.verify_message}"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it wraps; urllib3 wraps by argument and ``reason`` too."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
