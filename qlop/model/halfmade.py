"""Remember creations that PVE began and that came to no good end.

PVE clears away what it made when a creation fails. It can't if the worker dies: then a
guest is left with ``lock: clone`` or ``lock: create`` and nothing else in it, no mark
(``clone_vm`` in ``PVE/API2/Qemu.pm`` writes the configuration after the first disk only).
What ties it to us is that it has the VMID under which our creation ran.
"""

from dataclasses import dataclass
from datetime import datetime

from qlop.model.action import Verb
from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName, NodeName, ServiceName, VmId


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfMade:
    """A creation that was begun under ``vmid`` and failed, last at ``at``.

    ``node`` is where its task ran. ``is_certain``: PVE said that it had begun; if not, its
    answer was lost. Whether anything is left of it only looking tells.
    """

    at: datetime
    service: ServiceName
    index: int
    name: GuestName
    vmid: VmId
    kind: GuestKind
    node: NodeName
    verb: Verb
    is_certain: bool
