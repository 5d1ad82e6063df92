"""Play a story: the simulated cluster, qlop, and the hands of people, in virtual time."""

import asyncio
import fnmatch
import shlex
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from qlop.controller.cycle import CycleResult
from qlop.model.orders import Adopt
from qlop.model.verdict import Held
from qlop.ports import Method, PortError, PveCall
from qlop.sim import script as sim_script
from qlop.sim.cluster import Cluster
from qlop.sim.inprocess import InProcessApi
from qlop.sim.living import SimProber
from qlop.sim.world import UserSpec
from tests import virtual_time
from tests.scenarios import founding, orders
from tests.scenarios.founding import BEGIN, Founded, founded
from tests.scenarios.invariants import Invariants
from tests.scenarios.life import Disk, Lease, Life, Shared, StoryClock, call_text, now_s
from tests.scenarios.story import Step, Story
from tests.scenarios.transcript import Transcript

CALM_S = 300.0
"""So long a converged cluster is watched, in which nothing may be sent."""

_HAND = "root@pam!hand=99999999-8888-7777-6666-555555555555"
"""The token with which people do what they do in PVE's own interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a story went: its transcript, and what was wrong whatever the transcript says."""

    transcript: str
    broken: tuple[str, ...]


def play(story: Story) -> Played:
    """Return how ``story`` goes."""
    spec = replace(story.spec, users=_with_hand(story.spec.users))
    start = Founded(spec=spec, records=(), cloudinit={})
    if story.founded:
        start = founded(spec, story.manifests)
    with tempfile.TemporaryDirectory(prefix="story-") as name:
        root = Path(name) / "desired"
        root.mkdir()
        founding.write_all(root, story.manifests)
        with structlog.testing.capture_logs():
            return virtual_time.run(Stage(story, start, root).play())


def _with_hand(users: Any) -> tuple[UserSpec, ...]:
    token, _, secret = _HAND.partition("=")
    userid, _, name = token.partition("!")
    return tuple(
        replace(user, tokens={**user.tokens, name: secret}) if user.userid == userid else user
        for user in users
    )


