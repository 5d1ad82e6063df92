"""Over HTTPS the simulator looks like PVE: certificate, reason phrases, forms, lost answers."""

import socket
import ssl
import zlib
from collections.abc import Iterator
from http.client import HTTPResponse, HTTPSConnection, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer
from tests.sim.lab import AUTHORIZATION, START

pytestmark = [pytest.mark.real]

SPEED = 200


@pytest.fixture(scope="module")
def server() -> Iterator[SimServer]:
    """Serve the hospital's cluster, two hundred times as fast as life."""
    one = SimServer(Cluster(world.hospital(), seed=1, now=START), speed=SPEED)
    with one.in_background():
        yield one


def ask(
    server: SimServer, method: str, path: str, body: str = "", *, at: int = 0, **headers: str
) -> tuple[HTTPResponse, Any]:
    url = urlsplit(server.urls[at])
    context = ssl.create_default_context(cafile=server.ca_file)
    connection = HTTPSConnection(str(url.hostname), url.port, context=context, timeout=10)
    sent = {"Authorization": AUTHORIZATION, **headers}
    if body:
        sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
    try:
        connection.request(method, path, body=body.encode() or None, headers=sent)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    encoding = response.headers["Content-Encoding"]
    if encoding is not None:
        text = zlib.decompress(text, 47 if encoding == "gzip" else 15)
    try:
        return response, orjson.loads(text)
    except orjson.JSONDecodeError:
        return response, text.decode()


def test_the_certificate_is_good_for_the_address_it_is_served_on(server: SimServer) -> None:
    response, body = ask(server, "GET", "/api2/json/version")
    assert response.status == 200
    assert body["data"]["version"] == "9.1.5"
    assert response.headers["Server"] == "pve-api-daemon/3.0"
    assert response.headers["Content-Type"] == "application/json;charset=UTF-8"


def test_without_the_ca_the_certificate_is_refused(server: SimServer) -> None:
    url = urlsplit(server.url)
    context = ssl.create_default_context()
    connection = HTTPSConnection(str(url.hostname), url.port, context=context, timeout=10)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")
    connection.close()


def test_the_error_is_in_the_reason_phrase(server: SimServer) -> None:
    response, body = ask(server, "GET", "/api2/json/nodes/pve2/qemu/999/config")
    text = "Configuration file 'nodes/pve2/qemu-server/999.conf' does not exist"
    assert (response.status, response.reason) == (500, text)
    assert body == {"data": None, "message": f"{text}\n"}


def test_extjs_answers_200_and_says_inside_what_went_wrong(server: SimServer) -> None:
    response, body = ask(server, "GET", "/api2/extjs/nodes/pve2/qemu/999/config")
    assert response.status == 200
    assert (body["success"], body["status"]) == (0, 500)


def test_utf8_and_equals_signs_survive_a_form(server: SimServer) -> None:
    ask(server, "POST", "/sim/do", "guest 9001 set description=x")
    form = "description=a%3Db%3B%20%C3%BC%0Anext"
    response, _ = ask(server, "PUT", "/api2/json/nodes/pve1/qemu/9001/config", form)
    assert response.status == 200
    _, body = ask(server, "GET", "/api2/json/nodes/pve1/qemu/9001/config")
    assert body["data"]["description"].rstrip("\n") == "a=b; ü\nnext"


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, deflate", "gzip"), ("deflate", "deflate"), ("", None)]
)
def test_long_answers_are_compressed_for_those_who_ask(
    server: SimServer, accepted: str, encoding: str | None
) -> None:
    headers: dict[str, Any] = {"Accept-Encoding": accepted or "identity"}
    response, body = ask(server, "GET", "/api2/json/cluster/resources", **headers)
    assert response.headers["Content-Encoding"] == encoding
    assert body["data"]


