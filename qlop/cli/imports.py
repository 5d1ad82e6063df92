"""Choose guests, write their manifests, prove that they fit, and lay them into files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qlop.manifest import export
from qlop.manifest.export import Manifest, Skipped
from qlop.manifest.load import Loaded, load
from qlop.model.history import History
from qlop.model.ids import ClusterName, GuestName, NodeName, PoolId, VmId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.plan import PlanInput
from qlop.model.proof import Proof
from qlop.model.source import SourceFile, SourceTree
from qlop.planner import adoption, ownership

CLUSTER_FILE = "cluster.yaml"


class Grouping(Enum):
    """Which guests share a file."""

    GUEST = "guest"
    POOL = "pool"
    NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which guests are wanted: those that meet each of these that is not empty."""

    vmids: frozenset[VmId] = frozenset()
    pools: frozenset[PoolId] = frozenset()
    nodes: frozenset[NodeName] = frozenset()
    tags: frozenset[str] = frozenset()

    def covers(self, guest: ObservedGuest) -> bool:
        """Return whether ``guest`` is wanted."""
        tags = {tag.lower() for tag in guest.tags.replace(",", ";").split(";")}
        return (
            (not self.vmids or guest.vmid in self.vmids)
            and (not self.pools or guest.pool in self.pools)
            and (not self.nodes or guest.node in self.nodes)
            and (not self.tags or bool(self.tags & tags))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What came of it: manifests with the proof for each, and whom it left out."""

    manifests: tuple[Manifest, ...]
    proofs: Mapping[GuestName, Proof]
    skipped: tuple[Skipped, ...]
    cluster: str = ""
    """The text of a ``Cluster``, if there was none."""


def imported(
    tree: SourceTree,
    observed: Observed,
    history: History,
    choice: Choice,
    *,
    profiles: tuple[str, ...],
    cluster: ClusterName,
) -> Import:
    """Return manifests for the guests that ``choice`` covers.

    ``tree`` are the manifests there are, free of errors but for a ``Cluster`` that may be
    missing: it is then called ``cluster``.
    """
    text = ""
    if not export.cluster_name(load(tree)):
        text = export.cluster_text(cluster, observed)
        tree = _with(tree, {CLUSTER_FILE: text})
    loaded = load(tree)
    skipped: list[Skipped] = []
    wanted = _candidates(observed, history, choice, loaded, skipped)
    exported = export.export(wanted, tree, profiles=profiles)
    texts = {f"qlop-import/{one.service}.yaml": one.text for one in exported.manifests}
    whole = load(_with(tree, texts), exported.loaded)
    proofs: Mapping[GuestName, Proof] = {}
    if whole.desired is not None:
        source = PlanInput(
            desired=whole.desired, observed=observed, history=history, now=observed.taken_at
        )
        proofs = adoption.proofs(source)
    return Import(
        manifests=exported.manifests,
        proofs={
            one.service: proofs[one.service] for one in exported.manifests if one.service in proofs
        },
        skipped=tuple(sorted((*skipped, *exported.skipped), key=lambda one: one.guest.vmid)),
        cluster=text,
    )


def files_of(found: Import, grouping: Grouping) -> dict[Path, str]:
    """Return the text of each file, by its path below the directory of the import."""
    parts: dict[Path, list[str]] = {}
    if found.cluster:
        parts[Path(CLUSTER_FILE)] = [found.cluster]
    for one in found.manifests:
        parts.setdefault(_path(one, grouping), []).append(one.text)
    return {path: "---\n".join(texts) for path, texts in parts.items()}


def _path(manifest: Manifest, grouping: Grouping) -> Path:
    match grouping:
        case Grouping.GUEST:
            return Path(f"{manifest.service}.yaml")
        case Grouping.NODE:
            return Path(f"node-{manifest.guest.node}.yaml")
        case Grouping.POOL:
            pool = (manifest.guest.pool or "none").replace("/", "-")
            return Path(f"pool-{pool}.yaml")


def _candidates(
    observed: Observed,
    history: History,
    choice: Choice,
    loaded: Loaded,
    skipped: list[Skipped],
) -> list[ObservedGuest]:
    """Return the guests to be imported, and note those that are wanted and can't be."""
    assert loaded.desired is not None, "the manifests are free of errors"
    found = ownership.index(loaded.desired.cluster.name, observed, history)
    owned = {guest.vmid for guest in found.owned.values()}
    doubled = {vmid for vmids in found.doubled.values() for vmid in vmids}
    mismatched = {guest.vmid for guest in found.mismatched.values()}
    claimed = export.claimed(loaded)
    wanted: list[ObservedGuest] = []
    for guest in sorted(observed.guests.values(), key=lambda one: one.vmid):
        if not choice.covers(guest) or guest.template or guest.vmid in owned | doubled:
            continue
        if guest.vmid in claimed:
            why = f"it has a manifest already: {claimed[guest.vmid]} asks for its VMID"
        elif guest.vmid in mismatched:
            why = "it carries the mark of a guest of ours that had another UUID or MAC"
        else:
            wanted.append(guest)
            continue
        skipped.append(Skipped(guest=guest, why=why))
    return wanted


def _with(tree: SourceTree, texts: Mapping[str, str]) -> SourceTree:
    files = [_file(path, text) for path, text in texts.items()]
    return SourceTree(root=tree.root, files=(*tree.files, *files), findings=tree.findings)


def _file(path: str, text: str) -> SourceFile:
    content = text.encode()
    return SourceFile(path=path, content=content, size_bytes=len(content))


def missing(choice: Choice, observed: Observed) -> Iterable[VmId]:
    """Return the VMIDs that were asked for and that no guest has."""
    return sorted(choice.vmids - observed.guests.keys())
