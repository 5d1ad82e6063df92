"""Whatever is wrong around it, it says so in words, and nothing is lost."""

import datetime as dt
import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from qlop.sim import tls
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer
from tests.e2e.served import (
    PATIENCE_S,
    PREAMBLE,
    Daemon,
    Site,
    daemon,
    elapse,
    owned,
    run,
    service,
    site,
    spec,
    until,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # real processes and sockets
    pytest.mark.timeout(180),
]

STEADY = service("steady", onBoot="true")
STEADY_GUEST = owned("steady", 10_010, onboot="1")
WEB = service("web")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    # Ten times as fast: the real server, too, takes three seconds to refuse a token.
    with site(tmp_path, spec(STEADY_GUEST), speed=10) as found:
        found.declare(STEADY)
        yield found


BAD_MANIFESTS = [
    pytest.param(
        WEB.replace("memory:", "memmory:"),
        ["all.yaml:", "memmory", "did you mean `memory`?"],
        id="a-key-that-is-none",
    ),
    pytest.param(
        WEB.replace("512MiB", "512"), ["all.yaml:", "needs a unit", "512MiB"], id="no-unit"
    ),
    pytest.param(WEB + "\tx: 1\n", ["all.yaml:", "tab"], id="a-tab"),
    pytest.param(WEB + "  power: [\n", ["all.yaml:"], id="no-yaml"),
    pytest.param(WEB + WEB, ["all.yaml:", "web"], id="a-name-twice"),
    pytest.param(
        service("one", vmid="10050") + service("two", vmid="10050"),
        ["all.yaml:", "10050"],
        id="a-vmid-twice",
    ),
    pytest.param("---\na: &a [x]\nb: *c\n", ["all.yaml:"], id="an-alias-to-nothing"),
]


@pytest.mark.parametrize(("broken", "words"), BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_in_words(place: Site, broken: str, words: list[str]) -> None:
    place.declare(STEADY, broken)

    done = place.qlop("validate")

    assert done.returncode == 1
    assert [word for word in words if word not in done.stdout + done.stderr] == []
    assert place.cluster.changes == []


HELD = [
    pytest.param(service("web", vmid="9000"), ["9000", "taken"], id="a-vmid-of-somebody-else"),
    pytest.param(
        service("web", source="{clone: {template: nix}}", disks=""),
        ["nix", "template"],
        id="no-such-template",
    ),
    pytest.param(
        service("web", disks="[{slot: scsi0, storage: nix, size: 1GiB}]"),
        ["nix", "storage"],
        id="no-such-storage",
    ),
    pytest.param(
        service("web", memory="900GiB", power="running"), ["memory", "900"], id="no-such-memory"
    ),
]


@pytest.mark.parametrize(("wanted", "words"), HELD)
def test_what_can_not_be_is_held_in_words(place: Site, wanted: str, words: list[str]) -> None:
    place.declare(STEADY, wanted)

    done = place.qlop("apply")

    assert done.returncode == 3, done.stdout + done.stderr
    assert "held: web: " in done.stdout
    assert [word for word in words if word not in done.stdout] == []
    assert place.cluster.changes == []


def test_manifests_that_go_bad_or_away_leave_the_last_good_ones_in_force(place: Site) -> None:
    manifest = place.desired / "all.yaml"
    with daemon(place) as living:
        until(living.is_converged, why=living.log)

        manifest.write_text("kind: [\n")
        _expect_the_old(place, living, "all.yaml")
        manifest.unlink()
        _expect_the_old(place, living, "no manifest in")
        place.desired.rmdir()
        _expect_the_old(place, living, "does not exist")

        place.declare(STEADY.replace("onBoot: true", "onBoot: false"))
        # The watch may have lost the directory: it is looked for again within a minute,
        # or at once if asked.
        living.reload()
        until(lambda: len(place.cluster.changes) == 1, why=living.log)
        until(living.is_converged, why=living.log)


def _expect_the_old(place: Site, living: Daemon, complaint: str) -> None:
    """See that it complains, and goes on with what it was told before."""
    until(lambda: complaint in living.get("/status")[1], why=living.log)
    elapse(1.2)
    assert living.get("/healthz")[0] == 200
    assert living.metric("qlop_guests_wanted") == 1
    assert place.cluster.changes == []


def test_a_daemon_without_any_good_manifest_waits_for_one(place: Site) -> None:
    place.declare("---\nnothing: good\n")
    with daemon(place) as living:
        until(living.answers, why=living.log)
        until(lambda: "manifests" in living.get("/readyz")[1], why=living.log)
        assert living.get("/readyz")[0] == 503
        assert living.get("/healthz")[0] == 200
        place.declare(STEADY)
        until(living.is_converged, why=living.log)
        assert living.get("/readyz")[0] == 200


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"QLOP_API_TOKEN_SECRET_FILE": "wrong"}, ["token"], id="wrong-token"),
        pytest.param({"QLOP_API_CA_FILE": "other-ca"}, ["certificate"], id="wrong-ca"),
        pytest.param({"QLOP_API_CA_FILE": "no-ca"}, ["no-ca"], id="no-ca"),
        pytest.param(
            {"QLOP_API_CA_FILE": "", "QLOP_API_FINGERPRINTS": "AB" * 32},
            ["fingerprint"],
            id="wrong-fingerprint",
        ),
        pytest.param({"QLOP_API_ENDPOINTS": "https://127.0.0.1:1"}, ["refused"], id="no-server"),
    ],
)
def test_a_cluster_that_does_not_let_us_in_is_an_error_in_words(
    place: Site, given: dict[str, str], words: list[str]
) -> None:
    wrong = place.home / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("99999999-8888-7777-6666-555555555555\n")
    (place.home / "other-ca").write_bytes(_certificate(days=10).certificate_pem)
    for name in [name for name, text in given.items() if name.endswith("_FILE") and text]:
        given = {**given, name: str(place.home / given[name])}
    settings = {**place.environment, **given}
    for name in [name for name, text in settings.items() if not text]:
        del settings[name]

    done = run(settings, "plan")

    assert done.returncode == 1
    said = (done.stdout + done.stderr).lower()
    assert [word for word in words if word not in said] == [], said


