"""Mappings of devices and directories: ``PVE/API2/Cluster/Mapping`` of pve-manager."""

import pytest

from qlop.sim import world
from tests.sim.documented import CREDENTIAL, ROLES, granted
from tests.sim.lab import Lab

TOKEN = f"PVEAPIToken={CREDENTIAL}"
GPU = "id=10de:2204,node=pve1,path=0000:01:00"
PCI = "/cluster/mapping/pci"


def test_a_mapping_is_made_read_changed_and_removed() -> None:
    lab = Lab()

    lab.must("POST", PCI, id="gpu", map=GPU, mdev=1)
    made = lab.get(f"{PCI}/gpu")
    lab.must("PUT", f"{PCI}/gpu", description="two", delete="mdev", digest=made["digest"])
    (listed,) = lab.get(PCI)

    assert (made["map"], made["mdev"], made["type"]) == ([GPU], 1, "pci")
    assert (listed["id"], listed["description"], listed.get("mdev")) == ("gpu", "two", None)
    lab.must("DELETE", f"{PCI}/gpu")
    lab.must("DELETE", f"{PCI}/gpu")
    assert lab.call("GET", f"{PCI}/gpu").reason == "mapping 'gpu' not found"


@pytest.mark.parametrize(
    ("method", "path", "form", "reason"),
    [
        ("POST", PCI, {"id": "gpu", "map": GPU},
         "create hardware mapping failed: pci ID 'gpu' already defined"),
        ("PUT", f"{PCI}/xx", {"description": "x"},
         "update hardware mapping failed: pci ID 'xx' does not exist"),
        ("PUT", f"{PCI}/gpu", {"delete": "map"},
         "update hardware mapping failed: unable to delete required option 'map'"),
        ("POST", "/cluster/mapping/dir", {"id": "dd", "map": "node=pve1,path=/srv"},
         "Path /srv does not exist"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    method: str, path: str, form: dict[str, str], reason: str
) -> None:
    lab = Lab()
    lab.must("POST", PCI, id="gpu", map=GPU)

    assert lab.call(method, path, **form).reason == reason


def test_a_node_says_what_is_wrong_with_its_entry() -> None:
    lab = Lab()
    lab.must("POST", PCI, id="gpu", map=GPU)

    (here,) = lab.get(PCI, **{"check-node": "pve1"})
    (there,) = lab.get(PCI, **{"check-node": "pve2"})

    (error,), (warning,) = here["checks"], there["checks"]
    assert error["message"] == "Invalid configuration: pci device '0000:01:00.0' not found\n"
    assert warning == {"severity": "warning", "message": "No mapping for node pve2."}


def test_who_has_no_right_sees_none_and_makes_none() -> None:
    lab = Lab(granted(world.hospital(), ROLES))
    lab.must("POST", PCI, id="gpu", map=GPU)

    assert lab.call("GET", PCI, as_=TOKEN).value() == []
    assert lab.call("GET", f"{PCI}/gpu", as_=TOKEN).status == 403
    refused = lab.call("POST", PCI, as_=TOKEN, id="other", map=GPU)
    assert refused.reason == "Permission check failed (/mapping/pci, Mapping.Modify)"


def test_a_group_tells_its_members() -> None:
    """``read_group`` and ``update_group`` in pve-access-control's ``PVE/API2/Group.pm``."""
    lab = Lab()
    lab.must("POST", "/access/groups", groupid="ops")
    lab.must("POST", "/access/users", userid="eva@pve", groups="ops")

    lab.must("PUT", "/access/groups/ops", comment="night")

    assert lab.get("/access/groups/ops") == {"members": ["eva@pve"], "comment": "night"}
    assert lab.call("GET", "/access/groups/no").reason == "group 'no' does not exist"
