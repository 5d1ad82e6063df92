"""Write manifests for guests that exist, so that adopting them changes nothing.

What a manifest can't say is left out, which leaves it alone, and is named in a comment.
The result is loaded as any manifest is; what the checks refuse is left out too, until
they refuse nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from qlop.manifest import export_inherit, export_names, export_prune
from qlop.manifest.export_prune import is_item, path_of, whole_of
from qlop.manifest.export_spec import Drawn, draw, ordered
from qlop.manifest.export_text import document_text
from qlop.manifest.export_tidy import tidy
from qlop.manifest.load import Loaded, load
from qlop.manifest.marks import Path, Yaml, text_of
from qlop.manifest.merge import Base
from qlop.manifest.validate import Entry
from qlop.model.finding import Finding, Severity
from qlop.model.guest import GuestKind
from qlop.model.ids import ClusterName, GuestName, VmId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.reading import Known
from qlop.model.source import SourceFile, SourceTree

ROUNDS_MAX = 40
"""Each round takes something out of a manifest, and there is only so much in one."""

_FOLDER = "qlop-import/"
"""Where the new manifests are thought to be while they are checked."""

_INDISPENSABLE = frozenset({"type", "source", "vmid", "memory", "profiles"})
"""Without one of these a manifest is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The manifest of one guest: one document. ``unlike`` is what it can't take back."""

    service: GuestName
    guest: ObservedGuest
    text: str
    unlike: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A guest for which no manifest is written, and why: it can't be, or it is needless."""

    guest: ObservedGuest
    why: str
    is_needless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Manifests for guests, and what ``tree`` amounts to with them."""

    manifests: tuple[Manifest, ...]
    skipped: tuple[Skipped, ...]
    loaded: Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inherited:
    """What the new services of one type inherit: the profiles that fit, and the sum."""

    profiles: tuple[str, ...]
    base: Base


@dataclass(slots=True, kw_only=True)
class _Sketch:
    """A manifest in the making: ``full`` is what the guest is, as far as it may be said.

    ``unsaid`` are values of what is inherited that could not be taken back after all.
    """

    name: str
    guest: ObservedGuest
    drawn: Drawn
    inherits: _Inherited
    full: dict[str, Yaml]
    unsaid: set[Path] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)

    def own(self) -> dict[str, Yaml]:
        base = self.inherits.base
        own = export_inherit.minimal(self.full, base, self.guest.node)
        named = self.inherits.profiles
        head: dict[str, Yaml] = {"profiles": [*named]} if named else {}
        own = tidy(export_prune.without(own, self.unsaid), self.guest.kind)
        return ordered(head | own)

    def leave_out(self, path: Path, why: str) -> bool:
        """Say nothing at ``path``, and return whether that changes anything."""
        whole = export_prune.whole_of(path)
        if export_prune.has(self.full, whole):
            self.left_out.append(f"{export_prune.label_of(self.full, whole)}: {why}")
            self.full = export_prune.without(self.full, {whole})
            return True
        is_new = whole not in self.unsaid and export_prune.has(self.own(), whole)
        self.unsaid.add(whole)
        return is_new

    def unlike(self) -> tuple[str, ...]:
        return tuple(
            f"{path} (from {label})"
            for path, label in export_inherit.unwanted(self.full, self.own(), self.inherits.base)
        )

    def text(self) -> str:
        return document_text("Service", self.name, self.own(), self._comments())

    def bare_text(self) -> str:
        return document_text("Service", self.name, self.own())

    def _comments(self) -> Iterable[str]:
        kind = "VM" if self.guest.kind is GuestKind.VM else "Container"
        said = self.drawn.spec.get("guestName")
        named = f" ({said})" if said else ""
        yield (
            f"{kind} {self.guest.vmid}{named}, as it was found on {self.guest.node}."
            f" To adopt it, which changes nothing else of it: qlop adopt {self.name}"
        )
        if self.drawn.unmodelled:
            yield (
                "No manifest can say these; qlop leaves them alone, whatever they are: "
                + "; ".join(self.drawn.unmodelled)
            )
        for what in self.left_out:
            yield f"Left out, and so left alone: {what}"
        if self.drawn.waiting:
            yield (
                "Left out, since the new value waits for a restart: "
                + ", ".join(self.drawn.waiting)
            )
        if unlike := self.unlike():
            yield (
                "NOT AS THE GUEST IS, and it can't be taken back here, so that it can't be"
                " adopted: " + ", ".join(unlike)
            )


def export(
    guests: Iterable[ObservedGuest], tree: SourceTree, *, profiles: Sequence[str] = ()
) -> Exported:
    """Return manifests for ``guests``, to be added to ``tree``.

    ``tree`` has to be free of errors. Only what differs from the cluster's defaults and
    from ``profiles``, which ``tree`` has, is written. Names are those of the guests, made
    fit for DNS and unique.
    """
    loaded = load(tree)
    entries = [entry for file in loaded.memory.files.values() for entry in file.entries]
    taken = frozenset(entry.name for entry in entries if entry.kind == "Service")
    if loaded.desired is not None:
        taken |= loaded.desired.guests.keys()
    sketches: dict[str, _Sketch] = {}
    skipped: list[Skipped] = []
    inherited = {kind: _inherited(entries, profiles, kind) for kind in ("vm", "container")}
    for guest in sorted(guests, key=lambda one: one.vmid):
        if not isinstance(guest.config, Known):
            skipped.append(Skipped(guest=guest, why="its configuration could not be read"))
            continue
        drawn = draw(guest, guest.config.value)
        sketch = _Sketch(
            name=export_names.name_for(guest, taken),
            guest=guest,
            drawn=drawn,
            inherits=inherited[str(drawn.spec["type"])],
            full=drawn.spec,
        )
        taken |= {sketch.name}
        sketches[sketch.name] = sketch
    loaded = _settled(sketches, tree, loaded, skipped)
    return Exported(
        manifests=tuple(
            Manifest(
                service=GuestName(one.name),
                guest=one.guest,
                text=one.text(),
                unlike=one.unlike(),
            )
            for one in sketches.values()
        ),
        skipped=tuple(skipped),
        loaded=loaded,
    )


def claimed(loaded: Loaded) -> Mapping[VmId, GuestName]:
    """Return the VMIDs that manifests ask for by number, and the guest that would have it."""
    if loaded.desired is None:
        return {}
    guests = loaded.desired.guests.values()
    return {guest.vmid: guest.name for guest in guests if guest.vmid is not None}


def cluster_name(loaded: Loaded) -> str:
    """Return what the manifests call the cluster, empty if none does."""
    entries = [entry for file in loaded.memory.files.values() for entry in file.entries]
    return next((entry.name for entry in entries if entry.kind == "Cluster"), "")


def cluster_text(name: ClusterName, observed: Observed) -> str:
    """Return the manifest of a cluster of which there is none yet."""
    comment = (
        "The cluster as it was found. Its name is part of the mark that every adopted guest"
        " carries: choose it now, it can't be changed later."
    )
    return document_text("Cluster", name, {"nodes": [*sorted(observed.nodes)]}, [comment])


def profile_names(loaded: Loaded) -> tuple[str, ...]:
    """Return the profiles that can be inherited from."""
    entries = [entry for file in loaded.memory.files.values() for entry in file.entries]
    return tuple(sorted(entry.name for entry in entries if entry.kind == "Profile"))


def _inherited(entries: Sequence[Entry], profiles: Sequence[str], kind: str) -> _Inherited:
    known = {entry.name: entry for entry in entries if entry.kind == "Profile"}
    fitting = tuple(one for one in profiles if export_inherit.fits(known[one], kind))
    base = export_inherit.base_of(entries, fitting, kind)
    return _Inherited(profiles=fitting, base=base)


def _settled(
    sketches: dict[str, _Sketch], tree: SourceTree, loaded: Loaded, skipped: list[Skipped]
) -> Loaded:
    """Take out of the sketches what the checks refuse, until they refuse nothing."""
    for _ in range(ROUNDS_MAX):
        loaded = load(_with(tree, sketches), loaded)
        refused = [one for one in loaded.findings if one.severity is Severity.ERROR]
        if not refused:
            break
        changed: dict[str, bool] = {}
        for finding in refused:
            _take_out(finding, sketches, skipped, changed)
    return loaded


def _with(tree: SourceTree, sketches: Mapping[str, _Sketch]) -> SourceTree:
    files = [
        SourceFile(path=f"{_FOLDER}{name}.yaml", content=content, size_bytes=len(content))
        for name, sketch in sketches.items()
        if (content := sketch.bare_text().encode())
    ]
    return SourceTree(root=tree.root, files=(*tree.files, *files), findings=tree.findings)


def _take_out(
    finding: Finding,
    sketches: dict[str, _Sketch],
    skipped: list[Skipped],
    changed: dict[str, bool],
) -> None:
    """Leave out of a manifest what a finding is about; the whole guest if that can't be.

    ``changed`` are those of which something went already, and whether it was an item of a
    list: then other findings name another place than they did, and will come again.
    """
    name = _whose(finding, sketches)
    if name is None or changed.get(name):
        return
    sketch = sketches[name]
    path: Path = path_of(finding.field)
    is_own = finding.origin is not None and finding.origin.file.startswith(_FOLDER)
    inside = path[1:] if path[:1] == ("spec",) and is_own else ()
    why = finding.message.removeprefix(f"{name}: ")
    if inside and inside[0] not in _INDISPENSABLE:
        if sketch.leave_out(inside, why):
            changed[name] = is_item(whole_of(inside))
        if name in changed:
            return
    del sketches[name]
    at = f" ({text_of(path)})" if path else ""
    skipped.append(Skipped(guest=sketch.guest, why=f"{why}{at}"))


def _whose(finding: Finding, sketches: Mapping[str, _Sketch]) -> str | None:
    file = finding.origin.file if finding.origin is not None else ""
    name = file.removeprefix(_FOLDER).removesuffix(".yaml")
    if file.startswith(_FOLDER):
        return name if name in sketches else None
    name = finding.message.partition(":")[0]
    return name if name in sketches else None
