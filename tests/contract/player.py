"""Play a recording to a cluster, in its order and at its times.

What the two sides name differently (UPIDs, digests, secrets, MAC addresses, archive names)
is learned from paired answers and put into later requests.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from qlop.ports import Json
from qlop.sim import forms, schema
from tests.contract.recordings import Exchange, Note
from tests.contract.stage import POLL_S, Stage
from tests.contract.wire import Answer, Transport, Wire

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
_CATCH_UPS_MAX = 15
"""More seconds than lie between two words of a status daemon."""


def _bytes(body: str) -> bytes:
    """Return a recorded body as it was on the wire: the recorder kept one character a byte."""
    try:
        return body.encode("latin-1")
    except UnicodeEncodeError:
        return body.encode()


@dataclass(slots=True)
class Played:
    """A recorded exchange and what was answered to it; ``None``: it was not played."""

    exchange: Exchange
    answer: Answer | None
    template: str


@dataclass(slots=True, kw_only=True)
class Player:
    """A cluster being played to.

    ``acts`` are commands by the number of the entry before which they happened: those of
    ``script``, and ``adopt VMID`` (a guest was remade or edited by hand: it is as the recording
    next shows it), ``call METHOD PATH FORM`` (a call that was not recorded), ``image VOLID``.
    """

    stage: Stage
    transport: Transport
    acts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
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
                    self.stage.act(self._translate(command), ahead)

    def _exchange(self, exchange: Exchange) -> Played:
        now = max(self.stage.now, exchange.at - exchange.seconds)
        wire, answer = self._call(exchange, now)
        if answer is not None and exchange.is_json and "/tasks/" in exchange.path:
            answer = self._await_task(exchange, answer)
        if answer is not None and exchange.path.endswith("/cluster/resources"):
            answer = self._await_push(exchange, answer)
        if answer is not None:
            self._learn(exchange.data, answer.data)
        return Played(exchange, answer, template_of(wire))

    def _call(self, exchange: Exchange, now: float) -> tuple[Wire, Answer | None]:
        self.stage.advance(now)
        self._adopt_task(exchange.path)
        wire = Wire(
            method=exchange.method,
            target=self._target(exchange.url),
            headers={name: self._header(value) for name, value in exchange.headers.items()},
            body=self._body(exchange),
        )
        return wire, self.transport.send(wire, now)

    def _target(self, url: str) -> str:
        path, mark, query = url.partition("?")
        renamed = self._translate(unquote(path))
        if renamed != unquote(path):
            path = quote(renamed, safe="/")
        return f"{path}{mark}{self._form(query)}"

    def _header(self, value: str) -> str:
        renamed = self._translate(unquote(value))
        return value if renamed == unquote(value) else renamed

    def _body(self, exchange: Exchange) -> bytes:
        body = exchange.body or ""
        kind = exchange.headers.get("content-type", "").partition(";")[0]
        if kind == "application/json":
            body = self._translate(body)
        elif kind in {"", "application/x-www-form-urlencoded"}:
            body = self._form(body)
        return _bytes(body)

    def _form(self, text: str) -> str:
        """Return a form with names put in; one in which there are none stays as it is."""
        fields = forms.urlencoded(text)
        renamed = {
            name: self.pids.get(str(value), value)
            if name == "pid"
            else self._translate_value(value)
            for name, value in fields.items()
        }
        if renamed == fields:
            return text
        return "&".join(
            f"{quote(name, safe='')}={quote(str(one), safe='')}"
            for name, value in renamed.items()
            for one in (value if isinstance(value, list) else [value])
        )

    def _adopt_task(self, text: str) -> None:
        """Pair a task that only now is asked for with the cluster's latest of its kind."""
        for upid in set(_VOLATILE[0].findall(unquote(text))):
            if upid in self.names:
                continue
            taken = self.names.values()
            for other in self.stage.upids():
                if _same_work(other, upid) and other not in taken:
                    self.names[upid] = other
                    break

    def _await_task(self, exchange: Exchange, answer: Answer) -> Answer:
        """Wait as the recorded client did: until the task that had ended there ends here."""
        wanted = exchange.data
        ended = isinstance(wanted, dict) and wanted.get("status") == "stopped"
        if not ended or not exchange.path.endswith("/status"):
            return answer
        for _ in range(_POLLS_MAX):
            shown = answer.data
            if not isinstance(shown, dict) or shown.get("status") != "running":
                break
            answer = self._call(exchange, self.stage.now + POLL_S)[1] or answer
        return answer

    def _await_push(self, exchange: Exchange, answer: Answer) -> Answer:
        for _ in range(_CATCH_UPS_MAX):
            if not self.stage.catch_up(exchange.data or [], answer.data or []):
                break
            answer = self._call(exchange, self.stage.now)[1] or answer
        return answer

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


def _same_work(upid: str, other: str) -> bool:
    """Return whether two tasks are of the same node, kind, subject and user."""
    mine, theirs = upid.split(":"), other.split(":")
    return (mine[1], *mine[5:8]) == (theirs[1], *theirs[5:8])


def template_of(wire: Wire) -> str:
    """Return the API's route that a request is for; its path if there is none."""
    path = re.sub("/+", "/", re.sub("^/api2/(json|extjs)", "", wire.path)).rstrip("/") or "/"
    found = schema.table().find(wire.method, path)
    return found[0].template if found else path
