"""Name a guest that is not ours, or of which that is not known, and say why."""

from dataclasses import dataclass

from typing_extensions import override

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, VmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmanaged:
    """A guest that is left alone. ``name`` is PVE's, empty if it has none."""

    vmid: VmId
    name: str
    kind: GuestKind
    node: NodeName
    why: str

    @override
    def __str__(self) -> str:
        return f"{self.name or 'unnamed'} ({self.vmid})"
