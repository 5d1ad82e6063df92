"""The port onto the simulator speaks of errors as the real client does, in virtual time."""

from datetime import datetime, timedelta

import pytest

from qlop.ports import ErrorKind, Method, PortError, PveCall
from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.faults import Effect, Fault, Match
from qlop.sim.inprocess import InProcessApi
from tests.sim.lab import START


class VirtualClock:
    """A clock that stands still until somebody sleeps."""

    def __init__(self) -> None:
        self.at = datetime.fromtimestamp(START, tz=None).astimezone()

    def now(self) -> datetime:
        return self.at

    async def sleep(self, span: timedelta) -> None:
        self.at += span


def apis(**options: str) -> tuple[Cluster, VirtualClock, InProcessApi]:
    cluster, clock = Cluster(world.hospital(), seed=1, now=START), VirtualClock()
    return cluster, clock, InProcessApi(cluster, clock, **options)


READ = PveCall(method=Method.GET, route="/version")
CLONE = PveCall(
    method=Method.POST,
    route="/nodes/{node}/qemu/{vmid}/clone",
    at={"node": "pve1", "vmid": 9001},
    params={"newid": 101},
)


async def test_a_call_returns_the_data() -> None:
    _, _, api = apis()
    version = await api.call(READ)
    assert isinstance(version, dict)
    assert version["version"] == "9.1.5"
    assert api.calls == {"GET /version": 1}


async def test_a_wrong_token_is_denied_and_the_refusal_takes_its_time() -> None:
    _, clock, api = apis(token="root@pam!qlop=wrong")
    before = clock.at
    with pytest.raises(PortError) as caught:
        await api.call(READ)
    assert caught.value.kind is ErrorKind.DENIED
    assert clock.at - before == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("call", "kind"), [(READ, ErrorKind.TRANSIENT), (CLONE, ErrorKind.AMBIGUOUS)]
)
async def test_a_lost_answer_is_ambiguous_only_if_something_may_have_changed(
    call: PveCall, kind: ErrorKind
) -> None:
    cluster, clock, api = apis()
    cluster.arm(Fault(effect=Effect.LOSE))
    with pytest.raises(PortError) as caught:
        await api.call(call)
    assert caught.value.kind is kind
    cluster.advance(clock.at.timestamp())
    assert (101 in cluster.world.guests) == call.is_mutation


async def test_a_refused_connection_is_transient_even_for_a_mutation() -> None:
    cluster, _, api = apis()
    cluster.arm(Fault(effect=Effect.REFUSE, match=Match(route="POST *")))
    with pytest.raises(PortError) as caught:
        await api.call(CLONE)
    assert caught.value.kind is ErrorKind.TRANSIENT
    assert 101 not in cluster.world.guests


async def test_a_call_that_waits_for_a_lock_waits_on_the_given_clock() -> None:
    _, clock, api = apis()
    guest: dict[str, str | int] = {"node": "pve1", "vmid": 101}
    await api.call(CLONE)
    await clock.sleep(timedelta(minutes=5))
    start = PveCall(method=Method.POST, route="/nodes/{node}/qemu/{vmid}/status/start", at=guest)
    await api.call(start)
    await clock.sleep(timedelta(seconds=0.2))
    before = clock.at
    config = PveCall(
        method=Method.PUT,
        route="/nodes/{node}/qemu/{vmid}/config",
        at=guest,
        params={"description": "while it starts"},
    )
    await api.call(config)
    assert timedelta(seconds=1) <= clock.at - before <= timedelta(seconds=3)
