"""Find the method of a guest that another method's task calls in its turn."""

from qlop.sim import lxc_power, qemu_migrate, qemu_power, schema
from qlop.sim.call import Handler
from qlop.sim.schema import Route
from qlop.sim.state import Guest


def found(guest: Guest, path: str) -> tuple[Route, Handler]:
    """Return ``POST …/PATH`` of a guest (``migrate``, ``status/start``), and what answers it."""
    where = f"/nodes/{guest.node}/{guest.kind.value}/{guest.vmid}/{path}"
    known = schema.table().find("POST", where)
    assert known is not None, where
    route = known[0]
    for module in (lxc_power, qemu_migrate, qemu_power):
        if (handler := module.HANDLERS.get(route.key)) is not None:
            return route, handler
    raise AssertionError(where)
