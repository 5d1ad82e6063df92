"""The real client and the simulated cluster understand each other over HTTPS."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, VmId
from qlop.ports import ErrorKind, Json, PortError, PveCall
from qlop.pve import calls, parse, parse_config, parse_resources
from qlop.pve.calls import call_for
from qlop.pve.client import ProxmoxerApi
from qlop.settings import ApiSettings
from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer
from tests.pve.fixture import known
from tests.pve.test_calls import configure

pytestmark = pytest.mark.real

TEMPLATE, NODE = VmId(9001), NodeName("pve1")
NOTES = "a=b; 100 % ü\n\n# last + line & more"


@pytest.fixture(scope="module")
def server() -> Iterator[SimServer]:
    running = SimServer(Cluster(world.hospital(), now=time.time()))
    with running.in_background():
        yield running


@pytest.fixture
def api(server: SimServer) -> Iterator[ProxmoxerApi]:
    client = connect(server, world.DEFAULT_TOKEN)
    yield client
    client.close()


def connect(server: SimServer, token: str) -> ProxmoxerApi:
    token_id, _, secret = token.partition("=")
    return ProxmoxerApi(
        ApiSettings.model_validate(
            {
                "endpoints": server.urls,
                "token_id": token_id,
                "token_secret": SecretStr(secret),
                "fingerprints": [server.fingerprint],
            }
        )
    )


def ask(api: ProxmoxerApi, call: PveCall) -> Json:
    return asyncio.run(api.call(call))


def test_the_lists_of_the_cluster_are_understood(api: ProxmoxerApi) -> None:
    rows = ask(api, calls.resources())

    assert isinstance(rows, list)
    assert len(known(parse_resources.parse_nodes([row for row in rows if isinstance(row, dict)])))
    assert known(parse_resources.parse_cluster_status(ask(api, calls.cluster_status()))).quorate
    assert known(parse.parse_tasks(ask(api, calls.cluster_tasks()))) == ()
    assert isinstance(known(parse.parse_log(ask(api, calls.cluster_log()))), tuple)
    assert known(parse.parse_version(ask(api, calls.version()))) >= (8, 2, 0)
    given = known(parse.parse_permissions(ask(api, calls.permissions())))
    assert "VM.Audit" in given["/vms"]


def test_any_text_arrives_as_it_was_sent(api: ProxmoxerApi) -> None:
    change = configure(GuestKind.VM, {"description": NOTES})
    call = call_for(change)
    written = PveCall(
        method=call.method,
        route=call.route,
        at={"node": NODE, "vmid": TEMPLATE},
        params=call.params,
    )

    ask(api, written)

    config = known(
        parse_config.parse_config(
            GuestKind.VM, ask(api, calls.guest_config(GuestKind.VM, NODE, TEMPLATE))
        )
    )
    assert config.options["description"] == NOTES


def test_a_missing_guest_is_not_found(api: ProxmoxerApi) -> None:
    with pytest.raises(PortError) as caught:
        ask(api, calls.guest_config(GuestKind.VM, NODE, VmId(777)))

    assert caught.value.kind is ErrorKind.NOT_FOUND
    assert (
        str(caught.value) == "Configuration file 'nodes/pve1/qemu-server/777.conf' does not exist"
    )


@pytest.mark.slow  # PVE, and so the simulator, answers a wrong token after 3 s.
def test_a_wrong_token_is_denied(server: SimServer) -> None:
    token = world.DEFAULT_TOKEN.partition("=")[0]
    client = connect(server, f"{token}=00000000-0000-0000-0000-000000000000")
    with pytest.raises(PortError) as caught:
        ask(client, calls.version())
    client.close()

    assert caught.value.kind is ErrorKind.DENIED
