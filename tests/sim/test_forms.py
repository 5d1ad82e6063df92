"""Requests are decoded as PVE's server decodes them, quirks included."""

import hashlib

import pytest

from qlop.sim import forms
from qlop.sim.wire import ApiError, SimRequest
from tests.sim.lab import AUTHORIZATION, Lab

UPLOAD = "/nodes/pve1/storage/local/upload"
BOUNDARY = "----xBOUND"


def multipart(name: str, data: bytes, **fields: str) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="filename"; filename="{name}"'
    parts += [head.encode(), b"\r\n\r\n", data, f"\r\n--{BOUNDARY}--\r\n".encode()]
    return b"".join(parts)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2", {"a": "1", "b": "2"}),
        ("a=x=y", {"a": "x"}),
        ("a=x%3Dy%3Bz", {"a": "x=y;z"}),
        ("a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        ("a=%C3%BC+1", {"a": "ü 1"}),
        ("flag", {"flag": ""}),
    ],
)
def test_a_form_is_cut_at_the_same_signs(text: str, params: dict[str, object]) -> None:
    assert forms.urlencoded(text) == params


def test_the_query_overrides_the_body() -> None:
    assert forms.parameters("PUT", "a=2", {}, b"a=1&b=1") == {"a": "2", "b": "1"}


def test_a_get_with_a_body_is_not_understood() -> None:
    with pytest.raises(ApiError) as caught:
        forms.parameters("GET", "", {}, b"a=1")
    assert caught.value.status == 501


def upload(name: str, data: bytes, **fields: str) -> tuple[Lab, object, str]:
    lab = Lab()
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    body = multipart(name, data, **fields)
    request = SimRequest(
        method="POST",
        path=UPLOAD,
        params=forms.parameters("POST", "", {"content-type": kind}, body),
        authorization=AUTHORIZATION,
        upload=forms.uploaded(kind, body),
    )
    response = lab.cluster.handle(request, lab.now)
    return lab, response.value(), response.reason


def test_an_uploaded_file_is_on_the_storage_under_a_clean_name() -> None:
    lab, upid, _ = upload("../../etc/a b.iso", b"x" * 2048, content="iso")
    assert lab.exit_of(str(upid)) == "OK"
    rows = lab.get("/nodes/pve1/storage/local/content", content="iso")
    assert {row["volid"]: row["size"] for row in rows}["local:iso/a_b.iso"] == 2048


def test_an_upload_with_a_wrong_checksum_fails_and_leaves_nothing() -> None:
    checks = {"checksum-algorithm": "sha256", "checksum": "00"}
    lab, upid, _ = upload("a.iso", b"x", content="iso", **checks)
    digest = hashlib.sha256(b"x").hexdigest()
    assert lab.exit_of(str(upid)) == f"checksum mismatch: got '{digest}' != expect '00'"
    rows = lab.get("/nodes/pve1/storage/local/content", content="iso")
    assert "local:iso/a.iso" not in {row["volid"] for row in rows}


def test_an_upload_of_the_wrong_kind_is_refused() -> None:
    _, _, reason = upload("a.txt", b"x", content="iso")
    assert reason == "Parameter verification failed."


def test_a_change_under_a_ticket_needs_its_csrf_token() -> None:
    lab = Lab()
    login = {"username": "root@pam", "password": "sim-password"}
    answer = lab.must("POST", "/access/ticket", **login)
    cookie = {"cookie": f"PVEAuthCookie={answer['ticket']}"}
    without = forms.authorization(cookie) or ""
    assert lab.call("GET", "/version", as_=without).status == 200
    refused = lab.call("POST", "/access/users", as_=without, userid="a@pve")
    assert (refused.status, refused.reason) == (401, "Permission denied - invalid csrf token")
    whole = forms.authorization({**cookie, "csrfpreventiontoken": answer["CSRFPreventionToken"]})
    assert lab.call("POST", "/access/users", as_=whole or "", userid="a@pve").status == 200
