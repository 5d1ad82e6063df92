"""Addresses are read from what the agent or the node says of a guest's interfaces."""

import pytest

from qlop.model.guest import GuestKind
from qlop.model.reading import Known, Unknown
from qlop.ports import Json
from qlop.pve.parse_agent import parse_addresses

VM, CT = GuestKind.VM, GuestKind.CONTAINER


def interface(name: str, *addresses: str) -> Json:
    listed: list[Json] = [{"ip-address": one, "prefix": 24} for one in addresses]
    return {"name": name, "ip-addresses": listed}


@pytest.mark.parametrize(
    ("kind", "payload", "addresses"),
    [
        pytest.param(
            VM,
            {
                "result": [
                    interface("lo", "127.0.0.1", "::1"),
                    interface("eth0", "fe80::1", "2001:db8::1", "10.0.0.1"),
                    interface("eth1", "10.1.0.1"),
                ]
            },
            ("10.0.0.1", "10.1.0.1", "2001:db8::1"),
            id="v4-first-and-no-link-local",
        ),
        pytest.param(VM, {"result": [{"name": "eth0"}]}, (), id="no-address-yet"),
        pytest.param(CT, None, (), id="stopped"),
        pytest.param(
            CT,
            [
                {"name": "lo", "inet": "127.0.0.1/8"},
                {"name": "eth0", "inet": "10.0.0.1/24", "inet6": "fe80::1/64"},
                {"name": "eth1"},
            ],
            ("10.0.0.1",),
            id="container",
        ),
    ],
)
def test_addresses(kind: GuestKind, payload: Json, addresses: tuple[str, ...]) -> None:
    assert parse_addresses(kind, payload) == Known(addresses)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (VM, None),
        (VM, {"result": {"error": {"class": "CommandNotFound"}}}),
        (VM, {"result": [interface("eth0", "here")]}),
        (CT, {"name": "eth0"}),
    ],
)
def test_what_is_not_understood_is_unknown(kind: GuestKind, payload: Json) -> None:
    assert isinstance(parse_addresses(kind, payload), Unknown)
