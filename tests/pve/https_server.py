"""A local HTTPS server that answers as a test says, and certificates to go with it."""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from qlop.pve.tls import fingerprint

NOW = datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server does: answer, in part if ``cut``, after ``wait`` is set."""

    status: int = 200
    reason: str = "OK"
    body: bytes = b'{"data":null}'
    content_type: str = "application/json;charset=UTF-8"
    location: str = ""
    cut: int = 0
    close: bool = False
    """Close the connection without a word."""
    wait: threading.Event | None = None


@dataclass(slots=True)
class Server:
    """A running server: ``script`` decides about each request; all are kept."""

    authority: str
    certificate: "Certificate"
    script: Callable[[Request], Answer]
    requests: list[Request] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate and key, in a file, and the CA's certificate."""

    file: Path
    ca_file: Path
    fingerprint: str


@contextlib.contextmanager
def serving(certificate: Certificate, script: Callable[[Request], Answer]) -> Iterator[Server]:
    """Run a server on a free port of 127.0.0.1."""
    httpd = _HttpServer(("127.0.0.1", 0), _Handler)
    httpd.of = Server(f"127.0.0.1:{httpd.server_port}", certificate, script)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file)
    httpd.context = context
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield httpd.of
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _HttpServer(http.server.ThreadingHTTPServer):
    of: Server
    context: ssl.SSLContext
    block_on_close = False

    @override
    def finish_request(self, request: Any, client_address: Any) -> None:
        with (
            contextlib.suppress(OSError),  # A client that does not trust us hangs up.
            self.context.wrap_socket(request, server_side=True) as wrapped,
        ):
            self.of.connections += 1
            super().finish_request(wrapped, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # Head and body in one piece: the other end would delay its ACK.

    def _serve(self) -> None:
        assert isinstance(self.server, _HttpServer)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            path=self.path,
            headers=dict(self.headers.items()),
            body=self.rfile.read(length).decode("ascii"),
        )
        self.server.of.requests.append(request)
        self.server.of.asked.set()
        self._answer(self.server.of.script(request))

    def _answer(self, answer: Answer) -> None:
        if answer.wait is not None:
            answer.wait.wait(10)
        if answer.close:
            self.close_connection = True
            return
        self.send_response(answer.status, answer.reason.encode("utf-8").decode("latin-1"))
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) - answer.cut])
        self.close_connection = self.close_connection or answer.cut > 0

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def make_certificate(
    directory: Path,
    *,
    host: str = "127.0.0.1",
    valid: tuple[timedelta, timedelta] = (timedelta(days=-1), timedelta(days=1)),
) -> Certificate:
    """Make a CA, and a certificate of it for a server at the address ``host``.

    Each CA has a name of its own: of two with the same name OpenSSL would try but one, and
    a test could not see that the other is trusted, too.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"CA {x509.random_serial_number():x}"[:60])]
    )
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
    leaf = (
        _builder(name, ca_name, key.public_key(), valid)
        .add_extension(names, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    made = directory / "server.pem"
    made.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    ca_file = directory / "ca.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    der = leaf.public_bytes(serialization.Encoding.DER)
    return Certificate(file=made, ca_file=ca_file, fingerprint=fingerprint(der))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    valid: tuple[timedelta, timedelta],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + valid[0])
        .not_valid_after(NOW + valid[1])
    )
