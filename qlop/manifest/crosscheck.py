"""Find what contradicts each other across documents."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from qlop.manifest import vocabulary
from qlop.manifest.lower import Claim, Lowered
from qlop.manifest.marks import Path
from qlop.manifest.validate import Entry, error
from qlop.model.finding import Finding, Origin, Severity
from qlop.model.ids import NodeName, ServiceName


def check_names(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Yield a finding for each document whose kind and name another has already."""
    first: dict[tuple[str, str], Origin] = {}
    for entry in entries:
        key = (entry.kind, entry.name)
        if key in first:
            message = f"there is a {entry.kind} {entry.name} already, at {first[key]}"
            path: Path = ("metadata", "name")
            hint = "rename one of them, or remove it"
            yield error(entry.document, path, "duplicate-name", message, hint)
        else:
            first[key] = entry.origin


def check_one_cluster(clusters: Sequence[Entry], *, needed: bool) -> Iterator[Finding]:
    """Yield a finding for each Cluster but the first, and, if ``needed``, for none at all."""
    for entry in clusters[1:]:
        message = f"there is a Cluster already, at {clusters[0].origin}"
        hint = "one directory of manifests is about one cluster"
        yield error(entry.document, ("kind",), "second-cluster", message, hint)
    if needed and not clusters:
        yield Finding(
            severity=Severity.ERROR,
            code="no-cluster",
            message="no manifest is of kind Cluster, so nothing is known of the cluster",
            hint="write one: apiVersion: qlop/v1, kind: Cluster, metadata.name, spec.nodes",
        )


def check_services(services: Sequence[Lowered], known: frozenset[str]) -> Iterator[Finding]:
    """Yield what services contradict each other in.

    ``known`` are the names of all services, those that are not among ``services``
    because something is wrong with them included.
    """
    yield from _check_guest_names(services)
    yield from _check_claims(services, "vmid", lambda lowered: lowered.vmids)
    yield from _check_claims(services, "mac", lambda lowered: lowered.macs)
    yield from _check_claims(services, "address", lambda lowered: lowered.addresses)
    yield from _check_templates(services)
    yield from _check_references(services, known)
    yield from _check_company(services)
    yield from _check_circles(services)


def _check_guest_names(services: Sequence[Lowered]) -> Iterator[Finding]:
    first: dict[str, Lowered] = {}
    for lowered in services:
        for name in lowered.service.guests:
            other = first.setdefault(name, lowered)
            if other is not lowered:
                message = f"a guest is called {name}, as one of {other.service.name} is"
                hint = "rename one of the services"
                yield lowered.scope.error((), "duplicate-guest", message, hint)


_WHAT = {"vmid": "VMID", "mac": "MAC address", "address": "address"}


def _check_claims(
    services: Sequence[Lowered], key: str, claims_of: Callable[[Lowered], tuple[Claim, ...]]
) -> Iterator[Finding]:
    first: dict[str, tuple[Claim, Lowered]] = {}
    for lowered in services:
        for claim in claims_of(lowered):
            other, owner = first.setdefault(claim.value, (claim, lowered))
            if other is claim:
                continue
            message = f"{claim.guest} can't have {_WHAT[key]} {claim.value}: {other.guest} has it"
            hint = f"the other is at {owner.scope.origin(other.path)}"
            if owner is lowered:
                hint = "write {index} in it, or a list with one for each guest"
            yield lowered.scope.error(claim.path, f"duplicate-{key}", message, hint)


def _check_templates(services: Sequence[Lowered]) -> Iterator[Finding]:
    templates = {lowered.template for lowered in services if isinstance(lowered.template, int)}
    for lowered in services:
        for claim in lowered.vmids:
            if int(claim.value) in templates:
                message = f"{claim.guest} can't have VMID {claim.value}: a template has it"
                yield lowered.scope.error(claim.path, "duplicate-vmid", message, "use another")


def _check_references(services: Sequence[Lowered], known: frozenset[str]) -> Iterator[Finding]:
    for lowered in services:
        placement, needed = lowered.placement, lowered.service.depends_on
        if not placement.apart_from and not placement.together_with and not needed:
            continue
        paths: tuple[tuple[Path, frozenset[ServiceName]], ...] = (
            (("placement", "apartFrom"), placement.apart_from),
            (("placement", "togetherWith"), placement.together_with),
            (("dependsOn",), needed),
        )
        for path, names in paths:
            for name in sorted(names - known):
                near = vocabulary.alike(name, known - {lowered.service.name})
                hint = f"did you mean {near}?" if near else ""
                message = f"there is no service {name}"
                yield lowered.scope.error(path, "unknown-service", message, hint)


def _check_company(services: Sequence[Lowered]) -> Iterator[Finding]:
    """Check who must be with whom: groups that share a node, and who must not."""
    by_name = {lowered.service.name: lowered for lowered in services}
    groups = _groups(by_name)
    for name, lowered in by_name.items():
        placement = lowered.placement
        for other in sorted(placement.apart_from):
            if other != name and groups.get(other, other) == groups[name]:
                message = f"it has to be apart from {other} and, by togetherWith, beside it"
                hint = "take one of the two out"
                path: Path = ("placement", "apartFrom")
                yield lowered.scope.error(path, "contradiction", message, hint)
        for other in sorted(placement.together_with):
            beside = by_name.get(other)
            if beside is not None and not _may_meet(lowered, beside):
                message = f"it has to be beside {other}, and no node is allowed to both"
                path = ("placement", "togetherWith")
                hint = "let placement.nodes of the two overlap"
                yield lowered.scope.error(path, "contradiction", message, hint)


def _check_circles(services: Sequence[Lowered]) -> Iterator[Finding]:
    """Yield a finding for each service that needs itself, by way of others."""
    by_name = {lowered.service.name: lowered for lowered in services}
    for name, lowered in by_name.items():
        way = _way(by_name, name)
        if way:
            message = f"dependsOn goes in a circle: {' needs '.join((*way, name))}"
            hint = "none of them could ever start first: take one out"
            yield lowered.scope.error(("dependsOn",), "contradiction", message, hint)


def _way(by_name: Mapping[ServiceName, Lowered], start: ServiceName) -> tuple[ServiceName, ...]:
    """Return how ``start`` needs itself by way of others, the shortest way; empty if not."""
    ways: list[tuple[ServiceName, ...]] = [(start,)]
    seen: set[ServiceName] = set()
    while ways:
        way = ways.pop(0)
        lowered = by_name.get(way[-1])
        for other in sorted(lowered.service.depends_on) if lowered is not None else ():
            if other == start and len(way) > 1:
                return way
            if other not in seen and other != start:
                seen.add(other)
                ways.append((*way, other))
    return ()


def _groups(by_name: Mapping[ServiceName, Lowered]) -> dict[ServiceName, ServiceName]:
    """Return for each service the name of the group that togetherWith puts it into."""
    group = {name: name for name in by_name}

    def top(name: ServiceName) -> ServiceName:
        while group[name] != name:
            name = group[name]
        return name

    for name, lowered in by_name.items():
        for other in lowered.placement.together_with:
            if other in group:
                group[top(name)] = top(other)
    return {name: top(name) for name in group}


def _may_meet(one: Lowered, other: Lowered) -> bool:
    first: frozenset[NodeName] | None = one.placement.allowed
    second = other.placement.allowed
    return first is None or second is None or bool(first & second)
