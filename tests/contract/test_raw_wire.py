"""Byte by byte, the simulator's proxy speaks HTTP as the real one was recorded to speak it."""

import asyncio
import json
import re
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from qlop.sim.server import SimServer
from tests.contract import recordings, worlds
from tests.contract.https import StepClock

FILE = recordings.FOLDER / "14-raw-wire.jsonl"

ELSEWHERE = {
    3: "that document is too short here to be compressed: see tests/sim/test_server.py",
    7: "a plain request on a TLS port is redirected: nobody here sends one",
    15: "the port of pvedaemon is open on the node itself only",
}
"""What is not asked of the simulator, and why."""

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.real,
    pytest.mark.skipif(not FILE.is_file(), reason=f"no recordings at {FILE}"),
]


def exchanges() -> list[Any]:
    """Return the recorded pairs of bytes."""
    if not FILE.is_file():
        return []
    raw = [json.loads(line) for line in FILE.read_text("utf-8").strip().split("\n")]
    return [pytest.param(one, id=one["name"]) for one in raw if one["n"] not in ELSEWHERE]


async def converse(server: SimServer, request: bytes) -> bytes:
    """Send some bytes and return all that comes until it is silent."""
    url = urlsplit(server.url)
    context = ssl.create_default_context(cafile=server.ca_file)
    reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
    writer.write(request)
    got = b""
    try:
        while more := await asyncio.wait_for(reader.read(65536), 0.3):
            got += more
    except TimeoutError:
        pass  # The connection is kept.
    finally:
        writer.close()
    return got


def heads(answer: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each answer's head, what is the host's own removed, and its body."""
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        found = re.search(rb"Content-Length: (\d+)", head)
        length = int(found[1]) if found else 0
        text = head.decode("utf-8", "replace")
        yield re.sub(r"(Date|Expires|Content-Length): [^\r]*", r"\1: ", text), rest[:length]
        answer = rest[length:]


@pytest.mark.slow  # waits for 0.3 s of silence where a connection is kept
@pytest.mark.parametrize("exchange", exchanges())
def test_the_same_bytes_are_answered_with_the_same_heads(exchange: dict[str, str]) -> None:
    cluster, _ = worlds.cluster_for(recordings.load("01-auth-and-http.jsonl"))
    worlds.make(cluster, "qemu 101 pve1 name=web")
    server = SimServer(cluster, clock=StepClock(cluster))

    async def play() -> bytes:
        await server.start()
        try:
            return await converse(server, exchange["request"].encode("latin-1"))
        finally:
            await server.stop()

    ours = [*heads(asyncio.run(play()))]
    theirs = [*heads(exchange["response"].encode("latin-1"))]

    assert [head for head, _ in ours] == [head for head, _ in theirs]
    for (_, mine), (_, other) in zip(ours, theirs, strict=True):
        if mine.startswith(b"{"):
            assert set(json.loads(mine)) == set(json.loads(other))
        else:
            assert mine == other
