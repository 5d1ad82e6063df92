"""An existing guest is touched only if nothing stands in the way, and in one order."""

from datetime import timedelta

import pytest

from qlop.model.desired import DesiredGuest, Placement, Snapshots
from qlop.model.guest import Disk, GuestKind, Power
from qlop.model.ids import Upid, VmId
from qlop.model.observed import Observed, ObservedGuest, ObservedTask
from qlop.model.reading import Absent, Known, Reading
from qlop.model.units import GIB
from qlop.model.verdict import Converged, Hold
from tests import builders as b
from tests.planner import look

DRIFTED = b.desired_guest(options={"cores": "4"})
HERE = b.guest()


def task(verb: str = "vzdump", exit_status: str = "", vmid: int = b.WEB_VMID) -> ObservedTask:
    return ObservedTask(
        upid=Upid(f"UPID:pve1:1:1:1:{verb}:{vmid}:root@pam:"),
        node=b.PVE1,
        verb=verb,
        vmid=VmId(vmid),
        user="root@pam",
        started_at=b.NOW - timedelta(seconds=5),
        exit_status=exit_status,
    )


@pytest.mark.parametrize(
    ("have", "hold"),
    [
        pytest.param(
            b.observed(HERE, nodes=[b.node(b.PVE1, online=False), b.node(b.PVE2)]),
            Hold.NODE_OFFLINE,
            id="its-node-is-offline",
        ),
        pytest.param(
            b.observed(HERE, nodes=[b.node(b.PVE2)]), Hold.NODE_OFFLINE, id="its-node-is-gone"
        ),
        pytest.param(b.observed(b.guest(template=True)), Hold.IS_TEMPLATE, id="made-a-template"),
        pytest.param(b.observed(b.guest(lock="migrate")), Hold.LOCKED, id="locked"),
        pytest.param(b.observed(HERE, tasks=(task(),)), Hold.TASK_RUNNING, id="a-task-runs"),
        pytest.param(
            b.observed(b.guest(kind=GuestKind.CONTAINER)),
            Hold.UNSUPPORTED_CHANGE,
            id="a-container-is-no-vm",
        ),
    ],
)
def test_what_stands_in_the_way(have: Observed, hold: Hold) -> None:
    plan = look.plan_of(b.desired(DRIFTED), have)

    assert plan.actions == ()
    assert look.held(plan).reason is hold
    assert plan.verdicts[DRIFTED.name].vmid == b.WEB_VMID


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(task(exit_status="OK"), id="over"),
        pytest.param(task("vncproxy"), id="somebody-looks-at-its-console"),
        pytest.param(task(vmid=4711), id="of-another-guest"),
    ],
)
def test_a_task_that_stands_not_in_the_way(other: ObservedTask) -> None:
    plan = look.plan_of(b.desired(DRIFTED), b.observed(HERE, tasks=(other,)))

    assert look.answer(plan) == ("configure",)


def test_a_vmid_is_never_changed() -> None:
    plan = look.plan_one(b.desired_guest(vmid=10007), HERE)

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.UNSUPPORTED_CHANGE
    assert look.held(plan).remedy == "write vmid: 10000, or back it up and restore it by hand"


@pytest.mark.parametrize(
    ("quorate", "complete", "hold"),
    [
        pytest.param(Known(value=False), True, Hold.NO_QUORUM, id="no-quorum"),
        pytest.param(Absent(), True, Hold.OBSERVATION_INCOMPLETE, id="quorum-not-seen"),
        pytest.param(Known(value=True), False, Hold.OBSERVATION_INCOMPLETE, id="listing-cut"),
        pytest.param(Known(value=False), False, Hold.NO_QUORUM, id="both"),
    ],
)
def test_in_a_world_half_seen_nothing_is_done(
    quorate: Reading[bool], hold: Hold, *, complete: bool
) -> None:
    want = b.desired(DRIFTED, b.desired_guest("db"))
    have = b.observed(HERE, quorate=quorate, complete=complete, gaps=("pve2: no answer",))

    plan = look.plan_of(want, have)

    assert plan.actions == ()
    assert [look.answer(plan, name) for name in ("web", "db")] == [hold, hold]
    assert plan.verdicts[DRIFTED.name].vmid == b.WEB_VMID


def disk(size_gib: int = 3) -> Disk:
    return Disk(
        slot="scsi0",
        volume="nas:vm-10000-disk-0",
        storage=b.NAS,
        size_bytes=size_gib * GIB,
    )


@pytest.mark.parametrize(
    ("want", "have", "verbs"),
    [
        pytest.param(
            b.desired_guest(options={"cores": "4"}, pool="prod"),
            b.guest(power=Power.STOPPED),
            ("configure", "assign-pool", "start"),
            id="configured-before-it-starts",
        ),
        pytest.param(
            b.desired_guest(
                options={"cores": "4"},
                consents=b.WILLING,
                placement=Placement(allowed=frozenset({b.PVE2})),
            ),
            HERE,
            ("configure", "migrate", "reboot"),
            id="moved-before-it-reboots",
        ),
        pytest.param(
            b.desired_guest(options={"cores": "4"}, snapshots=Snapshots(keep=("before",))),
            b.guest(power=Power.STOPPED),
            ("configure", "start"),
            id="snapshots-wait-until-all-else-is-done",
        ),
        pytest.param(
            b.desired_guest(snapshots=Snapshots(keep=("before",))),
            HERE,
            ("snapshot",),
            id="snapshots-last",
        ),
    ],
)
def test_order(want: DesiredGuest, have: ObservedGuest, verbs: tuple[str, ...]) -> None:
    plan = look.plan_one(want, have)

    assert look.verbs(plan) == verbs
    chain = [planned.id for planned in plan.actions]
    assert [planned.after for planned in plan.actions] == [(), *((one,) for one in chain[:-1])]


def test_what_can_be_done_is_done_and_the_rest_is_held() -> None:
    want = b.desired_guest(options={"cores": "4", "onboot": "1"})

    plan = look.plan_one(want, HERE)

    assert look.verbs(plan) == ("configure",)
    assert look.held(plan).reason is Hold.APPROVAL


def test_several_holds_are_told_as_one() -> None:
    want = b.desired_guest(
        options={"cores": "2"}, placement=Placement(allowed=frozenset({b.PVE2}))
    )
    have = b.guest(
        ha_state="started",
        config=b.config(b.mark(), options={"cores": "2"}, pending=("cores",)),
    )

    found = look.held(look.plan_one(want, have))

    assert found.reason is Hold.HA_MANAGED
    assert found.message == (
        "it is on pve1, which is not among the allowed nodes (pve2), and the HA manager owns its"
        " placement; cores will take effect with a reboot; to reboot it (impact: reboot)"
        " needs an approval"
    )


def test_what_no_manifest_names_is_mentioned() -> None:
    have = b.guest(config=b.config(b.mark(), disks=[disk()], unused={"unused0": "nas:x"}))

    plan = look.plan_one(b.desired_guest(), have)

    assert look.verdict(plan) == Converged(
        note="disks that no manifest names: scsi0; detached volumes: nas:x"
    )
