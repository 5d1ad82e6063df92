"""The settings: where they come from, what wins, what is refused and how it is said."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from qlop.cli import settings_file
from qlop.cli.settings_file import LoadedSettings, SettingsError
from qlop.model.finding import Severity

SECRET = "11111111-2222-3333-4444-555555555555"
ENVIRONMENT = {
    "QLOP_API_ENDPOINTS": "pve1.example, https://pve2.example:443",
    "QLOP_API_TOKEN_ID": "qlop@pve!daemon",
    "QLOP_API_TOKEN_SECRET": SECRET,
}


def load(
    tmp_path: Path,
    text: str = "",
    environ: dict[str, str] | None = None,
    overrides: dict[str, str] | None = None,
) -> LoadedSettings:
    file = tmp_path / "qlop.yaml"
    file.write_text(text)
    return settings_file.load(
        file=file,
        environ=ENVIRONMENT if environ is None else environ,
        overrides=overrides or {},
    )


def refusals(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, environ)
    return [
        f"{str(one.origin).removeprefix(str(tmp_path) + '/')}: {one.message} | {one.hint}"
        if one.origin
        else f"{one.message} | {one.hint}"
        for one in caught.value.findings
    ]


def secret_file(tmp_path: Path, mode: int, text: str = SECRET + "\n") -> Path:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    settings = load(tmp_path).settings

    assert [endpoint.url for endpoint in settings.api.endpoints] == [
        "https://pve1.example:8006",
        "https://pve2.example:443",
    ]
    assert settings.api.token_secret.get_secret_value() == SECRET
    assert settings.journal == Path("/var/lib/qlop/journal.sqlite3")
    assert settings.lease_file == Path("/var/lib/qlop/lease")
    assert settings.web.listen.authority == "127.0.0.1:9650"
    assert settings.web.listen.is_loopback


def test_without_a_file_and_without_the_default_one_there_is_still_the_environment() -> None:
    loaded = settings_file.load(file=None, environ=ENVIRONMENT, overrides={})

    assert loaded.file is None or loaded.file == settings_file.DEFAULT_PATH


def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    text = "journal: /file\nlease: /file\ninterval: 5s\n"
    environ = {**ENVIRONMENT, "QLOP_JOURNAL": "/environment", "QLOP_INTERVAL": "6s"}

    settings = load(tmp_path, text, environ, {"interval": "7s"}).settings

    assert settings.lease == Path("/file")
    assert settings.journal == Path("/environment")
    assert settings.interval == timedelta(seconds=7)


def test_a_secret_never_shows(tmp_path: Path) -> None:
    assert SECRET not in repr(load(tmp_path).settings)


def test_everything_can_be_set_in_the_file(tmp_path: Path) -> None:
    token = secret_file(tmp_path, 0o600)
    text = f"""
api:
  endpoints: ["https://[fd00::1]:8006"]
  token_id: qlop@pve!daemon
  token_secret_file: {token}
  fingerprints: [{":".join(["ab"] * 32)}]
  timeout: 10s
