"""Send a mutation, once, and say what PVE answered."""

from qlop.model.ids import Upid
from qlop.ports import ErrorKind, PortError, PveApi, PveCall
from qlop.pve.parse import parse_dispatched


async def send(api: PveApi, call: PveCall) -> Upid | None:
    """Return the task that carries ``call`` out, None if it is done already.

    It is sent once and never again from here: what went wrong is for the next plan.

    Raises:
        PortError: as the port says; ``AMBIGUOUS`` too if the answer makes no sense, since
            the call was accepted all the same.
    """
    answer = await api.call(call)
    if answer is None:
        return None
    upid = parse_dispatched(answer)
    if upid is not None:
        return upid
    raise PortError(
        ErrorKind.AMBIGUOUS,
        f"PVE answered {answer!r:.80} where a task's UPID or nothing is due",
    )
