"""``qlop import``: write manifests for guests that exist."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from qlop import daemon
from qlop.cli import importable, imports, options, screen
from qlop.cli.door import Door
from qlop.cli.importable import Choice
from qlop.cli.imports import Grouping, Import
from qlop.controller.cycle import Observing
from qlop.manifest import export
from qlop.manifest.load import load
from qlop.model.finding import Finding, Severity
from qlop.model.folding import fold
from qlop.model.history import History
from qlop.model.ids import ClusterName, NodeName, PoolId, VmId
from qlop.model.observed import Observed
from qlop.model.reading import Known
from qlop.model.source import SourceTree
from qlop.model.unseen import as_seen
from qlop.observer.observer import Interest
from qlop.render.finding import findings_lines
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plain_value import Document
from qlop.render.proof import proof_document, proof_lines
from qlop.settings import Settings
from qlop.sources import files

LOOKS_MAX = 3
"""An answer that got lost is there in the next look, and what ended is seen then."""
ROUNDS_MAX = 60
"""An observation reads for fifteen seconds at most; so many read ten thousand guests."""
NO_CLUSTER = "no-cluster"
DEFAULT_CLUSTER = "pve"

All = Annotated[bool, typer.Option("--all", help="Every guest that is not ours.")]
Pools = Annotated[
    list[str] | None, typer.Option("--pool", help="Guests of this pool. Several: any of them.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Guests with this tag.")]
Nodes = Annotated[list[str] | None, typer.Option("--node", help="Guests on this node.")]
VmIds = Annotated[list[int] | None, typer.Option("--vmid", help="The guest with this VMID.")]
Profiles = Annotated[
    list[str] | None,
    typer.Option("--profile", help="Inherit from this profile; write only what differs from it."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write files into this directory instead of the terminal."),
]
GroupBy = Annotated[
    Grouping, typer.Option("--group-by", help="Which guests share a file: none, by default.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]
ClusterOption = Annotated[
    str,
    typer.Option(
        "--cluster", metavar="NAME", help="The cluster's name, if no manifest says it yet."
    ),
]


def import_guests(
    *,
    everything: All = False,
    pool: Pools = None,
    tag: Tags = None,
    node: Nodes = None,
    vmid: VmIds = None,
    profile: Profiles = None,
    out: Out = None,
    group_by: GroupBy = Grouping.GUEST,
    force: Force = False,
    cluster: ClusterOption = DEFAULT_CLUSTER,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Write manifests for guests that exist, and prove that adopting them changes nothing.

    Nothing in the cluster is touched. With several options a guest has to meet all of them.
    0: there is a manifest for each, 3: some of those asked for are left out, and it is said
    why, 1: none was written.
    """
    if not (everything or pool or tag or node or vmid):
        raise typer.BadParameter("say which guests: --all, --pool, --tag, --node or --vmid")
    choice = Choice(
        vmids=frozenset(map(VmId, vmid or ())),
        pools=frozenset(map(PoolId, pool or ())),
        nodes=frozenset(map(NodeName, node or ())),
        tags=frozenset(one.lower() for one in tag or ()),
    )
    settings = options.settings_of(config, overrides)
    tree = present_tree(settings.desired_state)
    problems = unusable(tree, profile or ())
    if problems:
        screen.tell(findings_lines(problems))
        screen.complain("the manifests there are have errors; mend them first", "qlop validate")
        return options.ERROR
    observed, history = asyncio.run(seen(daemon, settings))
    if problem := importable.blind(observed):
        screen.tell(_gap_lines(observed))
        screen.complain(f"{problem}; nothing is written", "try again when it can be")
        return options.ERROR
    found = imports.imported(
        tree,
        observed,
        history,
        choice,
        profiles=tuple(profile or ()),
        cluster=ClusterName(cluster),
    )
    texts = imports.files_of(found, group_by)
    if out is not None and not written(out, texts, force=force):
        return options.ERROR
    if as_json:
        screen.show_json(_document(found))
    elif out is None:
        screen.console().out("---\n".join(texts.values()), end="", highlight=False)
    unmet = importable.unmet(choice, observed)
    screen.tell(summary_lines(found, observed, unmet, out))
    if not found.manifests:
        return options.ERROR
    all_are_there = not unmet and all(one.is_needless for one in found.skipped)
    return options.CONVERGED if all_are_there else options.HELD


def present_tree(root: Path) -> SourceTree:
    """Return the manifests there are; none if there is no directory, or nothing in it."""
    has_any = root.is_dir() and any(
        path.suffix in files.SUFFIXES for path in root.rglob("*") if path.is_file()
    )
    return files.load(root) if has_any else SourceTree(root=str(root), files=())