def test_a_hundredth_request_is_the_last_of_its_connection(server: SimServer) -> None:
    url = urlsplit(server.url)
    context = ssl.create_default_context(cafile=server.ca_file)
    connection = HTTPSConnection(str(url.hostname), url.port, context=context, timeout=10)
    said = []
    for _ in range(100):
        connection.request("GET", "/api2/json/version", headers={"Authorization": AUTHORIZATION})
        response = connection.getresponse()
        response.read()
        said.append(response.headers["Connection"])
    connection.close()
    assert said == ["Keep-Alive"] * 99 + ["close"]


def test_what_is_too_long_is_refused_unread_and_whoever_asks_comes_first(
    server: SimServer,
) -> None:
    form = "description=" + "x" * 600_000
    path = "/api2/json/nodes/pve1/qemu/9001/config"
    known, _ = ask(server, "PUT", path, form)
    unknown, _ = ask(server, "PUT", path, form, Authorization="")
    assert (known.status, known.reason) == (501, "for data too large")
    assert (unknown.status, unknown.reason) == (401, "No ticket")


def test_a_node_that_is_down_refuses_connections_until_it_is_back(server: SimServer) -> None:
    ask(server, "POST", "/sim/do", "node pve2 down")
    with pytest.raises(ConnectionRefusedError):
        ask(server, "GET", "/api2/json/version", at=1)
    proxied, _ = ask(server, "GET", "/api2/json/nodes/pve2/qemu")
    assert proxied.status == 595
    ask(server, "POST", "/sim/do", "node pve2 up")
    response, _ = ask(server, "GET", "/api2/json/version", at=1)
    assert response.status == 200


def test_a_lost_answer_closes_the_connection_after_the_work_is_done(server: SimServer) -> None:
    ask(server, "POST", "/sim/do", 'fault lose-answer route="PUT *"')
    with pytest.raises(RemoteDisconnected):
        ask(server, "PUT", "/api2/json/nodes/pve1/qemu/9001/config", "cores=5")
    _, body = ask(server, "GET", "/api2/json/nodes/pve1/qemu/9001/config")
    assert body["data"]["cores"] == 5


def test_an_unknown_command_is_a_400_with_a_sentence(server: SimServer) -> None:
    response, body = ask(server, "POST", "/sim/do", "dance")
    assert response.status == 400
    assert "dance" in str(body)


def test_the_state_tells_time_and_guests(server: SimServer) -> None:
    response, body = ask(server, "GET", "/sim/state", Authorization="")
    assert response.status == 200
    assert body["now"] >= START


def test_an_expired_certificate_is_refused() -> None:
    server = SimServer(Cluster(world.hospital(), seed=1, now=START), expired=True)
    with server.in_background(), pytest.raises(ssl.SSLCertVerificationError):
        ask(server, "GET", "/api2/json/version")


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", "301 Moved Permanently"), ("POST", "308 Permanent Redirect")],
)
def test_without_tls_a_client_is_sent_to_where_there_is(
    server: SimServer, method: str, status: str
) -> None:
    """``ensure_tls_connection`` in pve-http-server's ``AnyEvent.pm``."""
    url = urlsplit(server.url)
    asked = f"{method} /api2/json/version?a=b HTTP/1.1\r\nHost: pve1:8006\r\n\r\n"
    with socket.create_connection((str(url.hostname), url.port or 0), timeout=10) as plain:
        plain.sendall(asked.encode())
        said = b"".join(iter(lambda: plain.recv(4096), b"")).decode()

    head, _, body = said.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status}\r\n")
    assert "\r\nLocation: https://pve1:8006/api2/json/version?a=b\r\nServer: pve-api" in head
    assert body == status[4:]


def test_without_tls_and_without_a_host_there_is_no_answer(server: SimServer) -> None:
    url = urlsplit(server.url)
    with socket.create_connection((str(url.hostname), url.port or 0), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.shutdown(socket.SHUT_WR)

        assert plain.recv(4096) == b""
