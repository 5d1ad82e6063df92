"""Measure how fast the simulated cluster answers: 10,000 guests on 64 nodes, over HTTPS."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from bench import serve
from qlop.sim.world import DEFAULT_TOKEN

NODES, GUESTS = 64, 10_000
CLIENTS = 8
"""As many as qlop's client has threads."""
SECONDS = 8.0
LISTS = 15
LIST_S_MAX = 0.5
PER_SECOND_MIN = 300.0

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What was measured.

    ``list_s`` is the median time of the whole resource list. ``kept`` are guests'
    configurations on kept connections; ``closed`` are calls that pvedaemon answers, whose
    ``Connection: close`` the client obeys, each with a new TLS connection; ``mixed`` is both
    in turn with, now and then, a list. Ratios: of the list to the half second it may take,
    and of the slowest rate to the 300 a second it must reach.
    """

    guests: int
    nodes: int
    list_s: float
    list_mb: float
    kept_per_s: float
    closed_per_s: float
    mixed_per_s: float
    list_ratio: float
    rate_ratio: float


def measure() -> dict[str, Any]:
    """Return the figures."""
    with serve.fleet(NODES, GUESTS) as served:
        return asdict(asyncio.run(_measure(served)))


async def _measure(served: serve.Served) -> Api:
    context = ssl.create_default_context(cafile=served.ca_file)
    authority = urlsplit(served.url).netloc
    one = _Client(context, authority)
    seconds, size = [], 0
    for _ in range(LISTS):
        began = time.perf_counter()
        size = await one.get("/cluster/resources")
        seconds.append(time.perf_counter() - began)
    clients = [one, *(_Client(context, authority) for _ in range(CLIENTS - 1))]
    kept = await _rate(clients, _config)
    closed = await _rate(clients, _status)
    mixed = await _rate(clients, _mixed)
    for client in clients:
        client.close()
    return Api(
        guests=GUESTS,
        nodes=NODES,
        list_s=median(seconds),
        list_mb=size / 1e6,
        kept_per_s=kept,
        closed_per_s=closed,
        mixed_per_s=mixed,
        list_ratio=median(seconds) / LIST_S_MAX,
        rate_ratio=min(kept, closed, mixed) / PER_SECOND_MIN,
    )


def _config(number: int) -> str:
    return f"{_guest(number * 7919 % GUESTS)}/config"


def _status(number: int) -> str:
    return f"{_guest(number * NODES % (GUESTS - GUESTS % NODES))}/status/current"


def _guest(index: int) -> str:
    kind = "lxc" if (10_000 + index) % 10 == 9 else "qemu"
    return f"/nodes/pve{index % NODES + 1}/{kind}/{10_000 + index}"


def _mixed(number: int) -> str:
    if number % 400 == 399:
        return "/cluster/resources"
    return _status(number) if number % 2 else _config(number)


async def _rate(clients: list["_Client"], path: Callable[[int], str]) -> float:
    """Return how many requests a second all clients together get answered."""
    began, done = time.perf_counter(), 0

    async def ask(client: "_Client", first: int) -> None:
        nonlocal done
        number = first
        while time.perf_counter() - began < SECONDS:
            await client.get(path(number))
            number += CLIENTS
            done += 1

    await asyncio.gather(*(ask(client, index) for index, client in enumerate(clients)))
    return done / (time.perf_counter() - began)


class _Client:
    """One connection, which ends when the first ``Connection`` header says so."""

    def __init__(self, context: ssl.SSLContext, authority: str) -> None:
        self._context = context
        self._authority = authority
        self._stream: _Stream | None = None

    async def get(self, path: str) -> int:
        """Return how long the answer's body is."""
        if self._stream is None:
            host, _, port = self._authority.rpartition(":")
            self._stream = await asyncio.open_connection(host, int(port), ssl=self._context)
        reader, writer = self._stream
        writer.write(
            f"GET /api2/json{path} HTTP/1.1\r\nHost: {self._authority}\r\n"
            f"Authorization: PVEAPIToken={DEFAULT_TOKEN}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if not head.startswith("HTTP/1.1 200 "):
            raise RuntimeError(f"{path}: {head.splitlines()[0]}")
        fields = [line.partition(": ") for line in head.split("\r\n")]
        length = next(int(value) for name, _, value in fields if name == "Content-Length")
        await reader.readexactly(length)
        if next(value for name, _, value in fields if name == "Connection") != "Keep-Alive":
            self.close()
        return length

    def close(self) -> None:
        """End the connection."""
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None
