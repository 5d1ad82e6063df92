"""Play to a cluster that is named by its URL, and change nothing there that is not ours.

A cluster is played to only if it provably holds no guest and no guest's volume. Then every
guest that a call made is the recording's own; nothing else is changed: of the rest of the
API only reads are sent. What the lab and the cluster name differently (nodes, the token)
is translated both ways.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from typing_extensions import override

from tests.contract import compare
from tests.contract.https import Lines, encoded
from tests.contract.player import template_of
from tests.contract.recordings import Exchange, Note
from tests.contract.stage import POLL_S, Rows, Stage
from tests.contract.wire import Answer, Transport, Wire

LAB_TOKEN, LAB_SECRET = "root@pam!test", "TOKEN-SECRET"

_MAKES = re.compile(r"/nodes/[^/]+/(?:qemu|lxc)(?:/\d+/clone)?$")
_NEW_ID = re.compile(r"\b(?:vmid|newid)\"?[=:]\s*\"?(\d+)")
_OF_BACKUPS = {"/nodes/{node}/vzdump", "/nodes/{node}/storage/{storage}/prunebackups"}
"""There was no backup before the first call, so all that these can touch is ours."""
_STORED = {"images", "rootdir", "backup"}
_CLEAN_UPS_MAX = 60
"""A template goes only after its linked clones, and a guest only when it has stopped."""
_CLEAN_UP_S = 1.0


class NotOursError(Exception):
    """The cluster may not be played to, or not any longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A cluster to play to, and how to speak with it."""

    url: str
    token_id: str
    secret: str
    context: ssl.SSLContext
    pins: tuple[str, ...] = ()


@dataclass(slots=True)
class Names:
    """Pairs of what a thing is called in the lab and there."""

    pairs: list[tuple[str, str]] = field(default_factory=list)

    def there(self, text: str) -> str:
        """Return a text of the lab in the cluster's names."""
        return self._renamed(text, self.pairs)

    def in_lab(self, text: str) -> str:
        """Return a text of the cluster in the lab's names."""
        return self._renamed(text, [(theirs, ours) for ours, theirs in self.pairs])

    @staticmethod
    def _renamed(text: str, pairs: list[tuple[str, str]]) -> str:
        given = dict(pairs) | {quote(old, safe=""): quote(new, safe="") for old, new in pairs}
        if not given:
            return text
        longest = sorted(given, key=len, reverse=True)
        words = "|".join(re.escape(word) for word in longest)
        whole = rf"(?:(?<![\w-])|(?<=%[0-9A-F]{{2}}))(?:{words})(?![\w-])"
        return re.sub(whole, lambda found: given[found[0]], text)


