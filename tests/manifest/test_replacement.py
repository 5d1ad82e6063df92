"""What can't be persistent, and what can't be replaced start-first, is said with its field."""

import pytest

from qlop.model.ids import GuestName, ServiceName
from qlop.model.rollout import Order
from tests.manifest.trees import CONTAINER, VM, loaded, said, service

TWO = "disks: [{slot: scsi0, size: 8GiB}, {slot: scsi1, storage: nas, size: 9GiB, PERSISTENT}]\n"
KEPT = TWO.replace("PERSISTENT", "persistent: true")
MOUNT = "mountPoints: [{path: /srv, storage: nas, size: 9GiB, persistent: true}]\n"
FIRST = "update: {order: start-first}\nhealth: [{running: true}]\n"


def test_persistent_disks_and_the_order_are_lowered() -> None:
    desired = loaded(
        service(VM + KEPT), service(CONTAINER + MOUNT + FIRST.replace(FIRST, ""), "ct")
    )
    assert desired.desired is not None
    guests, services = desired.desired.guests, desired.desired.services

    kept = {name: [d.slot for d in one.disks if d.persistent] for name, one in guests.items()}
    assert kept == {GuestName("web"): ["scsi1"], GuestName("ct"): ["mp0"]}
    assert services[ServiceName("web")].update.order is Order.STOP_FIRST


def test_start_first_is_lowered() -> None:
    desired = loaded(service(VM + FIRST)).desired
    assert desired is not None

    assert desired.services[ServiceName("web")].update.order is Order.START_FIRST


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        pytest.param(VM + KEPT, [], id="a-data-disk"),
        pytest.param(CONTAINER + MOUNT, [], id="a-mount-point"),
        pytest.param(
            VM + "disks: [{slot: scsi0, size: 8GiB, persistent: true}]\n",
            [("system-disk", "spec.disks[0].persistent")],
            id="the-system-disk",
        ),
        pytest.param(
            VM + KEPT + "bootOrder: [scsi1]\n",
            [("system-disk", "spec.disks[1].persistent")],
            id="the-disk-it-boots-from",
        ),
        pytest.param(
            CONTAINER + "mountPoints: [{path: /a, hostPath: /b, persistent: true}]\n",
            [("not-a-volume", "spec.mountPoints[0].persistent")],
            id="a-path-of-the-node",
        ),
        pytest.param(
            VM + KEPT + FIRST,
            [("start-first", "spec.disks[1].persistent")],
            id="start-first-with-a-persistent-disk",
        ),
        pytest.param(
            VM + FIRST + "vmid: 200\nvmidRange: 200-300\n",
            [("start-first", "spec.vmid")],
            id="start-first-with-a-vmid",
        ),
        pytest.param(
            VM
            + FIRST
            + "cloudInit: {user: a}\nnetworks: [{bridge: vmbr0, address: 10.0.0.1/24}]\n",
            [("start-first", "spec.networks[0].address")],
            id="start-first-with-an-address",
        ),
        pytest.param(
            VM + FIRST + "networks: [{bridge: vmbr0, mac: 'BC:24:11:00:00:01'}]\n",
            [("start-first", "spec.networks[0].mac")],
            id="start-first-with-a-mac",
        ),
        pytest.param(
            VM + "update: {order: start-first}\n",
            [("no-health", "spec.update.order")],
            id="start-first-without-checks",
        ),
        pytest.param(VM + FIRST, [], id="start-first"),
    ],
)
def test_what_is_said(spec: str, found: list[tuple[str, str]]) -> None:
    assert said(loaded(service(spec))) == found
