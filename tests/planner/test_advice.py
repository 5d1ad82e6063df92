"""Whose VMID somebody has is told how to adopt that one, where that would do."""

from dataclasses import replace

import pytest

from qlop.model.guest import GuestKind
from qlop.model.ids import ClusterName
from qlop.model.observed import ObservedGuest
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

OTHERWISE = "choose another vmid in the manifest"
STRANGER = b.guest(100, name="old", config=b.config(options={"cores": "2"}, witness="uuid:1"))


def there(**more: object) -> ObservedGuest:
    return replace(STRANGER, **more)  # type: ignore[arg-type]  # fields of the guest


@pytest.mark.parametrize(
    ("guest", "remedy"),
    [
        pytest.param(
            there(), f"if it is this very guest, `qlop adopt web`; or {OTHERWISE}", id="it-fits"
        ),
        pytest.param(
            there(config=look.known(b.config(options={"cores": "4"}, witness="uuid:1"))),
            f"if it is this very guest, `qlop adopt web --dry-run`; or {OTHERWISE}",
            id="it-differs",
        ),
        pytest.param(there(kind=GuestKind.CONTAINER), OTHERWISE, id="another-kind"),
        pytest.param(there(template=True), OTHERWISE, id="a-template"),
        pytest.param(
            there(config=look.known(b.config(options={"cores": "2"}, witness=""))),
            OTHERWISE,
            id="no-witness",
        ),
        pytest.param(
            there(
                config=look.known(b.config(replace(b.mark(vmid=100), cluster=ClusterName("else"))))
            ),
            OTHERWISE,
            id="another-qlop-s",
        ),
        pytest.param(
            there(config=look.known(b.config(b.mark("db", vmid=100)))), OTHERWISE, id="ours"
        ),
    ],
)
def test_adoption_is_advised_where_it_would_do(guest: ObservedGuest, remedy: str) -> None:
    want = b.desired_guest(vmid=100, options={"cores": "2"})

    held = look.held(look.plan_of(b.desired(want), b.observed(guest)))

    assert held.reason is Hold.NOT_OURS
    assert held.remedy == remedy


def test_who_has_a_vmid_of_ours_is_named_as_it_is_known() -> None:
    want = b.desired_guest(vmid=100)
    other = b.guest(100, name="shop", config=b.config(b.mark("db", vmid=100)))

    third = b.guest(99, config=b.config(b.mark("app", vmid=99)))
    orphaned = look.plan_of(b.desired(want), b.observed(third, other))
    wanted = look.plan_of(b.desired(want, b.desired_guest("db")), b.observed(other))

    text = "VMID 100 is taken by VM shop on pve1, which is ours: "
    assert look.held(orphaned).message == f"{text}db-1, in no manifest"
    assert look.held(wanted).message == f"{text}db"