class RealCluster(Transport):
    """A way to a real cluster that remembers which guests were made over it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._lines = Lines(account.context, account.pins)
        self.names = Names([(LAB_TOKEN, account.token_id), (LAB_SECRET, account.secret)])
        self.made: set[int] = set()
        self.nodes: list[str] = []
        """Its nodes, first the one that answers."""

    @override
    def close(self) -> None:
        self._runner.run(self._lines.close())
        self._runner.close()

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Answer:
        """Make a call of our own, in the cluster's names."""
        in_query = method in {"GET", "DELETE"}
        text = urlencode(form or {})
        target = f"/api2/json{quote(path)}"
        wire = Wire(
            method=method,
            target=f"{target}?{text}" if text and in_query else target,
            headers={
                "authorization": f"PVEAPIToken={self._account.token_id}={self._account.secret}",
                "content-type": "application/x-www-form-urlencoded",
            },
            body=b"" if in_query else text.encode(),
        )
        return self._carry(wire)

    def _carry(self, wire: Wire) -> Answer:
        authority = urlsplit(self._account.url).netloc
        answer = self._runner.run(self._lines.exchange(authority, encoded(wire, authority)))
        found = re.sub("^/api2/(?:json|extjs)", "", wire.path)
        if wire.method == "POST" and answer.status == 200 and _MAKES.match(found):
            query = wire.target.partition("?")[2]
            told = _NEW_ID.findall(f"{query}&{wire.body.decode('latin-1')}")
            self.made |= {int(one) for one in told[-1:]}
        return answer

    def read(self, path: str, form: Mapping[str, str] | None = None) -> Any:
        """Return the data of a read that has to succeed.

        Raises:
            NotOursError: with what was answered instead.
        """
        answer = self.ask("GET", path, form)
        if answer.status != 200 or answer.document is None:
            raise NotOursError(f"GET {path}: {answer.status} {answer.reason}")
        return answer.data

    def guests(self) -> set[int]:
        """Return every guest that exists."""
        return {int(row["vmid"]) for row in self.read("/cluster/resources", {"type": "vm"})}

    def check_empty(self) -> None:
        """Make sure that there is nothing here that could be lost.

        Raises:
            NotOursError: if there is, or if it can't be seen that there is not.
        """
        given = self.read("/access/permissions")
        for path, privilege in (("/vms", "VM.Audit"), ("/storage", "Datastore.Audit")):
            if privilege not in {**given.get("/", {}), **given.get(path, {})}:
                raise NotOursError(f"the token lacks {privilege} on {path}: guests may be hidden")
        members = self.read("/cluster/status")
        nodes = [row for row in members if row["type"] == "node"]
        for row in members:
            if row["type"] == "cluster" and not row["quorate"]:
                raise NotOursError("the cluster has no quorum: what it lists may be old")
        for row in nodes:
            if not row["online"]:
                raise NotOursError(f"node {row['name']} is offline: it may hold guests")
        if found := self.guests():
            listed = ", ".join(str(vmid) for vmid in sorted(found)[:8])
            raise NotOursError(f"it has {len(found)} guests ({listed}): play to an empty cluster")
        nodes.sort(key=lambda row: (not row.get("local"), row["name"]))
        self.nodes = [row["name"] for row in nodes]
        for node in self.nodes:
            self._check_storages(node)

    def _check_storages(self, node: str) -> None:
        for storage in self.read(f"/nodes/{node}/storage"):
            name = storage["storage"]
            if not storage.get("active"):
                continue
            for row in self.read(f"/nodes/{node}/storage/{name}/content"):
                if row.get("content") in _STORED:
                    raise NotOursError(f"{node} holds {row['volid']}: whose is it?")

    def rename_nodes(self, lab: list[str]) -> None:
        """Let the cluster's nodes play those of a recording's lab.

        Raises:
            NotOursError: if there are too few.
        """
        if len(lab) > len(self.nodes):
            raise NotOursError(f"this recording needs {len(lab)} nodes")
        others = [pair for pair in self.names.pairs if pair[0] in {LAB_TOKEN, LAB_SECRET}]
        self.names.pairs = [*others, *zip(lab, self.nodes, strict=False)]

    @override
    def send(self, wire: Wire, now: float) -> Answer | None:
        del now
        if not self._may_send(wire):
            return None
        renamed = Wire(
            method=wire.method,
            target=self.names.there(wire.target),
            headers={name: self.names.there(value) for name, value in wire.headers.items()},
            body=self.names.there(wire.body.decode("latin-1")).encode("latin-1"),
        )
        answer = self._carry(renamed)
        return Answer(
            status=answer.status,
            reason=self.names.in_lab(answer.reason),
            body=self.names.in_lab(answer.body.decode("utf-8", "surrogateescape")).encode(
                "utf-8", "surrogateescape"
            ),
            headers=answer.headers,
        )

    def _may_send(self, wire: Wire) -> bool:
        """Return whether a request can change nothing but guests that are ours.

        Raises:
            NotOursError: if somebody else has begun to use the cluster.
        """
        if wire.method == "GET":
            return True
        template = template_of(wire)
        is_volume = template.startswith("/nodes/{node}/storage/{storage}/content")
        if not (compare.is_core(template) or is_volume or template in _OF_BACKUPS):
            return False
        if is_volume and wire.method != "POST":
            owner = re.search(r"(?:vm|base|subvol|qemu|lxc)-(\d+)-", wire.path)
            return owner is not None and int(owner[1]) in self.made
        if strangers := self.guests() - self.made:
            raise NotOursError(f"somebody made guest {min(strangers)} meanwhile")
        return True

    def clean_up(self) -> set[int]:
        """Destroy the guests that were made over this way; return those that are left."""
        for _ in range(_CLEAN_UPS_MAX):
            rows = self.read("/cluster/resources", {"type": "vm"})
            ours = [row for row in rows if int(row["vmid"]) in self.made]
            if not ours:
                return set()
            for row in ours:
                path = f"/nodes/{row['node']}/{row['type']}/{row['vmid']}"
                self.ask("PUT", f"{path}/config", {"protection": "0"})
                if row["status"] != "stopped":
                    self.ask("POST", f"{path}/status/stop")
                self.ask("DELETE", path, {"purge": "1", "destroy-unreferenced-disks": "1"})
            time.sleep(_CLEAN_UP_S)  # noqa: TID251 - real time
        return self.guests() & self.made


