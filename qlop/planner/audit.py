"""Check a finished plan against the safety laws: a second opinion, not a second planner.

Whatever a bug in a step may have decided, a plan that breaks a law is dropped whole. The
checks look at the plan and the observation alone; none asks how the plan came about.
"""

from collections.abc import Iterator
from dataclasses import replace

from qlop.model.action import (
    CloneGuest,
    ConfigureGuest,
    CreateGuest,
    DeleteSnapshot,
    DestroyGuest,
    ReplaceGuest,
    RollbackSnapshot,
)
from qlop.model.finding import Finding, Severity
from qlop.model.guest import Power
from qlop.model.ids import VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest, Verification
from qlop.model.orders import in_force
from qlop.model.owner import OWN_TAG, OwnerMark, parse_mark, strip_mark
from qlop.model.plan import Plan, PlanInput, PlannedAction, Premise
from qlop.model.policy import BackupNeed, Prune
from qlop.model.reading import Known
from qlop.model.verdict import Act, Held, Hold
from qlop.planner.audit_budget import check_budgets, check_rollbacks
from qlop.planner.audit_orders import check_orders
from qlop.planner.audit_replacement import check_replacements, is_former


def audit(source: PlanInput, plan: Plan) -> tuple[Finding, ...]:
    """Return what is wrong with ``plan``; any finding means it must not be carried out."""
    if not plan.actions:
        return ()
    return (
        *_check_evidence(source, plan),
        *_check_new_vmids(source, plan),
        *_check_ownership(source, plan),
        *_check_destruction(source, plan),
        *check_budgets(source, plan),
        *check_rollbacks(source, plan),
        *check_replacements(source, plan),
        *_check_order(plan),
        *check_orders(source, plan),
    )


def dropped(plan: Plan, found: tuple[Finding, ...]) -> Plan:
    """Return ``plan`` as it is told to people: without actions, and why."""
    held = Held(
        reason=Hold.AUDIT,
        message=f"the plan breaks a safety law and was dropped whole: {found[0].message}",
        remedy="this is a bug in qlop: report it with the output of `qlop plan --json`",
    )
    verdicts = {
        name: replace(one, verdict=held) if isinstance(one.verdict, Act) else one
        for name, one in plan.verdicts.items()
    }
    return replace(plan, actions=(), verdicts=verdicts)


