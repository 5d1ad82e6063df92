"""Describe the settings and the commands, for the documentation, from what they are."""

import inspect
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from qlop.cli import main
from qlop.cli.settings_file import LEAF_PATHS, variable_of
from qlop.model.units import format_span
from qlop.settings import Address, ApiSettings, LogSettings, Settings, SshSettings, WebSettings

_SECTIONS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("api", ApiSettings),
    ("ssh", SshSettings),
    ("", Settings),
    ("web", WebSettings),
    ("log", LogSettings),
)
_SETTINGS_HEAD = """# Settings

They come from `/etc/qlop/qlop.yaml` (or `--config FILE`, or `QLOP_CONFIG`), from environment
variables, and from `--set SETTING=VALUE`; the later in this list wins. In the file a dot is
a level: `api.timeout` is `timeout:` below `api:`. Spans are written `30s`, `15m`, `1h30m`;
lists in a variable are separated by blanks or commas.

This page is generated: `python -m tests.cli.pages`.

| Setting | Variable | Default | What it is |
| --- | --- | --- | --- |
"""
_COMMANDS_HEAD = """# Commands

`--json` writes one JSON value to standard output, whatever else is said goes to standard
error. `status`, `explain` and `history` ask the daemon if one is running, and look for
themselves if none is. An error is one line; with `--debug` it comes with its traceback.
`qlop --version` says which qlop it is.

| Exit code | Means |
| --- | --- |
| 0 | done; `plan`: nothing to do; `apply`: converged |
| 1 | error; `validate`: the manifests are not good |
| 2 | `plan`: there are changes |
| 3 | what is left is held, and a person has to decide (`apply`, `adopt`); somebody was left out (`import`) |
| 64 | wrong usage |
| 130 | interrupted |

This page is generated: `python -m tests.cli.pages`.
"""


def settings_page() -> str:
    """Return the page of all settings."""
    rows = [
        _setting_row(f"{section}.{name}" if section else name, field)
        for section, model in _SECTIONS
        for name, field in model.model_fields.items()
        if (f"{section}.{name}" if section else name) in LEAF_PATHS
    ]
    return _SETTINGS_HEAD + "".join(rows)


def _setting_row(path: str, field: FieldInfo) -> str:
    text = " ".join((field.description or "").split())
    return f"| `{path}` | `{variable_of(path)}` | {_default_text(field)} | {text} |\n"


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "*needed*"
    match field.default:
        case None | ():
            return ""
        case timedelta() as span:
            return f"`{format_span(span)}`"
        case Enum() as member:
            return f"`{member.value}`"
        case Address() as address:
            return f"`{address.authority}`"
        case Path() | str() | int() as plain:
            return f"`{plain}`"
        case _:
            return ""


def commands_page() -> str:
    """Return the page of all commands, their arguments and options."""
    group = get_command(main.application())
    parts = [_COMMANDS_HEAD]
    pending = [("qlop", group)]
    while pending:
        path, command = pending.pop(0)
        inner = getattr(command, "commands", {})
        if inner:
            pending = [*((f"{path} {name}", one) for name, one in inner.items()), *pending]
        if path == "qlop":
            continue
        parts.append(f"\n## {path}\n\n{inspect.cleandoc(command.help or '')}\n")
        rows = [_parameter_row(one) for one in command.params if one.name != "help"]
        if rows:
            parts.append("\n| Parameter | What it is |\n| --- | --- |\n" + "".join(rows))
    return "".join(parts)


def _parameter_row(parameter: object) -> str:
    names = [*getattr(parameter, "opts", []), *getattr(parameter, "secondary_opts", [])]
    if getattr(parameter, "param_type_name", "") == "argument":
        shown = str(getattr(parameter, "name", "")).upper()
    else:
        shown = ", ".join(names)
        if not getattr(parameter, "is_flag", False):
            metavar = getattr(parameter, "metavar", None) or "VALUE"
            shown = f"{shown} {metavar}"
    text = " ".join(str(getattr(parameter, "help", "") or "").split())
    return f"| `{shown}` | {text} |\n"