class Stage:
    """One story under way."""

    def __init__(self, story: Story, start: Founded, root: Path) -> None:
        self._story = story
        self._root = root
        self._start = start
        self._lives: dict[str, Life] = {}
        self._last: CycleResult | None = None
        self._cycled = asyncio.Event()
        self._ended: list[Life] = []
        self._verbs: Mapping[str, Callable[[Any], Awaitable[None]]] = {
            "sim": self._sim,
            "hand": self._hand,
            "write": self._write,
            "replace": self._replace,
            "delete": self._delete,
            "cut": self._cut,
            "manifests": self._manifests,
            "qlop": self._qlop,
            "kill_when": self._kill_when,
            "lease": self._lease,
            "journal": self._journal,
            "note": self._note,
            "order": self._order,
        }

    async def play(self) -> Played:
        """Return how it goes."""
        clock = StoryClock(BEGIN)
        self._cluster = founding.build(self._start, seed=self._story.seed, began=BEGIN)
        self._hands = InProcessApi(self._cluster, clock, token=_HAND)
        self._script = Transcript(now_s, str(self._root))
        self._disk = Disk(records=list(self._start.records))
        self._invariants = Invariants(
            self._cluster.world, self._disk.records, self._adopted, self._story.expect.refused
        )
        token = self._story.token
        self._api = _Counting(InProcessApi(self._cluster, clock, token=token))
        self._shared = Shared(
            api=self._api,
            caller=token.partition("=")[0],
            prober=SimProber(self._cluster, clock),
            shell=_Shell(self._cluster, clock) if self._story.ssh else None,
            root=self._root,
            clock=clock,
            disk=self._disk,
            lease=Lease(),
            transcript=self._script,
            check=self._invariants.check,
            on_cycle=self._note_cycle,
        )
        await self._qlop("start")
        for step in self._story.script:
            await self._wait_until(step.at)
            await self._do(step)
        await self._reach_end()
        converged = self._is_converged()
        self._close()
        if converged and self._lives:
            await self._stay_calm()
        for life in tuple(self._lives.values()):
            life.kill()
            await life.ended()
            self._ended.append(life)
        return Played(transcript=self._script.text(), broken=self._broken())

    async def _wait_until(self, at: float) -> None:
        if at > now_s():
            await asyncio.sleep(at - now_s())

    async def _do(self, step: Step) -> None:
        await self._verbs[step.verb](step.what)

    async def _reach_end(self) -> None:
        if self._story.until is not None:
            await self._wait_until(self._story.until)
            return
        try:
            async with asyncio.timeout(self._story.limit):
                while True:
                    self._cycled.clear()
                    await self._cycled.wait()
                    if self._is_converged():
                        return
        except TimeoutError:
            self._invariants.broken.append(f"not converged in {self._story.limit:.0f} s")

    def _is_converged(self) -> bool:
        status = self._last.status if self._last is not None else None
        return (
            status is not None
            and not status.stalled
            and bool(status.subjects)
            and status.ready == len(status.subjects)
            and all(life.is_idle for life in self._lives.values())
        )

    async def _stay_calm(self) -> None:
        before = self._api.sent[:]
        await asyncio.sleep(CALM_S)
        if self._api.sent != before:
            more = ", ".join(self._api.sent[len(before) :])
            self._invariants.broken.append(f"sent although all had converged: {more}")

    def _close(self) -> None:
        """Write how things stand."""
        status = self._last.status if self._last is not None else None
        if status is not None:
            self._script.closing(f"{status.ready}/{len(status.subjects)} as wanted")
            if status.stalled:
                self._script.closing(f"stalled: {status.stalled}")
            for subject in status.subjects:
                if not subject.is_ready:
                    self._script.closing(f"{subject.name}: {_verdict_text(subject.verdict)}")
                elif note := getattr(subject.verdict, "note", ""):
                    self._script.closing(f"{subject.name}: converged ({note})")
            if status.unmanaged:
                self._script.closing(f"unmanaged: {', '.join(map(str, status.unmanaged))}")
        for vmid, guest in sorted(self._cluster.world.guests.items()):
            if vmid in _TEMPLATES:
                continue
            name = guest.config.get("name") or guest.config.get("hostname") or "unnamed"
            kind = "template" if guest.is_template else guest.kind.value
            doing = "runs" if guest.is_running else "is down"
            lock = f", locked ({guest.lock})" if guest.lock else ""
            self._script.closing(f"{vmid} {name}: {kind} on {guest.node}, {doing}{lock}")

    def _broken(self) -> tuple[str, ...]:
        self._invariants.check_end()
        expect = self._story.expect
        broken = [*self._invariants.broken]
        for life in self._ended:
            broken += life.errors
        for pattern, count in expect.sent.items():
            found = sum(fnmatch.fnmatchcase(sent, pattern) for sent in self._api.sent)
            if found != count:
                broken.append(f"sent {found} times, not {count}: {pattern}")
        status = self._last.status if self._last is not None else None
        assert status is not None
        if expect.ready is not None and status.ready != expect.ready:
            broken.append(f"{status.ready} are as wanted, not {expect.ready}")
        if expect.held is not None:
            held = {
                str(subject.name): _reason(subject.verdict)
                for subject in status.subjects
                if not subject.is_ready
            }
            if held != expect.held:
                broken.append(f"held are {held}, not {expect.held}")
        return tuple(broken)

    def _note_cycle(self, result: CycleResult) -> None:
        self._last = result
        self._cycled.set()

    async def _sim(self, command: str) -> None:
        said = sim_script.do(self._cluster, command, self._shared.clock.now().timestamp())
        self._script.line("> sim", said)

    async def _hand(self, text: str) -> None:
        method, path, *words = shlex.split(text)
        params = dict(word.partition("=")[::2] for word in words)
        call = PveCall(method=Method(method), route=path, params=params)
        self._script.line("> hand", call_text(call))
        try:
            await self._hands.call(call)
        except PortError as error:
            self._script.line("> hand", f"is refused: {error}")
            self._invariants.broken.append(f"a hand was refused: {call_text(call)}: {error}")

    async def _write(self, texts: dict[str, str]) -> None:
        for path, text in texts.items():
            self._script.line("> editor", f"writes {path}")
            founding.write_all(self._root, {path: text})
        self._ring()

    async def _replace(self, edits: dict[str, list[str]]) -> None:
        for path, (old, new) in edits.items():
            text = (self._root / path).read_text()
            assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
            self._script.line("> editor", f"{path}: {_folded(old)} -> {_folded(new) or 'gone'}")
            (self._root / path).write_text(text.replace(old, new))
        self._ring()

    async def _delete(self, path: str) -> None:
        self._script.line("> editor", f"deletes {path}")
        (self._root / path).unlink()
        self._ring()

    async def _cut(self, sizes: dict[str, int]) -> None:
        for path, size in sizes.items():
            self._script.line("> editor", f"{path} is written as far as byte {size}")
            text = (self._root / path).read_bytes()
            (self._root / path).write_bytes(text[:size])
        self._ring()

    async def _manifests(self, what: str) -> None:
        self._script.line("> editor", f"manifests: {what}")
        if what == "back":
            self._root.mkdir(exist_ok=True)
            founding.write_all(self._root, self._story.manifests)
        else:
            shutil.rmtree(self._root)
            if what == "emptied":
                self._root.mkdir()
            else:
                assert what == "vanish", what
        self._ring()

    def _ring(self) -> None:
        for life in self._lives.values():
            life.triggers.ring_for_manifests()

    async def _qlop(self, what: str) -> None:
        verb, _, name = what.partition(" ")
        name = name or "qlop"
        if now_s() > 0 or name != "qlop":
            self._script.line(
                f"> {name}", {"kill": "is killed", "stop": "is told to stop"}.get(verb, verb + "s")
            )
        if verb == "start":
            former = self._lives.get(name)
            if former is not None:
                assert former.is_dead, f"{name} runs already"
                await former.ended()
                self._ended.append(former)
            self._lives[name] = Life(name, self._shared)
            self._lives[name].start()
            return
        life = self._lives.pop(name)
        if verb == "kill":
            life.kill()
            await life.ended()
        else:
            assert verb == "stop", what
            await life.stop()
            self._script.line(f"> {name}", "has stopped")
        self._ended.append(life)

    async def _kill_when(self, what: str) -> None:
        verb, moment = what.split()
        assert moment in {"intended", "sending", "sent", "dispatched", "ended"}, what
        self._shared.deaths.append((moment, verb))

    async def _lease(self, what: str) -> None:
        self._script.line("> lease", what)
        match what:
            case "lost":
                self._shared.lease.holder = "somebody else"
            case "regained":
                self._shared.lease.holder = "qlop"
            case _:
                raise AssertionError(what)

    async def _journal(self, what: str) -> None:
        self._script.line("> journal", what)
        match what:
            case "full" | "has room":
                self._disk.full = what == "full"
            case "lost":
                self._disk.records.clear()
                self._invariants.forget()
            case _:
                raise AssertionError(what)

    def _adopted(self) -> frozenset[int]:
        return frozenset(
            order.vmid for order in self._shared.book.records() if isinstance(order, Adopt)
        )

    async def _order(self, text: str) -> None:
        self._script.line("> order", text)
        assert self._last is not None, "an order is about what was seen"
        for order in orders.given(text, self._last, self._shared.clock.now()):
            self._shared.book.append(order)
        for life in self._lives.values():
            life.triggers.ring()

    async def _note(self, text: str) -> None:
        self._script.line("> note", text)


