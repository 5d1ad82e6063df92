"""A new guest goes where it may, where there is room, and where it fits best."""

from dataclasses import replace

import pytest

from qlop.model.desired import DesiredGuest, EmptySource, Placement
from qlop.model.guest import Power
from qlop.model.ids import NodeName, ServiceName, StorageId
from qlop.model.node import ObservedNode
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.plan import Plan
from qlop.model.policy import Policy
from qlop.model.units import GIB
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

DB = ServiceName("db")


def new(name: str = "web", index: int = 1, **more: object) -> DesiredGuest:
    guest = b.desired_guest(
        name, index, name=name if index == 1 else f"{name}-{index}", source=EmptySource()
    )
    return replace(guest, **more)  # type: ignore[arg-type]  # fields of the guest


def there(service: str, index: int, vmid: int, node: NodeName, **more: object) -> ObservedGuest:
    config = b.config(b.mark(service, index, vmid))
    return replace(b.guest(vmid, node=node, config=config), **more)  # type: ignore[arg-type]


def where(plan: Plan) -> dict[str, str]:
    """The node that each guest is created on."""
    return {one.subject: one.node for one in look.actions(plan) if hasattr(one, "params")}


def placed(want: DesiredGuest, have: Observed, *others: DesiredGuest) -> dict[str, str]:
    return where(look.plan_of(b.desired(want, *others), have))


@pytest.mark.parametrize(
    ("want", "have", "node"),
    [
        pytest.param(new(), b.observed(), "pve1", id="all-alike-the-first-by-name"),
        pytest.param(
            new(),
            b.observed(there("db", 1, 10001, b.PVE1), there("db", 2, 10002, b.PVE2)),
            "pve3",
            id="the-one-with-the-most-memory-left",
        ),
        pytest.param(
            new(placement=Placement(preferred=(b.PVE3, b.PVE2))),
            b.observed(there("db", 1, 10001, b.PVE3)),
            "pve3",
            id="the-preferred-one-though-it-is-fuller",
        ),
        pytest.param(
            new(placement=Placement(preferred=(b.PVE3, b.PVE2))),
            b.observed(nodes=[b.node(b.PVE1), b.node(b.PVE2), b.node(b.PVE3, online=False)]),
            "pve2",
            id="the-next-preferred-one",
        ),
        pytest.param(
            new(placement=Placement(allowed=frozenset({b.PVE2}))),
            b.observed(there("db", 1, 10001, b.PVE2)),
            "pve2",
            id="the-only-one-allowed",
        ),
        pytest.param(
            new(index=2),
            b.observed(b.guest()),
            "pve2",
            id="replicas-spread",
        ),
        pytest.param(
            new(index=2, placement=Placement(preferred=(b.PVE1,))),
            b.observed(b.guest()),
            "pve2",
            id="spreading-comes-before-preference",
        ),
        pytest.param(
            new(index=2, placement=Placement(preferred=(b.PVE1,), spread=False)),
            b.observed(b.guest()),
            "pve1",
            id="not-spread-if-it-says-so",
        ),
        pytest.param(
            new(placement=Placement(together_with=frozenset({DB}))),
            b.observed(there("db", 1, 10001, b.PVE2)),
            "pve2",
            id="together",
        ),
        pytest.param(
            new(placement=Placement(together_with=frozenset({DB}))),
            b.observed(),
            "pve1",
            id="together-with-nobody-is-anywhere",
        ),
        pytest.param(
            new(placement=Placement(apart_from=frozenset({DB}))),
            b.observed(there("db", 1, 10001, b.PVE1)),
            "pve2",
            id="apart",
        ),
    ],
)
def test_where(want: DesiredGuest, have: Observed, node: str) -> None:
    first = b.desired_guest()
    db = [b.desired_guest("db", 1, name="db-1"), b.desired_guest("db", 2, name="db-2")]
    others = [*(one for one in db if (DB, one.index) in _places(have)), first]
    others = [one for one in others if (one.service, one.index) in _places(have)]

    assert placed(want, have, *others) == {want.name: node}


def _places(have: Observed) -> set[tuple[str, int]]:
    marks = [guest.config.value.mark for guest in have.guests.values()]  # type: ignore[union-attr]
    return {(mark.service, mark.index) for mark in marks if mark is not None}


def test_the_other_side_may_have_asked_to_be_apart() -> None:
    db = b.desired_guest("db", placement=Placement(apart_from=frozenset({b.WEB})))

    assert placed(new(), b.observed(there("db", 1, 10001, b.PVE1)), db) == {"web": "pve2"}


def test_replicas_of_one_plan_are_spread_and_the_fourth_starts_over() -> None:
    wants = [new(index=index) for index in (1, 2, 3, 4)]

    placed_on = where(look.plan_of(b.desired(*wants), b.observed()))

    assert placed_on == {"web": "pve1", "web-2": "pve2", "web-3": "pve3", "web-4": "pve1"}


def test_the_largest_is_placed_first() -> None:
    nodes = [b.node(b.PVE1, memory_bytes=20 * GIB), b.node(b.PVE2, memory_bytes=9 * GIB)]
    small, large = new("a", memory_bytes=4 * GIB), new("b", memory_bytes=16 * GIB)

    plan = look.plan_of(b.desired(small, large), b.observed(nodes=nodes))

    assert where(plan) == {"a": "pve2", "b": "pve1"}


SMALL_NODES = [b.node(name, memory_bytes=4 * GIB) for name in b.NODES]
LARGE = new(memory_bytes=8 * GIB)


