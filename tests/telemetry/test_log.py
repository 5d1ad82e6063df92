"""Log lines can be read by machines and people, carry their ids, and tell no secret."""

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping

import pytest
import structlog
from pydantic import SecretStr
from typing_extensions import override

from qlop.settings import LogFormat, LogLevel
from qlop.telemetry import log, redact

UUID = "11111111-2222-3333-4444-555555555555"


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger(log.OURS)
    before = (root.level, ours.level, list(root.handlers))
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.setLevel(before[0])
    ours.setLevel(before[1])
    root.handlers[:] = before[2]


def logged(stream: io.StringIO) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def json_stream(level: LogLevel = LogLevel.INFO, *secrets: str) -> io.StringIO:
    stream = io.StringIO()
    log.set_up(form=LogFormat.AUTO, level=level, stream=stream, secrets=secrets)
    return stream


def ours() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("qlop.executor")
    return logger


def test_an_event_is_one_line_of_json_with_its_ids() -> None:
    stream = json_stream()

    with structlog.contextvars.bound_contextvars(cycle="c1", action="web/start/a1"):
        ours().info("action dispatched", subject="web", attempt=2)

    (line,) = logged(stream)
    assert str(line["at"]).endswith("Z")
    assert {key: line[key] for key in line if key != "at"} == {
        "event": "action dispatched",
        "level": "info",
        "cycle": "c1",
        "action": "web/start/a1",
        "subject": "web",
        "attempt": 2,
    }


def test_a_terminal_gets_text() -> None:
    stream = Terminal()
    log.set_up(stream=stream)

    ours().warning("guest held", subject="web")

    assert "guest held" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_console_without_a_terminal_has_no_colors() -> None:
    stream = io.StringIO()
    log.set_up(form=LogFormat.CONSOLE, stream=stream)

    ours().warning("guest held", subject="web")

    assert "guest held" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "written"), [(LogLevel.DEBUG, 3), (LogLevel.INFO, 2), (LogLevel.ERROR, 1)]
)
def test_the_level_is_that_of_qlop(level: LogLevel, written: int) -> None:
    stream = json_stream(level)

    ours().debug("a")
    ours().info("b")
    ours().error("c")

    assert len(logged(stream)) == written


def test_libraries_are_heard_from_warning_up_only() -> None:
    stream = json_stream(LogLevel.DEBUG)
    library = logging.getLogger("some.library")

    library.info("POST /config {'cipassword': 'hunter2'}")
    library.warning("retrying with PVEAPIToken=qlop@pve!daemon=%s", UUID)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)

    lines = logged(stream)
    assert [line["level"] for line in lines] == ["warning", "warning"]
    assert lines[0]["event"] == "retrying with PVEAPIToken=***"
    assert lines[0]["logger"] == "some.library"


def fail_with(secret: str) -> None:
    password = secret
    raise ValueError(f"bad answer to PVEAPIToken=qlop@pve!daemon={secret}" + password[:0])


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.CONSOLE])
def test_a_traceback_tells_where_but_no_secret(form: LogFormat) -> None:
    stream = io.StringIO()
    log.set_up(form=form, stream=stream)

    try:
        fail_with(UUID)
    except ValueError:
        ours().exception("action broke")

    assert "in fail_with" in stream.getvalue()
    assert UUID not in stream.getvalue()


def test_known_secrets_are_masked_wherever_they_turn_up() -> None:
    stream = json_stream(LogLevel.INFO, "correct horse", "")

    ours().info("call failed", error="401 for correct horse", detail={"x": ["correct horse"]})

    assert logged(stream)[0]["error"] == "401 for ***"
    assert "correct horse" not in stream.getvalue()


def test_setting_up_again_replaces_the_stream() -> None:
    first = json_stream()
    second = json_stream()

    ours().info("once")

    assert (first.getvalue(), len(logged(second))) == ("", 1)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param(7, 7, id="number"),
        pytest.param("simrs-1", "simrs-1", id="text"),
        pytest.param(SecretStr("x"), "***", id="secret-string"),
        pytest.param({"password": "x", "node": "pve1"}, {"password": "***", "node": "pve1"}, id="by-key"),
        pytest.param({"set": {"cipassword": "x"}}, {"set": {"cipassword": "***"}}, id="nested"),
        pytest.param(("a", {"token": 1}), ["a", {"token": "***"}], id="sequence"),
        pytest.param(
            f"Authorization: PVEAPIToken=a@pve!b={UUID}", "Authorization: PVEAPIToken=***", id="header"
        ),
        pytest.param(
            f"['PVEAPIToken=a@pve!b={UUID}', 1]", "['PVEAPIToken=***', 1]", id="header-in-a-list"
        ),
        pytest.param(f"root@pam!qlop={UUID}", "root@pam!qlop=***", id="token"),
        pytest.param("PVEAuthCookie=PVE:root@pam:6B04F8BA::abc; x", "PVEAuthCookie=***; x", id="cookie"),
        pytest.param("PVE:root@pam:6B04F8BA::a+b/c==", "PVE:root@pam:6B04F8BA::***", id="ticket"),
        pytest.param(
            "cores=2&cipassword=hunter2&memory=1", "cores=2&cipassword=***&memory=1", id="form"
        ),
        pytest.param("{'password': 'hunter2', 'a': 1}", "{'password': '***', 'a': 1}", id="dict-as-text"),
        pytest.param(
            "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----",
            "***",
            id="private-key",
        ),
        pytest.param(
            "UPID:pve1:00000CE9:000254AD:6B04F8BA:qmstart:110:root@pam!qlop:",
            "UPID:pve1:00000CE9:000254AD:6B04F8BA:qmstart:110:root@pam!qlop:",
            id="a-upid-is-no-secret",
        ),
    ],
)  # fmt: skip
def test_redaction(value: object, shown: object) -> None:
    assert redact.redacted(value) == shown


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("token", True),
        ("token_secret", True),
        ("api_token", True),
        ("Authorization", True),
        ("CSRFPreventionToken", True),
        ("token_id", False),
        ("tokens", False),
        ("subject", False),
        ("tokenizer", False),
    ],
)
def test_secret_keys(name: str, secret: bool) -> None:  # noqa: FBT001 - a table
    assert redact.is_secret_key(name) is secret


def test_a_value_that_holds_itself_is_written_to_an_end() -> None:
    endless: list[object] = []
    endless.append(endless)

    assert "..." in str(redact.redacted(endless))
