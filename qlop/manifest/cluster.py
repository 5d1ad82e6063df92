"""Lower the Cluster document: what is expected there, and the policy."""

from collections.abc import Iterator
from datetime import timedelta

from qlop.manifest import windows
from qlop.manifest.marks import Path
from qlop.manifest.schema import (
    DEFAULT_VMID_RANGE,
    BackoffPart,
    BudgetPart,
    ClusterSpec,
    FusePart,
    LimitsPart,
    LostServices,
    PolicyPart,
    PrunePart,
)
from qlop.manifest.validate import Entry, error
from qlop.model.desired import DesiredCluster
from qlop.model.finding import Finding
from qlop.model.ids import ClusterName, NodeName, StorageId
from qlop.model.policy import (
    BackupNeed,
    Budget,
    Fuse,
    FuseLimit,
    Limits,
    Policy,
    Prune,
    Pruning,
    Strike,
)
from qlop.model.units import format_span

DEFAULT_INTERVAL = timedelta(seconds=30)
"""Often enough to heal before people call, seldom enough to be nothing to PVE."""


MIN_INTERVAL = timedelta(seconds=1)
"""PVE's own view of its guests is renewed every ten seconds."""

MAX_INTERVAL = timedelta(minutes=2)
"""What happens between two looks is seen late; and systemd restarts a daemon that has
completed no cycle in five minutes."""


def check_cluster(entry: Entry, spec: ClusterSpec) -> Iterator[Finding]:
    """Yield what the Cluster document contradicts itself in."""
    for key, names in (("nodes", spec.nodes), ("storages", spec.storages or [])):
        for position, name in enumerate(names):
            if name in names[:position]:
                path: Path = ("spec", key, position)
                yield error(entry.document, path, "duplicate", f"{name} is in {key} twice")
    if spec.interval is not None and spec.interval < MIN_INTERVAL:
        message = f"an interval of less than {format_span(MIN_INTERVAL)} shows nothing new"
        yield error(entry.document, ("spec", "interval"), "too-small", message, "write 30s")
    if spec.interval is not None and spec.interval > MAX_INTERVAL:
        message = f"with an interval of more than {format_span(MAX_INTERVAL)} trouble is seen late"
        yield error(entry.document, ("spec", "interval"), "too-large", message, "write 30s")
    policy = _policy(spec.policy or PolicyPart.model_construct())
    if policy.backoff_first > policy.backoff_max:
        first, longest = format_span(policy.backoff_first), format_span(policy.backoff_max)
        message = f"the first pause, {first}, is longer than the longest, {longest}"
        yield error(entry.document, ("spec", "policy", "backoff"), "contradiction", message)
    if not policy.memory_overcommit:
        message = "an overcommit of 0% leaves no memory for any guest"
        path = ("spec", "policy", "memoryOvercommit")
        yield error(entry.document, path, "too-small", message, "write 100%")
    yield from _check_windows(entry, spec.policy or PolicyPart.model_construct())


def _check_windows(entry: Entry, part: PolicyPart) -> Iterator[Finding]:
    names: set[str] = set()
    for position, one in enumerate(part.windows or ()):
        path: Path = ("spec", "policy", "windows", position)
        found = windows.problem(one)
        if found is not None:
            key, message, hint = found
            yield error(entry.document, (*path, key), "window", message, hint)
        if one.name is None:
            message = "a window of the cluster needs a name"
            yield error(entry.document, path, "missing", message, "write name: night")
        elif one.name in names:
            message = f"there is a window {one.name} already"
            yield error(entry.document, (*path, "name"), "duplicate", message, "rename it")
        names.add(one.name or "")
    for position, dark in enumerate(part.blackouts or ()):
        if dark.end < dark.start:  # ISO dates sort as they come.
            message = f"it ends on {dark.end}, before it begins on {dark.start}"
            path = ("spec", "policy", "blackouts", position, "end")
            yield error(entry.document, path, "contradiction", message, "end is the last day")


def lower_cluster(entry: Entry, spec: ClusterSpec) -> DesiredCluster:
    """Return the cluster with every default filled in."""
    return DesiredCluster(
        name=ClusterName(entry.name),
        nodes=tuple(NodeName(node) for node in spec.nodes),
        storages=tuple(StorageId(storage) for storage in spec.storages or ()),
        policy=_policy(spec.policy or PolicyPart.model_construct()),
        interval=spec.interval or DEFAULT_INTERVAL,
        vmid_range=spec.vmid_range or DEFAULT_VMID_RANGE,
        origin=entry.origin,
    )


def _policy(part: PolicyPart) -> Policy:
    plain = Policy()
    backoff = part.backoff or BackoffPart.model_construct()
    zone = part.timezone or windows.DEFAULT_ZONE
    return Policy(
        prune=_pruning(part.prune or PrunePart.model_construct()),
        fuse=_fuse(part.fuse or FusePart.model_construct()),
        budget=_budget(part.budget or BudgetPart.model_construct()),
        limits=_limits(part.limits or LimitsPart.model_construct()),
        memory_reserve_share=_or(part.memory_reserve, plain.memory_reserve_share),
        memory_overcommit=_or(part.memory_overcommit, plain.memory_overcommit),
        storage_reserve_share=_or(part.storage_reserve, plain.storage_reserve_share),
        backoff_first=backoff.first or plain.backoff_first,
        backoff_max=backoff.max or plain.backoff_max,
        windows=windows.lower_windows(part.windows or (), zone),
        blackouts=tuple(windows.lower_blackouts(part.blackouts or (), zone)),
    )


def _pruning(part: PrunePart) -> Pruning:
    plain = Pruning()
    return Pruning(
        mode=plain.mode if part.mode is None else Prune(part.mode),
        grace=plain.grace if part.grace is None else part.grace,
        backup=plain.backup if part.backup is None else BackupNeed(part.backup),
    )


def _fuse(part: FusePart) -> Fuse:
    plain = Fuse()
    lost = part.lost_services or LostServices.model_construct()
    said = (
        (Strike.DESTROY, part.destroy),
        (Strike.STOP, part.stop),
        (Strike.REBOOT, part.reboot),
        (Strike.MOVE, part.move),
    )
    return Fuse(
        guests=plain.guests if part.guests is None else part.guests,
        share=_or(part.share, plain.share),
        kinds={
            strike: FuseLimit(guests=limit.guests or 0, share=limit.share or 0)
            for strike, limit in said
            if limit is not None
        },
        lost_services=plain.lost_services if lost.services is None else lost.services,
        lost_share=_or(lost.share, plain.lost_share),
    )


def _budget(part: BudgetPart) -> Budget:
    return Budget(node=part.node, cluster=part.cluster)


def _limits(part: LimitsPart) -> Limits:
    plain = Limits()
    return Limits(
        cluster=part.cluster or plain.cluster,
        node=part.node or plain.node,
        node_migrations=part.node_migrations or plain.node_migrations,
        storage_clones=part.storage_clones or plain.storage_clones,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
