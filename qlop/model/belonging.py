"""Remember whose place a guest has, for the times at which its mark can't be read."""

from dataclasses import dataclass

from qlop.model.ids import GuestName, ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """The place of a guest that we made or adopted, and what it was called then.

    It proves nothing, and nothing is done by it: between then and now the guest may have
    been destroyed and its VMID given to another. It only keeps a guest whose node is off
    from being taken for a stranger, or for nothing.
    """

    service: ServiceName
    index: int
    name: GuestName
