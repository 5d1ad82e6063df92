"""Set up logging: one stream, one line per event, ids in each, secrets in none.

What other libraries log is written only from ``warning`` up, whatever the level is for
qlop itself: below that some of them write whole requests, bodies and all.
"""

import logging
import sys
from collections.abc import Collection, MutableMapping
from typing import Any, TextIO

import structlog

from qlop.settings import LogFormat, LogLevel
from qlop.telemetry import redact

_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}

OURS = "qlop"
"""The logger above all of our modules'."""

_Event = MutableMapping[str, Any]


def set_up(
    *,
    form: LogFormat = LogFormat.AUTO,
    level: LogLevel = LogLevel.INFO,
    stream: TextIO | None = None,
    secrets: Collection[str] = (),
) -> None:
    """Make structlog and the standard library's logging write to ``stream`` (stderr).

    Call it once, before anything else runs; a later call replaces the former.
    ``secrets`` are masked wherever they should turn up. Each line carries what was bound
    with ``structlog.contextvars``: the ids of the cycle and of the action.
    """
    where = sys.stderr if stream is None else stream
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        # As text and without the values of variables: a traceback must not tell secrets.
        structlog.processors.format_exc_info,
        _Redactor(secrets),
    ]
    handler = logging.StreamHandler(where)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(form, where),
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for former in tuple(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(_LEVELS[level])
    logging.captureWarnings(True)


def _renderer(form: LogFormat, stream: TextIO) -> structlog.typing.Processor:
    on_terminal = stream.isatty()
    if form is LogFormat.CONSOLE or (form is LogFormat.AUTO and on_terminal):
        return structlog.dev.ConsoleRenderer(
            colors=on_terminal,
            exception_formatter=structlog.dev.plain_traceback,
            timestamp_key="at",
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)


class _Redactor:
    """A processor that masks secrets; it comes after all that add to an event."""

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _logger: object, _method: str, event: _Event) -> _Event:
        for key, value in event.items():
            # What begins with an underscore is structlog's own and taken out at the end.
            if not key.startswith("_"):
                masked = redact.is_secret_key(key)
                event[key] = redact.MASK if masked else redact.redacted(value, self._secrets)
        return event
