"""Choose guests, write their manifests, prove that they fit, and lay them into files."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from qlop.cli import importable
from qlop.cli.importable import Choice
from qlop.manifest import export
from qlop.manifest.export import Manifest, Skipped
from qlop.manifest.load import load
from qlop.model.history import History
from qlop.model.ids import ClusterName, GuestName
from qlop.model.observed import Observed
from qlop.model.plan import PlanInput
from qlop.model.proof import Proof
from qlop.model.source import SourceFile, SourceTree
from qlop.planner import adoption

CLUSTER_FILE = "cluster.yaml"


class Grouping(Enum):
    """Which guests share a file."""

    GUEST = "guest"
    POOL = "pool"
    NODE = "node"


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
    missing: it is then called ``cluster``. ``observed`` is complete, and ``history`` is as
    it was seen (``model.unseen``).
    """
    text = ""
    if not export.cluster_name(load(tree)):
        text = export.cluster_text(cluster, observed)
        tree = _with(tree, {CLUSTER_FILE: text})
    loaded = load(tree)
    wanted, skipped = importable.sort_out(loaded, observed, history, choice)
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


def _with(tree: SourceTree, texts: Mapping[str, str]) -> SourceTree:
    files = [_file(path, text) for path, text in texts.items()]
    return SourceTree(root=tree.root, files=(*tree.files, *files), findings=tree.findings)


def _file(path: str, text: str) -> SourceFile:
    content = text.encode()
    return SourceFile(path=path, content=content, size_bytes=len(content))
