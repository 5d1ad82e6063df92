"""The client tells data from trouble, and trouble from what may have happened."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from qlop.ports import ErrorKind, Json, Method, PortError, PveCall
from qlop.pve.client import ProxmoxerApi
from qlop.settings import ApiSettings
from tests.pve.https_server import Answer, Certificate, Request, Server, make_certificate, serving

pytestmark = pytest.mark.real

READ = PveCall(method=Method.GET, route="/version")
MUTATION = PveCall(
    method=Method.PUT,
    route="/nodes/{node}/qemu/{vmid}/config",
    at={"node": "pve1", "vmid": 110},
    params={"memory": "2048"},
)
SECRET = "1fd32f9b-0000-4000-8000-5ec2e7000000"
REFUSED = "127.0.0.1:1"
"""Nothing listens there."""
SHOW_FILTERS = """
import warnings, qlop.pve.client, urllib3
print([one for one in warnings.filters if one[2] is urllib3.exceptions.HTTPWarning])
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def settings(
    *authorities: str,
    ca_file: Path | None = None,
    pins: tuple[str, ...] = (),
    timeout: timedelta = timedelta(seconds=5),
) -> ApiSettings:
    return ApiSettings(
        endpoints=authorities,  # type: ignore[arg-type] # text is what a file has
        token_id="qlop@pve!daemon",
        token_secret=SecretStr(SECRET),
        ca_file=ca_file,
        fingerprints=pins,
        timeout=f"{timeout.total_seconds():.0f}s",  # type: ignore[arg-type]
    )


@contextmanager
def client(configured: ApiSettings, **options: Any) -> Iterator[ProxmoxerApi]:
    api = ProxmoxerApi(configured, jitter=lambda: -0.5, **options)
    try:
        yield api
    finally:
        api.close()


def always(answer: Answer) -> Callable[[Request], Answer]:
    return lambda _: answer


def ask(server: Server, call: PveCall) -> Json:
    with client(settings(server.authority, ca_file=server.certificate.ca_file)) as api:
        return asyncio.run(api.call(call))


def refusal(server: Server, call: PveCall) -> PortError:
    with pytest.raises(PortError) as caught:
        ask(server, call)
    return caught.value


def test_a_read_returns_the_data(certificate: Certificate) -> None:
    with serving(certificate, always(Answer(body=b'{"data":{"version":"9.1.5"}}'))) as server:
        data = ask(server, READ)

    assert data == {"version": "9.1.5"}
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/api2/json/version")
    assert request.headers["Authorization"] == f"PVEAPIToken=qlop@pve!daemon={SECRET}"


def test_values_are_percent_encoded(certificate: Certificate) -> None:
    call = PveCall(
        method=Method.PUT,
        route="/nodes/{node}/qemu/{vmid}/config",
        at={"node": "pve1", "vmid": 110},
        params={"description": "a=b;c&d\nü+ %", "onboot": True},
    )
    with serving(certificate, always(Answer())) as server:
        ask(server, call)

    (request,) = server.requests
    assert request.path == "/api2/json/nodes/pve1/qemu/110/config"
    assert request.body == "description=a%3Db%3Bc%26d%0A%C3%BC%2B+%25&onboot=1"


