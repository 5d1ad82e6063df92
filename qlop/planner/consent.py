"""Ask the manifest's consent: what may be done now, and what waits for whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qlop.model.action import verb_of
from qlop.model.consent import Consent
from qlop.model.desired import DesiredGuest
from qlop.model.history import History
from qlop.model.ids import ActionId, NodeName
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.orders import Orders, approval_id
from qlop.model.plan import Change
from qlop.model.verdict import Held, Hold
from qlop.planner import config, growth, narrow, newdisk, reserved, write
from qlop.planner.draft import Draft
from qlop.planner.ownership import needs_seal
from qlop.planner.step import Step, Steps, action_id, chained
from qlop.planner.windows import instant_text

OWNER_MARK = "owner mark"
"""The field of the signature in the notes, which is nobody's to allow or forbid."""


@dataclass(slots=True)
class Writes:
    """What is written to a guest, what of it waits, and what is only said."""

    steps: list[Step] = field(default_factory=list)
    holds: list[Held] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rebooting: set[str] = field(default_factory=set)
    """Fields that are written and take effect with a reboot."""

    def add(self, judged: Steps) -> None:
        """Take in what became of a step."""
        self.steps += judged.steps
        self.warnings += judged.warnings
        if judged.held is not None:
            self.holds.append(judged.held)


