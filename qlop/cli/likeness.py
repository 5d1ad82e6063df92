"""Tell whether an action does no more than one that was shown and agreed to.

What was shown may have been foreseen of a guest that did not exist yet: then the names that
PVE gives to volumes and the MACs that it makes were made up, and count for nothing here.
All else must be the same, or less of it: fewer options in a write, a lower impact.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qlop.model.action import Verb
from qlop.model.ids import GuestName, NodeName
from qlop.model.impact import Impact
from qlop.model.plan import PlannedAction
from qlop.render.plain_value import Plain
from qlop.render.plan import action_document

_CHOSEN_BY_PVE = (
    (re.compile(r":[^:,\s]*?(?:vm|subvol)-\d+-[\w-]+(?:\.\w+)?"), ":(volume)"),
    (re.compile(r"\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b"), "(mac)"),
)
_VOLATILE = frozenset({"digest", "writes"})
"""When it was decided, and how it is written: not what it does."""
_FEWER = frozenset({"set", "delete", "applies"})
"""Less of these is less of the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An action, as a plan file says it."""

    subject: str
    essence: Mapping[str, str]
    """Verb, guest and node."""
    impact: Impact
    details: Mapping[str, frozenset[str]]

    def covers(self, planned: PlannedAction) -> bool:
        """Return whether ``planned`` does no more than this says."""
        if planned.action.subject != self.subject:
            return False
        other = said_by(action_document(planned))
        return (
            other.essence == self.essence
            and other.impact <= self.impact
            and other.details.keys() == self.details.keys()
            and all(
                parts <= self.details[name] if name in _FEWER else parts == self.details[name]
                for name, parts in other.details.items()
            )
        )


def said_by(document: Mapping[str, Any]) -> Said:
    """Return what the document of an action says.

    Raises:
        KeyError: if it is not whole.
        TypeError: likewise.
    """
    return Said(
        subject=str(document["subject"]),
        essence={name: str(document[name]) for name in ("verb", "vmid", "kind", "node")},
        impact=Impact[str(document["impact"]).upper().replace("-", "_")],
        details={
            name: _parts(value)
            for name, value in document["details"].items()
            if name not in _VOLATILE
        },
    )


def placement_in(document: Mapping[str, Any]) -> tuple[GuestName, NodeName] | None:
    """Return which guest the document of an action builds, and where; None if it builds none.

    Raises:
        KeyError: if it is not whole.
    """
    match document["verb"]:
        case Verb.CREATE.value:
            node = document["node"]
        case Verb.CLONE.value:
            node = document["details"]["target"]
        case _:
            return None
    return GuestName(str(document["subject"])), NodeName(str(node))


def _parts(value: Plain) -> frozenset[str]:
    match value:
        case dict():
            return frozenset(f"{key}={_known(str(one))}" for key, one in value.items())
        case list():
            return frozenset(_known(str(one)) for one in value)
        case _:
            return frozenset({_known(str(value))})


def _known(text: str) -> str:
    """Return ``text`` without what PVE chooses."""
    for chosen, instead in _CHOSEN_BY_PVE:
        text = chosen.sub(instead, text)
    return text