def test_a_deletion_has_its_parameters_in_the_query(certificate: Certificate) -> None:
    call = PveCall(
        method=Method.DELETE,
        route="/nodes/{node}/qemu/{vmid}/snapshot/{snapname}",
        at={"node": "pve1", "vmid": 110, "snapname": "a/b"},
        params={"force": 1},
    )
    with serving(certificate, always(Answer())) as server:
        ask(server, call)

    (request,) = server.requests
    assert request.path == "/api2/json/nodes/pve1/qemu/110/snapshot/a%2Fb?force=1"
    assert (request.method, request.body) == ("DELETE", "")


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        pytest.param(
            Answer(status=500, reason="VM is locked (backup)", body=b'{"data":null}'),
            ErrorKind.CONFLICT,
            "VM is locked (backup)",
            id="reason-phrase",
        ),
        pytest.param(
            Answer(status=500, reason="name 'ü' is odd", body=b""),
            ErrorKind.INVALID,
            "name 'ü' is odd",
            id="reason-phrase-in-utf8",
        ),
        pytest.param(
            Answer(
                status=500, reason="first", body=b'{"data":null,"message":"first\\nsecond\\n"}'
            ),
            ErrorKind.INVALID,
            "first\nsecond",
            id="all-lines-of-the-message",
        ),
        pytest.param(
            Answer(
                status=400,
                reason="Parameter verification failed.",
                body=b'{"data":null,"errors":{"memory":"too much\\n"}}',
            ),
            ErrorKind.INVALID,
            "Parameter verification failed. (memory: too much)",
            id="complaints-by-parameter",
        ),
        pytest.param(
            Answer(status=401, reason="No ticket", body=b""),
            ErrorKind.DENIED,
            "No ticket",
            id="empty-body",
        ),
        pytest.param(
            Answer(status=595, reason="Connection refused", body=b""),
            ErrorKind.TRANSIENT,
            "Connection refused",
            id="other-node-down",
        ),
    ],
)
def test_what_pve_says_is_told(
    certificate: Certificate, answer: Answer, kind: ErrorKind, message: str
) -> None:
    with serving(certificate, always(answer)) as server:
        error = refusal(server, MUTATION)

    assert (error.kind, str(error), error.status) == (kind, message, answer.status)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            Answer(content_type="text/html", body=b"<html>Log in</html>"),
            "answered HTML: is that a proxy or the web GUI's port?",
            id="html",
        ),
        pytest.param(
            Answer(status=502, reason="Bad Gateway", content_type="text/html", body=b"<html>"),
            "answered HTML: is that a proxy or the web GUI's port?",
            id="error-page-of-a-proxy",
        ),
        pytest.param(Answer(body=b"ok"), "answered no JSON of PVE: 'ok'", id="text"),
        pytest.param(Answer(body=b""), "answered no JSON of PVE: ''", id="nothing"),
        pytest.param(Answer(body=b"[1]"), "answered no JSON of PVE: '[1]'", id="other-json"),
        pytest.param(
            Answer(status=302, reason="Found", location="/login", body=b""),
            "answered with a redirection (HTTP 302): is that a proxy?",
            id="redirection",
        ),
        pytest.param(
            Answer(cut=5), "IncompleteRead(8 bytes read, 5 more expected)", id="half-an-answer"
        ),
        pytest.param(Answer(close=True), "Remote end closed connection", id="no-answer"),
    ],
)
def test_a_lost_answer_is_ambiguous_for_a_mutation_and_transient_for_a_read(
    certificate: Certificate, answer: Answer, message: str
) -> None:
    with serving(certificate, always(answer)) as server:
        lost = refusal(server, MUTATION)
        sent = len(server.requests)
        unread = refusal(server, READ)

    assert (lost.kind, unread.kind) == (ErrorKind.AMBIGUOUS, ErrorKind.TRANSIENT)
    assert message in str(lost)
    assert message in str(unread)
    assert sent == 1, "a mutation is never repeated"
    assert len(server.requests) > 2, "a read is"


def test_a_read_is_repeated_until_it_is_answered(certificate: Certificate) -> None:
    answers = iter([Answer(close=True), Answer(status=595, body=b""), Answer(body=b'{"data":7}')])
    with serving(certificate, lambda _: next(answers)) as server:
        data = ask(server, READ)

    assert data == 7


def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    with client(settings(REFUSED)) as api, pytest.raises(PortError) as caught:
        asyncio.run(api.call(MUTATION))

    assert caught.value.kind is ErrorKind.TRANSIENT
    assert str(caught.value) == "127.0.0.1:1: connection refused"


def test_a_name_that_does_not_resolve_is_told() -> None:
    with client(settings("nowhere.invalid")) as api, pytest.raises(PortError) as caught:
        asyncio.run(api.call(MUTATION))

    assert caught.value.kind is ErrorKind.TRANSIENT
    assert str(caught.value) == "nowhere.invalid:8006: the name does not resolve"