@pytest.mark.parametrize(
    ("want", "have", "hold", "message"),
    [
        pytest.param(
            LARGE,
            b.observed(nodes=SMALL_NODES),
            Hold.NO_CAPACITY,
            "no node can take web: each of pve1, pve2, pve3 has 3.6GiB of memory left for"
            " guests, 8.0GiB are needed",
            id="no-memory-anywhere",
        ),
        pytest.param(
            new(),
            b.observed(
                nodes=[
                    b.node(b.PVE1, online=False),
                    b.node(b.PVE2, maintenance=True),
                    b.node(b.PVE3, memory_bytes=0),
                ]
            ),
            Hold.NO_NODE,
            "no node can take web: pve1 is offline; pve2 is in maintenance;"
            " pve3 has not reported its memory",
            id="nobody-is-there",
        ),
        pytest.param(
            new(placement=Placement(allowed=frozenset({NodeName("pve9")}))),
            b.observed(),
            Hold.NO_NODE,
            "no node can take web: pve9 is not in the cluster",
            id="no-such-node",
        ),
        pytest.param(
            new(placement=Placement(allowed=frozenset())),
            b.observed(),
            Hold.NO_NODE,
            "no node can take web: none is allowed",
            id="none-allowed",
        ),
    ],
)
def test_there_is_no_place(want: DesiredGuest, have: Observed, hold: Hold, message: str) -> None:
    plan = look.plan_of(b.desired(want), have)

    assert plan.actions == ()
    assert (look.held(plan).reason, look.held(plan).message) == (hold, message)


def test_kept_apart_from_everywhere() -> None:
    want = b.desired(
        new(placement=Placement(allowed=frozenset({b.PVE1}), apart_from=frozenset({DB}))),
        b.desired_guest("db"),
    )

    found = look.held(look.plan_of(want, b.observed(there("db", 1, 10001, b.PVE1))))

    assert found.reason is Hold.NO_NODE
    assert found.message == "no node can take web: pve1 has db, to be kept apart from"


ONE_NODE = [b.node(b.PVE1, memory_bytes=10 * GIB)]


@pytest.mark.parametrize(
    ("policy", "memory_gib", "fits"),
    [
        pytest.param(Policy(), 9, True, id="a-tenth-is-kept-free"),
        pytest.param(Policy(), 9.1, False, id="not-a-byte-of-it-is-given-away"),
        pytest.param(Policy(memory_reserve_share=0.0), 10, True, id="unless-nothing-is-kept"),
        pytest.param(Policy(memory_overcommit=2.0), 18, True, id="promised-twice"),
    ],
)
def test_policy_of_memory(policy: Policy, memory_gib: float, *, fits: bool) -> None:
    want = b.desired(new(memory_bytes=int(memory_gib * GIB)), policy=policy)

    plan = look.plan_of(want, b.observed(nodes=ONE_NODE))

    assert (where(plan) != {}) is fits


@pytest.mark.parametrize(
    ("there_already", "fits"),
    [
        pytest.param(there("x", 1, 500, b.PVE1, memory_bytes=2 * GIB), False, id="a-running-one"),
        pytest.param(
            there("x", 1, 500, b.PVE1, memory_bytes=2 * GIB, power=Power.STOPPED),
            True,
            id="not-a-stopped-one",
        ),
        pytest.param(
            there("x", 1, 500, b.PVE1, memory_bytes=2 * GIB, power=Power.UNKNOWN),
            False,
            id="one-that-may-run",
        ),
        pytest.param(
            there("db", 1, 500, b.PVE1, memory_bytes=2 * GIB, power=Power.STOPPED),
            False,
            id="a-stopped-one-that-is-to-run",
        ),
        pytest.param(
            there("x", 1, 500, b.PVE1, memory_bytes=2 * GIB, template=True), True, id="no-template"
        ),
    ],
)
def test_who_takes_up_memory(there_already: ObservedGuest, *, fits: bool) -> None:
    want = b.desired(new(memory_bytes=8 * GIB), b.desired_guest("db", memory_bytes=2 * GIB))

    plan = look.plan_of(want, b.observed(there_already, nodes=ONE_NODE))

    assert ("web" in where(plan)) is fits


def test_a_stopped_guest_needs_no_memory() -> None:
    want = new(memory_bytes=80 * GIB, power=Power.STOPPED)

    assert placed(want, b.observed(nodes=ONE_NODE)) == {"web": "pve1"}


def test_an_overfull_node_is_no_reason_against_a_guest_without_memory() -> None:
    full = there("x", 1, 500, b.PVE1, memory_bytes=80 * GIB)

    want = new(power=Power.STOPPED)

    assert placed(want, b.observed(full, nodes=ONE_NODE)) == {"web": "pve1"}


def test_a_plan_that_looked_for_room_says_so() -> None:
    assert look.plan_of(b.desired(new()), b.observed()).needs_room
    assert not look.plan_of(b.desired(b.desired_guest()), b.observed(b.guest())).needs_room


def node_named(name: str) -> ObservedNode:
    return b.node(NodeName(name))


def test_only_nodes_of_the_cluster_manifest_are_chosen() -> None:
    have = b.observed(nodes=[node_named("pve0"), *(b.node(name) for name in b.NODES)])

    assert placed(new(), have) == {"web": "pve1"}


def test_storage_of_nobody_asks_for_none() -> None:
    assert placed(new(disks=()), b.observed(stores=())) == {"web": "pve1"}
    assert StorageId("nas") not in {storage for storage, _ in b.observed(stores=()).storages}
