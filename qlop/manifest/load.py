"""Load manifests: a tree of files in, what is desired and every finding out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from qlop.manifest import crosscheck, merge
from qlop.manifest.cluster import check_cluster, lower_cluster
from qlop.manifest.document import ParsedFile, digest_of, parse_file
from qlop.manifest.lower import Lowered, lower_service
from qlop.manifest.merge import Layer
from qlop.manifest.resolve import Resolver
from qlop.manifest.schema import Cluster, ClusterSpec
from qlop.manifest.validate import Entry, check_document
from qlop.model.desired import Desired, DesiredCluster
from qlop.model.finding import Finding, Origin, Severity
from qlop.model.ids import Revision
from qlop.model.source import SourceFile, SourceTree

_REVISION_DIGITS = 16
"""Hexadecimal digits of a revision: enough never to meet the same one twice."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckedFile:
    """A file with everything that can be said without knowing the others."""

    digest: bytes
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """What was worked out, for the next time."""

    files: Mapping[str, CheckedFile] = field(default_factory=dict)
    services: Mapping[str, Lowered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a tree of manifests amounts to.

    ``desired`` is None if any finding is an error: half a desired state is none.
    ``findings`` are those of all files, in the order of file, line and column.
    """

    desired: Desired | None
    findings: tuple[Finding, ...]
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)


def load(tree: SourceTree, before: Loaded | None = None) -> Loaded:
    """Return what the manifests in ``tree`` want; never raises, whatever is in them.

    ``before`` is an earlier result: files and services that are as they were then are not
    worked out again. It makes loading faster and changes nothing about the result.
    """
    memory = before.memory if before is not None else Memory()
    files = {
        file.path: _check_file(file, memory.files.get(file.path))
        for file in sorted(tree.files, key=lambda file: file.path)
    }
    entries = [entry for file in files.values() for entry in file.entries]
    findings = [*tree.findings, *(found for file in files.values() for found in file.findings)]
    findings.extend(crosscheck.check_names(entries))
    clusters = [entry for entry in entries if entry.kind == "Cluster"]
    was_read = all(finding.severity is not Severity.ERROR for finding in tree.findings)
    findings.extend(crosscheck.check_one_cluster(clusters, needed=was_read))
    cluster = clusters[0] if clusters and clusters[0].valid else None
    spec = _cluster_spec(cluster)
    if cluster is not None and spec is not None:
        findings.extend(check_cluster(cluster, spec))
    services = _services(entries, cluster, spec, memory)
    for lowered in services.values():
        findings.extend(lowered.findings)
    known = frozenset(entry.name for entry in entries if entry.kind == "Service")
    findings.extend(crosscheck.check_services(list(services.values()), known))
    ordered = tuple(sorted(findings, key=_place))
    is_good = all(finding.severity is not Severity.ERROR for finding in ordered)
    desired = None
    if is_good and cluster is not None and spec is not None:
        desired = _desired(lower_cluster(cluster, spec), spec, services)
    return Loaded(desired=desired, findings=ordered, memory=Memory(files=files, services=services))


def _check_file(file: SourceFile, known: CheckedFile | None) -> CheckedFile:
    if known is not None and known.digest == digest_of(file):
        return known
    parsed: ParsedFile = parse_file(file)
    entries: list[Entry] = []
    findings = list(parsed.findings)
    for document in parsed.documents:
        entry, found = check_document(document)
        findings.extend(found)
        if entry is not None:
            entries.append(entry)
    return CheckedFile(digest=parsed.digest, entries=tuple(entries), findings=tuple(findings))


def _cluster_spec(entry: Entry | None) -> ClusterSpec | None:
    return None if entry is None else Cluster.model_validate(entry.document.data).spec


def _services(
    entries: Iterable[Entry], cluster: Entry | None, spec: ClusterSpec | None, memory: Memory
) -> dict[str, Lowered]:
    """Return the services that can be lowered, by name; of equal names the first."""
    profiles: dict[str, Entry] = {}
    candidates: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == "Profile":
            profiles.setdefault(entry.name, entry)
        elif entry.kind == "Service":
            candidates.setdefault(entry.name, entry)
    resolver = Resolver(_defaults(cluster), profiles)
    found: dict[str, Lowered] = {}
    for name in sorted(candidates):
        entry = candidates[name]
        if not entry.valid:
            continue
        inputs = resolver.inputs(entry)
        known = memory.services.get(name)
        if known is not None and _same(known.inputs, inputs):
            found[name] = known
        else:
            found[name] = lower_service(resolver.resolve(entry), spec, inputs)
    return found


def _defaults(cluster: Entry | None) -> Layer | None:
    if cluster is None:
        return None
    defaults = cluster.spec.get("defaults")
    return Layer(
        label=merge.DEFAULTS_LABEL,
        spec=defaults if isinstance(defaults, dict) else {},
        document=cluster.document,
        above=("spec", "defaults"),
    )


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _place(finding: Finding) -> tuple[Origin, str, str, str]:
    origin = finding.origin or Origin(file="", line=0, column=0)
    return origin, finding.code, finding.field, finding.message


def _desired(
    cluster: DesiredCluster, spec: ClusterSpec, services: Mapping[str, Lowered]
) -> Desired:
    digest = sha256(cluster.name.encode())
    digest.update(spec.model_dump_json(exclude_none=True, exclude={"defaults"}).encode())
    for lowered in services.values():
        digest.update(lowered.digest)
    return Desired(
        revision=Revision(digest.hexdigest()[:_REVISION_DIGITS]),
        cluster=cluster,
        services={lowered.service.name: lowered.service for lowered in services.values()},
        guests={guest.name: guest for lowered in services.values() for guest in lowered.guests},
    )
