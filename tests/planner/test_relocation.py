"""A guest moves only if its manifest forbids where it is, and only if it can."""

from dataclasses import replace

import pytest

from qlop.model.action import MigrateGuest, MigrationMode
from qlop.model.consent import Consents
from qlop.model.desired import DesiredGuest, Placement
from qlop.model.guest import Disk, GuestKind, Power
from qlop.model.ids import GuestName, NodeName, ServiceName, StorageId
from qlop.model.impact import Impact
from qlop.model.node import ObservedNode, ObservedStorage
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Unknown
from qlop.model.units import GIB
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

CT = GuestKind.CONTAINER
DB = ServiceName("db")
ELSEWHERE = Placement(allowed=frozenset({b.PVE2, b.PVE3}))
ONLY_TWO = Placement(allowed=frozenset({b.PVE2}))
ISO_STORE = StorageId("local")
SHARED_DISK = b.disk()
LOCAL_DISK = b.disk(volume="local-lvm:vm-10000-disk-0", size_gib=32)


def moving(placement: Placement = ELSEWHERE, consents: Consents = b.UNASKED) -> DesiredGuest:
    return b.desired_guest(placement=placement, consents=consents)


def here(*disks: Disk, power: Power = Power.RUNNING, ha_state: str = "") -> ObservedGuest:
    config = b.config(b.mark(), disks=disks)
    return b.guest(power=power, ha_state=ha_state, config=config)


def container(*disks: Disk, power: Power = Power.RUNNING) -> ObservedGuest:
    config = b.config(b.container_mark(), nics=[b.container_nic()], disks=disks)
    return b.guest(kind=CT, power=power, config=config)


def move(
    mode: MigrationMode,
    *,
    kind: GuestKind = GuestKind.VM,
    local: bool = False,
    target: NodeName = b.PVE2,
) -> MigrateGuest:
    return MigrateGuest(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=kind,
        node=b.PVE1,
        target=target,
        mode=mode,
        with_local_disks=local,
        grace_s=120,
    )


@pytest.mark.parametrize(
    ("want", "have", "actions"),
    [
        pytest.param(moving(Placement()), here(), (), id="anywhere-is-right"),
        pytest.param(moving(Placement(allowed=frozenset({b.PVE1}))), here(), (), id="allowed"),
        pytest.param(moving(Placement(preferred=(b.PVE3,))), here(), (), id="a-wish-moves-nobody"),
        pytest.param(moving(), here(SHARED_DISK), (move(MigrationMode.ONLINE),), id="live"),
        pytest.param(moving(), here(LOCAL_DISK), (move(MigrationMode.ONLINE, local=True),),
                     id="live-with-local-disks"),
        pytest.param(
            replace(moving(), power=Power.STOPPED),
            here(power=Power.STOPPED),
            (move(MigrationMode.OFFLINE),),
            id="stopped",
        ),
        pytest.param(moving(), here(power=Power.PAUSED),
                     (move(MigrationMode.ONLINE), look.RESUME), id="paused"),
        pytest.param(
            replace(moving(consents=b.WILLING), kind=CT),
            container(),
            (move(MigrationMode.RESTART, kind=CT),),
            id="a-container-restarts-if-it-may",
        ),
    ],
)  # fmt: skip
def test_moves(want: DesiredGuest, have: ObservedGuest, actions: tuple[object, ...]) -> None:
    assert look.actions(look.plan_one(want, have)) == actions


def iso(volume: str = "local:iso/debian.iso") -> Disk:
    return b.disk("ide2", volume=volume, size_gib=None, media="cdrom")


