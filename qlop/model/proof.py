"""Say what adopting a guest would do to it, proved before anything is written."""

from dataclasses import dataclass

from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName, NodeName, ServiceName, VmId
from qlop.model.plan import Change
from qlop.model.verdict import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What adopting the guest ``vmid`` as ``name`` amounts to.

    ``writes`` is what adopting itself writes. ``held`` says why it is not adopted, None if
    nothing else would be done to it. ``changes`` and ``reasons`` are what would be done,
    were it ours as it is.
    """

    name: GuestName
    service: ServiceName
    index: int
    vmid: VmId
    kind: GuestKind
    node: NodeName
    writes: tuple[Change, ...] = ()
    held: Held | None = None
    changes: tuple[Change, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Return whether it is as its manifest says."""
        return self.held is None
