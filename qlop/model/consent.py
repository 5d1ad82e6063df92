"""Say what may be done to a guest without asking, when, and what must be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from qlop.model.impact import Impact


class Consent(Enum):
    """What a manifest allows of a change. From the freest to the strictest."""

    DO = "do"
    """Do it as soon as it is seen."""
    WINDOW = "window"
    """Do it while one of the service's windows is open."""
    ASK = "ask"
    """Do it when somebody has approved exactly this action."""
    WARN = "warn"
    """Say that it differs, and never change it."""
    IGNORE = "ignore"
    """Don't even compare it: the field is somebody else's."""


POWER = "power"
"""The field of being started and shut down as ``power`` says."""
PLACEMENT = "placement"
"""The field of being moved to another node."""
POOL = "pool"
"""The field of being put into a pool."""
REPLACE = "replace"
"""The field of being replaced by a guest that is built anew."""
ACTS = frozenset({POWER, PLACEMENT, POOL, REPLACE})
"""Fields that are no options of PVE's."""

_ORDER = {consent: place for place, consent in enumerate(Consent)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Consents:
    """What a service consents to: by the impact of a change, and by its field.

    ``fields`` are PVE's names, as plans show them: an option (``memory``), a slot
    (``net0``), a property of one (``net0.rate``), or one of ``ACTS``. The consent of a
    field takes the place of that of the impact. A guest's ``power`` is changed by default
    although that is downtime: nobody writes it for any other purpose.
    """

    none: Consent = Consent.DO
    hot: Consent = Consent.DO
    reboot: Consent = Consent.ASK
    downtime: Consent = Consent.ASK
    data_loss: Consent = Consent.ASK
    fields: Mapping[str, Consent] = field(default_factory=dict)

    def of_impact(self, impact: Impact) -> Consent:
        """Return the consent to a change of which only the impact is known.

        What costs more is never freer than what costs less: a guest of which less is
        known is taken for the costlier case.
        """
        said = (self.none, self.hot, self.reboot, self.downtime, self.data_loss)
        return strictest(*said[: impact + 1])

    def of_field(self, name: str) -> Consent | None:
        """Return the consent to a change of this field, None if its impact decides.

        What is said of ``net0.rate`` outranks what is said of ``net0``.
        """
        found = self.fields.get(name) or self.fields.get(name.partition(".")[0])
        return Consent.DO if found is None and name == POWER else found

    def of(self, name: str, impact: Impact) -> Consent:
        """Return the consent to a change of ``name`` that costs ``impact``."""
        return self.of_field(name) or self.of_impact(impact)

    def of_write(self, name: str, impact: Impact) -> Consent:
        """Return the consent to writing an option.

        PVE keeps pending what takes effect with a reboot: to write it is nothing, and it
        is the reboot that has to be consented to. Unless it is never to be changed.
        """
        said = self.of_field(name)
        if said is not None:
            return said
        by_impact = self.of_impact(impact)
        is_pending = impact is Impact.REBOOT and by_impact is not Consent.WARN
        return self.none if is_pending else by_impact


FREE = Consents(reboot=Consent.DO, downtime=Consent.DO)
"""What holds for a guest that nobody uses yet."""


def strictest(first: Consent, *others: Consent) -> Consent:
    """Return the strictest of several consents."""
    return max((first, *others), key=rank)


def rank(consent: Consent) -> int:
    """Return how strict a consent is, 0 for ``DO``."""
    return _ORDER[consent]
