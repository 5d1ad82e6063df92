"""Name the options that several commands share, and what they amount to."""

import os
from pathlib import Path
from typing import Annotated

import typer

from qlop.cli import screen, settings_file
from qlop.render.finding import finding_lines
from qlop.settings import DEFAULT_LISTEN_PORT, Address, LogLevel, Settings, WebSettings
from qlop.telemetry import log

CONVERGED = 0
ERROR = 1
CHANGES = 2
HELD = 3
USAGE = 64
"""Exit codes. A wrong usage must not look like ``CHANGES``."""

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="QLOP_CONFIG",
        help=f"The settings file. [default: {settings_file.DEFAULT_PATH}, if it is there]",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SETTING=VALUE",
        help="Override one setting (api.timeout=10s). May be given several times.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Look at the cluster, even if a daemon could be asked.")
]


def settings_of(config: Path | None, overrides: list[str] | None) -> Settings:
    """Return the settings, and tell a person what is to be said about them.

    Raises:
        SettingsError: if they can't be used.
    """
    loaded = settings_file.load(file=config, environ=os.environ, overrides=overrides_of(overrides))
    screen.tell(one for finding in loaded.warnings for one in finding_lines(finding))
    # The daemon sets up a log of its own; a command's own words are its log.
    log.set_up(level=LogLevel.ERROR)
    return loaded.settings


def overrides_of(given: list[str] | None) -> dict[str, str]:
    """Return what ``--set`` says, by setting."""
    found: dict[str, str] = {}
    for one in given or ():
        path, separator, value = one.partition("=")
        if not separator:
            raise typer.BadParameter(f"--set {one}: write SETTING=VALUE")
        found[path] = value
    return found


def web_of(config: Path | None, overrides: list[str] | None) -> WebSettings:
    """Return where a daemon may be asked, though the other settings may be of no use."""
    try:
        return settings_file.load(
            file=config, environ=os.environ, overrides=overrides_of(overrides)
        ).settings.web
    except settings_file.SettingsError:
        listen = setting_of("web.listen", config, overrides)
        default = Address(host="127.0.0.1", port=DEFAULT_LISTEN_PORT)
        return WebSettings.model_validate({"listen": listen or default})


def setting_of(path: str, config: Path | None, overrides: list[str] | None) -> str | None:
    """Return the text of one setting, whatever the others are."""
    return settings_file.peek(
        path, file=config, environ=os.environ, overrides=overrides_of(overrides)
    )
