"""Read the recorded exchanges with the real API server, kept beside the project."""

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

ROOT = Path(__file__).parents[3] / "shared" / "pve"
FOLDER = ROOT / "recordings"
SCHEMAS = ROOT / "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded call: what was asked and what the real server said.

    ``at`` is when the answer was sent, ``seconds`` how long it took, ``sent`` its headers as
    they were. ``data`` is ``None`` where the body was no JSON document. ``moved``: it was recorded out of its number's order.
    """

    n: int
    name: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    at: float
    seconds: float
    status: int
    reason: str
    sent: tuple[tuple[str, str], ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)
    is_json: bool = True
    text: str = ""
    moved: bool = False

    @property
    def path(self) -> str:
        """Return the decoded path, without the query."""
        return unquote(self.url.partition("?")[0])

    @property
    def query(self) -> str:
        """Return the query as it was sent."""
        return self.url.partition("?")[2]

    @property
    def data(self) -> Any:
        """Return the answer's ``data``."""
        return self.answer.get("data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that happened between the calls, in the recorder's words."""

    n: int
    name: str
    note: str
    moved: bool = False


def load(name: str) -> list[Exchange | Note]:
    """Return a recording's entries in their order."""
    entries: list[Exchange | Note] = []
    last = 0.0
    with (FOLDER / name).open(encoding="utf-8") as lines:
        for line in lines:
            raw = json.loads(line)
            if not isinstance(raw.get("request"), dict):
                if "request" not in raw:
                    note = str(raw.get("note", ""))
                    entries.append(Note(n=raw["n"], name=raw["name"], note=note))
                continue
            if "status" not in raw["response"]:  # the connection broke: nothing to compare
                entries.append(Note(n=raw["n"], name=raw["name"], note="no answer recorded"))
                continue
            exchange = _exchange(raw, last)
            last = exchange.at
            entries.append(exchange)
    return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Recordings of one laboratory that belong together, in their order.

    Files 30 and 32 hold exchanges with a single node and with a cluster of two, mixed: each
    is its own story, told by ``node``, the prefix of its nodes' names. ``aside`` are the
    numbers of what was recorded at the same time as the rest, and written down after it.
    """

    name: str
    files: tuple[str, ...]
    node: str = ""
    aside: range = range(0)

    def entries(self) -> list[Exchange | Note]:
        """Return the story's entries, numbered through: file number times 1000 plus ``n``."""
        told: list[Exchange | Note] = []
        for file in self.files:
            base = int(file[:2]) * 1000
            told += [replace(entry, n=base + entry.n) for entry in _of_lab(load(file), self.node)]
        return _by_time(told, self.aside) if self.aside else told


def _by_time(told: list[Exchange | Note], aside: range) -> list[Exchange | Note]:
    """Put what was written down after the rest where it happened."""
    timed: list[tuple[float, Exchange | Note]] = []
    at = 0.0
    for entry in told:
        at = entry.at if isinstance(entry, Exchange) else at
        timed.append((at, replace(entry, moved=entry.n in aside)))
    return [entry for _, entry in sorted(timed, key=lambda pair: pair[0])]


def _of_lab(entries: list[Exchange | Note], node: str) -> list[Exchange | Note]:
    if not node:
        return entries
    chosen: list[Exchange | Note] = []
    here = True
    for entry in entries:
        if isinstance(entry, Exchange):
            found = re.search(r"\b(pve1|cl[12])\b", entry.url + entry.text[:4000])
            here = found[1].startswith(node) if found else here
        if here:
            chosen.append(entry)
    return chosen


STORIES = (
    Story(name="http", files=("01-auth-and-http.jsonl",)),
    Story(name="access", files=("06-access-permissions-pools-tokens.jsonl",)),
    Story(name="storage", files=("07-storage.jsonl",)),
    Story(name="tasks", files=("08-tasks.jsonl",)),
    Story(name="daemon down", files=("20-pvedaemon-down-595.jsonl",)),
    Story(name="running vm", files=("09-qemu-power-running-vm.jsonl",)),
    Story(
        name="stopped guests",
        files=(
            "03-qemu-create.jsonl",
            "04-qemu-config-digest-pending-resize.jsonl",
            "05-qemu-snapshot-clone-template-delete.jsonl",
            "11-backup-restore-vzdump.jsonl",
            "12-firewall-ha-sdn-jobs-misc.jsonl",
            "10-lxc.jsonl",
            "02-cluster-and-node-reads.jsonl",
            "15-encoding-quirks.jsonl",
        ),
    ),
    Story(name="two nodes", files=("13-two-node-cluster.jsonl",)),
    Story(name="guest os", files=("30-guest-os.jsonl",), node="pve"),
    Story(name="guest os, two nodes", files=("30-guest-os.jsonl",), node="cl"),
    Story(name="ha", files=("31-ha.jsonl",), aside=range(31_292, 31_319)),
    Story(name="containers", files=("32-lxc-running.jsonl",), node="pve"),
    Story(name="containers, two nodes", files=("32-lxc-running.jsonl",), node="cl"),
    Story(name="log and tasks", files=("33-log-and-tasks.jsonl",)),
)


def _exchange(raw: Mapping[str, Any], last: float) -> Exchange:
    request, response = raw["request"], raw["response"]
    headers = dict(response.get("headers") or [])
    at = last
    if "Date" in headers:
        at = email.utils.parsedate_to_datetime(headers["Date"]).timestamp()
    text = response.get("body") or ""
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = None
    return Exchange(
        n=raw["n"],
        name=raw["name"],
        method=request["method"],
        url=request["url"],
        headers={key.lower(): value for key, value in (request.get("headers") or {}).items()},
        body=request.get("body"),
        at=at,
        seconds=float(raw.get("seconds") or 0.0),
        status=response["status"],
        reason=response["reason"] or "",
        sent=tuple((name, value) for name, value in response.get("headers") or []),
        answer=answer if isinstance(answer, dict) else {},
        is_json=isinstance(answer, dict),
        text=text,
    )
