"""What was agreed to, and what does no more than that."""

from dataclasses import replace

import pytest

from qlop.cli.likeness import said_by
from qlop.model.action import Action, ConfigureGuest, RebootGuest
from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName, NodeName, VmId
from qlop.model.impact import Impact
from qlop.model.plan import PlannedAction
from qlop.render.plan import action_document
from tests.render import worlds

WRITE = ConfigureGuest(
    subject=GuestName("web-1"),
    vmid=VmId(10001),
    kind=GuestKind.VM,
    node=NodeName("pve1"),
    digest="one",
    set={
        "memory": "4096",
        "net0": "virtio=02:00:00:00:00:01,bridge=vmbr0",
        "scsi0": "nas:vm-10001-disk-scsi0,discard=on",
    },
    delete=("balloon", "hookscript"),
)
REBOOT = RebootGuest(
    subject=GuestName("web-1"),
    vmid=VmId(10001),
    kind=GuestKind.VM,
    node=NodeName("pve1"),
    grace_s=180,
    applies=("cores=4", "memory=4096"),
)


def planned(action: Action, impact: Impact = Impact.REBOOT) -> PlannedAction:
    return replace(worlds.CONFIGURE, action=action, impact=impact)


@pytest.mark.parametrize(
    ("agreed", "now", "expected"),
    [
        pytest.param(WRITE, planned(WRITE), True, id="the-same"),
        pytest.param(WRITE, planned(replace(WRITE, digest="two")), True, id="decided-later"),
        pytest.param(WRITE, planned(WRITE, Impact.HOT), True, id="costs-less"),
        pytest.param(WRITE, planned(WRITE, Impact.DOWNTIME), False, id="costs-more"),
        pytest.param(
            WRITE,
            planned(replace(WRITE, set={"memory": "4096"}, delete=())),
            True,
            id="less-of-it",
        ),
        pytest.param(
            WRITE,
            planned(replace(WRITE, set={**WRITE.set, "cores": "2"})),
            False,
            id="another-option-too",
        ),
        pytest.param(
            WRITE, planned(replace(WRITE, set={"memory": "8192"})), False, id="another-value"
        ),
        pytest.param(
            WRITE, planned(replace(WRITE, delete=("protection",))), False, id="another-deletion"
        ),
        pytest.param(
            WRITE,
            planned(
                replace(
                    WRITE,
                    set={
                        "net0": "virtio=BC:24:11:AB:CD:EF,bridge=vmbr0",
                        "scsi0": "nas:10001/vm-10001-disk-0.qcow2,discard=on",
                    },
                )
            ),
            True,
            id="with-the-names-that-PVE-chose",
        ),
        pytest.param(
            WRITE,
            planned(replace(WRITE, set={"scsi0": "local:10001/vm-10001-disk-0.qcow2,discard=on"})),
            False,
            id="on-another-storage",
        ),
        pytest.param(
            WRITE, planned(replace(WRITE, node=NodeName("pve2"))), False, id="on-another-node"
        ),
        pytest.param(WRITE, planned(replace(WRITE, vmid=VmId(9))), False, id="another-guest"),
        pytest.param(WRITE, planned(REBOOT), False, id="another-verb"),
        pytest.param(
            REBOOT, planned(replace(REBOOT, applies=("cores=4",))), True, id="applies-less"
        ),
        pytest.param(
            REBOOT,
            planned(replace(REBOOT, applies=("cores=8",))),
            False,
            id="applies-other-things",
        ),
        pytest.param(REBOOT, planned(replace(REBOOT, grace_s=1)), False, id="another-grace"),
    ],
)
def test_what_was_agreed_to_covers_what_does_no_more(
    agreed: Action,
    now: PlannedAction,
    expected: bool,  # noqa: FBT001  # a column
) -> None:
    said = said_by(action_document(planned(agreed)))

    assert said.covers(now) is expected
