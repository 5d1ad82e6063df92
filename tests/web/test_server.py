"""The server over real HTTP on the loopback."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import pytest
from pydantic import SecretStr

from qlop.render import line, status
from qlop.settings import Address
from qlop.web import health, server
from tests.render import worlds
from tests.web.views import StaticView

pytestmark = pytest.mark.real


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


def ask(
    path: str,
    view: StaticView | None = None,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    triggered: list[str] | None = None,
) -> Answer:
    async def run() -> Answer:
        async with (
            server.serving(
                view or StaticView(),
                listen=Address(host="127.0.0.1", port=0),
                token=SecretStr("hush"),
                trigger=lambda: (triggered if triggered is not None else []).append("rung"),
            ) as port,
            aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as session,
            session.request(method, path, headers=headers or {}) as response,
        ):
            return Answer(
                status=response.status,
                text=await response.text(),
                headers=dict(response.headers),
            )

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "converged: 1/4 guests"),
        ("/healthz", "ok\n"),
        ("/readyz", "ok\n"),
        ("/metrics", "qlop_up 1\n"),
        ("/status", '"ready": 1'),
        ("/status?as=text", "Nodes"),
        ("/plan", '"fingerprint": "'),
        ("/plan?as=text", "Plan: 1 to create"),
        ("/explain/web-1?as=text", "What will change"),
        ("/history", '"ending": "failed"'),
        ("/orders", '"book": "1:2/orders.sqlite3"'),
        ("/events", '"kind": "node-lost"'),
        ("/events?as=text", "node pve2 is offline"),
        ("/history/web-1?as=text", "attempt 2: under way"),
    ],
)
def test_every_page_answers(path: str, expected: str) -> None:
    answer = ask(path)

    assert answer.status == 200
    assert expected in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_metrics_have_the_type_that_prometheus_asks_for() -> None:
    assert ask("/metrics").headers["Content-Type"] == server.METRICS_TYPE


def test_lines_come_with_their_tones() -> None:
    answer = json.loads(ask("/status?as=lines").text)

    view = StaticView()
    expected = status.status_lines(
        worlds.STATUS, now=view.now(), stale_after=health.stale_after(view)
    )
    assert line.parse(answer["lines"]) == tuple(expected)
    assert answer["document"]["wanted"] == 4


@pytest.mark.parametrize("path", ["/status", "/plan", "/explain/web"])
def test_before_the_first_cycle_there_is_nothing_to_tell(path: str) -> None:
    empty = StaticView(the_status=None, the_plan=None, the_source=None)

    assert ask(path, empty).status == 503


def test_readiness_says_why_not() -> None:
    answer = ask("/readyz", StaticView(the_journal_error="No space left on device"))

    assert (answer.status, answer.text) == (
        503,
        "the journal can't be written: No space left on device\n",
    )


def test_a_name_that_is_none_is_answered_with_those_that_are() -> None:
    answer = ask("/explain/nix")

    assert answer.status == 404
    assert "there are: apm, db, old, spk, web, web-1" in answer.text


def test_a_post_triggers_a_cycle_and_a_get_does_not() -> None:
    triggered: list[str] = []

    assert ask("/trigger", triggered=triggered).status == 405
    assert triggered == []
    assert ask("/trigger", method="POST", triggered=triggered).status == 202
    assert triggered == ["rung"]


def test_others_need_the_token() -> None:
    triggered: list[str] = []
    far = {"X-Forwarded-For": "10.0.0.9"}
    refused = ask("/trigger", method="POST", headers=far, triggered=triggered)
    bearer = {**far, "Authorization": "Bearer hush"}
    granted = ask("/trigger", method="POST", headers=bearer, triggered=triggered)

    assert (refused.status, granted.status) == (401, 202)
    assert triggered == ["rung"]
    assert "WWW-Authenticate" in refused.headers


def test_what_is_not_there_is_404_with_the_same_headers() -> None:
    answer = ask("/etc/passwd")

    assert answer.status == 404
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ask("/plan?as=pdf").status == 400
