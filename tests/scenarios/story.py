"""Read a story's folder: what is wanted, what the cluster is, what happens when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from qlop.sim import world
from qlop.sim.world import DEFAULT_TOKEN, ClusterSpec

HERE = Path(__file__).parent
HOSPITAL = HERE.parent.parent / "desired-state"
BASES = HERE / "bases"

STEPS = frozenset(
    {
        "sim",
        "hand",
        "write",
        "replace",
        "delete",
        "cut",
        "manifests",
        "qlop",
        "kill_when",
        "lease",
        "journal",
        "note",
        "order",
    }
)
_KEYS = frozenset(
    {
        "base",
        "world",
        "start",
        "ssh",
        "until",
        "limit",
        "script",
        "expect",
        "slow",
        "seed",
        "token",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is done ``at`` so many seconds: ``verb`` is one of ``STEPS``."""

    at: float
    verb: str
    what: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must hold at the end, besides the transcript.

    ``sent`` counts mutations by patterns over ``METHOD /path``; ``held`` names the reason
    for each guest that is not as wanted; ``ready`` counts those that are. ``refused`` are
    VMIDs that somebody takes unseen, and that qlop may ask PVE for in vain.
    """

    sent: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, str] | None = None
    ready: int | None = None
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One folder, read.

    ``founded``: it begins with the cluster as the manifests want it; otherwise with the
    cluster as ``spec`` describes it. ``until`` is a number of seconds, or None: until all
    is converged, for which it has ``limit`` seconds.
    """

    name: str
    manifests: Mapping[str, str]
    spec: ClusterSpec
    founded: bool
    ssh: bool
    script: tuple[Step, ...]
    until: float | None
    limit: float
    expect: Expectation
    seed: int
    token: str
    """By which qlop asks: ``USER!ID=SECRET``."""


def names() -> list[str]:
    """Return the names of all stories."""
    return sorted(path.parent.name for path in HERE.glob("*/script.yaml"))


def is_slow(name: str) -> bool:
    """Return whether a story says, with ``slow: why``, that it takes more than 0.25 s."""
    return "\nslow:" in (HERE / name / "script.yaml").read_text()


def read(name: str) -> Story:
    """Return the story called ``name``.

    Raises:
        ValueError: if its script has something it can't have.
    """
    folder = HERE / name
    raw = yaml.safe_load((folder / "script.yaml").read_text()) or {}
    if unknown := set(raw) - _KEYS:
        raise ValueError(f"{name}: {sorted(unknown)} unknown; there are {sorted(_KEYS)}")
    base = raw.get("base", "")
    manifests = dict(_files(HOSPITAL if base == "hospital" else BASES / base)) if base else {}
    manifests.update(_files(folder / "desired"))
    own_world = folder / "cluster.yaml"
    spec = world.load(own_world.read_text()) if own_world.exists() else world.hospital()
    until = raw.get("until", "converged")
    return Story(
        name=name,
        manifests=manifests,
        spec=spec,
        founded=raw.get("start", "converged") == "converged",
        ssh=bool(raw.get("ssh", False)),
        script=tuple(_steps(name, raw.get("script") or [])),
        until=None if until == "converged" else float(until),
        limit=float(raw.get("limit", 1800)),
        expect=_expectation(raw.get("expect") or {}),
        seed=int(raw.get("seed", 1)),
        token=raw.get("token", DEFAULT_TOKEN),
    )


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*.yaml")):
        yield str(path.relative_to(root)), path.read_text()


def _steps(name: str, raw: list[dict[str, Any]]) -> Iterator[Step]:
    at = 0.0
    for one in raw:
        due = float(one.get("at", at))
        verbs = set(one) - {"at"}
        if due < at or len(verbs) != 1 or not verbs <= STEPS:
            raise ValueError(f"{name}: {one} is no step: in time order, one of {sorted(STEPS)}")
        at = due
        verb = verbs.pop()
        yield Step(at=at, verb=verb, what=one[verb])


def _expectation(raw: dict[str, Any]) -> Expectation:
    sent = raw.get("sent", {})
    return Expectation(
        sent={"*": sent} if isinstance(sent, int) else sent,
        held=raw.get("held"),
        ready=raw.get("ready"),
        refused=frozenset(raw.get("refused", ())),
    )
