"""Play a recording against the simulator, in its order and at its times.

What the two sides name differently (UPIDs, digests, secrets, MAC addresses, archive names)
is learned from paired answers and put into later requests.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from qlop.ports import Json
from qlop.sim import forms, script, status
from qlop.sim.cluster import Cluster
from qlop.sim.wire import ApiError, SimRequest, SimResponse, extjs
from tests.contract import worlds
from tests.contract.recordings import Exchange, Note

_VOLATILE = (
    re.compile(r"UPID:[\w-]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:]+:[^:]*:[^:]+:"),
    re.compile(r"[0-9a-f]{40}"),
    re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}"),
    re.compile(r"vzdump-(?:qemu|lxc)-\d+-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d"),
    re.compile(r"PVE:[^:]+:[0-9A-F]{8}::\S+"),
    re.compile(r"[0-9A-F]{8}:\S{20,}"),
)

_POLLS_MAX = 4_000
_POLL_S = 0.25


def _bytes(body: str) -> bytes:
    """Return a recorded body as it was on the wire: the recorder kept one character a byte."""
    try:
        return body.encode("latin-1")
    except UnicodeEncodeError:
        return body.encode()


@dataclass(slots=True)
class Played:
    """A recorded exchange and what the simulator answered to it."""

    exchange: Exchange
    response: SimResponse
    template: str

    def value(self) -> Any:
        """Return the simulator's ``data`` as a client decodes it."""
        return self.response.value() if not self.response.empty else None


