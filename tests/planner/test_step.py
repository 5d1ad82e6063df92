"""An action's id says what it does, and nothing about when it was decided."""

from dataclasses import replace

import pytest

from qlop.model.action import Action, ConfigureGuest, CreateGuest
from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName, StorageId
from qlop.planner.step import action_id
from tests import builders as b

CONFIGURE = ConfigureGuest(
    subject=GuestName("web"),
    vmid=b.WEB_VMID,
    kind=GuestKind.VM,
    node=b.PVE1,
    digest="d1",
    set={"cores": "2", "tags": "a"},
)
CREATE = CreateGuest(
    subject=GuestName("web"),
    vmid=b.WEB_VMID,
    kind=GuestKind.VM,
    node=b.PVE1,
    params={},
    storages=frozenset({StorageId("a"), StorageId("b")}),
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(CONFIGURE, CONFIGURE, True, id="itself"),
        pytest.param(CONFIGURE, replace(CONFIGURE, digest="d2"), True, id="another-digest"),
        pytest.param(
            CONFIGURE,
            replace(CONFIGURE, set={"tags": "a", "cores": "2"}),
            True,
            id="another-order",
        ),
        pytest.param(CONFIGURE, replace(CONFIGURE, set={"cores": "4"}), False, id="another-value"),
        pytest.param(CONFIGURE, replace(CONFIGURE, node=b.PVE2), False, id="another-node"),
        pytest.param(
            CONFIGURE, replace(CONFIGURE, subject=GuestName("db")), False, id="another-guest"
        ),
        pytest.param(
            CREATE,
            replace(CREATE, storages=frozenset({StorageId("b"), StorageId("a")})),
            True,
            id="a-set-has-no-order",
        ),
    ],
)
def test_id(one: Action, other: Action, *, same: bool) -> None:
    assert (action_id(one) == action_id(other)) is same


def test_form_and_stability() -> None:
    """A journal outlives an upgrade: backoff goes by ids that an older qlop wrote."""
    assert action_id(CONFIGURE) == "web/configure/0953feb6217d"
