"""What a caller may not do is refused: by rights, by locks, by what is not there."""

from dataclasses import replace
from typing import Any

import pytest

from qlop.sim.world import AclSpec, ClusterSpec, UserSpec, hospital
from tests.sim.lab import Lab

FEW = "PVEAPIToken=few@pve!t=s"
ARCHIVE = "nas:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst"


def granted(**roles: str) -> Lab:
    """A cluster in which ``few@pve`` has these roles; ``_`` in a name stands for ``/``."""
    spec: ClusterSpec = hospital()
    few = UserSpec(userid="few@pve", tokens={"t": "s"})
    acl = [
        AclSpec(path=path.replace("_", "/"), who="few@pve", role=role)
        for path, role in roles.items()
    ]
    return Lab(replace(spec, users=(*spec.users, few), acl=(*spec.acl, *acl), pools=("team",)))


@pytest.mark.parametrize(
    ("method", "path", "form", "needs"),
    [
        (
            "DELETE",
            "/nodes/pve1/storage/nas/content/nas:iso/x.iso",
            {},
            "/storage/nas, Datastore.Allocate",
        ),
        (
            "DELETE",
            f"/nodes/pve1/storage/nas/content/{ARCHIVE}",
            {},
            "/storage/nas, Datastore.AllocateSpace",
        ),
        (
            "GET",
            "/nodes/pve1/storage/nas/content/nas:iso/x.iso",
            {},
            "/storage/nas, Datastore.AllocateSpace|Datastore.Audit",
        ),
        (
            "GET",
            f"/nodes/pve1/storage/nas/content/{ARCHIVE}",
            {},
            "/storage/nas, Datastore.AllocateSpace",
        ),
        (
            "GET",
            "/nodes/pve1/storage/local-lvm/content/local-lvm:vm-9000-disk-0",
            {},
            "/storage/local-lvm, Datastore.Audit",
        ),
        ("POST", "/nodes/pve1/startall", {}, "/, VM.PowerMgmt"),
        ("POST", "/nodes/pve1/stopall", {"vms": "9000"}, "/vms/9000, VM.PowerMgmt"),
        (
            "POST",
            "/nodes/pve1/vzdump",
            {"vmid": "9000"},
            "/storage/local, Datastore.AllocateSpace",
        ),
    ],
)
def test_what_anybody_may_ask_for_is_looked_at_by_the_method_itself(
    method: str, path: str, form: dict[str, Any], needs: str
) -> None:
    """pve-storage ``PVE/API2/Storage/Content.pm``; pve-manager ``Nodes.pm``, ``VZDump.pm``."""
    answer = granted().call(method, path, as_=FEW, **form)

    assert (answer.status, answer.reason) == (403, f"Permission check failed ({needs})")


def test_of_several_ways_in_none_is_named() -> None:
    """pve-access-control ``check_api2_permissions``: ``or`` raises a bare refusal."""
    lab = granted(_vms_9000="PVETemplateUser")
    answer = lab.call("POST", "/nodes/pve1/qemu/9000/clone", as_=FEW, newid=200)

    assert (answer.status, answer.reason) == (403, "Permission check failed")


def test_no_access_outdoes_the_other_roles_of_the_same_place() -> None:
    """pve-access-control ``roles``."""
    lab = granted(_vms="PVEVMAdmin")
    place = {"path": "/vms/9000", "users": "few@pve"}
    lab.must("PUT", "/access/acl", roles="NoAccess,PVEVMAdmin", **place)
    answer = lab.call("GET", "/nodes/pve1/qemu/9000/config", as_=FEW)

    assert answer.status == 403


def test_a_guest_made_in_a_pool_is_seen_by_who_may_see_the_pool() -> None:
    """pve-access-control ``permissions``: a pool's rights hold for its guests, at once."""
    lab = granted(_pool_team="PVEVMAdmin")
    assert lab.call("GET", "/nodes/pve1/qemu/200/config", as_=FEW).status == 403
    upid = lab.call("POST", "/nodes/pve1/qemu", as_=FEW, vmid=200, pool="team").value()
    assert lab.exit_of(str(upid)) == "OK"

    assert lab.call("GET", "/nodes/pve1/qemu/200/config", as_=FEW).status == 200


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"vmid": "9000", "dumpdir": "/tmp"}, 400, "Only root may set this option."),
        ({"vmid": "9000", "pool": "p"}, 400, "option conflicts with option 'vmid'"),
        ({"pool": "nosuch"}, 500, "pool 'nosuch' does not exist"),
    ],
)
def test_a_backup_is_of_what_goes_together(form: dict[str, Any], status: int, told: str) -> None:
    """pve-manager ``verify_vzdump_parameters``, ``assert_param_permission_common``."""
    answer = Lab().call("POST", "/nodes/pve1/vzdump", **form)

    assert answer.status == status
    assert told in {answer.reason, *(answer.errors or {}).values()}


