"""Keep a plan in a file, and hold the world to it."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from qlop.cli.likeness import Said, placement_in, said_by
from qlop.controller.cycle import Acting
from qlop.model.action import CreateSnapshot, DeleteSnapshot
from qlop.model.history import Ending, Notice
from qlop.model.ids import ActionId, CycleId, GuestName, NodeName, Upid
from qlop.model.plan import Plan, PlannedAction
from qlop.model.policy import Limits
from qlop.model.trial import Judged
from qlop.render.action import action_text
from qlop.render.plain_value import instant_text
from qlop.render.plan import action_document, plan_document, plan_fingerprint

FORMAT = "qlop-plan/2"
BYTES_MAX = 256 * 1024**2


class PlanFileError(Exception):
    """The file is no plan, or not one that this qlop can apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlan:
    """What a plan file says: what would be done, and by which fingerprint to know it."""

    fingerprint: str
    revision: str
    actions: dict[str, str]
    """Action id → what it does, for people."""
    said: tuple[Said, ...] = ()
    """What was agreed to: the actions, and those that were foreseen after them."""
    placements: Mapping[GuestName, NodeName] = field(default_factory=dict)
    """Where the guests go that it builds. What is planned when some of them are there might
    choose otherwise for the rest."""

    def allows(self, planned: PlannedAction) -> bool:
        """Return whether an action of a later plan is one that was agreed to.

        It must do no more than one of those that were. An undoing belongs to the change
        that it undoes.
        """
        if planned.undoes:
            return any(one.subject == planned.action.subject for one in self.said)
        return any(one.covers(planned) for one in self.said)


def write(file: Path, plan: Plan, later: Sequence[PlannedAction] = (), *, now: datetime) -> None:
    """Write ``plan`` to ``file``, readable by its owner alone, whole or not at all.

    ``later`` is what was foreseen to be done after it.

    Raises:
        OSError: if it can't be written.
    """
    document = {
        "format": FORMAT,
        "made_at": instant_text(now),
        **plan_document(plan),
        "later": [action_document(planned) for planned in later],
    }
    part = file.with_name(f"{file.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=2, ensure_ascii=False)
        stream.write("\n")
    part.replace(file)


def read(file: Path) -> KeptPlan:
    """Return what ``file`` says.

    Raises:
        PlanFileError: if it is no plan of ours.
        OSError: if it can't be read.
    """
    try:
        found: Any = json.loads(file.read_bytes()[:BYTES_MAX])
    except ValueError as error:
        raise PlanFileError(f"{file} is not a plan: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise PlanFileError(f"{file} is not a plan that `qlop plan --out` wrote ({FORMAT})")
    try:
        said = [*found["actions"], *found["later"]]
        return KeptPlan(
            fingerprint=str(found["fingerprint"]),
            revision=str(found["revision"]),
            actions={str(one["id"]): str(one["summary"]) for one in found["actions"]},
            said=tuple(said_by(one) for one in said),
            placements=dict(filter(None, map(placement_in, said))),
        )
    except (KeyError, TypeError) as error:
        raise PlanFileError(f"{file} is not a whole plan: {error} is missing") from None


def moved(kept: KeptPlan, plan: Plan) -> list[str]:
    """Return what differs between the plan that was kept and the one made now."""
    if plan_fingerprint(plan) == kept.fingerprint:
        return []
    found = []
    if plan.revision != kept.revision:
        found.append(f"the manifests: revision {kept.revision} then, {plan.revision} now")
    now = {planned.id: action_text(planned.action) for planned in plan.actions}
    found += [f"no longer needed: {kept.actions[one]}" for one in kept.actions if one not in now]
    found += [f"needed now: {text}" for one, text in now.items() if one not in kept.actions]
    return found or ["the order or the details of the same actions"]


@dataclass(slots=True, kw_only=True)
class Gate:
    """Let through only what a kept plan says: in front of an executor."""

    behind: Acting
    kept: KeptPlan
    differences: list[str] | None = None
    """What had moved at the first plan; None until there was one."""
    left_out: dict[ActionId, str] = field(default_factory=dict)
    taken: set[tuple[GuestName, str]] = field(default_factory=set)
    """Snapshots that were taken for a change: that they go again belongs to it."""

    @property
    def ends(self) -> int:
        """Return how many actions have ended so far."""
        return self.behind.ends

    @property
    def trouble(self) -> str:
        """Return why the journal can't be written, empty if it can."""
        return self.behind.trouble

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        """Start what was agreed to; nothing if the first plan is another one."""
        if self.differences is None:
            self.differences = moved(self.kept, plan)
        if self.differences:
            return ()
        agreed = self.agreed(plan)
        return self.behind.start(
            replace(plan, actions=agreed), cycle=cycle, seen=seen, limits=limits
        )

    def agreed(self, plan: Plan) -> tuple[PlannedAction, ...]:
        """Return the actions that were agreed to and wait for none that were not.

        They were agreed to of the manifests as they were then.
        """
        kept: list[PlannedAction] = []
        for planned in plan.actions:
            waits_for_stranger = any(one in self.left_out for one in planned.after)
            if isinstance(planned.action, CreateSnapshot) and planned.prepares:
                self.taken.add((planned.action.subject, planned.action.snapshot))
            if self._is_agreed(plan, planned) and not waits_for_stranger:
                kept.append(planned)
            else:
                self.left_out[planned.id] = action_text(planned.action)
        return tuple(kept)

    def _is_agreed(self, plan: Plan, planned: PlannedAction) -> bool:
        if plan.revision != self.kept.revision:
            return False
        action = planned.action
        if isinstance(action, DeleteSnapshot) and (action.subject, action.snapshot) in self.taken:
            return True
        return self.kept.allows(planned)

    def note(self, notices: Iterable[Notice]) -> None:
        """Write down how trials went; a tombstone is no part of what was agreed to."""
        self.behind.note([one for one in notices if isinstance(one, Judged)])

    def settle(
        self,
        action: ActionId,
        attempt: int,
        ending: Ending,
        message: str,
        *,
        upid: Upid | None = None,
    ) -> bool:
        """Pass on how an ambiguous action ended."""
        return self.behind.settle(action, attempt, ending, message, upid=upid)