@pytest.mark.parametrize(
    ("want", "have", "hold", "message"),
    [
        pytest.param(moving(), here(ha_state="started"), Hold.HA_MANAGED,
                     "and the HA manager owns its placement", id="ha"),
        pytest.param(moving(), here(power=Power.UNKNOWN), Hold.POWER_UNKNOWN,
                     "how it can be moved depends on whether it runs", id="power-unknown"),
        pytest.param(replace(moving(), kind=CT), container(), Hold.APPROVAL,
                     "to migrate it (impact: downtime) needs an approval", id="container"),
        pytest.param(moving(), here(iso()), Hold.UNSUPPORTED_CHANGE,
                     "it can't move: ide2 holds local:iso/debian.iso, which only pve1 has",
                     id="an-iso-in-its-drive"),
        pytest.param(replace(moving(), kind=CT), container(b.disk("mp0", volume="/srv/x")),
                     Hold.UNSUPPORTED_CHANGE, "it can't move: mp0 is a path of pve1 (/srv/x)",
                     id="a-bind-mount"),
        pytest.param(moving(ONLY_TWO), here(b.disk(volume="zfs:vm-10000-disk-0")),
                     Hold.NO_STORAGE, "pve2 has no active storage zfs", id="no-such-storage"),
        pytest.param(moving(ONLY_TWO), here(replace(LOCAL_DISK, size_bytes=2000 * GIB)),
                     Hold.NO_CAPACITY, "pve2 has no room for its disks on local-lvm",
                     id="no-room-on-its-storage"),
    ],
)  # fmt: skip
def test_what_keeps_it_where_it_is(
    want: DesiredGuest, have: ObservedGuest, hold: Hold, message: str
) -> None:
    plan = look.plan_one(want, have)

    assert plan.actions == ()
    assert look.held(plan).reason is hold
    assert message in look.held(plan).message


@pytest.mark.parametrize(
    "disk",
    [
        pytest.param(iso("nas:iso/debian.iso"), id="an-iso-on-shared-storage"),
        pytest.param(iso("none"), id="an-empty-drive"),
        pytest.param(b.disk("mp0", volume="/srv/x", shared="1"), id="a-path-all-nodes-have"),
        pytest.param(
            b.disk("ide2", volume="local-lvm:vm-10000-cloudinit", media="cdrom"),
            id="a-cloud-init-drive",
        ),
    ],
)
def test_what_does_not_keep_it(disk: Disk) -> None:
    assert look.verbs(look.plan_one(moving(), here(disk))) == ("migrate",)


def test_a_move_of_a_container_costs_a_share_of_the_budget_and_says_so() -> None:
    want = replace(moving(consents=b.WILLING), kind=CT)

    plan = look.plan_of(b.desired(want, max_unavailable=0), b.observed(container()))

    assert look.held(plan).reason is Hold.BUDGET
    (planned,) = look.plan_one(want, container()).actions
    assert planned.impact is Impact.DOWNTIME


def test_a_live_move_stands_in_the_queues_of_both_nodes() -> None:
    (planned,) = look.plan_one(moving(), here()).actions

    assert planned.takes == ("node:pve1", "node:pve2", "migration:pve1", "migration:pve2")
    assert planned.premise == look.premise(b.mark(), Power.RUNNING)
    assert planned.reason == "it is on pve1, which is not among the allowed nodes (pve2, pve3)"


def db_here(node: NodeName = b.PVE1, vmid: int = 10001) -> ObservedGuest:
    return b.guest(vmid, name="db", node=node, config=b.config(b.mark("db", 1, vmid)))


APART_FROM_WEB = Placement(apart_from=frozenset({b.WEB}))
APART_FROM_DB = Placement(apart_from=frozenset({DB}))


@pytest.mark.parametrize(
    ("web", "db"),
    [
        pytest.param(Placement(), APART_FROM_WEB, id="the-later-name-said-so"),
        pytest.param(APART_FROM_DB, Placement(), id="the-earlier-name-said-so"),
        pytest.param(APART_FROM_DB, APART_FROM_WEB, id="both-said-so"),
    ],
)
def test_of_two_that_must_be_apart_one_moves(web: Placement, db: Placement) -> None:
    want = b.desired(
        b.desired_guest(placement=web), b.desired_guest("db", placement=db, memory_bytes=GIB)
    )

    plan = look.plan_of(want, b.observed(b.guest(), db_here()))

    assert look.actions(plan) == (move(MigrationMode.ONLINE, target=b.PVE2),)
    assert plan.actions[0].reason == "it is on pve1 with db, which it must be kept apart from"


