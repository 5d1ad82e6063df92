"""Calls are checked in PVE's order and answered in its words."""

import pytest

from tests.sim.lab import Lab

SILENT_REFUSAL_S = 3


def test_a_call_without_a_token_is_refused_after_three_seconds() -> None:
    response = Lab().call("GET", "/version", as_="")
    assert (response.status, response.reason) == (401, "No ticket")
    assert response.delay_s == SILENT_REFUSAL_S


def test_a_wrong_secret_is_refused_without_saying_whether_the_token_exists() -> None:
    response = Lab().call("GET", "/version", as_="PVEAPIToken=root@pam!qlop=wrong")
    assert response.status == 401
    assert response.delay_s == SILENT_REFUSAL_S


def test_an_unknown_route_is_not_implemented_even_to_root() -> None:
    response = Lab().call("GET", "/nosuch")
    assert (response.status, response.reason) == (501, "Method 'GET /nosuch' not implemented")


def test_a_missing_guest_is_an_error_500_that_names_its_file() -> None:
    response = Lab().call("GET", "/nodes/pve2/qemu/999/config")
    assert response.status == 500
    assert response.reason == "Configuration file 'nodes/pve2/qemu-server/999.conf' does not exist"


def test_every_wrong_parameter_is_named_at_once() -> None:
    response = Lab().call(
        "POST", "/nodes/pve1/qemu", vmid="12", memory="lots", ostype="beos", foo="1"
    )
    assert (response.status, response.reason) == (400, "Parameter verification failed.")
    assert set(response.errors or {}) == {"vmid", "memory", "ostype", "foo"}


def test_an_unknown_node_is_looked_up_in_vain() -> None:
    response = Lab().call("GET", "/nodes/pve9/qemu")
    assert response.status == 500
    assert response.reason.startswith("hostname lookup 'pve9' failed")


def test_the_next_free_vmid_is_told_as_text() -> None:
    assert Lab().get("/cluster/nextid") == "100"


def test_a_used_vmid_is_refused() -> None:
    response = Lab().call("GET", "/cluster/nextid", vmid=9000)
    assert response.errors == {"vmid": "VM 9000 already exists"}


@pytest.mark.parametrize("path", ["/cluster/status", "/nodes", "/storage", "/cluster/tasks"])
def test_lists_need_no_parameters(path: str) -> None:
    assert isinstance(Lab().get(path), list)


def test_equal_seeds_give_equal_answers() -> None:
    def story(seed: int) -> list[object]:
        lab = Lab(seed=seed)
        guest = lab.clone()
        assert lab.do("POST", f"{guest}/status/start") == "OK"
        return [lab.get(f"{guest}/config"), lab.get("/cluster/tasks"), lab.listed(101)]

    assert story(5) == story(5)
    assert story(5) != story(6)


def test_a_token_without_rights_sees_nothing_and_may_do_nothing() -> None:
    lab = Lab()
    assert lab.call("POST", "/access/users", userid="ops@pve").status == 200
    made = lab.must("POST", "/access/users/ops@pve/token/ops", privsep=0)
    token = f"PVEAPIToken=ops@pve!ops={made['value']}"
    assert lab.call("GET", "/cluster/resources", as_=token, type="vm").value() == []
    denied = lab.call("GET", "/nodes/pve1/qemu/9001/config", as_=token)
    assert denied.status == 403
    assert denied.reason == "Permission check failed (/vms/9001, VM.Audit)"


def test_an_acl_entry_lets_a_token_do_what_its_role_holds() -> None:
    lab = Lab()
    lab.clone()
    lab.call("POST", "/access/users", userid="ops@pve")
    secret = lab.must("POST", "/access/users/ops@pve/token/ops", privsep=0)["value"]
    lab.call("PUT", "/access/acl", path="/vms/101", roles="PVEVMUser", users="ops@pve")
    token = f"PVEAPIToken=ops@pve!ops={secret}"
    assert lab.call("POST", "/nodes/pve1/qemu/101/status/start", as_=token).status == 200
    assert lab.call("PUT", "/nodes/pve1/qemu/101/config", as_=token, cores=4).status == 403


def test_a_backup_job_without_a_readable_schedule_is_refused() -> None:
    """``pve-calendar-event`` is a format of its own (``PVE/CalendarEvent.pm``)."""
    lab = Lab()
    refused = lab.call("POST", "/cluster/backup", id="late", schedule="foo", all=1)
    assert refused.status == 400
    assert (refused.errors or {})["schedule"].startswith(
        "invalid format - invalid calendar event 'foo' - "
    )
    assert lab.get("/cluster/backup") == []