class RealStage(Stage):
    """A real cluster: time passes as it does, but a recording's long pauses are cut."""

    def __init__(self, cluster: RealCluster, *, began: float, pause_s: float) -> None:
        self._cluster = cluster
        self._at = began
        self._pause_s = pause_s
        self.undone: list[str] = []
        """What could not be done by hand over the API."""

    @property
    @override
    def now(self) -> float:
        return self._at

    @override
    def advance(self, at: float) -> None:
        if at > self._at:
            time.sleep(min(at - self._at, self._pause_s))  # noqa: TID251 - real time
            self._at = at

    @override
    def act(self, command: str, ahead: list[Exchange | Note]) -> None:
        del ahead
        word, *rest = command.split(" ")
        if word == "wait":
            time.sleep(float(rest[0]))  # noqa: TID251 - real time
            return
        call = _call_for(rest) if word == "guest" else None
        rows = self._cluster.read("/cluster/resources", {"type": "vm"}) if call else []
        row = next((one for one in rows if str(one["vmid"]) == rest[0]), None)
        if call is None or row is None or int(rest[0]) not in self._cluster.made:
            self.undone.append(command)
            return
        method, below, form = call
        path = f"/nodes/{row['node']}/{row['type']}/{rest[0]}{below}"
        answer = self._cluster.ask(method, path, form)
        if answer.status != 200:
            self.undone.append(f"{command}: {answer.reason}")

    @override
    def upids(self) -> list[str]:
        rows = self._cluster.read("/cluster/tasks")
        rows.sort(key=lambda row: row["starttime"], reverse=True)
        return [self._cluster.names.in_lab(row["upid"]) for row in rows]

    @override
    def catch_up(self, recorded: Rows, shown: Rows) -> bool:
        there = {row.get("id"): row for row in shown}
        for row in recorded:
            other = there.get(row.get("id"))
            if other is None or row.get("type") not in {"qemu", "lxc"}:
                continue
            if any(row.get(key) != other.get(key) for key in ("status", "name", "maxmem")):
                time.sleep(1.0)  # noqa: TID251 - real time
                return True
        return False


def _call_for(words: list[str]) -> tuple[str, str, dict[str, str]] | None:
    """Return the call that does to a guest what was done by hand, if there is one."""
    match words:
        case [_, "destroy"]:
            return "DELETE", "", {"purge": "1"}
        case [_, "stop" | "crash"]:
            return "POST", "/status/stop", {}
        case [_, "start"]:
            return "POST", "/status/start", {}
        case [_, "set", *pairs]:
            return "PUT", "/config", dict(pair.split("=", 1) for pair in pairs)
        case [_, "unset", *names]:
            return "PUT", "/config", {"delete": ",".join(names)}
        case _:
            return None


def make_guest(cluster: RealCluster, node: str, vmid: int, config: Mapping[str, str]) -> str:
    """Make a VM that a recording found; return why that was refused, empty if it was not."""
    form = {"vmid": str(vmid)}
    for key, value in config.items():
        if key in {"meta", "vmgenid", "smbios1", "lock", "parent", "template", "digest"}:
            continue
        if key.startswith(("unused", "running", "vmstate", "snaptime")):
            continue
        form[key] = _allocated(value)
    answer = cluster.ask("POST", f"/nodes/{node}/qemu", form)
    if answer.status != 200:
        return f"{answer.reason} {dict(answer.errors) or ''}".strip()
    upid = str(answer.data)
    while cluster.read(f"/nodes/{node}/tasks/{upid}/status")["status"] == "running":
        time.sleep(POLL_S)  # noqa: TID251 - real time
    if config.get("template") == "1":
        cluster.ask("POST", f"/nodes/{node}/qemu/{vmid}/template")
    return ""


def _allocated(value: str) -> str:
    """Return a disk's setting as one that asks for a new volume of that size."""
    found = re.match(r"([\w-]+):[^,]*", value)
    size = re.search(r",size=(\d+)([MG])", value)
    if found is None or size is None:
        return value
    gib = int(size[1]) / (1024 if size[2] == "M" else 1)
    rest = value[found.end() :].replace(size[0], "")
    return f"{found[1]}:{gib:g}{rest}"
