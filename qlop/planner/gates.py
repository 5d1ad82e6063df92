"""Hold back what would be too much at once."""

from collections import Counter

from qlop.model.action import DestroyGuest, RebootGuest, ShutdownGuest
from qlop.model.guest import Power
from qlop.model.ids import GuestName, ServiceName
from qlop.model.policy import Prune
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.step import place_of


def keep_budgets(draft: Draft) -> None:
    """Let no more guests of a service be down at once than its ``maxUnavailable``.

    A guest that is down, or has an action in flight that takes it down, uses the budget,
    whatever the cause; but its own further actions do not need a second share of it.
    """
    if not draft.disrupting:
        return
    down = _down(draft)
    for subject in sorted(draft.actions):
        want = draft.source.desired.guests.get(subject)
        if want is None or subject in down.get(want.service, ()):
            continue
        if want.power is not Power.RUNNING:
            continue
        for planned in draft.actions[subject]:
            if planned.id not in draft.disrupting:
                continue
            others = down.setdefault(want.service, set())
            limit = draft.source.desired.services[want.service].max_unavailable
            if len(others) < limit:
                others.add(subject)
            else:
                draft.withhold_from(subject, planned.id, _budget_hold(want.service, others, limit))
            break


def blow_fuse(draft: Draft) -> None:
    """Hold the whole plan if it would destroy, stop or reboot too many guests.

    Those count too whose turn only comes later, since they are locked, offline or unread
    now: what is too much at once must not pass in parts because of what can't be seen.
    """
    fuse = draft.source.desired.cluster.policy.fuse
    counts: Counter[str] = Counter()
    hit: set[GuestName] = set()
    for subject, chain in draft.actions.items():
        for planned in chain:
            match planned.action:
                case DestroyGuest():
                    counts["destroy"] += 1
                    hit.add(subject)
                case ShutdownGuest():
                    counts["shut down"] += 1
                    hit.add(subject)
                case RebootGuest():
                    counts["reboot"] += 1
                    hit.add(subject)
                case _:
                    pass
    owned = len(draft.ownership.owned)
    limit = max(fuse.guests, int(fuse.share * owned))
    later = (_doomed(draft) | draft.may_be_struck) - hit
    unseen = len(later) + len(draft.ownership.unread)
    if not hit or len(hit) + unseen <= limit:
        return
    if unseen:
        counts["do the same to others that can't be reached now, up to"] = unseen
    what = " and ".join(f"{verb} {number}" for verb, number in sorted(counts.items()))
    held = Held(
        reason=Hold.FUSE,
        message=f"this plan would {what} of {owned} guests, more than the fuse allows ({limit});"
        " nothing of it is done",
        remedy="look at `qlop plan`; if it is meant, raise policy.fuse for the time being",
    )
    for subject in list(draft.actions):
        draft.withhold(subject, held)


_SPARED = frozenset(
    {Hold.ORPHANED, Hold.PROTECTED, Hold.IS_TEMPLATE, Hold.HA_MANAGED, Hold.IDENTITY_MISMATCH}
)
"""Holds of orphans that only a person ends."""


def _doomed(draft: Draft) -> set[GuestName]:
    """Return the orphans that go sooner or later."""
    doomed: set[GuestName] = set()
    if draft.source.desired.cluster.policy.prune is Prune.NEVER:
        return doomed
    for name in draft.orphans:
        verdict = draft.verdicts[name].verdict
        if isinstance(verdict, Held) and verdict.reason not in _SPARED:
            doomed.add(name)
    return doomed


def _down(draft: Draft) -> dict[ServiceName, set[GuestName]]:
    down: dict[ServiceName, set[GuestName]] = {}
    owned = draft.ownership.owned
    for name, want in draft.source.desired.guests.items():
        if want.power is not Power.RUNNING:
            continue
        guest = owned.get(place_of(want))
        if guest is None or guest.power is not Power.RUNNING or place_of(want) in draft.flying:
            down.setdefault(want.service, set()).add(name)
    return down


def _budget_hold(service: ServiceName, down: set[GuestName], limit: int) -> Held:
    if limit == 0:
        return Held(
            reason=Hold.BUDGET,
            message=f"it would be down for a while, and {service} has maxUnavailable 0:"
            " none of its guests may ever be down for a change",
            remedy="do it by hand when that suits, or raise maxUnavailable",
        )
    return Held(
        reason=Hold.BUDGET,
        message=f"{', '.join(sorted(down))} of {service} is down or about to be, and"
        f" maxUnavailable is {limit}",
        remedy="it goes on when they are back",
    )
