"""The traps of the way to PVE are closed, and an open one is seen (``trap_table``)."""

import asyncio
import importlib.util
import inspect
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import urllib3

from qlop.ports import ErrorKind, PortError
from qlop.pve import client as client_module
from qlop.pve import tls
from tests.breaking import broken
from tests.pve.https_server import Answer, Certificate, make_certificate, serving
from tests.pve.test_client import MUTATION, READ, always, ask, client, settings
from tests.pve.trap_table import TRAPS, Trap

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
GOOD = b'{"data":1}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@contextmanager
def raw(certificate: Certificate, serve: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    """Serve each connection with bytes as they come; yield the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as line:
                    serve(line)
            except OSError:
                if listener.fileno() < 0:
                    return

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def received(line: ssl.SSLSocket) -> bytes:
    """Return a whole request; empty if the other end went away."""
    got = b""
    while more := line.recv(4096):
        got += more
        head, end, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return got


def test_the_timeout_is_ours_and_not_proxmoxers(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[float, float]] = []
    send = tls.TrustingAdapter.send

    def watched(self: tls.TrustingAdapter, request: Any, **options: Any) -> Any:
        given.append(options["timeout"])
        return send(self, request, **options)

    monkeypatch.setattr(tls.TrustingAdapter, "send", watched)
    with serving(certificate, always(Answer(body=GOOD))) as server:
        patient = settings(
            server.authority, ca_file=certificate.ca_file, timeout=timedelta(seconds=40)
        )
        with client(patient) as api:
            asyncio.run(api.call(READ))
            asyncio.run(api.call(MUTATION))

    (of_read, of_mutation) = given
    assert (of_read[0], of_mutation[0]) == (5.0, 5.0)
    assert 39 < of_read[1] <= 40
    assert 44 < of_mutation[1] <= 45


@pytest.mark.slow  # waits for a deadline of one second
def test_an_answer_that_only_drips_ends_at_the_deadline(certificate: Certificate) -> None:
    def drip(line: ssl.SSLSocket) -> None:
        received(line)
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
        for _ in range(50):
            line.sendall(b" " * 100_000)
            threading.Event().wait(0.1)

    with raw(certificate, drip) as authority:
        quick = settings(authority, ca_file=certificate.ca_file, timeout=timedelta(seconds=1))
        with client(quick) as api:
            api._timeout_s = -4.0  # noqa: SLF001 - 1 s with the margin a mutation gets
            started = time.monotonic()
            with pytest.raises(PortError) as caught:
                asyncio.run(api.call(MUTATION))
        took_s = time.monotonic() - started

    assert caught.value.kind is ErrorKind.AMBIGUOUS
    assert took_s < 3


def test_an_answer_that_is_too_long_is_not_read(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "BODY_BYTES_MAX", 1000)
    body = b'{"data":"' + b"x" * 2000 + b'"}'
    with serving(certificate, always(Answer(body=body))) as server, pytest.raises(PortError) as it:
        ask(server, MUTATION)

    assert it.value.kind is ErrorKind.AMBIGUOUS
    assert "message too long after the request was sent" in str(it.value)


def test_a_redirection_is_not_followed(certificate: Certificate) -> None:
    with serving(certificate, always(Answer(body=GOOD))) as elsewhere:
        moved = Answer(
            status=301, reason="Moved", location=f"https://{elsewhere.authority}/x", body=b""
        )
        with serving(certificate, always(moved)) as server, pytest.raises(PortError) as caught:
            ask(server, MUTATION)

    assert caught.value.kind is ErrorKind.AMBIGUOUS
    assert elsewhere.connections == 0


def test_a_ca_bundle_in_the_environment_is_not_trusted(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.ca_file))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(other.ca_file))

    assert refused(other, certificate)


def test_the_authorities_that_requests_brings_along_are_not_trusted(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(other.ca_file))

    assert refused(other, certificate)


def refused(other: Certificate, ours: Certificate) -> bool:
    """Return whether a server with another CA's certificate is not spoken to."""
    with (
        serving(other, always(Answer(body=GOOD))) as server,
        client(settings(server.authority, ca_file=ours.ca_file)) as api,
    ):
        try:
            asyncio.run(api.call(MUTATION))
        except PortError as error:
            return error.kind is ErrorKind.DENIED and server.requests == []
    return False


def test_a_proxy_in_the_environment_is_not_used(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with serving(certificate, always(Answer(body=GOOD))) as server:
        assert ask(server, READ) == 1


def test_importing_the_client_leaves_warnings_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "proxmoxer.backends.https")
    spec = importlib.util.find_spec("qlop.pve.client")
    assert spec is not None
    assert spec.loader is not None
    with warnings.catch_warnings():
        before = [*warnings.filters]
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        added = [one for one in warnings.filters if one not in before]

    assert [one for one in added if one[2] is urllib3.exceptions.HTTPWarning] == []


@pytest.mark.parametrize("said", [("close", "Keep-Alive"), ("Keep-Alive", "close")])
def test_a_doubled_connection_header_costs_nothing(
    certificate: Certificate, said: tuple[str, str]
) -> None:
    """As pveproxy says it of what pvedaemon answered: both, in either order."""
    asked: list[bytes] = []

    def answer(line: ssl.SSLSocket) -> None:
        asked.append(received(line))
        headers = "".join(f"Connection: {word}\r\n" for word in said)
        line.sendall(f"HTTP/1.1 200 OK\r\n{headers}Content-Length: 10\r\n\r\n".encode() + GOOD)

    async def calls(api: client_module.ProxmoxerApi) -> list[object]:
        return [await api.call(call) for call in (READ, READ, MUTATION, MUTATION, READ)]

    with (
        raw(certificate, answer) as authority,
        client(settings(authority, ca_file=certificate.ca_file)) as api,
    ):
        data = asyncio.run(calls(api))

    assert data == [1] * 5
    assert len([one for one in asked if one]) == 5


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_each_guard_stands_where_it_is_taken_away(trap: Trap) -> None:
    for guard in trap.guards:
        text = inspect.getsource(import_module(guard.module))
        compile(broken(guard, text), guard.module, "exec")


@pytest.mark.slow  # Runs a test for each trap, in a process of its own.
@pytest.mark.timeout(600)
def test_every_open_trap_is_seen() -> None:
    command = [sys.executable, "-m", "tests.pve.traps"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)

    assert f"{len(TRAPS)} of {len(TRAPS)} open traps are seen" in done.stdout
    assert done.returncode == 0