def test_a_backup_of_a_guest_of_another_node_is_that_nodes() -> None:
    """pve-manager ``PVE/API2/VZDump.pm``: nothing to do here, and no task."""
    lab = Lab()
    lab.clone(100)

    assert lab.must("POST", "/nodes/pve2/vzdump", vmid=100, storage="nas") == "OK"


def test_a_task_is_known_to_its_own_node_only() -> None:
    """pve-common ``upid_open``, ``upid_read_status``: the file is not there."""
    lab = Lab()
    upid = lab.must("POST", "/nodes/pve1/qemu", vmid=100)
    answer = lab.call("GET", f"/nodes/pve2/tasks/{upid}/status")

    assert (answer.status, answer.errors) == (400, {"upid": "no such task"})
    assert lab.get(f"/nodes/pve2/tasks/{upid}/log") == [
        {"n": 1, "t": "unable to open file - No such file or directory"}
    ]


@pytest.mark.parametrize(
    ("filename", "form", "told"),
    [
        ("x", {}, "unable to parse volume filename 'x'"),
        ("vm-109-disk-0.raw", {"format": "qcow2"}, "different storage formats (qcow2 != raw)"),
    ],
)
def test_an_image_is_named_as_its_format_says(
    filename: str, form: dict[str, str], told: str
) -> None:
    """pve-storage ``PVE/API2/Storage/Content.pm``, ``parse_name_dir``."""
    path = "/nodes/pve1/storage/nas/content"
    answer = Lab().call("POST", path, filename=filename, **{"vmid": "109", "size": "1G", **form})

    assert told in {answer.reason, *(answer.errors or {}).values()}


def test_an_image_is_not_laid_over_another() -> None:
    """pve-storage ``alloc_image``."""
    lab = Lab()
    form = {"vmid": "109", "filename": "vm-109-disk-0.raw", "size": "1G"}
    lab.must("POST", "/nodes/pve1/storage/nas/content", **form)
    answer = lab.call("POST", "/nodes/pve1/storage/nas/content", **form)

    assert answer.status == 500
    assert answer.reason.endswith("/images/109/vm-109-disk-0.raw' already exists")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "migrate"), ("PUT", "cloudinit"), ("POST", "template")],
)
def test_a_lock_keeps_even_these_away(method: str, path: str) -> None:
    """qemu-server ``migrate_vm_precondition``, ``cloudinit_update``, ``template``."""
    lab = Lab()
    guest = lab.clone(100)
    lab.by_hand("lock 100 backup")

    assert lab.call(method, f"{guest}/{path}").reason == "VM is locked (backup)"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("mine", "Only root can pass arbitrary filesystem paths."),
        (
            "nas:iso/x.iso",
            "unable to use volume nas:iso/x.iso - content type needs to be 'vztmpl'",
        ),
    ],
)
def test_a_container_is_made_of_a_template(template: str, told: str) -> None:
    """pve-container ``create_vm``, pve-storage ``check_volume_access``."""
    answer = Lab().call("POST", "/nodes/pve1/lxc", vmid=100, ostemplate=template)

    assert answer.reason.startswith(told)


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        ("nas:x", "unable to parse directory volume name 'x'"),
        ("nas", "Only root can pass arbitrary filesystem paths."),
        ("/srv", "Permission check failed (mount point type bind is only allowed for root@pam)"),
    ],
)
def test_a_containers_root_is_a_volume(mount: str, told: str) -> None:
    """pve-container ``check_ct_modify_config_perm``."""
    template = "nas:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
    form = {"vmid": "100", "ostemplate": template, "rootfs": mount}

    assert Lab().call("POST", "/nodes/pve1/lxc", **form).reason.startswith(told)


