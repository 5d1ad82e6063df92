"""Lower what a manifest says of the care for a service, every default filled in."""

from hashlib import sha256

from qlop.manifest import care
from qlop.manifest.schema import ServiceSpec
from qlop.model import health
from qlop.model.health import Check
from qlop.model.rollout import Order, Rollback, RollbackMode, Update

_NO_PART_OF_A_REVISION = {
    "profiles",
    "replicas",
    "vmid",
    "vmid_range",
    "tags",
    "description",
    "placement",
    "on_boot",
    "startup",
    "changes",
    "windows",
    "update",
    "depends_on",
}
"""What can change without making another thing of what a guest is."""


def checks(spec: ServiceSpec) -> tuple[Check, ...]:
    """Return the checks of a service."""
    return tuple(_check(part) for part in spec.health or ())


def update(spec: ServiceSpec) -> Update:
    """Return how changes go through a service."""
    part, plain = spec.update or care.Update.model_construct(), Update()
    pause, ready = part.pause_after_canary, part.ready_after
    return Update(
        batch_size=part.batch_size or plain.batch_size,
        canary=part.canary or plain.canary,
        pause_after_canary=plain.pause_after_canary if pause is None else pause,
        max_unavailable=(
            plain.max_unavailable if part.max_unavailable is None else part.max_unavailable
        ),
        progress_deadline=part.progress_deadline or plain.progress_deadline,
        ready_after=plain.ready_after if ready is None else ready,
        order=Order(part.order) if part.order is not None else plain.order,
    )


def rollback(spec: ServiceSpec) -> Rollback:
    """Return what becomes of a bad change."""
    part, plain = spec.rollback or care.Rollback.model_construct(), Rollback()
    return Rollback(
        mode=RollbackMode(part.mode or "none"),
        memory=bool(part.memory),
        disks=bool(part.disks),
        watch=part.watch or plain.watch,
    )


def fingerprint(spec: ServiceSpec) -> str:
    """Return eight digits that change with what the guests of a service are.

    A change that turned out bad is known by it: numbers, tags, notes and the like are
    left out, since the same change under other tags is the same change.
    """
    meaning = spec.model_dump_json(exclude_none=True, exclude=_NO_PART_OF_A_REVISION)
    return sha256(meaning.encode()).hexdigest()[:8]


def _check(part: care.Check) -> Check:
    plain = health.RunningCheck()
    interval = part.interval or plain.interval
    timeout = part.timeout or plain.timeout
    failures = part.failures or plain.failures
    successes = part.successes or plain.successes
    start = plain.start_period if part.start_period is None else part.start_period
    if part.http is not None:
        low, high = part.http.status or (200, 399)
        return health.HttpCheck(
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start,
            port=part.http.port,
            path=part.http.path or "/",
            scheme=part.http.scheme or "http",
            lowest=low,
            highest=high,
            host=part.http.host or "",
            verify=part.http.verify is not False,
        )
    if part.tcp is not None:
        return health.TcpCheck(
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start,
            port=part.tcp.port,
        )
    kind = health.AgentCheck if part.agent is not None else health.RunningCheck
    return kind(
        interval=interval,
        timeout=timeout,
        failures=failures,
        successes=successes,
        start_period=start,
    )
