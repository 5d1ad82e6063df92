"""Say how far the simulator's answer and the recorded one agree.

What is the host's own is normalised away: times, process ids, hardware, host paths. Keys,
types, texts and every configuration value are not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.contract.recordings import Exchange
from tests.contract.wire import Answer

_HIDE = (
    (re.compile(r"UPID:[\w-]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:"), "UPID:"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<digest>"),
    (re.compile(r"\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b"), "<mac>"),
    (re.compile(r"ctime=\d+"), "ctime=<t>"),
    (re.compile(r"creation-qemu=[\d.]+"), "creation-qemu=<v>"),
    (re.compile(r"\d{4}[-_]\d\d[-_]\d\d[-_ ]\d\d[:_]\d\d[:_]\d\d"), "<date>"),
    (re.compile(r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"), "<date>"),
    (re.compile(r"at /\S+ line \d+\."), "at <file>."),
    (re.compile(r"\.tmp\.\d+"), ".tmp.<pid>"),
    (re.compile(r"vzdumptmp\d+"), "vzdumptmp<pid>"),
)

_OWN = {
    "time", "pid", "pstart", "starttime", "endtime", "uptime", "cpu", "mem", "memhost", "disk",
    "netin", "netout", "diskread", "diskwrite", "freemem", "balloon", "ctime", "used", "avail",
    "total", "used_fraction", "snaptime", "timestamp", "localtime", "loadavg", "wait", "idle",
    "kversion", "pveversion", "version", "repoid", "release", "ssl_fingerprint", "maxmem_",
    "mhz", "fingerprint", "uid", "id_", "saved", "ticket", "CSRFPreventionToken", "value_",
    "next-run", "swap", "ksm",
}  # fmt: skip
"""Keys whose values are the host's own; that they are there, and their types, still counts."""

_OPTIONAL = {
    "freemem", "ballooninfo", "balloon", "running-machine", "running-qemu", "blockstat", "nics",
    "proxmox-support", "pressurecpusome", "pressurecpufull", "pressureiosome", "pressureiofull",
    "pressurememorysome", "pressurememoryfull", "clustername", "notes", "idle_time_ns",
}  # fmt: skip


_CORE = re.compile(
    r"/nodes/\{node\}/(qemu|lxc)(/|$)|/nodes/\{node\}/tasks|/cluster/tasks|/cluster/ha/resources|"
    r"/cluster/resources"
)


def is_core(template: str) -> bool:
    """Return whether a route is about guests, tasks, HA resources or the resource list."""
    return _CORE.match(template) is not None