@dataclass(slots=True, kw_only=True)
class Player:
    """A cluster being played to.

    ``acts`` are commands by the number of the entry before which they happened: those of
    ``script``, and ``adopt VMID`` (a guest was remade or edited by hand: it is as the recording
    next shows it), ``call METHOD PATH FORM`` (a call that was not recorded), ``image VOLID``.
    """

    cluster: Cluster
    acts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    contacted: str = ""
    names: dict[str, str] = field(default_factory=dict)
    pids: dict[str, str] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)

    def play(self, entries: list[Exchange | Note]) -> Iterator[Played]:
        """Yield each exchange with the simulator's answer."""
        for index, entry in enumerate(entries):
            if not entry.moved:
                self._act(entry.n, entries[index:])
            if isinstance(entry, Exchange):
                yield self._exchange(entry)

    def _act(self, n: int, ahead: list[Exchange | Note]) -> None:
        for number in sorted(self.acts):
            if number <= n and number not in self.done:
                self.done.add(number)
                for command in self.acts[number]:
                    self._do(self._translate(command), ahead)

    def _do(self, command: str, ahead: list[Exchange | Note]) -> None:
        word, _, rest = command.partition(" ")
        if word == "adopt":
            worlds.adopt(self.cluster, int(rest), ahead)
        elif word == "call":
            method, path, form = [*rest.split(" ", 2), ""][:3]
            request = SimRequest(
                method=method,
                path=path,
                params=forms.urlencoded(form),
                authorization="PVEAPIToken=root@pam!test=TOKEN-SECRET",
                node=self.contacted,
            )
            self.cluster.handle(request, self.cluster.now)
        elif word == "make":
            worlds.make(self.cluster, rest)
        elif word == "image":
            worlds.add_image(self.cluster, rest)
        else:
            script.do(self.cluster, command, self.cluster.now)

    def _exchange(self, exchange: Exchange) -> Played:
        now = max(self.cluster.now, exchange.at - exchange.seconds)
        template, response = self._call(exchange, now)
        if exchange.is_json and "/tasks/" in exchange.path:
            response = self._await_task(exchange, response)
        if exchange.path.endswith("/cluster/resources"):
            response = self._await_push(exchange, response)
        if not response.empty:
            self._learn(exchange.data, response.value())
        return Played(exchange, response, template)

    def _call(self, exchange: Exchange, now: float) -> tuple[str, SimResponse]:
        if not exchange.path.startswith(("/api2/json", "/api2/extjs")):
            return exchange.path, SimResponse(status=0)
        self.cluster.advance(now)
        self._adopt_task(exchange.path)
        path = self._translate(re.sub("^/api2/(json|extjs)", "", exchange.path))
        path = re.sub("/+", "/", f"/{path}").rstrip("/") or "/"
        found = self.cluster._table.find(exchange.method, path)  # noqa: SLF001
        template = found[0].template if found else path
        try:
            params = forms.parameters(
                exchange.method,
                exchange.query,
                exchange.headers,
                _bytes(exchange.body or ""),
            )
        except ApiError as error:
            return template, error.response()
        content_type = exchange.headers.get("content-type", "")
        request = SimRequest(
            method=exchange.method,
            path=path,
            upload=forms.uploaded(content_type, _bytes(exchange.body or "")),
            params={
                name: self.pids.get(str(value), str(value))
                if name == "pid"
                else self._translate_value(value)
                for name, value in params.items()
            },
            authorization=self._authorization(exchange.headers),
            node=self.contacted if self.cluster.world.is_reachable(self.contacted) else "",
        )
        response = self.cluster.handle(request, now)
        waited_s = 0.0
        while response.blocked:
            waited_s += _POLL_S
            response = self.cluster.handle(replace(request, waited_s=waited_s), now + waited_s)
        self.cluster.advance(now + waited_s + response.delay_s)
        if exchange.path.startswith("/api2/extjs"):
            response = extjs(response)
        return template, response

    def _adopt_task(self, text: str) -> None:
        """Pair a task that only now is asked for with the simulator's latest of its kind."""
        for upid in set(_VOLATILE[0].findall(unquote(text))):
            if upid in self.names:
                continue
            _, node, _, _, _, kind, subject, user, _ = upid.split(":")
            for task in reversed(list(self.cluster.world.tasks.values())):
                same = (task.node, task.type, task.id, task.user) == (node, kind, subject, user)
                if same and task.upid not in self.names.values():
                    self.names[upid] = task.upid
                    break

    def _authorization(self, headers: Mapping[str, str]) -> str | None:
        known = {name: self._translate(unquote(value)) for name, value in headers.items()}
        return forms.authorization(known)

    def _await_task(self, exchange: Exchange, response: SimResponse) -> SimResponse:
        """Wait as the recorded client did: until the task that had ended there ends here."""
        wanted = exchange.data
        ended = isinstance(wanted, dict) and wanted.get("status") == "stopped"
        if not ended or not exchange.path.endswith("/status"):
            return response
        for _ in range(_POLLS_MAX):
            shown = response.value()
            if not isinstance(shown, dict) or shown.get("status") != "running":
                break
            _, response = self._call(exchange, self.cluster.now + _POLL_S)
        return response

    def _await_push(self, exchange: Exchange, response: SimResponse) -> SimResponse:
        """Let the status daemons speak where the recorded ones had spoken already.

        The phase of their ten seconds is the host's own.
        """
        world = self.cluster.world
        known = {row.get("vmid"): row for row in exchange.data or []}
        late: set[str] = set()
        for guest in world.guests.values():
            row = known.get(guest.vmid, {})
            live = status.see(world, guest)
            pairs = (
                (row.get("status"), live.status, guest.seen.status if guest.seen else None),
                (row.get("name"), live.name, guest.seen.name if guest.seen else None),
                (row.get("maxmem"), live.maxmem, guest.seen.maxmem if guest.seen else None),
            )
            if any(recorded == now != pushed for recorded, now, pushed in pairs):
                late.add(guest.node)
        if not late:
            return response
        for node in late:
            world.publish(node, functools.partial(status.see, world))
        return self._call(exchange, self.cluster.now)[1]

    def _learn(self, recorded: Any, simulated: Any) -> None:
        if isinstance(recorded, dict) and isinstance(simulated, dict):
            if "pid" in recorded and "pid" in simulated:
                self.pids[str(recorded["pid"])] = str(simulated["pid"])
            for key in recorded.keys() & simulated.keys():
                self._learn(recorded[key], simulated[key])
        elif isinstance(recorded, list) and isinstance(simulated, list):
            self._learn_rows(recorded, simulated)
        elif isinstance(recorded, str) and isinstance(simulated, str):
            for pattern in _VOLATILE:
                ours, theirs = pattern.findall(simulated), pattern.findall(recorded)
                if len(ours) == len(theirs):
                    self.names.update(zip(theirs, ours, strict=True))

    def _learn_rows(self, recorded: list[Any], simulated: list[Any]) -> None:
        if all(isinstance(row, dict) and "upid" in row for row in recorded + simulated):
            return  # lists of tasks begin and end elsewhere: see _adopt_task
        for key in ("vmid", "key", "name"):
            if all(isinstance(row, dict) and key in row for row in recorded + simulated):
                if len({row[key] for row in recorded}) < len(recorded):
                    continue
                ours = {row[key]: row for row in simulated}
                for row in recorded:
                    self._learn(row, ours.get(row[key]))
                return
        by = "ctime" if all("ctime" in row for row in recorded + simulated) else None
        if by is not None:
            recorded = sorted(recorded, key=lambda row: (row[by], row["volid"]))
            simulated = sorted(simulated, key=lambda row: (row[by], row["volid"]))
        for ours, theirs in zip(simulated, recorded, strict=False):
            self._learn(theirs, ours)

    def _translate_value(self, value: Json) -> Json:
        if isinstance(value, str):
            return self._translate(value)
        if isinstance(value, list):
            return [self._translate_value(item) for item in value]
        return value

    def _translate(self, text: str) -> str:
        for pattern in _VOLATILE:
            for found in set(pattern.findall(text)):
                if found in self.names:
                    text = text.replace(found, self.names[found])
        return text
