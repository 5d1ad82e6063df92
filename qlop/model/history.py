"""What the journal says: its records, and the history that they amount to.

``qlop.model.folding`` makes the one of the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from qlop.model.action import Verb
from qlop.model.belonging import Belonging
from qlop.model.guest import GuestKind
from qlop.model.halfmade import HalfMade
from qlop.model.ids import ActionId, CycleId, GuestName, NodeName, ServiceName, Upid, VmId
from qlop.model.impact import Impact
from qlop.model.trial import Changed, Judged, Part, Trial

LASTING = timedelta(hours=1)
"""What is wanted again only after this long had lasted: nothing is wrong with it."""

LONGEST_LOOK = timedelta(minutes=5)
"""No observation lasts as long: every read of one has a deadline, and so has the whole."""

EXPECTS_SEAL = "seal"
EXPECTS_CLOUD_INIT = "cloud-init"
WITHOUT_EFFECT = "the task ended well, but"
"""How the message of a failure begins whose task ended well, and whose effect was not seen."""

EXPECTS_DIGEST = "digest"
EXPECTS_SNAPSHOT = "snapshot"
EXPECTS_OWNER = "owner"
"""``OURS`` if the action writes the owner mark of a guest to be adopted, ``NOBODYS`` if it
takes the mark away."""
OURS, NOBODYS = "ours", "nobodys"
EXPECTS_SLOT = "slot"
EXPECTS_HEIR = "heir"
EXPECTS_COMPLETION = "completion"


class Ending(Enum):
    """How an action ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """PVE said so: at once, or as the task's exit status."""
    SUPERSEDED = "superseded"
    """The last look before it showed another world, or nothing: nothing was sent.

    With the kind of an error it was kept from being sent, and is still wanted.
    """
    UNKNOWN = "unknown"
    """The answer was lost; observing has yet to tell. Never final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """An action is about to be sent. Written before anything leaves the house.

    ``vmid``, ``node`` and ``witness`` reserve the place of a guest that is created;
    ``source`` is the template of a clone. ``expects`` says what a look will show if it
    happened, by verb (see ``planner.settle``); ``EXPECTS_SEAL`` and
    ``EXPECTS_CLOUD_INIT`` among it mean that the action sets the witness, or options
    that the cloud-init drive is made of. ``takes`` are the queues it stands in until its
    end is known. ``fingerprint`` is that of what its service is to be; ``part`` says what
    it has to do with a trial, and ``before`` what the options that it writes were, as PVE
    takes them (empty: not set), secrets left out.
    """

    at: datetime
    cycle: CycleId
    action: ActionId
    attempt: int
    verb: Verb
    subject: GuestName
    service: ServiceName
    index: int
    vmid: VmId
    node: NodeName
    target: NodeName
    reason: str = ""
    summary: str = ""
    witness: str = ""
    source: VmId | None = None
    expects: Mapping[str, str] = field(default_factory=dict)
    kind: GuestKind = GuestKind.VM
    takes: tuple[str, ...] = ()
    impact: Impact = Impact.NONE
    fingerprint: str = ""
    part: Part = Part.NONE
    before: Mapping[str, str] = field(default_factory=dict)

    @property
    def touches(self) -> tuple[VmId, ...]:
        """Return the guests that are another after it: of a hand-over both."""
        heir = self.expects.get(EXPECTS_HEIR)
        return (self.vmid,) if heir is None else (self.vmid, VmId(int(heir)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """PVE took the action; ``upid`` is its task, None if it was done at once."""

    at: datetime
    action: ActionId
    attempt: int
    upid: Upid | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The action ended. An ``UNKNOWN`` one stays in flight until a later record."""

    at: datetime
    action: ActionId
    attempt: int
    ending: Ending
    error: str = ""
    """The kind of error, empty if there was none."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """A guest that no manifest names was seen stopped: from ``at`` on it is kept for a time.

    It stands for exactly this guest as it was then: ``witness`` and ``digest`` are those
    that it had. ``name`` is what people call it.
    """

    at: datetime
    service: ServiceName
    index: int
    vmid: VmId
    name: GuestName
    witness: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprieve:
    """The tombstone of ``vmid`` no longer stands; ``reason`` says why."""

    at: datetime
    service: ServiceName
    index: int
    vmid: VmId
    name: GuestName
    reason: str


ActionRecord = Intended | Dispatched | Finished
Notice = Tombstone | Reprieve | Judged
"""What is written down without anything being done to the cluster."""

JournalRecord = ActionRecord | Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflight:
    """An action whose end is not known."""

    intended: Intended
    upid: Upid | None = None
    dispatched: bool = False
    """PVE answered: whether it was done is only a matter of the task's end."""
    ambiguous: bool = False
    doubtful_since: datetime | None = None
    """When it was last written down that the answer was lost: it was sent before that."""
    ended_at: datetime | None = None
    """When it ended, if it has: it is as good as in flight to a look that began before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An action that failed ``count`` times in a row, last at ``at``."""

    count: int
    at: datetime
    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """An action that succeeded ``count`` times, never more than ``LASTING`` apart."""

    count: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The VMID and witness under which a guest of ours was, or is to be, created.

    A clone begins with a witness of PVE's making. Until ``sealed``, what ties it to us is
    that our clone task made it (``made``); an action that sets its witness seals it. Until
    we have started it (``ran``) it has no users whom a change could disturb.
    """

    vmid: VmId
    witness: str
    node: NodeName
    by: Verb
    made: bool = False
    sealed: bool = False
    ran: bool = False
    name: GuestName | None = None
    """What the guest was called when it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the journal says, folded.

    ``failures`` are per guest and verb, in a row: a success of that verb on that guest
    clears them, so does an action of another fingerprint (somebody changed something).
    """

    inflight: Mapping[GuestName, Inflight] = field(default_factory=dict)
    failures: Mapping[ActionId, Failure] = field(default_factory=dict)
    reservations: Mapping[tuple[ServiceName, int], Reservation] = field(default_factory=dict)
    unsent: Mapping[ActionId, Failure] = field(default_factory=dict)
    """What was kept from being sent, so often in a row, and by what: no failures of the
    action. What ends otherwise on the same guest clears it."""
    repetitions: Mapping[ActionId, Repetition] = field(default_factory=dict)
    """How often an action that succeeded was wanted again: something undoes it."""
    attempts: Mapping[ActionId, int] = field(default_factory=dict)
    owes_regeneration: frozenset[GuestName] = frozenset()
    """VMs whose cloud-init options changed and whose drive was not written since."""
    changes: Mapping[tuple[ServiceName, int], Changed] = field(default_factory=dict)
    trials: Mapping[tuple[ServiceName, int], Trial] = field(default_factory=dict)
    bad: Mapping[ServiceName, tuple[Judged, ...]] = field(default_factory=dict)
    """Judgments of revisions that turned out bad, the newest last."""
    lost: frozenset[tuple[ServiceName, int]] = frozenset()
    """Guests that are not healthy although a bad change of theirs was undone."""
    leftovers: Mapping[tuple[ServiceName, int], frozenset[str]] = field(default_factory=dict)
    """Snapshots taken for trials and not deleted since."""
    tombstones: Mapping[VmId, Tombstone] = field(default_factory=dict)
    """Those that stand."""
    half_made: Mapping[VmId, HalfMade] = field(default_factory=dict)
    """Creations that broke off, until one under the same VMID comes to its end."""
    belongings: Mapping[VmId, Belonging] = field(default_factory=dict)
    """The places of guests that were made or adopted, and not destroyed or released since."""
    ended: Mapping[GuestName, Inflight] = field(default_factory=dict)
    """The last actions of guests that ended within ``LONGEST_LOOK`` of the last end of all."""
