"""Compare two statuses and say what happened in between, purely."""

from collections.abc import Iterator

from qlop.model.event import Event, EventKind
from qlop.model.orders import BreakGlass, approval_id
from qlop.model.status import Status, SubjectStatus
from qlop.model.verdict import Act, Converged, Held, Hold
from qlop.render.order import about, order_text

_PASSING = frozenset({Hold.IN_FLIGHT, Hold.TASK_RUNNING})
"""Holds that say no more than the events of the action itself."""

_WORLD = frozenset({Hold.NO_QUORUM, Hold.OBSERVATION_INCOMPLETE})
"""Holds of all guests at once, of which one event about the cluster says everything."""


def between(before: Status | None, after: Status) -> tuple[Event, ...]:
    """Return what a person watching would want to be told, in a stable order."""
    return (
        *_cluster(before, after),
        *_orders(before, after),
        *_nodes(before, after),
        *_subjects(before, after),
    )


def _cluster(before: Status | None, after: Status) -> Iterator[Event]:
    stalled = before.stalled if before is not None else ""
    if after.stalled and after.stalled != stalled:
        yield _event(after, EventKind.STALLED, "cluster", after.stalled)
    if stalled and not after.stalled:
        yield _event(after, EventKind.RESUMED, "cluster", f"over: {stalled}")
    revision = before.revision if before is not None else None
    if after.revision is not None and after.revision != revision:
        text = f"revision {after.revision} is in force"
        yield _event(after, EventKind.REVISION_LOADED, "manifests", text)
    old = before.findings if before is not None else ()
    if after.findings != old:
        errors = [found for found in after.findings if found.severity.value == "error"]
        if errors:
            first = errors[0]
            where = f"{first.origin}: " if first.origin is not None else ""
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            kept = "the last good revision stays in force"
            then = kept if revision is not None else "there is no good revision yet"
            text = f"{where}{first.message}{more}; {then}"
            yield _event(after, EventKind.REVISION_REFUSED, "manifests", text)


def _orders(before: Status | None, after: Status) -> Iterator[Event]:
    """Tell of orders; those of before qlop came up were told of when they were given."""
    if before is None:
        return
    former = {order.id: order for order in before.orders}
    now = {order.id: order for order in after.orders}
    for order in after.orders:
        if order.id not in former:
            is_glass = isinstance(order, BreakGlass)
            kind = EventKind.GLASS_BROKEN if is_glass else EventKind.ORDER_GIVEN
            yield _event(after, kind, about(order), order_text(order))
    for order in before.orders:
        if order.id not in now:
            text = f"no longer in force: {order_text(order)}"
            yield _event(after, EventKind.ORDER_ENDED, about(order), text)
    asked = {planned.id for planned in before.asks}
    for planned in after.asks:
        if planned.id not in asked:
            text = f"{approval_id(planned.id)}: {planned.reason}"
            yield _event(after, EventKind.APPROVAL_WANTED, planned.action.subject, text)


def _nodes(before: Status | None, after: Status) -> Iterator[Event]:
    """Yield what became of nodes. If none is online, nobody was asked: it says nothing."""
    if not any(node.online for node in after.nodes):
        return
    former = before.nodes if before is not None else ()
    blind = not any(node.online for node in former)
    online = {} if blind else {node.name: node.online for node in former}
    for node in after.nodes:
        was = online.get(node.name, True)
        if was and not node.online:
            yield _event(after, EventKind.NODE_LOST, node.name, "does not answer")
        if not was and node.online:
            yield _event(after, EventKind.NODE_BACK, node.name, "is back")


def _subjects(before: Status | None, after: Status) -> Iterator[Event]:
    if before is not None and before.subjects is after.subjects:
        return
    old = {subject.name: subject for subject in before.subjects} if before is not None else {}
    for subject in after.subjects:
        former = old.get(subject.name)
        if former is None or former.verdict != subject.verdict:
            yield from _subject(after, former, subject)
        if subject.warnings and (former is None or former.warnings != subject.warnings):
            text = "; ".join(subject.warnings)
            yield _event(after, EventKind.DRIFT_SEEN, subject.name, text)


def _subject(after: Status, former: SubjectStatus | None, now: SubjectStatus) -> Iterator[Event]:
    told = former.verdict.reason if former and isinstance(former.verdict, Held) else None
    match now.verdict:
        case Converged():
            if former is not None and not former.is_ready and told not in _WORLD:
                yield _event(
                    after, EventKind.SUBJECT_CONVERGED, now.name, "is as its manifest says"
                )
        case Act():
            if (former is not None and former.is_ready) or told in _WORLD:
                yield _event(after, EventKind.DRIFT_SEEN, now.name, "differs from its manifest")
        case Held(reason=reason, message=message):
            if reason not in _PASSING | _WORLD and reason is not told:
                yield _event(after, EventKind.SUBJECT_HELD, now.name, f"{reason.value}: {message}")


def _event(after: Status, kind: EventKind, subject: str, message: str) -> Event:
    return Event(at=after.at, cycle=after.cycle, kind=kind, subject=subject, message=message)
