"""Count and measure what the daemon does: every metric there is, in one file.

Methods are named for what happened; nobody else knows of Prometheus. Label values are
bounded, and those known beforehand are there with 0 from the start, so that a rate can
be taken of the first event already.
"""

import platform
from collections import Counter as Counts
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from qlop.model.action import Verb
from qlop.model.event import EventKind
from qlop.model.finding import Severity
from qlop.model.health import Condition
from qlop.model.history import Ending
from qlop.model.orders import OrderKind, kind_of
from qlop.model.status import NodeStatus, Status, SubjectStatus
from qlop.model.verdict import Act, Converged, Held, Hold, Verdict

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""What ``Metrics.render`` returns, as an HTTP header says it."""

CYCLE_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ACTION_BUCKETS_S = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600)
CALL_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class CycleOutcome(Enum):
    """How a cycle ended."""

    SUCCEEDED = "succeeded"
    STALLED = "stalled"
    """It ended well, but something stood in the way of acting: see ``Status.stalled``."""
    FAILED = "failed"
    """A bug or an error that nobody expected ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric as its reference lists it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


class Metrics:
    """The daemon's metrics, in a registry of their own."""

    def __init__(self, *, version: str, endpoints: Iterable[str] = ()) -> None:
        """Begin at 0. ``endpoints`` are the API's addresses, as ``host:port``."""
        # They would double the series and say nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._families: list[Family] = []
        self._shown: Sequence[SubjectStatus] | None = None
        self._nodes_shown: Sequence[NodeStatus] | None = None
        self._cycles()
        self._actions()
        self._guests()
        self._cluster()
        self._api(endpoints)
        build = self._gauge(
            "build_info", "Always 1; the labels say what runs.", "version", "python"
        )
        build.labels(version=version, python=platform.python_version()).set(1)
        ProcessCollector(registry=self._registry)

    def _cycles(self) -> None:
        self._cycle_count = self._counter("cycles", "Cycles, by how they ended.", "outcome")
        for outcome in CycleOutcome:
            self._cycle_count.labels(outcome=outcome.value)
        self._cycle_seconds = self._histogram(
            "cycle_duration_seconds", "How long a cycle took.", CYCLE_BUCKETS_S
        )
        self._observed_at = self._gauge(
            "last_observation_timestamp_seconds",
            "When the cluster was last seen whole; 0 if never.",
        )
        self._reconciled_at = self._gauge(
            "last_reconcile_timestamp_seconds", "When a cycle last succeeded; 0 if never."
        )
        self._stalled = self._gauge("stalled", "1 while something stands in the way of acting.")
        self._leading = self._gauge("leading", "1 while this qlop holds the lease.")
        self._revision = self._gauge(
            "desired_revision_info", "Always 1; the label is the revision in force.", "revision"
        )
        self._findings = self._gauge(
            "findings", "Findings of the newest manifests and plan, by severity.", "severity"
        )
        for severity in Severity:
            self._findings.labels(severity=severity.value)
        self._events = self._counter("events", "Events that a person could watch.", "kind")
        for kind in EventKind:
            self._events.labels(kind=kind.value)

    def _actions(self) -> None:
        self._action_count = self._counter(
            "actions", "Actions that ended, by verb and ending.", "verb", "ending"
        )
        self._action_seconds = self._histogram(
            "action_duration_seconds",
            "From the intent to the end of actions that succeeded or failed.",
            ACTION_BUCKETS_S,
            "verb",
        )
        for verb in Verb:
            self._action_seconds.labels(verb=verb.value)
            for ending in Ending:
                self._action_count.labels(verb=verb.value, ending=ending.value)
        self._inflight = self._gauge("actions_inflight", "Actions whose end is not known yet.")
        self._queued = self._gauge("actions_queued", "Planned actions that have not begun.")
        self._journal = self._gauge(
            "journal_failing", "1 while the journal can't be written: nothing is sent then."
        )

    def _guests(self) -> None:
        self._wanted = self._gauge("guests_wanted", "Guests that the manifests name.")
        self._ready = self._gauge("guests_ready", "Guests that are as wanted.")
        self._drifted = self._gauge("guests_drifted", "Guests that differ and are acted on.")
        self._held = self._gauge(
            "guests_held", "Guests left as they are, at least in part, by reason.", "reason"
        )
        for reason in Hold:
            self._held.labels(reason=reason.value)
        self._health = self._gauge(
            "guests_health", "Guests that have checks, by what these amount to.", "condition"
        )
        for condition in Condition:
            self._health.labels(condition=condition.value)
        self._warned = self._gauge(
            "guests_warned", "Guests that differ in what is only to be told (`changes: warn`)."
        )
        self._orders = self._gauge("orders", "People's orders in force, by kind.", "kind")
        self._orders_left = self._gauge(
            "orders_seconds_left",
            "Seconds until the last order of a kind ends; 0 if there is none.",
            "kind",
        )
        for kind in OrderKind:
            self._orders.labels(kind=kind.value)
            self._orders_left.labels(kind=kind.value)
        self._asked = self._gauge("approvals_wanted", "Actions that wait for an approval.")
        self._fuses = self._gauge("fuses_blown", "Fuses that hold the plan.")
        self._unmanaged = self._gauge("guests_unmanaged", "Guests that are not ours.")
        self._unknown = self._gauge(
            "guests_unknown", "Guests whose configuration could not be read: whose is not known."
        )
        self._grace_end = self._gauge(
            "tombstone_end_timestamp_seconds",
            "When the next guest's time of grace ends; 0 while there is no tombstone.",
        )

    def _cluster(self) -> None:
        self._quorate = self._gauge("cluster_quorate", "1 while the cluster has a quorum.")
        self._gaps = self._gauge("observation_gaps", "Things that could not be seen.")
        self._online = self._gauge(
            "node_online", "1 while the node is online; no series while it can't be seen.", "node"
        )
        self._node_guests = self._gauge("node_guests", "Guests on the node.", "node")
        self._memory = self._gauge("node_memory_bytes", "Memory that the node has.", "node")
        self._promised = self._gauge(
            "node_memory_promised_bytes", "Memory promised to the guests of the node.", "node"
        )

    def _api(self, endpoints: Iterable[str]) -> None:
        self._calls = self._counter(
            "api_calls",
            "Calls of the PVE API; the status is `none` where no answer came.",
            "method",
            "route",
            "status",
        )
        self._call_seconds = self._histogram(
            "api_call_duration_seconds", "How long a call took.", CALL_BUCKETS_S, "method"
        )
        self._endpoint_up = self._gauge(
            "api_endpoint_up", "1 while the last call to the endpoint got an answer.", "endpoint"
        )
        for endpoint in endpoints:
            self._endpoint_up.labels(endpoint=endpoint).set(1)

    def cycle_finished(self, outcome: CycleOutcome, seconds: float) -> None:
        """Count a cycle that came to its end."""
        self._cycle_count.labels(outcome=outcome.value).inc()
        self._cycle_seconds.observe(seconds)

    def cycle_broke(self) -> None:
        """Count a cycle that an unexpected error ended: how long it took says nothing."""
        self._cycle_count.labels(outcome=CycleOutcome.FAILED.value).inc()

    def action_finished(self, verb: Verb, ending: Ending, seconds: float) -> None:
        """Count an action; its duration only if it was carried out and its end is known."""
        self._action_count.labels(verb=verb.value, ending=ending.value).inc()
        if ending in {Ending.SUCCEEDED, Ending.FAILED}:
            self._action_seconds.labels(verb=verb.value).observe(seconds)

    def event_seen(self, kind: EventKind) -> None:
        """Count an event."""
        self._events.labels(kind=kind.value).inc()

    def call_finished(self, method: str, route: str, status: int | None, seconds: float) -> None:
        """Count a call of the API. ``route`` is the template, never a path with values."""
        text = "none" if status is None else str(status) if 100 <= status <= 599 else "other"
        self._calls.labels(method=method, route=route, status=text).inc()
        self._call_seconds.labels(method=method).observe(seconds)

    def endpoints_checked(self, healthy: Mapping[str, bool]) -> None:
        """Note which endpoints of the API (``host:port``) work."""
        for endpoint, works in healthy.items():
            self._endpoint_up.labels(endpoint=endpoint).set(works)

    def publish(self, status: Status, *, queued: int, journal_trouble: str = "") -> None:
        """Show how things stand at the end of a cycle.

        ``queued`` counts the plan's actions that were not started; ``journal_trouble`` is
        the executor's ``trouble``.
        """
        self._observed_at.set(status.observed_at.timestamp() if status.observed_at else 0)
        self._reconciled_at.set(status.reconciled_at.timestamp() if status.reconciled_at else 0)
        self._stalled.set(bool(status.stalled))
        self._leading.set(status.leading)
        self._revision.clear()
        if status.revision is not None:
            self._revision.labels(revision=status.revision).set(1)
        self._queued.set(queued)
        self._journal.set(bool(journal_trouble))
        for severity in Severity:
            count = sum(finding.severity is severity for finding in status.findings)
            self._findings.labels(severity=severity.value).set(count)
        self._publish_orders(status)
        self._publish_guests(status)
        self._publish_cluster(status)

    def _publish_orders(self, status: Status) -> None:
        self._asked.set(len(status.asks))
        self._fuses.set(len(status.fuses))
        for kind in OrderKind:
            ends = [order.until for order in status.orders if kind_of(order) is kind]
            left = max(((end - status.at).total_seconds() for end in ends), default=0)
            self._orders.labels(kind=kind.value).set(len(ends))
            self._orders_left.labels(kind=kind.value).set(left)

    def _publish_guests(self, status: Status) -> None:
        self._unknown.set(len(status.unknown))
        if status.subjects is self._shown:
            return
        self._shown = status.subjects
        self._warned.set(sum(bool(subject.warnings) for subject in status.subjects))
        self._wanted.set(len(status.subjects))
        self._ready.set(status.ready)
        self._unmanaged.set(len(status.unmanaged))
        self._inflight.set(sum(subject.inflight is not None for subject in status.subjects))
        verdicts = [subject.verdict for subject in status.subjects]
        self._drifted.set(sum(isinstance(verdict, Act) for verdict in verdicts))
        reasons = Counts(map(_held_by, verdicts))
        for reason in Hold:
            self._held.labels(reason=reason.value).set(reasons[reason])
        ends = [
            verdict.until
            for verdict in verdicts
            if isinstance(verdict, Held)
            and verdict.reason is Hold.TOMBSTONED
            and verdict.until is not None
        ]
        self._grace_end.set(min(ends).timestamp() if ends else 0)
        conditions = Counts(one.health.condition for one in status.subjects if one.health)
        for condition in Condition:
            self._health.labels(condition=condition.value).set(conditions[condition])

    def _publish_cluster(self, status: Status) -> None:
        self._quorate.set(status.quorate)
        self._gaps.set(len(status.gaps))
        if status.nodes is self._nodes_shown:
            return
        self._nodes_shown = status.nodes
        for gauge in (self._online, self._node_guests, self._memory, self._promised):
            gauge.clear()
        for node in status.nodes:
            if node.seen:
                self._online.labels(node=node.name).set(node.online)
            self._node_guests.labels(node=node.name).set(node.guests)
            self._memory.labels(node=node.name).set(node.memory_bytes)
            self._promised.labels(node=node.name).set(node.memory_promised_bytes)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def families(self) -> tuple[Family, ...]:
        """Return what there is, for the reference."""
        return tuple(self._families)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self._list(f"{name}_total", "counter", text, labels)
        return Counter(f"qlop_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self._list(name, "gauge", text, labels)
        return Gauge(f"qlop_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        self._list(name, "histogram", text, labels)
        return Histogram(f"qlop_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _list(self, name: str, kind: str, text: str, labels: tuple[str, ...]) -> None:
        self._families.append(Family(name=f"qlop_{name}", kind=kind, labels=labels, help=text))


def _held_by(verdict: Verdict) -> Hold | None:
    match verdict:
        case Held():
            return verdict.reason
        case Act():
            return verdict.held.reason if verdict.held is not None else None
        case Converged():
            return None
        case _ as never:
            assert_never(never)