class _Counting:
    """An API that remembers which changes it was asked for."""

    def __init__(self, api: InProcessApi) -> None:
        self._api = api
        self.sent: list[str] = []

    async def call(self, call: PveCall) -> Any:
        """Pass the call on."""
        if call.is_mutation:
            self.sent.append(f"{call.method.value} {call.path}")
        return await self._api.call(call)


class _Shell:
    """The forced command of the SSH key, answered by the simulated cluster."""

    def __init__(self, cluster: Cluster, clock: StoryClock) -> None:
        self._cluster = cluster
        self._clock = clock

    async def run(self, _command: str, *, timeout_s: float) -> str:
        """Return the two files."""
        del timeout_s
        self._cluster.advance(self._clock.now().timestamp())
        return self._cluster.version_text() + self._cluster.vmlist_text()


_TEMPLATES = frozenset({9000, 9001, 9002, 9003})


def _verdict_text(verdict: object) -> str:
    if isinstance(verdict, Held):
        remedy = f" [{verdict.remedy}]" if verdict.remedy else ""
        return f"held, {verdict.reason.value}: {verdict.message}{remedy}"
    held = getattr(verdict, "held", None)
    return "under way" + (f"; {_verdict_text(held)}" if held is not None else "")


def _reason(verdict: object) -> str:
    return verdict.reason.value if isinstance(verdict, Held) else "under way"


def _folded(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines())