def test_an_expired_certificate_is_an_error_in_words(tmp_path: Path) -> None:
    with site(tmp_path, spec(STEADY_GUEST)) as good:
        good.declare(STEADY)
        old = tmp_path / "old"
        old.mkdir()
        cluster = Cluster(spec(STEADY_GUEST), now=good.cluster.now)
        server = SimServer(cluster, directory=old, expired=True)
        with server.in_background():
            done = good.qlop(
                "plan", QLOP_API_ENDPOINTS=server.url, QLOP_API_CA_FILE=str(server.ca_file)
            )
    assert done.returncode == 1
    assert "expired" in done.stderr.lower(), done.stderr


class _Html(http.server.BaseHTTPRequestHandler):
    """A proxy that knows nothing of PVE, and says so to people."""

    def do_GET(self) -> None:
        body = b"<html><body><h1>Welcome to nginx!</h1></body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def _web_server(home: Path) -> Iterator[str]:
    certificate = _certificate(days=10)
    files = {"html.pem": certificate.certificate_pem, "html.key": certificate.key_pem}
    for name, content in files.items():
        (home / name).write_bytes(content)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(home / "html.pem", home / "html.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Html)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _certificate(*, days: int) -> tls.Certificate:
    return tls.self_signed(
        ["localhost"],
        ["127.0.0.1"],
        not_before=dt.datetime.now(dt.UTC) - dt.timedelta(days=1),
        valid=dt.timedelta(days=days),
    )


def test_an_api_that_answers_html_is_an_error_in_words(place: Site) -> None:
    with _web_server(place.home) as url:
        ca_file = str(place.home / "html.pem")
        done = place.qlop("plan", QLOP_API_ENDPOINTS=url, QLOP_API_CA_FILE=ca_file)
        with daemon(place, QLOP_API_ENDPOINTS=url, QLOP_API_CA_FILE=ca_file) as living:
            until(lambda: living.get("/status")[0] == 200, why=living.log)
            assert living.get("/readyz")[0] == 503
            assert living.get("/healthz")[0] == 200
    assert done.returncode == 1
    assert "html" in done.stderr.lower(), done.stderr


@pytest.mark.parametrize(
    ("content", "word"),
    [
        pytest.param(
            b"this is no database, whatever it is called\n" * 40, "not a database", id="no-sqlite"
        ),
        pytest.param(b"", "empty", id="empty"),
    ],
)
def test_a_damaged_journal_is_refused_and_left_as_it_is(
    place: Site, content: bytes, word: str
) -> None:
    place.journal.parent.mkdir()
    place.journal.write_bytes(content)

    with daemon(place) as living:
        assert living.process.wait(PATIENCE_S) == 1
    said = living.log()
    assert word in said
    assert "Nothing was changed in it" in said
    assert place.journal.read_bytes() == content
    assert place.cluster.changes == []


def test_a_journal_damaged_in_its_middle_is_refused_and_left_as_it_is(place: Site) -> None:
    place.declare(STEADY.replace("onBoot: true", "onBoot: false"))
    assert place.qlop("apply").returncode == 0
    whole = bytearray(place.journal.read_bytes())
    whole[4096:8192] = bytes(range(256)) * 16
    place.journal.write_bytes(whole)
    place.declare(STEADY)

    done = place.qlop("apply")

    assert done.returncode == 1
    assert "journal" in done.stderr
    assert place.journal.read_bytes() == bytes(whole)
    assert len(place.cluster.changes) == 1


@pytest.mark.parametrize(
    ("given", "word"),
    [
        pytest.param({"QLOP_INTERVAL": "5"}, "QLOP_INTERVAL", id="no-unit"),
        pytest.param({"QLOP_API_TOKEN_ID": "root"}, "USER@REALM!TOKEN", id="no-token-id"),
    ],
)
def test_settings_that_are_wrong_are_an_error_in_words(
    place: Site, given: dict[str, str], word: str
) -> None:
    done = place.qlop("plan", **given)

    assert done.returncode == 1, done.stdout
    assert word in done.stdout + done.stderr


def test_wrong_usage_has_an_exit_code_of_its_own(place: Site) -> None:
    assert place.qlop("plan", "--nix").returncode == 64


def test_an_empty_file_of_manifests_is_not_the_wish_that_nothing_should_run(place: Site) -> None:
    (place.desired / "all.yaml").write_text(PREAMBLE.partition("spec:")[0])

    assert place.qlop("plan").returncode == 1
    assert place.cluster.changes == []


def test_an_address_that_is_taken_is_an_error_in_words(place: Site) -> None:
    taken = place.environment["QLOP_API_ENDPOINTS"].split()[0].removeprefix("https://")

    done = place.qlop("run", QLOP_WEB_LISTEN=taken)

    assert done.returncode == 1
    text = f"error: {taken}: can't be listened on (web.listen): address already in use"
    assert text in done.stderr