def test_the_next_endpoint_is_tried_and_the_dead_one_remembered(
    certificate: Certificate,
) -> None:
    calls: list[tuple[str, Method, int]] = []
    with (
        serving(certificate, always(Answer(body=b'{"data":1}'))) as server,
        client(
            settings(REFUSED, server.authority, ca_file=certificate.ca_file),
            on_call=lambda route, method, status, _: calls.append((route, method, status)),
        ) as api,
    ):
        data = [asyncio.run(api.call(call)) for call in (MUTATION, READ)]
        health = api.endpoints()

    assert data == [1, 1]
    assert [(one.authority, one.healthy) for one in health] == [
        (REFUSED, False),
        (server.authority, True),
    ]
    assert health[0].error == "127.0.0.1:1: connection refused"
    assert calls == [
        (MUTATION.route, Method.PUT, 0),
        (MUTATION.route, Method.PUT, 200),
        (READ.route, Method.GET, 200),
    ]


def test_a_mutation_that_may_have_arrived_is_not_sent_to_another_endpoint(
    certificate: Certificate,
) -> None:
    with (
        serving(certificate, always(Answer(close=True))) as losing,
        serving(certificate, always(Answer())) as answering,
    ):
        both = settings(losing.authority, answering.authority, ca_file=certificate.ca_file)
        with client(both) as api, pytest.raises(PortError) as caught:
            asyncio.run(api.call(MUTATION))

    assert caught.value.kind is ErrorKind.AMBIGUOUS
    assert answering.requests == []


def test_the_circuit_opens_and_says_so() -> None:
    async def attempts(api: ProxmoxerApi) -> list[str]:
        errors = []
        for _ in range(4):
            with pytest.raises(PortError) as caught:
                await api.call(MUTATION)
            errors.append(str(caught.value))
        return errors

    with client(settings(REFUSED)) as api:
        errors = asyncio.run(attempts(api))

    assert errors[:3] == ["127.0.0.1:1: connection refused"] * 3
    assert errors[3].startswith("not calling the PVE API for another ")
    assert errors[3].endswith(" s: 127.0.0.1:1: connection refused")


def test_a_mutation_without_answer_is_ambiguous_when_its_time_is_up(
    certificate: Certificate,
) -> None:
    never = threading.Event()
    with serving(certificate, always(Answer(wait=never))) as server:
        quick = settings(
            server.authority, ca_file=certificate.ca_file, timeout=timedelta(seconds=1)
        )
        with client(quick) as api:
            api._timeout_s = -4.85  # noqa: SLF001 - 0.15 s with the margin a mutation gets
            with pytest.raises(PortError) as caught:
                asyncio.run(api.call(MUTATION))
        never.set()

    assert caught.value.kind is ErrorKind.AMBIGUOUS
    assert str(caught.value) == (
        f"{server.authority}: no answer in time after the request was sent"
    )