@pytest.mark.parametrize(
    ("method", "path", "form", "told"),
    [
        ("PUT", "options", {"delete": "mine"}, "no such option 'mine'"),
        ("POST", "rules", {"type": "in", "action": "DROP", "source": "+no"}, "no such ipset 'no'"),
        (
            "POST",
            "rules",
            {"type": "in", "action": "DROP", "iface": "eth0"},
            "value does not match the regex pattern 'net\\d+'",
        ),
        (
            "POST",
            "rules",
            {"type": "in", "action": "DROP", "proto": "tcp", "dport": "65536"},
            "invalid format - invalid port '65536'\n",
        ),
        ("POST", "ipset/no", {"cidr": "10.0.0.1"}, "no such IPSet 'no'"),
        ("POST", "ipset/good", {"cidr": "no"}, "no such alias 'no'"),
        ("POST", "ipset", {"name": "good"}, "IPSet 'good' already exists"),
        ("POST", "ipset/good", {"cidr": "10.0.0.1"}, "address '10.0.0.1' already exists"),
        ("DELETE", "ipset/good", {}, "IPSet 'good' is not empty"),
        ("GET", "ipset/good/10.0.0.2", {}, "no such IP/Network"),
        ("GET", "aliases/no", {}, "no such alias"),
    ],
)
def test_a_guests_firewall_names_what_there_is(
    method: str, path: str, form: dict[str, Any], told: str
) -> None:
    """pve-firewall ``PVE/API2/Firewall/{VM,Rules,IPSet,Aliases}.pm``."""
    lab = Lab()
    firewall = f"{lab.clone(100)}/firewall"
    lab.must("POST", f"{firewall}/ipset", name="good")
    lab.must("POST", f"{firewall}/ipset/good", cidr="10.0.0.1")
    answer = lab.call(method, f"{firewall}/{path}", **form)

    assert answer.status in {400, 500}
    assert told in {answer.reason, *(answer.errors or {}).values()}


@pytest.mark.parametrize(
    ("method", "path", "form", "told"),
    [
        (
            "POST",
            "/pools",
            {"poolid": "no/x"},
            "create pool failed: parent 'no' of pool 'no/x' does not exist",
        ),
        (
            "POST",
            "/pools",
            {"poolid": "-x"},
            "create pool failed: pool name must start with a letter",
        ),
        (
            "PUT",
            "/pools",
            {"poolid": "team", "storage": "nas", "delete": "1"},
            "update pools failed: Storage 'nas' is not a pool member",
        ),
        (
            "DELETE",
            "/pools/team",
            {},
            "delete pool failed: pool 'team' is not empty (contains pool 'team/web')",
        ),
    ],
)
def test_a_pool_is_what_it_holds(method: str, path: str, form: dict[str, Any], told: str) -> None:
    """pve-manager ``PVE/API2/Pool.pm``."""
    lab = granted()
    lab.must("POST", "/pools", poolid="team/web")

    assert lab.call(method, path, **form).reason == told


@pytest.mark.parametrize(
    ("sid", "form", "told"),
    [
        ("vm:100", {"delete": "mine"}, "update resources config failed: no such option 'mine'"),
    ],
)
def test_a_service_is_rid_of_what_it_can_have(sid: str, form: dict[str, Any], told: str) -> None:
    """pve-ha-manager ``update_single_resource_config_inplace``."""
    lab = Lab()
    lab.clone(100)
    lab.must("POST", "/cluster/ha/resources", sid=sid, state="ignored")

    assert lab.call("PUT", f"/cluster/ha/resources/{sid}", **form).reason == told


@pytest.mark.parametrize("form", [{"notes": "x"}, {"protected": "1"}])
def test_only_backups_have_notes_and_protection(form: dict[str, str]) -> None:
    """pve-storage ``update_volume_attribute``."""
    lab = Lab()
    volid = lab.must(
        "POST",
        "/nodes/pve1/storage/nas/content",
        vmid=109,
        filename="vm-109-disk-0.raw",
        size="1G",
    )
    answer = lab.call("PUT", f"/nodes/pve1/storage/nas/content/{volid}", **form)

    assert answer.reason.startswith("only backups ")


def test_a_volume_is_asked_for_at_its_own_storage() -> None:
    """pve-storage ``real_volume_id``."""
    answer = Lab().call("GET", "/nodes/pve1/storage/nas/content/local:iso/x.iso")

    assert answer.errors == {"volume": "storage ID mismatch (local != nas)\n"}


@pytest.mark.parametrize(
    ("volume", "role", "needs"),
    [
        (ARCHIVE, "PVEDatastoreUser", "/vms/100, VM.Backup"),
        ("nas:9000/vm-9000-disk-0.qcow2", "PVEDatastoreUser", "/vms/9000, VM.Config.Disk"),
    ],
)
def test_a_guests_volume_needs_a_right_on_the_guest_too(
    volume: str, role: str, needs: str
) -> None:
    """pve-storage ``check_volume_access``."""
    lab = granted(_storage_nas=role)

    answer = lab.call("GET", f"/nodes/pve1/storage/nas/content/{volume}", as_=FEW)

    assert answer.status == 403
    assert needs in answer.reason
