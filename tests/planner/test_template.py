"""A template is found where a clone of it can come to be."""

from dataclasses import replace

import pytest

from qlop.model.action import CloneGuest
from qlop.model.desired import CloneSource, DesiredDisk, Placement
from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, StorageId, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Unknown
from qlop.model.units import GIB
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

NAME = "debian-12-cloud"
LOCAL_ON_2 = b.template(9002, node=b.PVE2, storage=b.LOCAL)
SHARED_ON_1 = b.template()
BIND = b.config(disks=[b.disk("mp0", volume="/srv")], witness="uuid:t")


@pytest.mark.parametrize(
    ("template", "node", "there", "source"),
    [
        pytest.param(NAME, b.PVE1, [SHARED_ON_1], 9000, id="on-the-node-itself"),
        pytest.param(NAME, b.PVE3, [SHARED_ON_1], 9000, id="elsewhere-on-shared-storage"),
        pytest.param(NAME, b.PVE2, [SHARED_ON_1, LOCAL_ON_2], 9002, id="the-one-on-the-node"),
        pytest.param(
            NAME, b.PVE3, [b.template(9005, node=b.PVE2), SHARED_ON_1], 9000, id="the-lowest-vmid"
        ),
        pytest.param(
            NAME, b.PVE3, [LOCAL_ON_2, b.template(9005)], 9005, id="the-one-that-can-be-reached"
        ),
        pytest.param(9002, b.PVE2, [SHARED_ON_1, LOCAL_ON_2], 9002, id="by-number"),
    ],
)
def test_found(
    template: str | int, node: NodeName, there: list[ObservedGuest], source: int
) -> None:
    want = b.desired_guest(
        source=CloneSource(template=template if isinstance(template, str) else VmId(template)),
        placement=Placement(allowed=frozenset({node})),
    )

    plan = look.plan_of(b.desired(want), b.observed(*there, with_template=False))

    clone = look.actions(plan)[0]
    assert isinstance(clone, CloneGuest)
    assert (clone.source, clone.target) == (source, node)


@pytest.mark.parametrize(
    ("there", "source", "message"),
    [
        pytest.param([], CloneSource(template=NAME), "finds no template debian-12-cloud in the"
                     " cluster", id="none"),
        pytest.param([b.guest(9000, name=NAME, config=b.config(witness="uuid:t"))],
                     CloneSource(template=NAME), "finds no template", id="a-guest-is-none"),
        pytest.param([replace(SHARED_ON_1, kind=GuestKind.CONTAINER)], CloneSource(template=NAME),
                     "finds no template", id="of-the-other-kind"),
        pytest.param([LOCAL_ON_2], CloneSource(template=NAME),
                     "can't reach template 9002 on pve2: storage local-lvm is not shared with it",
                     id="on-local-storage-elsewhere"),
        pytest.param([b.template(9002, node=b.PVE2)],
                     CloneSource(template=NAME, storage=b.LOCAL),
                     "can't reach template 9002 on pve2: storage local-lvm is not shared with it",
                     id="to-local-storage-from-elsewhere"),
        pytest.param([replace(LOCAL_ON_2, config=look.known(BIND))], CloneSource(template=NAME),
                     "can't reach template 9002: it uses paths of pve2", id="with-bind-mounts"),
        pytest.param([replace(SHARED_ON_1, lock="backup")], CloneSource(template=NAME),
                     "can't use template 9000: it is locked (backup)", id="locked"),
        pytest.param([replace(SHARED_ON_1, node=NodeName("pve9"))], CloneSource(template=NAME),
                     "can't use template 9000: its node pve9 is offline", id="offline"),
        pytest.param([b.template(storage=StorageId("zfs"))], CloneSource(template=NAME),
                     "has no active storage zfs", id="its-own-storage-is-not-there"),
    ],
)  # fmt: skip
def test_not_found(there: list[ObservedGuest], source: CloneSource, message: str) -> None:
    want = b.desired_guest(source=source)

    plan = look.plan_of(b.desired(want, nodes=(b.PVE1,)), b.observed(*there, with_template=False))

    assert plan.actions == ()
    assert look.held(plan).reason in {Hold.NO_TEMPLATE, Hold.NO_STORAGE}
    assert message in look.held(plan).message


def test_an_unread_template_is_not_used() -> None:
    """What it is can't be known, and neither whether it is a guest of ours: nothing is made."""
    unread = replace(SHARED_ON_1, config=Unknown("no answer"))

    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(unread, with_template=False))

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.CONFIG_UNREAD


def test_a_template_that_grew_is_no_reason_to_shrink() -> None:
    want = b.desired_guest(
        disks=(DesiredDisk(slot="scsi0", size_bytes=2 * GIB),),
    )

    plan = look.plan_of(b.desired(want), b.observed())

    assert look.verbs(plan) == ("clone", "start")
