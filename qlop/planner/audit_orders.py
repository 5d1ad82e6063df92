"""Check a finished plan against what people ordered and manifests consented to.

Like the rest of the audit it asks neither the gates nor the steps: it reads the orders,
the consents and the clock anew.
"""

from collections.abc import Iterator, Mapping

from qlop.model.action import (
    Action,
    CloneGuest,
    CreateGuest,
    DestroyGuest,
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    ReplaceGuest,
    ShutdownGuest,
)
from qlop.model.consent import PLACEMENT, POWER, REPLACE, Consent, strictest
from qlop.model.desired import DesiredGuest
from qlop.model.finding import Finding, Severity
from qlop.model.ids import NodeName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.orders import Orders, in_force
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.model.policy import Strike
from qlop.model.reading import Known
from qlop.model.trial import Part
from qlop.planner import windows

_STRIKES: Mapping[type[Action], Strike] = {
    DestroyGuest: Strike.DESTROY,
    ShutdownGuest: Strike.STOP,
    RebootGuest: Strike.REBOOT,
    ReplaceGuest: Strike.STOP,
}


def check_orders(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    """Yield what a plan does that was forbidden, or that nobody has allowed yet."""
    orders = in_force(source.orders, source.now)
    if orders.freezes:
        yield _finding("frozen", "it acts although everything is frozen")
    for planned in plan.actions:
        for order in orders.suspensions:
            if order.scope.covers(planned.action.subject, planned.service, _nodes(planned)):
                yield _finding("suspended", f"{planned.id} touches {order.scope.text()}")
        if not _is_allowed(source, orders, planned):
            yield _finding("consent", f"{planned.id} is done without the consent it needs")
    yield from _check_fuse(source, orders, plan)


def _check_fuse(source: PlanInput, orders: Orders, plan: Plan) -> Iterator[Finding]:
    fuse = source.desired.cluster.policy.fuse
    ours = [guest for guest in source.observed.guests.values() if _is_ours(source, guest)]
    acknowledged = {one for order in orders.acknowledged for one in order.actions}
    struck: dict[Strike, set[VmId]] = {}
    for planned in plan.actions:
        strike = _strike(planned.action)
        if strike is None or planned.id in acknowledged or _is_emergency(orders, planned):
            continue
        struck.setdefault(strike, set()).add(planned.action.vmid)
    rest = {vmid for kind, vmids in struck.items() if kind not in fuse.kinds for vmid in vmids}
    over = len(rest) > max(fuse.guests, int(fuse.share * len(ours)))
    over |= any(len(struck.get(kind, ())) > one.of(len(ours)) for kind, one in fuse.kinds.items())
    if over:
        hit = {vmid for vmids in struck.values() for vmid in vmids}
        yield _finding("fuse", f"it strikes {len(hit)} of {len(ours)} guests")


def _strike(action: Action) -> Strike | None:
    if isinstance(action, MigrateGuest):
        return Strike.MOVE if action.mode is MigrationMode.RESTART else None
    return _STRIKES.get(type(action))


def _is_allowed(source: PlanInput, orders: Orders, planned: PlannedAction) -> bool:
    """Return whether the guest's manifest consents to an action, or a person does.

    What nobody uses yet needs no consent: a guest that is being made. Of a write only
    what is said of whole fields is looked at here.
    """
    want = source.desired.guests.get(planned.action.subject)
    reserved = source.history.reservations.get((planned.service, planned.index))
    if want is None or isinstance(planned.action, CreateGuest | CloneGuest):
        return True
    if planned.part is Part.UNDO and _is_bad(source, planned):
        return True  # Consent was given to the change, and with it to its undoing.
    guest = source.observed.guests.get(planned.action.vmid)
    if guest is None or (reserved is not None and not reserved.ran) or _is_unsealed(guest):
        return True
    said = _said(want, planned, gives_way=_gives_way(guest))
    if said is Consent.DO:
        return True
    if said not in {Consent.WINDOW, Consent.ASK}:
        return False
    if planned.impact is not Impact.DATA_LOSS and _is_emergency(orders, planned):
        return True
    if said is Consent.WINDOW:
        dark = source.desired.cluster.policy.blackouts
        return windows.is_open(want.windows, dark, source.now)
    approval = orders.approvals.get(planned.id)
    done = source.history.repetitions.get(planned.id)
    return approval is not None and (done is None or done.at <= approval.at)


def _is_bad(source: PlanInput, planned: PlannedAction) -> bool:
    """Return whether the change of the guest that is acted on was judged bad."""
    trial = source.history.trials.get((planned.service, planned.index))
    if trial is None or trial.bad is None:
        return False
    return trial.vmid in {None, planned.action.vmid}


def _said(want: DesiredGuest, planned: PlannedAction, *, gives_way: bool) -> Consent:
    consents, action = want.consents, planned.action
    match action:
        case RebootGuest():
            fields = [one.partition("=")[0] for one in action.applies]
            said = [consents.of(name, Impact.REBOOT) for name in fields]
            kept = [one for one in said if one not in {Consent.WARN, Consent.IGNORE}]
            return strictest(Consent.DO, *kept)
        case MigrateGuest():
            return consents.of(PLACEMENT, planned.impact)
        case ShutdownGuest() if gives_way:  # Consent was given when it was marked so.
            said_of_it = consents.of(REPLACE, planned.impact)
            return Consent.WINDOW if said_of_it is Consent.WINDOW else Consent.DO
        case ShutdownGuest():
            return consents.of(POWER, planned.impact)
        case ReplaceGuest():
            return consents.of(REPLACE, planned.impact)
        case _:
            dotted = {name.partition(".")[0] for name in consents.fields if "." in name}
            return strictest(
                Consent.DO,
                *(
                    consents.of_write(change.field, change.impact)
                    for change in planned.changes
                    if change.field.partition(".")[0] not in dotted
                    and change.field not in {"owner mark", "smbios1"}
                ),
            )


def _is_emergency(orders: Orders, planned: PlannedAction) -> bool:
    subject, nodes = planned.action.subject, _nodes(planned)
    return any(one.scope.covers(subject, planned.service, nodes) for one in orders.glasses)


def _nodes(planned: PlannedAction) -> frozenset[NodeName]:
    nodes = {planned.action.node}
    if isinstance(planned.action, MigrateGuest | CloneGuest):
        nodes.add(planned.action.target)
    return frozenset(nodes)


def _gives_way(guest: ObservedGuest) -> bool:
    mark = guest.config.value.mark if isinstance(guest.config, Known) else None
    return mark is not None and bool(mark.yields)


def _is_unsealed(guest: ObservedGuest) -> bool:
    if not isinstance(guest.config, Known):
        return False
    mark = guest.config.value.mark
    return mark is None or mark.witness != guest.config.value.witness


def _is_ours(source: PlanInput, guest: ObservedGuest) -> bool:
    if not isinstance(guest.config, Known) or guest.config.value.mark is None:
        return False
    mark = guest.config.value.mark
    return mark.cluster == source.desired.cluster.name and mark.vmid == guest.vmid


def _finding(code: str, message: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=f"audit-{code}", message=message)