class Grade(Enum):
    """How far two answers agree."""

    EQUAL = "equal"
    NORMALISED = "normalised"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What of an exchange agrees. ``None``: the question does not arise."""

    grade: Grade
    status: bool
    texts: bool | None
    config: bool | None
    outcome: bool | None
    headers: bool | None
    why: str = ""


@dataclass(slots=True)
class _Diff:
    lines: list[str] = field(default_factory=list)


def judge(exchange: Exchange, answer: Answer) -> Verdict:
    """Compare an answer with the recorded one."""
    same_status = exchange.status == answer.status
    diff = _Diff()
    if not same_status:
        diff.lines.append(f"status {answer.status} {answer.reason} not {exchange.status}")
    texts = _texts(exchange, answer, diff) if exchange.status != 200 else None
    config = outcome = None
    if exchange.status == 200 and same_status and exchange.is_json:
        ours, theirs = answer.data, exchange.data
        if exchange.method == "GET" and re.search(r"/(qemu|lxc)/\d+/config$", exchange.path):
            config = _same(hide(ours), hide(theirs), diff, "config", values=True)
        elif exchange.path.endswith("/status") and "/tasks/" in exchange.path:
            outcome = _outcome(ours, theirs, diff)
            _same(hide(ours), hide(theirs), diff, "task", values=False)
        else:
            _same(hide(ours), hide(theirs), diff, "data", values=False)
    elif exchange.status == 200 and "/tasks/" in exchange.path and exchange.is_json:
        outcome = False
    elif exchange.status == 200 and exchange.path.endswith("/config"):
        config = False if exchange.method == "GET" else None
    headers = _headers(exchange, answer, diff) if same_status else None
    grade = Grade.DIFFERS
    if not diff.lines:
        raw_equal = exchange.is_json and answer.data == exchange.data
        grade = Grade.EQUAL if raw_equal else Grade.NORMALISED
    return Verdict(
        grade=grade,
        status=same_status,
        texts=texts,
        config=config,
        outcome=outcome,
        headers=headers,
        why="; ".join(diff.lines[:6]),
    )


def _headers(exchange: Exchange, answer: Answer, diff: _Diff) -> bool | None:
    """Compare the headers, in their order; of some only that they are there."""
    if answer.headers is None or not exchange.sent or _retires(exchange):
        return None
    ours, theirs = _shown(answer.headers), _shown(exchange.sent)
    if ours != theirs:
        diff.lines.append(f"headers {ours} not {theirs}")
    return ours == theirs


def _retires(exchange: Exchange) -> bool:
    """Return whether that worker of the proxy answered its thousandth request and went."""
    said = [value for name, value in exchange.sent if name == "Connection"]
    is_upload = exchange.headers.get("content-type", "").startswith("multipart/")
    return exchange.status == 200 and said == ["close"] and not is_upload


def _shown(headers: tuple[tuple[str, str], ...]) -> list[str]:
    own = {"Date", "Expires", "Content-Length", "Content-Disposition"}
    return [name if name in own else f"{name}: {value}" for name, value in headers]


def hide(value: Any) -> Any:
    """Return an answer without what differs between any two runs."""
    if isinstance(value, str):
        for pattern, word in _HIDE:
            value = pattern.sub(word, value)
        return value
    if isinstance(value, list):
        return [hide(item) for item in value]
    if isinstance(value, dict):
        return {key: hide(item) for key, item in value.items()}
    return value


def _texts(exchange: Exchange, answer: Answer, diff: _Diff) -> bool:
    same = bool(hide(answer.reason) == hide(exchange.reason))
    if not same:
        diff.lines.append(f"reason '{answer.reason}' not '{exchange.reason}'")
    ours, theirs = hide(dict(answer.errors)), hide(exchange.answer.get("errors") or {})
    if ours != theirs:
        diff.lines.append(f"errors {ours} not {theirs}")
        same = False
    wanted = exchange.answer.get("message")
    is_told = exchange.is_json and bool(exchange.text)
    if is_told and hide(answer.message) != hide(wanted):
        diff.lines.append(f"message {answer.message!r} not {wanted!r}")
        same = False
    if answer.headers is not None and not exchange.is_json:
        same = _same(hide(answer.body.decode()), hide(exchange.text), diff, "body", values=True)
    return same


def _outcome(ours: Any, theirs: Any, diff: _Diff) -> bool | None:
    if not isinstance(theirs, dict) or "exitstatus" not in theirs:
        return None
    mine = ours.get("exitstatus") if isinstance(ours, dict) else None
    same = bool(hide(mine) == hide(theirs["exitstatus"]))
    if not same:
        diff.lines.append(f"exit '{mine}' not '{theirs['exitstatus']}'")
    return same


def _same(ours: Any, theirs: Any, diff: _Diff, where: str, *, values: bool) -> bool:
    """Compare structure, and values too where asked; return whether they agree."""
    before = len(diff.lines)
    _compare(ours, theirs, diff, where, values=values)
    return len(diff.lines) == before


def _compare(ours: Any, theirs: Any, diff: _Diff, where: str, *, values: bool) -> None:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        _compare_maps(ours, theirs, diff, where, values=values)
    elif isinstance(theirs, list) and isinstance(ours, list):
        _compare_lists(ours, theirs, diff, where, values=values)
    elif _kind(ours) != _kind(theirs) and not where.endswith(".saved"):
        diff.lines.append(f"{where}: {ours!r:.80} is not a {_kind(theirs)} as {theirs!r:.80}")
    elif values and ours != theirs:
        diff.lines.append(f"{where}: {ours!r:.90} not {theirs!r:.90}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def _compare_maps(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], diff: _Diff, where: str, *, values: bool
) -> None:
    missing = sorted(theirs.keys() - ours.keys() - _OPTIONAL)
    extra = sorted(ours.keys() - theirs.keys() - _OPTIONAL)
    if missing:
        diff.lines.append(f"{where}: lacks {missing}")
    if extra:
        diff.lines.append(f"{where}: has {extra}")
    for key in sorted((ours.keys() & theirs.keys()) - {"results"}):  # keyed by chance
        strict = key in _VALUED or (values and key not in _OWN)
        _compare(ours[key], theirs[key], diff, f"{where}.{key}", values=strict)


_VALUED = {
    "status", "qmpstatus", "name", "template", "tags", "lock", "vmid", "node", "type",
    "hastate", "exitstatus", "key", "pending", "delete", "maxmem", "cpus", "maxcpu", "volid",
    "size", "format", "parent", "running", "vmstate", "description", "managed", "state",
    "snapstate", "roleid", "userid", "quorate", "online", "request_state", "crm_state", "sid",
}  # fmt: skip
"""Keys whose values are the simulator's to get right, wherever they stand."""


def _compare_lists(
    ours: list[Any], theirs: list[Any], diff: _Diff, where: str, *, values: bool
) -> None:
    key = _identity(theirs) or _identity(ours)
    if key is None:
        for mine, other in zip(ours, theirs, strict=False):
            _compare(mine, other, diff, f"{where}[]", values=values)
        if bool(ours) != bool(theirs):
            diff.lines.append(f"{where}: {len(ours)} entries not {len(theirs)}")
        return
    mine_by = {str(row.get(key)): row for row in ours if isinstance(row, dict)}
    their_by = {str(row.get(key)): row for row in theirs}
    if key == "upid":
        _compare_tasks(ours, theirs, diff, where)
        return
    lacks, has = sorted(their_by.keys() - mine_by.keys()), sorted(mine_by.keys() - their_by.keys())
    if lacks:
        diff.lines.append(f"{where}: lacks entries {lacks[:8]}")
    if has:
        diff.lines.append(f"{where}: has entries {has[:8]}")
    for name in sorted(mine_by.keys() & their_by.keys()):
        _compare(mine_by[name], their_by[name], diff, f"{where}[{name}]", values=values)


def _compare_tasks(ours: list[Any], theirs: list[Any], diff: _Diff, where: str) -> None:
    """Compare the newest tasks that both sides know: the rest of a list is older history."""
    mine: dict[str, list[Any]] = {}
    for row in ours:
        mine.setdefault(row["upid"], []).append(row)
    pairs = [(mine[row["upid"]].pop(0), row) for row in theirs if mine.get(row["upid"])]
    for own, other in pairs[:3]:
        _compare(own, other, diff, f"{where}[]", values=False)
    if theirs and not pairs:
        diff.lines.append(f"{where}: none of the recorded tasks is there")


def _identity(rows: list[Any]) -> str | None:
    for key in ("upid", "key", "volid", "id", "sid", "vmid", "storage", "name", "roleid",
                "userid", "tokenid", "subdir", "iface", "poolid", "cmd"):  # fmt: skip
        if rows and all(isinstance(row, dict) and key in row for row in rows):
            return key
    return None