def test_it_moves_to_where_nobody_is_that_it_must_be_apart_from() -> None:
    want = b.desired(
        b.desired_guest(placement=APART_FROM_DB),
        b.desired_guest("db", 1, name="db-1"),
        b.desired_guest("db", 2, name="db-2"),
    )
    second = b.guest(10002, name="db-2", node=b.PVE2, config=b.config(b.mark("db", 2, 10002)))

    plan = look.plan_of(want, b.observed(b.guest(), db_here(), second))

    assert look.actions(plan) == (move(MigrationMode.ONLINE, target=b.PVE3),)


def test_two_that_are_apart_stay() -> None:
    want = b.desired(b.desired_guest(placement=APART_FROM_DB), b.desired_guest("db"))

    plan = look.plan_of(want, b.observed(b.guest(), db_here(b.PVE2)))

    assert plan.actions == ()


def nodes(**memory_gib: int) -> list[ObservedNode]:
    return [b.node(NodeName(name), memory_bytes=gib * GIB) for name, gib in memory_gib.items()]


def test_the_room_of_one_that_leaves_is_not_given_away_before_it_has_left() -> None:
    """On pve1 there is room for one of two; the one there is going to leave it."""
    want = b.desired(
        b.desired_guest(placement=ONLY_TWO, memory_bytes=8 * GIB),
        b.desired_guest(
            "db", placement=Placement(allowed=frozenset({b.PVE1})), memory_bytes=8 * GIB
        ),
    )
    have = b.observed(b.guest(), nodes=nodes(pve1=10, pve2=10))

    plan = look.plan_of(want, have)

    assert look.answer(plan, "web") == ("migrate",)
    assert look.answer(plan, "db") is Hold.NO_CAPACITY


def test_the_room_that_one_moves_into_is_gone_for_the_next() -> None:
    want = b.desired(
        b.desired_guest(placement=ONLY_TWO, memory_bytes=8 * GIB),
        b.desired_guest("db", placement=ONLY_TWO, memory_bytes=8 * GIB),
    )
    have = b.observed(b.guest(), db_here(), nodes=nodes(pve1=20, pve2=10))

    plan = look.plan_of(want, have)

    assert look.answer(plan, "db") == ("migrate",)
    assert look.answer(plan, "web") is Hold.NO_CAPACITY


def test_the_storage_that_one_moves_onto_is_gone_for_the_next() -> None:
    want = b.desired(moving(ONLY_TWO), b.desired_guest("db", placement=ONLY_TWO))
    big = replace(LOCAL_DISK, size_bytes=500 * GIB)
    other = b.guest(10001, name="db", config=b.config(b.mark("db", 1, 10001), disks=[big]))

    plan = look.plan_of(want, b.observed(here(big), other))

    assert look.answer(plan, "db") == ("migrate",)
    assert look.answer(plan, "web") is Hold.NO_CAPACITY


def test_a_stopped_guest_takes_no_memory_along() -> None:
    want = b.desired_guest(placement=ONLY_TWO, power=Power.STOPPED, memory_bytes=64 * GIB)

    plan = look.plan_one(want, here(power=Power.STOPPED))

    assert look.verbs(plan) == ("migrate",)


def iso_store(*, shared: bool) -> tuple[ObservedStorage, ...]:
    return tuple(
        ObservedStorage(
            storage=ISO_STORE,
            node=node,
            shared=shared,
            active=True,
            content=frozenset({"iso"}),
            plugin="dir",
        )
        for node in b.NODES
    )


@pytest.mark.parametrize(("shared", "verbs"), [(True, ("migrate",)), (False, ())])
def test_an_iso_stays_behind_only_if_its_storage_does(
    verbs: tuple[str, ...], *, shared: bool
) -> None:
    have = b.observed(here(iso()), stores=[*b.storages(), *iso_store(shared=shared)])

    assert look.verbs(look.plan_of(b.desired(moving()), have)) == verbs


def test_with_guests_unread_nobody_is_moved() -> None:
    unread = b.guest(555, config=Unknown("no answer"))

    plan = look.plan_of(b.desired(moving()), b.observed(here(), unread))

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.CONFIG_UNREAD