def test_a_cancelled_call_lets_go_and_close_ends_its_thread(certificate: Certificate) -> None:
    never = threading.Event()

    async def cancel(api: ProxmoxerApi) -> None:
        task = asyncio.ensure_future(api.call(MUTATION))
        await asyncio.to_thread(server.asked.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with serving(certificate, always(Answer(wait=never))) as server:
        api = ProxmoxerApi(settings(server.authority, ca_file=certificate.ca_file))
        asyncio.run(cancel(api))
        api.close()
        pool = api._pool  # noqa: SLF001 - whether its threads end is the point
        started = time.monotonic()
        pool.shutdown(wait=True)
        took_s = time.monotonic() - started
        never.set()

    assert isinstance(pool, ThreadPoolExecutor)
    assert took_s < 2


def test_a_mutation_never_goes_out_on_a_kept_connection(certificate: Certificate) -> None:
    async def calls(api: ProxmoxerApi) -> None:
        for call in (READ, READ, MUTATION, READ):
            await api.call(call)

    with (
        serving(certificate, always(Answer())) as server,
        client(settings(server.authority, ca_file=certificate.ca_file)) as api,
    ):
        api._pool = ThreadPoolExecutor(1)  # noqa: SLF001 - so that a connection is shared
        asyncio.run(calls(api))

    assert len(server.requests) == 4
    assert server.connections == 2


def test_the_environment_can_not_change_whom_we_trust(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.ca_file))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(other.ca_file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with serving(certificate, always(Answer(body=b'{"data":1}'))) as server:
        assert ask(server, READ) == 1
    with (
        serving(other, always(Answer())) as server,
        client(settings(server.authority, ca_file=certificate.ca_file)) as api,
        pytest.raises(PortError) as caught,
    ):
        asyncio.run(api.call(READ))

    assert caught.value.kind is ErrorKind.DENIED
    assert server.requests == []


@pytest.mark.parametrize(
    ("host", "valid", "message"),
    [
        pytest.param(
            "127.0.0.1",
            (timedelta(days=-9), timedelta(days=-1)),
            "its certificate has expired; renew it on that node (pvecm updatecerts --force)",
            id="expired",
        ),
        pytest.param(
            "127.0.0.1",
            (timedelta(days=1), timedelta(days=9)),
            "its certificate is not valid yet; is this machine's clock right?",
            id="not-yet-valid",
        ),
        pytest.param(
            "10.0.0.1",
            (timedelta(days=-1), timedelta(days=1)),
            "its certificate is for another name; use the name that is in it as endpoint, or"
            " pin its fingerprint",
            id="wrong-host",
        ),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told(
    tmp_path: Path, host: str, valid: tuple[timedelta, timedelta], message: str
) -> None:
    with serving(make_certificate(tmp_path, host=host, valid=valid), always(Answer())) as server:
        error = refusal(server, MUTATION)

    assert (error.kind, str(error)) == (ErrorKind.DENIED, f"{server.authority}: {message}")
    assert server.requests == []


def test_a_certificate_by_an_unknown_authority_is_not_trusted(certificate: Certificate) -> None:
    with (
        serving(certificate, always(Answer())) as server,
        client(settings(server.authority)) as api,
        pytest.raises(PortError) as caught,
    ):
        asyncio.run(api.call(READ))

    assert caught.value.kind is ErrorKind.DENIED
    assert "by a CA that is not trusted; give the cluster's CA as ca_file" in str(caught.value)


def test_a_pinned_certificate_needs_no_authority(certificate: Certificate) -> None:
    pins = ("00:" * 31 + "00", certificate.fingerprint)
    with (
        serving(certificate, always(Answer(body=b'{"data":1}'))) as server,
        client(settings(server.authority, pins=pins)) as api,
    ):
        assert asyncio.run(api.call(READ)) == 1


def test_another_fingerprint_than_the_pinned_one_is_refused_and_both_are_told(
    certificate: Certificate,
) -> None:
    pin = "00:" * 31 + "00"
    with (
        serving(certificate, always(Answer())) as server,
        client(settings(server.authority, pins=(pin,))) as api,
        pytest.raises(PortError) as caught,
    ):
        asyncio.run(api.call(MUTATION))

    assert caught.value.kind is ErrorKind.DENIED
    assert f"fingerprint {certificate.fingerprint}, pinned is {pin}" in str(caught.value)
    assert server.requests == []


def test_a_port_that_does_not_speak_tls_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def call() -> PortError:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with client(settings(f"127.0.0.1:{port}")) as api, pytest.raises(PortError) as caught:
                await api.call(MUTATION)
            return caught.value

    error = asyncio.run(call())

    assert error.kind is ErrorKind.DENIED
    assert "no TLS connection: " in str(error)


def test_the_token_is_never_logged(
    certificate: Certificate, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    call = PveCall(method=Method.PUT, route="/x", params={"cipassword": "open sesame"})
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("proxmoxer.core").setLevel(logging.DEBUG)
        with serving(certificate, always(Answer(status=500, reason="no", body=b""))) as server:
            error = refusal(server, call)
    written = caplog.text + "".join(capfd.readouterr()) + repr(error) + repr(error.__context__)

    assert SECRET not in written
    assert "open sesame" not in written


@pytest.mark.slow  # A new interpreter, because what is imported stays imported.
def test_importing_proxmoxer_leaves_the_warnings_of_urllib3_on() -> None:
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            SHOW_FILTERS,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert shown == "[]\n"


def test_a_ca_file_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ProxmoxerApi(settings(REFUSED, ca_file=tmp_path / os.urandom(4).hex()))