def _check_evidence(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    observed = source.observed
    if observed.quorate != Known(True):
        yield _finding("no-quorum", "it acts although quorum is not known to be there")
    if not observed.complete:
        yield _finding("no-evidence", "it acts on an incomplete listing of guests")
    flying = source.history.inflight
    vmids = {one.intended.vmid for one in flying.values()}
    for planned in plan.actions:
        if planned.action.subject in flying or planned.action.vmid in vmids:
            yield _finding("in-flight", f"{planned.id} meets an action that has not ended")


def _check_new_vmids(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    given: set[VmId] = set()
    for planned in plan.actions:
        action = planned.action
        if not isinstance(action, CreateGuest | CloneGuest):
            continue
        if action.vmid in source.observed.guests:
            yield _finding(
                "vmid-taken", f"{planned.id} would use VMID {action.vmid}, which exists"
            )
        if action.vmid in given:
            yield _finding("vmid-twice", f"VMID {action.vmid} is given out twice")
        given.add(action.vmid)
        if not planned.witness:
            yield _finding("unsigned", f"{planned.id} creates a guest without a witness")


def _check_ownership(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    born = {
        planned.action.vmid
        for planned in plan.actions
        if isinstance(planned.action, CreateGuest | CloneGuest)
    }
    cluster = source.desired.cluster.name
    for planned in plan.actions:
        vmid = planned.action.vmid
        if vmid in born:
            continue
        config = _config_of(source.observed.guests.get(vmid))
        if config is not None and _adopts(source, planned, config):
            continue
        if config is None or config.mark is None or planned.premise is None:
            yield _finding(
                "not-ours", f"{planned.id} touches {vmid}, which carries no mark of ours"
            )
        elif config.mark.cluster != cluster or config.mark.vmid != vmid:
            yield _finding("not-ours", f"{planned.id} touches {vmid}, which is another's")
        elif planned.premise.mark != config.mark or planned.premise.witness != config.witness:
            yield _finding("premise", f"{planned.id} assumes another identity than {vmid} has")
        elif config.mark.witness != config.witness and not _seals_first(planned, plan):
            yield _finding("unsealed", f"{planned.id} touches {vmid} before its seal")


def _adopts(source: PlanInput, planned: PlannedAction, config: GuestConfig) -> bool:
    """Return whether an action does no more than sign a guest that is ordered to be adopted.

    Its notes stay in front of the mark, its tags stay, and who is proven to own it keeps it.
    """
    action, mark = planned.action, config.mark
    order = in_force(source.orders, source.now).adoptions.get(action.vmid)
    if order is None or not isinstance(action, ConfigureGuest) or action.delete:
        return False
    text, tags = config.options.get("description", ""), config.options.get("tags", "")
    written = action.set.get("description", "")
    is_owned = mark is not None and (mark.vmid, mark.witness) == (action.vmid, config.witness)
    if is_owned or not isinstance(text, str) or not isinstance(tags, str):
        return False
    kept = set(filter(None, tags.split(";")))
    return (
        parse_mark(written)
        == OwnerMark(
            cluster=source.desired.cluster.name,
            service=order.service,
            index=order.index,
            vmid=action.vmid,
            witness=config.witness,
        )
        and (planned.service, planned.index) == (order.service, order.index)
        and strip_mark(written) == strip_mark(text)
        and action.set.keys() <= {"description", "tags"}
        and set(action.set.get("tags", tags).split(";")) - {OWN_TAG, ""} == kept - {OWN_TAG}
        and planned.premise == Premise(mark=mark, witness=config.witness)
    )


def _seals_first(planned: PlannedAction, plan: Plan) -> bool:
    """Return whether the first action on this guest is the one that seals it."""
    mine = [other for other in plan.actions if other.action.vmid == planned.action.vmid]
    return "seal" in mine[0].expects


def _check_destruction(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    policy = source.desired.cluster.policy
    wanted = {(guest.service, guest.index) for guest in source.desired.guests.values()}
    for planned in plan.actions:
        action = planned.action
        if planned.impact is Impact.DATA_LOSS and not isinstance(
            action, DestroyGuest | DeleteSnapshot | RollbackSnapshot | ReplaceGuest
        ):
            yield _finding("data-loss", f"{planned.id} would lose data")
        if not isinstance(action, DestroyGuest):
            continue
        if policy.prune.mode is not Prune.DESTROY:
            yield _finding("prune", f"{planned.id} destroys although the policy does not say so")
        yield from _check_grace(source, planned)
        if (planned.service, planned.index) in wanted and not is_former(source, action.vmid):
            yield _finding("wanted", f"{planned.id} destroys a guest that a manifest names")
        config = _config_of(source.observed.guests.get(action.vmid))
        if config is not None and config.options.get("protection") == "1":
            yield _finding("protected", f"{planned.id} destroys a protected guest")
        if planned.premise is None or planned.premise.power is not Power.STOPPED:
            yield _finding("running", f"{planned.id} does not insist that the guest is stopped")


def _check_grace(source: PlanInput, planned: PlannedAction) -> Iterator[Finding]:
    """Check that the guest was kept for its time, as it is, and can be had back."""
    pruning, vmid = source.desired.cluster.policy.prune, planned.action.vmid
    stone = source.history.tombstones.get(vmid)
    guest = source.observed.guests.get(vmid)
    config = _config_of(guest)
    if stone is None or guest is None or config is None:
        yield _finding("no-tombstone", f"{planned.id} destroys a guest that has no tombstone")
        return
    if (stone.service, stone.index) != (planned.service, planned.index) or (
        (stone.witness, stone.digest) != (config.witness, config.digest)
    ):
        yield _finding("other-tombstone", f"{planned.id} destroys another than has the tombstone")
    if stone.at + pruning.grace > source.now:
        yield _finding("grace", f"{planned.id} destroys a guest in its time of grace")
    if (planned.service, planned.index) in source.orders.undeleted and (
        source.orders.undeleted[planned.service, planned.index].until > source.now
    ):
        yield _finding("undeleted", f"{planned.id} destroys a guest that was undeleted")
    if pruning.backup is BackupNeed.NOT_NEEDED:
        return
    backup = planned.premise.backup if planned.premise is not None else None
    seen = source.observed.backups.get(vmid)
    listed = seen.value if isinstance(seen, Known) else ()
    if backup is None or backup not in listed or backup.taken_at <= stone.at:
        yield _finding("no-backup", f"{planned.id} destroys a guest without a backup of it")
    elif backup.verification not in {Verification.GOOD, Verification.NOT_OFFERED}:
        yield _finding("bad-backup", f"{planned.id} destroys a guest whose backup is not good")


def _check_order(plan: Plan) -> Iterator[Finding]:
    seen: set[str] = set()
    for planned in plan.actions:
        if planned.id in seen:
            yield _finding("twice", f"{planned.id} is planned twice")
        if any(before not in seen for before in planned.after):
            yield _finding("order", f"{planned.id} comes before what it must follow")
        seen.add(planned.id)


def _is_ours(source: PlanInput, guest: ObservedGuest) -> bool:
    config = _config_of(guest)
    return (
        config is not None
        and config.mark is not None
        and config.mark.cluster == source.desired.cluster.name
        and config.mark.vmid == guest.vmid
    )


def _config_of(guest: ObservedGuest | None) -> GuestConfig | None:
    if guest is None or not isinstance(guest.config, Known):
        return None
    return guest.config.value


def _finding(code: str, message: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=f"audit-{code}", message=message)
