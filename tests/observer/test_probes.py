"""Real connections tell a service that answers from one that does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from qlop.model.health import Answer, HttpCheck, NetworkCheck, Reply, TcpCheck
from qlop.observer.probes import NetworkProber

pytestmark = pytest.mark.real

HOST = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(answer: Serve) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(text: str, heard: list[bytes] | None = None) -> Serve:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(request)
        writer.write(text.encode())
        await writer.drain()

    return answer


async def ask(check: NetworkCheck, host: str = HOST) -> Answer:
    prober = NetworkProber()
    try:
        return await prober.probe(host, check)
    finally:
        await prober.close()


def status(code: int) -> str:
    return f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "lowest", "reply"),
    [
        pytest.param(status(200), 200, Reply.GOOD, id="good"),
        pytest.param(status(302), 200, Reply.GOOD, id="a-redirection-is-an-answer"),
        pytest.param(status(200), 204, Reply.WRONG, id="below-what-is-right"),
        pytest.param(status(500), 200, Reply.WRONG, id="an-error"),
        pytest.param("SSH-2.0-OpenSSH\r\n", 200, Reply.WRONG, id="no-http"),
        pytest.param("", 200, Reply.WRONG, id="closed-without-a-word"),
    ],
)
def test_a_request(said: str, lowest: int, reply: Reply) -> None:
    async def run() -> Answer:
        async with serving(saying(said)) as port:
            return await ask(HttpCheck(port=port, lowest=lowest))

    assert asyncio.run(run()).reply is reply


def test_path_and_host_are_those_of_the_check_and_nothing_else_is_told() -> None:
    heard: list[bytes] = []

    async def run() -> None:
        async with serving(saying(status(200), heard)) as port:
            await ask(HttpCheck(port=port, path="/up?deep=1", host="web.example.org"))

    asyncio.run(run())

    request = heard[0].decode()
    assert request.startswith("GET /up?deep=1 HTTP/1.1\r\nHost: web.example.org\r\n")
    assert "cookie" not in request.lower()


def test_a_connection_is_enough_for_tcp() -> None:
    async def run() -> Answer:
        async with serving(saying("")) as port:
            return await ask(TcpCheck(port=port))

    assert asyncio.run(run()).reply is Reply.GOOD


@pytest.mark.parametrize("kind", [TcpCheck, HttpCheck])
def test_nobody_listens(kind: type[TcpCheck] | type[HttpCheck]) -> None:
    async def run() -> tuple[Answer, int]:
        async with serving(saying("")) as port:
            pass
        return await ask(kind(port=port)), port

    answer, port = asyncio.run(run())

    assert answer.reply is Reply.SILENT
    assert f"{HOST}:{port}" in answer.text


def test_a_port_that_speaks_no_tls_is_wrong_not_silent() -> None:
    async def run() -> Answer:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(status(200).encode())
            await writer.drain()

        async with serving(answer) as port:
            return await ask(HttpCheck(port=port, scheme="https", verify=False))

    assert asyncio.run(run()).reply is Reply.WRONG
