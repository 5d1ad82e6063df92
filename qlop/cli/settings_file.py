"""Read the settings: a file, the environment, flags, in rising order.

The file is YAML. Every setting has one dotted path (``api.token_id``), one environment
variable (``QLOP_API_TOKEN_ID``) and one override (``--set api.token_id=…``). Secrets come
from the environment, from a file of their own or from a systemd credential, never from
the settings file itself.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from qlop.cli import secrets
from qlop.model.finding import Finding, Origin, Severity
from qlop.settings import ApiSettings, LogSettings, Settings, SshSettings, WebSettings

DEFAULT_PATH = Path("/etc/qlop/qlop.yaml")
BYTES_MAX = 256 * 1024
"""Far beyond any real settings file; a larger one is something else by mistake."""
ENVIRONMENT_PREFIX = "QLOP_"
ALIKE = 0.85
"""How much a variable must be like a setting's to be taken for a slip of the pen."""
_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "api": ApiSettings,
    "ssh": SshSettings,
    "web": WebSettings,
    "log": LogSettings,
}
LEAF_PATHS: Final = frozenset(
    {name for name in Settings.model_fields if name not in _SECTIONS}
    | {f"{section}.{name}" for section, model in _SECTIONS.items() for name in model.model_fields}
)
"""Every setting's dotted path."""


class SettingsError(Exception):
    """The settings can't be used; ``findings`` says each thing that is wrong."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        """Keep the ``findings``, each an error."""
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings


_UNREAD = frozenset({"settings-unreadable", "settings-too-large", "settings-syntax"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings that can be used, and what a person should know about them.

    ``file`` is where they came from, None if there was no file.
    """

    settings: Settings
    warnings: tuple[Finding, ...]
    file: Path | None


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """What was found so far: values, where each came from, and what is wrong."""

    file: Path | None = None
    values: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, Origin] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)

    @property
    def is_unread(self) -> bool:
        """Return whether the file could not be read: what is missing then is its fault."""
        return any(one.code in _UNREAD for one in self.problems)

    def put(self, path: str, text: str, source: str) -> None:
        section, _, name = path.rpartition(".")
        self.sources[path] = source
        if section:
            inner = self.values.get(section)
            self.values[section] = {**(inner if isinstance(inner, dict) else {}), name: text}
        else:
            self.values[name] = text

    def text_at(self, path: str) -> str | None:
        section, _, name = path.rpartition(".")
        inner = self.values.get(section) if section else self.values
        found = inner.get(name) if isinstance(inner, dict) else None
        return str(found) if found is not None else None

    def refuse(self, code: str, message: str, path: str = "", hint: str = "") -> None:
        self.problems.append(
            Finding(
                severity=Severity.ERROR,
                code=code,
                message=f"{self.sources[path]}: {message}" if path in self.sources else message,
                origin=None if path in self.sources else self._origin(path),
                field=path,
                hint=hint,
            )
        )

    def _origin(self, path: str) -> Origin | None:
        while path:
            if path in self.marks:
                return self.marks[path]
            path = path.rpartition(".")[0]
        return Origin(file=str(self.file)) if self.file else None


def load(
    *, file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> LoadedSettings:
    """Return the settings of ``file`` (None: the default one, if it is there), overridden.

    ``overrides`` maps dotted paths to text and wins over ``environ``.

    Raises:
        SettingsError: with every finding, each naming its file and line, or its variable.
    """
    gathered = _gather(file, environ, overrides)
    if gathered.is_unread:
        raise SettingsError(tuple(gathered.problems))
    warnings = (*_place_secrets(gathered, environ), *_misspelt(environ))
    settings = _validate(gathered)
    return LoadedSettings(settings=settings, warnings=warnings, file=gathered.file)


def peek(
    path: str,
    *,
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str],
) -> str | None:
    """Return the text of one setting, unchecked, whatever the others are; None if not set.

    For commands that need no more: who may not read the token may still ask the daemon.
    """
    return _gather(file, environ, overrides).text_at(path)


