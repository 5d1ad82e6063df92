"""Who may ask what."""

import base64

import pytest

from qlop.web.access import Access, decide

LOCAL = {"Host": "127.0.0.1:9650"}
BASIC = "Basic " + base64.b64encode(b"anybody:hush").decode()


@pytest.mark.parametrize(
    ("path", "peer", "headers", "token", "expected"),
    [
        pytest.param("/plan", "127.0.0.1", LOCAL, None, Access.GRANTED, id="this-machine"),
        pytest.param("/", "::1", {"Host": "[::1]:9650"}, None, Access.GRANTED, id="ipv6"),
        pytest.param(
            "/", "::ffff:127.0.0.1", {"Host": "localhost"}, None, Access.GRANTED, id="mapped"
        ),
        pytest.param("/metrics", "10.0.0.9", {}, None, Access.GRANTED, id="metrics-for-all"),
        pytest.param("/plan", "10.0.0.9", LOCAL, None, Access.FORBIDDEN, id="far-without-token"),
        pytest.param("/plan", "10.0.0.9", LOCAL, "hush", Access.TOKEN_NEEDED, id="far-no-token"),
        pytest.param("/plan", "", LOCAL, "hush", Access.TOKEN_NEEDED, id="peer-not-known"),
        pytest.param(
            "/trigger",
            "10.0.0.9",
            {"Authorization": "Bearer hush"},
            "hush",
            Access.GRANTED,
            id="far-with-token",
        ),
        pytest.param(
            "/", "10.0.0.9", {"Authorization": BASIC}, "hush", Access.GRANTED, id="basic"
        ),
        pytest.param(
            "/", "10.0.0.9", {"Authorization": BASIC}, "other", Access.TOKEN_NEEDED, id="wrong"
        ),
        pytest.param(
            "/",
            "10.0.0.9",
            {"Authorization": "Basic ???"},
            "hush",
            Access.TOKEN_NEEDED,
            id="basic-garbage",
        ),
        pytest.param(
            "/",
            "10.0.0.9",
            {"Authorization": "Digest hush"},
            "hush",
            Access.TOKEN_NEEDED,
            id="another-scheme",
        ),
        pytest.param(
            "/plan",
            "127.0.0.1",
            {**LOCAL, "X-Forwarded-For": "10.0.0.9"},
            "hush",
            Access.TOKEN_NEEDED,
            id="through-a-proxy-here",
        ),
        pytest.param(
            "/plan",
            "127.0.0.1",
            {"Host": "evil.example:9650"},
            None,
            Access.FORBIDDEN,
            id="a-name-rebound-to-this-machine",
        ),
        pytest.param(
            "/trigger",
            "127.0.0.1",
            {**LOCAL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
            None,
            Access.FORBIDDEN,
            id="a-form-on-a-stranger-page",
        ),
        pytest.param(
            "/metrics",
            "127.0.0.1",
            {**LOCAL, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
            None,
            Access.FORBIDDEN,
            id="a-script-of-another-port",
        ),
        pytest.param(
            "/",
            "127.0.0.1",
            {**LOCAL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
            None,
            Access.GRANTED,
            id="a-link-to-us",
        ),
    ],
)
def test_access(
    path: str, peer: str, headers: dict[str, str], token: str | None, expected: Access
) -> None:
    method = "POST" if path == "/trigger" else "GET"

    found = decide(
        method=method, path=path, peer=peer, listen="127.0.0.1", headers=headers, token=token
    )

    assert found is expected