def plan_writes(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> Writes:
    """Return the writes that a guest's consents allow now, the freest first."""
    assigned = dict(want.consents.fields)
    want = heeded(want, have)
    found = _difference(draft, want, guest, have)
    writes = Writes()
    if found.changes or found.grow or found.holds:
        _assign_by_impact(assigned, want, guest, have, found)
    groups = set(assigned.values()) - {Consent.DO, Consent.IGNORE}
    if groups:
        mine = narrow.narrowed(want, have, lambda name: _is_in(assigned, name, Consent.DO))
        found = _difference(draft, mine, guest, have)
    writes.steps += write.steps_for(
        want, guest, have, found, draft.source.history, digest=have.digest
    )
    writes.holds += found.holds
    writes.rebooting |= _needing_reboot(found)
    if not needs_seal(have):  # Whose it is comes first; the rest is seen when that is done.
        for said in sorted(groups, key=lambda one: one.value, reverse=True):
            _plan_group(draft, writes, want, guest, have, assigned=assigned, said=said)
    pool = write.pool_step(want, guest, have)
    if pool is not None:
        writes.add(judged(draft, want, pool, want.consents.of("pool", Impact.NONE)))
    return writes


def _difference(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> config.Difference:
    found = config.difference(want, guest, have)
    newdisk.hold_back(found, want, guest, have, draft.source.observed)
    growth.hold_back(draft, found, want, guest)
    reserved.hold_back(found, want, guest, have)
    return found


def heeded(want: DesiredGuest, have: GuestConfig) -> DesiredGuest:
    """Return what is wanted without the fields that belong to others."""
    if Consent.IGNORE not in want.consents.fields.values():
        return want
    said = want.consents.fields
    return narrow.narrowed(want, have, lambda name: not _is_in(said, name, Consent.IGNORE))


def judged(draft: Draft, want: DesiredGuest, step: Step, said: Consent) -> Steps:
    """Return the step if ``said`` lets it be done now, else why it waits, or what is told."""
    match said:
        case Consent.WARN:
            return Steps(warnings=(f"{step.reason} (changes: warn)",))
        case Consent.IGNORE:
            return Steps()
        case Consent.DO:
            return Steps(steps=(step,))
        case Consent.WINDOW | Consent.ASK:
            if may(draft, want, step, said):
                return Steps(steps=(step,))
            waits = _window_hold if said is Consent.WINDOW else _approval_hold
            return Steps(held=waits(draft, want, step))


def may(draft: Draft, want: DesiredGuest, step: Step, said: Consent) -> bool:
    """Return whether ``said`` lets a step be done now."""
    if said is Consent.DO:
        return True
    if said in {Consent.WARN, Consent.IGNORE}:
        return False
    if step.impact is not Impact.DATA_LOSS and is_glass_broken(draft.orders, want, _nodes(step)):
        return True
    if said is Consent.WINDOW:
        return draft.window(want.windows)[0]
    return is_approved(draft.orders, draft.source.history, action_id(step.action))


def is_approved(orders: Orders, history: History, action: ActionId) -> bool:
    """Return whether somebody approved an action that was not done since.

    An approval is for one time: what succeeded after it was given has used it up.
    """
    approval = orders.approvals.get(action)
    if approval is None:
        return False
    done = history.repetitions.get(action)
    return done is None or done.at <= approval.at


def is_glass_broken(orders: Orders, want: DesiredGuest, nodes: frozenset[NodeName]) -> bool:
    """Return whether an emergency is declared that covers a guest."""
    return any(glass.scope.covers(want.name, want.service, nodes) for glass in orders.glasses)


def _nodes(step: Step) -> frozenset[NodeName]:
    target: NodeName | None = getattr(step.action, "target", None)
    return frozenset({step.action.node} | ({target} if target is not None else set()))


def _is_in(assigned: Mapping[str, Consent], name: str, said: Consent) -> bool:
    found = assigned.get(name) or assigned.get(name.partition(".")[0]) or Consent.DO
    return found is said


def _assign_by_impact(
    assigned: dict[str, Consent],
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    found: config.Difference,
) -> None:
    """Note the consent to each difference of whose field nothing is said."""
    consents = want.consents
    inner = {name for name in consents.fields if "." in name}
    if inner:
        rest = narrow.narrowed(want, have, lambda name: name not in inner)
        found = config.difference(rest, guest, have)
    for change in found.changes:
        if change.field == OWNER_MARK or change.field in assigned:
            continue
        said = consents.of_write(change.field, change.impact)
        if said is not Consent.DO:
            assigned[change.field] = said
    for slot, _, change in found.grow:
        if change.field not in assigned and slot not in consents.fields:
            assigned[change.field] = consents.of_write(change.field, change.impact)


def _plan_group(
    draft: Draft,
    writes: Writes,
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    *,
    assigned: Mapping[str, Consent],
    said: Consent,
) -> None:
    """Note the writes that wait for the same, or that are never made."""
    part = narrow.narrowed(want, have, lambda name: _is_in(assigned, name, said))
    found = _difference(draft, part, guest, have)
    if all(change.field == OWNER_MARK for change in found.changes):
        found.set.clear()  # The signature is no part of what waits.
        found.changes.clear()
    if said is Consent.WARN:
        writes.warnings += [_warning(change) for change in found.changes]
        writes.warnings += [_warning(change) for _, _, change in found.grow]
        writes.warnings += [held.message for held in found.holds]
        return
    writes.holds += found.holds
    digest = "" if writes.steps else have.digest
    done = 0
    history = draft.source.history
    for step in write.steps_for(part, guest, have, found, history, digest=digest):
        answer = judged(draft, want, step, said)
        writes.add(answer)
        done += len(answer.steps)
    if done:
        writes.rebooting |= _needing_reboot(found)


def _needing_reboot(found: config.Difference) -> set[str]:
    return {change.field for change in found.changes if change.impact is Impact.REBOOT}


def _warning(change: Change) -> str:
    old = change.old or "not set"
    return f"{change.field} is {old} and should be {change.new or 'not set'} (changes: warn)"


def _window_hold(draft: Draft, want: DesiredGuest, step: Step) -> Held:
    _, change = draft.window(want.windows)
    what = f"{_what(step)} waits for a window"
    if change is None:
        return Held(
            reason=Hold.WINDOW,
            message=f"{what}, and there is none",
            remedy="add policy.windows or spec.windows, or say changes: do",
        )
    return Held(
        reason=Hold.WINDOW,
        message=f"{what}, which opens at {instant_text(change)}",
        remedy=f"it is done then; at once with `qlop break-glass {want.name}`",
    )


def _approval_hold(draft: Draft, want: DesiredGuest, step: Step) -> Held:
    place = want.service, want.index
    (planned,) = chained([step], *place)
    draft.asks[planned.id] = planned
    return Held(
        reason=Hold.APPROVAL,
        message=f"{_what(step)} needs an approval",
        remedy=f"look at it with `qlop plan`, then `qlop approve {approval_id(planned.id)}`",
    )


def _what(step: Step) -> str:
    cost = step.impact.name.lower().replace("_", " ")
    return f"{step.reason}; to {verb_of(step.action).value} it (impact: {cost})"