def _gather(
    file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> _Gathered:
    gathered = _Gathered()
    _read_file(file, gathered)
    for path in sorted(LEAF_PATHS):
        if variable_of(path) in environ:
            source = f"environment variable {variable_of(path)}"
            gathered.put(path, environ[variable_of(path)], source)
    for path, text in overrides.items():
        if path in LEAF_PATHS:
            gathered.put(path, text, f"--set {path}")
        else:
            gathered.refuse("unknown-setting", f"--set {path}: no such setting", hint=_like(path))
    return gathered


def variable_of(path: str) -> str:
    """Return the environment variable of the setting at ``path``."""
    return ENVIRONMENT_PREFIX + path.replace(".", "_").upper()


def _misspelt(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Return a warning for each variable that is nearly one of a setting: it has no effect."""
    known = {variable_of(path) for path in LEAF_PATHS}
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in known:
            continue
        close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=ALIKE)
        if close:
            yield Finding(
                severity=Severity.WARNING,
                code="unknown-variable",
                message=f"environment variable {name} is no setting and has no effect",
                hint=f"did you mean {close[0]}?",
            )


def _read_file(file: Path | None, gathered: _Gathered) -> None:
    path = file or DEFAULT_PATH
    if file is None and not path.exists():
        return
    gathered.file = path
    try:
        data = path.read_bytes()
        text = data.decode("utf-8") if len(data) <= BYTES_MAX else ""
    except OSError as error:
        reason = f"the settings can't be read: {error.strerror}"
        gathered.refuse("settings-unreadable", reason)
        return
    except UnicodeDecodeError:
        gathered.refuse("settings-unreadable", "the settings are not UTF-8 text")
        return
    if len(data) > BYTES_MAX:
        gathered.refuse("settings-too-large", "the settings are larger than 256 KiB")
        return
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        gathered.values.update(_mapping(node, gathered))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is not None:
            gathered.marks["?"] = Origin(
                file=str(path), line=mark.line + 1, column=mark.column + 1
            )
        gathered.refuse("settings-syntax", f"this is not YAML: {error.problem}", "?")
    except (yaml.YAMLError, RecursionError):
        gathered.refuse("settings-syntax", "this is not YAML, or nested beyond reason")


def _mapping(node: yaml.Node | None, gathered: _Gathered) -> dict[str, Any]:
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        gathered.refuse("settings-shape", "the settings are a mapping, of `api:` and others")
        return {}
    _mark(node, "", gathered)
    found = yaml.SafeLoader("").construct_document(node)
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _mark(node: yaml.MappingNode, prefix: str, gathered: _Gathered) -> None:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        mark = key.start_mark
        known = path in gathered.marks
        gathered.marks[path] = Origin(
            file=str(gathered.file), line=mark.line + 1, column=mark.column + 1
        )
        if known:
            gathered.refuse("duplicate-key", f"{path} is set twice", path)
        if isinstance(value, yaml.MappingNode):
            _mark(value, f"{path}.", gathered)


def _place_secrets(gathered: _Gathered, environ: Mapping[str, str]) -> Iterator[Finding]:
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    for secret in secrets.SECRETS:
        if secret.path in gathered.sources:
            continue
        if secret.path in gathered.marks:
            gathered.refuse(
                "secret-in-settings",
                f"{secret.path} does not belong into this file, which others may read",
                secret.path,
                f"put it into a file of mode 0600 and set {secret.path}_file",
            )
            continue
        own_file = gathered.text_at(f"{secret.path}_file")
        credential = Path(directory, secret.credential) if directory else None
        if own_file is not None:
            found = secrets.read(Path(own_file), secret.path)
        elif credential is not None and credential.exists():
            found = secrets.read_credential(credential, secret.path)
        else:
            continue
        if found.refusal:
            gathered.refuse("secret-unusable", found.refusal, f"{secret.path}_file", found.remedy)
        else:
            gathered.put(secret.path, found.text, found.source)
        yield from found.warnings


def _validate(gathered: _Gathered) -> Settings:
    try:
        settings = Settings.model_validate(gathered.values)
    except ValidationError as error:
        refused: set[str] = set()
        for one in error.errors():
            path = ".".join(str(part) for part in one["loc"] if not isinstance(part, int))
            if path not in refused:
                _refuse_value(path, one, gathered)
            refused.add(path)
        raise SettingsError(tuple(gathered.problems)) from None
    if gathered.problems:
        raise SettingsError(tuple(gathered.problems))
    return settings


def _refuse_value(path: str, error: ErrorDetails, gathered: _Gathered) -> None:
    match error["type"]:
        case "extra_forbidden":
            gathered.refuse("unknown-setting", f"there is no setting {path}", path, _like(path))
        case "missing" if path == "api":
            gathered.refuse("missing-setting", _missing("api.endpoints"))
            gathered.refuse("missing-setting", _missing("api.token_id"))
            gathered.refuse("missing-setting", _missing("api.token_secret"))
        case "missing":
            if not any(problem.field == f"{path}_file" for problem in gathered.problems):
                gathered.refuse("missing-setting", _missing(path), path)
        case "value_error":
            message = str(error["msg"]).removeprefix("Value error, ")
            gathered.refuse("bad-setting", f"{path}: {message}", path)
        case _:
            gathered.refuse("bad-setting", f"{path}: {error['msg'].lower()}", path)


def _missing(path: str) -> str:
    if path in {secret.path for secret in secrets.SECRETS}:
        secret = next(one for one in secrets.SECRETS if one.path == path)
        return (
            f"{path} is missing; set {path}_file, or {variable_of(path)}, or load the "
            f"systemd credential {secret.credential}"
        )
    return f"{path} is missing; set it in {DEFAULT_PATH}, or as {variable_of(path)}"


def _like(path: str) -> str:
    close = difflib.get_close_matches(path, sorted({*LEAF_PATHS, *_SECTIONS}), n=1)
    return f"did you mean {close[0]}?" if close else "see docs/settings.md for all of them"
