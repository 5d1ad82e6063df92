"""A disk that can't be made keeps no other change from being written."""

import pytest

from qlop.model.desired import DesiredDisk
from qlop.model.guest import Power
from qlop.model.ids import StorageId
from qlop.model.units import GIB
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look


@pytest.mark.parametrize(
    ("storage", "others", "verbs"),
    [
        pytest.param("ssd-pool", {}, (), id="waits-for-a-storage-that-is-missing"),
        pytest.param("ssd-pool", {"cores": "4"}, ("configure",), id="writes-the-rest"),
    ],
)
def test_new_disk(storage: str, others: dict[str, str], verbs: tuple[str, ...]) -> None:
    disk = DesiredDisk(
        slot="scsi1", size_bytes=GIB, storage=StorageId(storage), volume=None, properties={}
    )
    want = b.desired_guest(disks=(disk,), options=others, power=Power.STOPPED)

    plan = look.plan_one(want, b.guest(power=Power.STOPPED, config=b.config(b.mark())))

    assert look.verbs(plan) == verbs
    assert look.held(plan).reason is Hold.NO_STORAGE
    assert all("scsi1" not in getattr(action, "set", {}) for action in look.actions(plan))
