"""Asking a running daemon, over real HTTP."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from qlop.cli import asking
from qlop.cli.asking import Answer, Refusal
from qlop.render import line, plan
from qlop.settings import Address, WebSettings
from qlop.web import server
from tests.render import worlds
from tests.web.views import StaticView

pytestmark = pytest.mark.real


def web_at(port: int) -> WebSettings:
    return WebSettings(listen=Address(host="127.0.0.1", port=port), token=SecretStr("hush"))


def against(view: StaticView, question: Callable[[WebSettings], object]) -> object:
    async def run() -> object:
        listen = Address(host="127.0.0.1", port=0)
        async with server.serving(view, listen=listen, token=None, trigger=lambda: None) as port:
            return await asyncio.to_thread(question, web_at(port))

    return asyncio.run(run())


def test_a_daemon_answers_for_people_and_machines() -> None:
    answer = against(StaticView(), lambda web: asking.ask(web, "plan"))

    assert isinstance(answer, Answer)
    assert line.plain(answer.lines) == line.plain(plan.plan_lines(worlds.PLAN))
    assert isinstance(answer.document, dict)
    assert answer.document["fingerprint"] == plan.plan_fingerprint(worlds.PLAN)


def test_a_daemon_that_has_no_answer_says_why() -> None:
    answer = against(StaticView(), lambda web: asking.ask(web, "explain", "a/b c"))

    assert isinstance(answer, Refusal)
    assert answer.message.startswith("nothing is called a/b c")


def test_where_no_daemon_is_there_is_no_answer() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    assert asking.ask(web_at(port), "status") is None


def test_something_else_that_listens_there_is_no_daemon() -> None:
    async def run() -> object:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            await writer.drain()
            writer.close()

        listening = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            return await asyncio.to_thread(asking.ask, web_at(port), "status")

    assert asyncio.run(run()) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")],
)
def test_what_listens_everywhere_is_asked_here(host: str, expected: str) -> None:
    assert asking.reachable(host) == expected
