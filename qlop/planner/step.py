"""Name actions: what a step of planning yields, and the id it gets."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from qlop.model.action import Action, verb_of
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.ids import ActionId, GuestName, ServiceName
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedBackup, ObservedGuest
from qlop.model.plan import Beside, Change, PlannedAction, Premise
from qlop.model.reading import Known
from qlop.model.trial import Part
from qlop.model.verdict import Held

_VOLATILE = frozenset({"digest", "writes"})
"""Fields that say when an action was decided, or how it is written, not what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An action that is wanted, before it has an id and a place in the order.

    ``disrupts``: the guest is not available meanwhile, which a budget may forbid.
    """

    action: Action
    reason: str
    impact: Impact
    premise: Premise | None = None
    takes: tuple[str, ...] = ()
    witness: str = ""
    expects: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    disrupts: bool = False
    part: Part = Part.NONE
    before: Mapping[str, str] = field(default_factory=dict)
    prepares: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What a guest needs, in order, and what part of it is held back."""

    steps: tuple[Step, ...] = ()
    held: Held | None = None
    note: str = ""
    warnings: tuple[str, ...] = ()
    """What differs, and is never to be changed."""


def premise_of(
    config: GuestConfig, power: Power | None = None, backup: ObservedBackup | None = None
) -> Premise:
    """Return what must still hold of an owned guest when an action reaches it."""
    assert config.mark is not None, "only owned guests are acted on"
    return Premise(mark=config.mark, witness=config.witness, power=power, backup=backup)


def beside(guest: ObservedGuest, power: Power | None = Power.STOPPED) -> Beside:
    """Return what must still hold of another guest of ours when an action is sent."""
    assert isinstance(guest.config, Known), "only guests that were read are relied on"
    config = guest.config.value
    assert config.mark is not None, "only owned guests are relied on"
    return Beside(
        vmid=guest.vmid,
        kind=guest.kind,
        node=guest.node,
        mark=config.mark,
        witness=config.witness,
        power=power,
    )


def action_id(action: Action) -> ActionId:
    """Return ``subject/verb/fingerprint``, equal for equal intentions."""
    parts = (
        f"{item.name}={_stable(getattr(action, item.name))}"
        for item in fields(action)
        if item.name not in _VOLATILE
    )
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return ActionId(f"{action.subject}/{verb_of(action).value}/{digest}")


def chained(
    steps: Iterable[Step], service: ServiceName, index: int, fingerprint: str = ""
) -> tuple[PlannedAction, ...]:
    """Return the steps of one guest as actions, each after the one before."""
    chain: list[PlannedAction] = []
    for step in steps:
        chain.append(
            PlannedAction(
                id=action_id(step.action),
                action=step.action,
                reason=step.reason,
                impact=step.impact,
                service=service,
                index=index,
                premise=step.premise,
                takes=step.takes,
                witness=step.witness,
                expects=step.expects,
                changes=step.changes,
                after=(chain[-1].id,) if chain else (),
                fingerprint=fingerprint,
                part=step.part,
                before=step.before,
                prepares=step.prepares,
            )
        )
    return tuple(chain)


def place_of(guest: DesiredGuest) -> tuple[ServiceName, int]:
    """Return a guest's service and index."""
    return guest.service, guest.index


def orphan_name(service: ServiceName, index: int) -> GuestName:
    """Return what a guest of ours is called that no manifest names."""
    return GuestName(f"{service}-{index}")


def _stable(value: object) -> str:
    if isinstance(value, Mapping):
        return repr(sorted(value.items()))
    if isinstance(value, frozenset):
        return repr(sorted(value))
    return repr(value)
