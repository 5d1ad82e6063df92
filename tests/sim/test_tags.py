"""Which tags a caller may set: ``user-tag-access`` and ``registered-tags`` of the datacenter.

``assert_tag_permissions`` and ``get_allowed_tags`` in pve-guest-common's ``PVE/GuestHelpers.pm``,
``get_options`` in pve-manager's ``PVE/API2/Cluster.pm``.
"""

import pytest

from qlop.sim import world
from qlop.sim.wire import SimResponse
from tests.sim.documented import CREDENTIAL, ROLES, granted
from tests.sim.lab import Lab
from tests.sim.test_containers import made

TOKEN = f"PVEAPIToken={CREDENTIAL}"
GUESTS = {
    name: privileges - {"Sys.Modify"} for name, privileges in ROLES.items() if "Sys" not in name
} | {"QlopMore": frozenset({"Sys.Audit"})}


def lab_of(**options: str) -> Lab:
    """A cluster with these options and a guest 101, and a caller without ``Sys.Modify``."""
    lab = Lab(granted(world.hospital(), GUESTS))
    lab.clone(101, node="pve1")
    lab.must("PUT", "/nodes/pve1/qemu/101/config", tags="old;locked")
    lab.must(
        "PUT", "/cluster/options", **{name.replace("_", "-"): options[name] for name in options}
    )
    return lab


def set_tags(lab: Lab, tags: str) -> SimResponse:
    return lab.call("PUT", "/nodes/pve1/qemu/101/config", as_=TOKEN, tags=tags)


def refusal(tag: str) -> tuple[int, str]:
    return 403, f"Permission check failed (/, Sys.Modify for modifying tag '{tag}')"


@pytest.mark.parametrize(
    ("access", "tags", "refused"),
    [
        pytest.param("user-allow=free", "old;locked;any", None, id="free-takes-any"),
        pytest.param("user-allow=none", "old;locked;any", "any", id="none-takes-none"),
        pytest.param("user-allow=none", "locked;old", None, id="the-same-tags-are-no-change"),
        pytest.param("user-allow=none", "old", "locked", id="removing-counts-too"),
        pytest.param("user-allow=list,user-allow-list=web;db", "old;locked;db", None, id="listed"),
        pytest.param(
            "user-allow=list,user-allow-list=web;db", "old;locked;x", "x", id="not-listed"
        ),
        pytest.param("user-allow=existing", "locked", None, id="what-exists-can-be-removed"),
        pytest.param("user-allow=existing", "old;locked;x", "x", id="new-to-the-cluster"),
    ],
)
def test_who_may_set_which_tags(access: str, tags: str, refused: str | None) -> None:
    answer = set_tags(lab_of(user_tag_access=access), tags)

    assert (answer.status, answer.reason) == (refusal(refused) if refused else (200, "OK"))


def test_a_registered_tag_is_for_those_with_sys_modify_even_if_it_is_on_the_list() -> None:
    lab = lab_of(
        registered_tags="locked", user_tag_access="user-allow=list,user-allow-list=locked;old"
    )

    answer = set_tags(lab, "old")

    assert (answer.status, answer.reason) == refusal("locked")
    assert lab.get("/nodes/pve1/qemu/101/config")["tags"] == "locked;old"
    lab.must("PUT", "/nodes/pve1/qemu/101/config", tags="old")


def test_a_container_s_tags_count_one_by_one_as_well() -> None:
    lab = lab_of(user_tag_access="user-allow=none")
    path = made(lab)

    answer = lab.call("PUT", f"{path}/config", as_=TOKEN, tags="x")

    assert (answer.status, answer.reason) == refusal("x")


def test_a_new_vm_with_tags_fails_in_its_task_unless_any_tag_is_free() -> None:
    lab = lab_of(user_tag_access="user-allow=list,user-allow-list=web")

    answer = lab.call("POST", "/nodes/pve1/qemu", as_=TOKEN, vmid=110, tags="web")

    text = lab.exit_of(str(answer.value()))
    assert text.startswith("unable to create VM 110 - Permission check failed (/, Sys.Modify for ")
    assert "tag 'HASH(0x" in text
    assert lab.listed(110) == {}


def test_the_options_tell_what_may_be_used_and_take_their_parts_apart() -> None:
    lab = lab_of(
        registered_tags="prod;locked", user_tag_access="user-allow=existing,user-allow-list=web"
    )

    mine = lab.call("GET", "/cluster/options", as_=TOKEN).value()
    roots = lab.get("/cluster/options")

    assert isinstance(mine, dict)
    assert mine["allowed-tags"] == ["old", "web"]
    assert {"locked", "old", "prod", "web"} <= set(roots["allowed-tags"])
    assert roots["registered-tags"] == ["locked", "prod"]
    assert roots["user-tag-access"] == {"user-allow": "existing", "user-allow-list": ["web"]}


def test_the_style_of_tags_can_keep_their_case_and_order() -> None:
    lab = lab_of(tag_style="case-sensitive=1,ordering=config")

    lab.must("PUT", "/nodes/pve1/qemu/101/config", tags="Web;old;Web;App")

    assert lab.get("/nodes/pve1/qemu/101/config")["tags"] == "Web;old;App"


@pytest.mark.parametrize(
    ("option", "value", "path"),
    [
        ("hostpci0", "mapping=gpu", "/mapping/pci/gpu"),
        ("usb0", "mapping=key", "/mapping/usb/key"),
        ("virtiofs0", "shared", "/mapping/dir/shared"),
        ("rng0", "source=/dev/hwrng", "/mapping/hwrng"),
    ],
)
def test_a_mapping_needs_the_right_to_use_it(option: str, value: str, path: str) -> None:
    lab = lab_of()

    before = lab.call("PUT", "/nodes/pve1/qemu/101/config", as_=TOKEN, **{option: value})
    for who in ("users", "tokens"):
        lab.must(
            "PUT", "/access/acl", path=path, roles="PVEMappingUser",
            **{who: CREDENTIAL.partition("=")[0].partition("!" if who == "users" else "=")[0]},
        )  # fmt: skip
    after = lab.call("PUT", "/nodes/pve1/qemu/101/config", as_=TOKEN, **{option: value})

    assert (before.status, before.reason) == (
        403, f"Permission check failed ({path}, Mapping.Use)",
    )  # fmt: skip
    assert (after.status, after.reason) == (200, "OK")


def test_what_holds_a_device_of_the_host_only_root_can_change() -> None:
    lab = lab_of()
    lab.cluster.world.guests[101].config["usb0"] = "host=1-2"

    answer = lab.call("PUT", "/nodes/pve1/qemu/101/config", as_=TOKEN, usb0="spice")

    assert (answer.status, answer.reason) == (
        500, "only root can set 'usb0' config for real devices",
    )  # fmt: skip