ssh: {{key_file: /k, known_hosts: /h, hosts: [pve1]}}
desired_state: /srv/desired
web: {{listen: "0.0.0.0:80", token_file: {token}}}
log: {{format: json, level: debug}}
"""

    loaded = load(tmp_path, text, {})

    assert loaded.warnings == ()
    assert loaded.settings.api.endpoints[0].url == "https://[fd00::1]:8006"
    assert loaded.settings.api.fingerprints == (":".join(["AB"] * 32),)
    assert loaded.settings.api.token_secret.get_secret_value() == SECRET
    assert loaded.settings.ssh is not None
    assert loaded.settings.ssh.user == "qlop-read"
    assert not loaded.settings.web.listen.is_loopback


def test_a_systemd_credential_is_used_when_nothing_else_gives_the_secret(tmp_path: Path) -> None:
    (tmp_path / "api-token").write_text(SECRET)
    environ = {
        **{name: value for name, value in ENVIRONMENT.items() if "SECRET" not in name},
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }

    settings = load(tmp_path, "", environ).settings

    assert settings.api.token_secret.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "api: {}\njornal: /x\n",
            "qlop.yaml:2:1: there is no setting jornal | did you mean journal?",
            id="a-misspelled-key",
        ),
        pytest.param(
            "api:\n  timout: 3s\n",
            "qlop.yaml:2:3: there is no setting api.timout | did you mean api.timeout?",
            id="a-misspelled-key-in-a-section",
        ),
        pytest.param(
            "journal: /a\njournal: /b\n",
            "qlop.yaml:2:1: journal is set twice | ",
            id="a-key-twice",
        ),
        pytest.param(
            "interval: 30\n",
            "qlop.yaml:1:1: interval: 30 is no span of time; write 30s, 15m or 2h | ",
            id="a-span-without-unit",
        ),
        pytest.param(
            "interval: 5ms\n",
            "qlop.yaml:1:1: interval: 5ms is too short; the least is 1s | ",
            id="a-span-too-short",
        ),
        pytest.param(
            "log:\n  level: loud\n",
            "qlop.yaml:2:3: log.level: input should be 'debug', 'info', 'warning' or 'error' | ",
            id="a-word-that-is-none-of-them",
        ),
        pytest.param(
            "api:\n  token_secret: abc\n",
            "qlop.yaml:2:3: api.token_secret does not belong into this file, which others may "
            "read | put it into a file of mode 0600 and set api.token_secret_file",
            id="a-secret-in-the-settings",
        ),
        pytest.param("- a\n", "the settings are a mapping", id="a-list"),
        pytest.param("a: [\n", "qlop.yaml:2:1: this is not YAML", id="no-yaml"),
        pytest.param("a: \0\n", "is not YAML", id="binary"),
        pytest.param("x: " + "[" * 5000, "nested beyond reason", id="nested-very-deep"),
        pytest.param("#" * 300_000, "larger than 256 KiB", id="too-large"),
        pytest.param(
            'web: {listen: "/run/x"}\n', "is no address to listen on", id="no-listen-address"
        ),
        pytest.param(
            "api: {fingerprints: [abc]}\n", "is no SHA-256 fingerprint", id="no-fingerprint"
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    environ = {
        n: v for n, v in ENVIRONMENT.items() if "token_secret" not in text or "SEC" not in n
    }

    found = refusals(tmp_path, text, environ)

    assert any(expected in one for one in found), found


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("QLOP_API_ENDPOINTS", "http://pve1", "is not HTTPS"),
        ("QLOP_API_ENDPOINTS", "https://pve1/api2", "is no endpoint"),
        ("QLOP_API_TOKEN_ID", "root@pam", "is no token id"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, variable: str, value: str, expected: str
) -> None:
    found = refusals(tmp_path, "", {**ENVIRONMENT, variable: value})

    assert len(found) == 1
    assert found[0].startswith(f"environment variable {variable}: ")
    assert expected in found[0]


def test_what_is_missing_is_said_with_every_way_to_give_it(tmp_path: Path) -> None:
    assert refusals(tmp_path, "", {}) == [
        f"{name}: {text} | "
        for name, text in (
            (
                "qlop.yaml:1:1",
                "api.endpoints is missing; set it in /etc/qlop/qlop.yaml, or as QLOP_API_ENDPOINTS",
            ),
            (
                "qlop.yaml:1:1",
                "api.token_id is missing; set it in /etc/qlop/qlop.yaml, or as QLOP_API_TOKEN_ID",
            ),
            (
                "qlop.yaml:1:1",
                (
                    "api.token_secret is missing; set api.token_secret_file, or "
                    "QLOP_API_TOKEN_SECRET, or load the systemd credential api-token"
                ),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, 0), (0o640, 1), (0o644, None), (0o604, None)]
)
def test_a_secret_that_others_may_read(tmp_path: Path, mode: int, warned: int | None) -> None:
    token = secret_file(tmp_path, mode)
    environ = {**ENVIRONMENT, "QLOP_API_TOKEN_SECRET_FILE": str(token)}
    del environ["QLOP_API_TOKEN_SECRET"]

    if warned is None:
        (found,) = refusals(tmp_path, "", environ)
        assert "everybody on this machine may read api.token_secret" in found
        assert f"chmod 600 {token}" in found
        return
    loaded = load(tmp_path, "", environ)

    assert len(loaded.warnings) == warned
    assert all(one.severity is Severity.WARNING for one in loaded.warnings)
    assert loaded.settings.api.token_secret.get_secret_value() == SECRET


@pytest.mark.parametrize("content", ["", "two\nlines\n", "x" * 5000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: str) -> None:
    token = secret_file(tmp_path, 0o600, content)
    environ = {**ENVIRONMENT, "QLOP_WEB_TOKEN_FILE": str(token)}

    (found,) = refusals(tmp_path, "", environ)

    assert "should hold web.token on one line, and nothing else" in found


def test_a_missing_secret_file_is_said(tmp_path: Path) -> None:
    environ = {**ENVIRONMENT, "QLOP_WEB_TOKEN_FILE": str(tmp_path / "none")}

    (found,) = refusals(tmp_path, "", environ)

    assert "none: No such file or directory" in found


def test_a_missing_settings_file_that_was_asked_for_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        settings_file.load(file=tmp_path / "none", environ=ENVIRONMENT, overrides={})


@pytest.mark.parametrize("text", ["api: [", "a: " + "[" * 5000, "# " + "x" * 300_000])
def test_of_a_file_that_cant_be_read_only_that_is_said(tmp_path: Path, text: str) -> None:
    (found,) = refusals(tmp_path, text, {})

    assert "qlop.yaml" in found
    assert "missing" not in found


def test_an_override_of_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--set api\.endpoint: no such setting"):
        load(tmp_path, "", None, {"api.endpoint": "x"})


def test_every_setting_has_a_variable_of_its_own() -> None:
    variables = {settings_file.variable_of(path) for path in settings_file.LEAF_PATHS}

    assert len(variables) == len(settings_file.LEAF_PATHS)
    assert "QLOP_SSH_KEY_FILE" in variables
    assert os.environ.keys().isdisjoint(variables)


def test_a_misspelt_variable_is_remarked_upon(tmp_path: Path) -> None:
    environ = {**ENVIRONMENT, "QLOP_INTERVALL": "5s", "QLOP_CONFIG": "x"}

    loaded = load(tmp_path, environ=environ)

    assert [(found.message, found.hint) for found in loaded.warnings] == [
        (
            "environment variable QLOP_INTERVALL is no setting and has no effect",
            "did you mean QLOP_INTERVAL?",
        )
    ]