def unusable(tree: SourceTree, profiles: Iterable[str]) -> tuple[Finding, ...]:
    """Return what keeps new manifests from being added to those of ``tree``."""
    loaded = load(tree)
    known = export.profile_names(loaded)
    unknown = [
        Finding(
            severity=Severity.ERROR,
            code="unknown-profile",
            message=f"there is no Profile {name}",
            hint=f"there are {', '.join(known) or 'none'}",
        )
        for name in profiles
        if name not in known
    ]
    errors = [
        one for one in loaded.findings if one.severity is Severity.ERROR and one.code != NO_CLUSTER
    ]
    return (*errors, *unknown)


async def seen(door: Door, settings: Settings) -> tuple[Observed, History]:
    """Return the whole cluster, every configuration read that can be read, and the journal.

    The journal is read after the cluster: whatever qlop made in between is known by it.
    What ended while the cluster was looked at is looked at again, or counts as in flight.
    """
    async with door.looking(settings) as assembly:
        observer, clock = assembly.engine.observer, assembly.engine.clock
        late: list[VmId] = []
        looks = 0
        while True:
            asked_at = clock.now()
            for vmid in late:
                observer.touch(vmid)
            observed = await _read(observer)
            history = fold(assembly.records())
            late = _late(history, asked_at)
            looks += 1
            if looks == LOOKS_MAX or (observed.complete and not late):
                return observed, as_seen(history, asked_at)


async def _read(observer: Observing) -> Observed:
    """Return a look for which every configuration was read that can be read."""
    # Whose snapshots exist is of no interest, and without a mark nobody asks for them.
    interest = Interest(cluster=ClusterName(""), snapshots_of=frozenset())
    observed = await observer.observe(interest)
    unread = _unread(observed)
    for _ in range(ROUNDS_MAX):
        if not unread:
            break
        observed = await observer.observe(interest)
        before, unread = unread, _unread(observed)
        if len(unread) == len(before):
            break
    return observed


def _late(history: History, asked_at: datetime) -> list[VmId]:
    """Return the guests whose actions ended after the look began: it may not show that."""
    hidden = as_seen(history, asked_at).inflight.items()
    late = [one.intended for name, one in hidden if name not in history.inflight]
    return [vmid for intended in late for vmid in intended.touches]


def written(out: Path, texts: Mapping[Path, str], *, force: bool) -> bool:
    """Write files, none unless all of them may be; return whether that was done.

    Raises:
        OSError: if one can't be written.
    """
    there = [path for path in texts if (out / path).exists()]
    if there and not force:
        listed = ", ".join(map(str, there[:5])) + (" and more" if len(there) > 5 else "")
        screen.complain(f"{out} has {listed} already; nothing is written", "say --force, or --out")
        return False
    out.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        part = out / f".{path.name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(out / path)
    return True


def summary_lines(
    found: Import, observed: Observed, unmet: Iterable[str], out: Path | None
) -> list[Line]:
    """Return what came of it, for people: how many fit, who does not, who is left out."""
    lines = _gap_lines(observed)
    lines += [line(one) for one in unmet]
    lines += [
        line(Span("left out: ", Tone.WARN), f"{one.guest.name} ({one.guest.vmid}): {one.why}")
        for one in found.skipped
    ]
    unlike = [proof for proof in found.proofs.values() if not proof.fits]
    lines += proof_lines(unlike)
    count = len(found.manifests)
    if not count:
        return [*lines, line("no guest is left to be imported")]
    fitting = len(found.proofs) - len(unlike)
    left_out = len(found.skipped)
    where = f" in {out}" if out is not None else ""
    lines.append(
        line(
            f"{count} manifest{'s' if count != 1 else ''}{where}: ",
            Span(f"{fitting} fit", Tone.GOOD),
            ", which means that adopting changes nothing",
            Span(f"; {len(unlike)} do not", Tone.WARN) if unlike else "",
            Span(f"; {left_out} left out", Tone.WARN) if left_out else "",
        )
    )
    if out is not None:
        lines.append(line("next: look at them, commit them, then `qlop adopt --all --dry-run`"))
    return lines


def _gap_lines(observed: Observed) -> list[Line]:
    return [line(Span("gap: ", Tone.WARN), gap) for gap in observed.gaps]


def _unread(observed: Observed) -> list[VmId]:
    return [
        guest.vmid for guest in observed.guests.values() if not isinstance(guest.config, Known)
    ]


def _document(found: Import) -> Document:
    return {
        "manifests": [
            {"service": one.service, "vmid": one.guest.vmid, "text": one.text}
            for one in found.manifests
        ],
        "proofs": [proof_document(one) for one in found.proofs.values()],
        "skipped": [{"vmid": one.guest.vmid, "why": one.why} for one in found.skipped],
    }
