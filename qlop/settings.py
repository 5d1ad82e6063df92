"""Say how the daemon is set up: everything about it that is not desired state.

Where the values come from (a file, the environment, flags) is ``cli.settings_file``'s
matter; here they are checked and named.
"""

import ipaddress
import re
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from qlop.model import units

DEFAULT_API_PORT = 8006
DEFAULT_LISTEN_PORT = 9650
SPAN_MIN = timedelta(seconds=1)
"""A shorter interval or timeout would be a mistake in the unit."""

_TOKEN_ID = re.compile(r"[^@!/:\s]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+")
_HEX_SHA256 = re.compile(r"[0-9A-F]{64}")


class LogFormat(Enum):
    """How log lines look; ``AUTO`` is console on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(Enum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Address(BaseModel):
    """A host and port, of the API or to listen on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int = Field(ge=0, le=65535)

    @property
    def url(self) -> str:
        """Return the HTTPS address, IPv6 in brackets."""
        return f"https://{self.authority}"

    @property
    def authority(self) -> str:
        """Return ``host:port``, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def _parse_endpoint(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value if "://" in value else f"https://{value}"
    parts = urlsplit(text)
    if parts.scheme != "https":
        raise ValueError(f"{value!r} is not HTTPS; write https://HOST:8006")
    if not parts.hostname or parts.path.rstrip("/") or parts.query or parts.username:
        raise ValueError(f"{value!r} is no endpoint; write https://HOST:8006 and nothing more")
    port = DEFAULT_API_PORT if parts.port is None else parts.port
    return Address(host=parts.hostname, port=port)


def _parse_listen(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = urlsplit(f"//{value}")
    if not parts.hostname or parts.path:
        raise ValueError(f"{value!r} is no address to listen on; write 127.0.0.1:9650")
    port = DEFAULT_LISTEN_PORT if parts.port is None else parts.port
    return Address(host=parts.hostname, port=port)


def _parse_span(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no span of time; write 30s, 15m or 2h")  # noqa: TRY004
    span = units.parse_span(value)
    if span < SPAN_MIN:
        raise ValueError(f"{value} is too short; the least is {units.format_span(SPAN_MIN)}")
    return span


def _split(value: object) -> object:
    return re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value


def _parse_fingerprint(value: object) -> object:
    digits = str(value).replace(":", "").upper()
    if _HEX_SHA256.fullmatch(digits) is None:
        raise ValueError(
            f"{value!r} is no SHA-256 fingerprint; write 64 hexadecimal digits, as "
            "`openssl x509 -noout -fingerprint -sha256 -in pve-ssl.pem` prints them"
        )
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


def _parse_token_id(value: object) -> object:
    if not isinstance(value, str) or _TOKEN_ID.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no token id; write USER@REALM!TOKEN (qlop@pve!daemon)")
    return value


Endpoint = Annotated[Address, BeforeValidator(_parse_endpoint)]
Listen = Annotated[Address, BeforeValidator(_parse_listen)]
Span = Annotated[timedelta, BeforeValidator(_parse_span)]
Fingerprint = Annotated[str, BeforeValidator(_parse_fingerprint)]
TokenId = Annotated[str, BeforeValidator(_parse_token_id)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiSettings(_Section):
    """How to reach the PVE API.

    The next endpoint is tried when one does not answer. Without ``ca_file`` and
    ``fingerprints`` the system's certificate authorities decide; verification can't be
    turned off.
    """

    endpoints: Annotated[tuple[Endpoint, ...], BeforeValidator(_split)] = Field(min_length=1)
    token_id: TokenId
    token_secret: SecretStr
    token_secret_file: Path | None = None
    ca_file: Path | None = None
    fingerprints: Annotated[tuple[Fingerprint, ...], BeforeValidator(_split)] = ()
    timeout: Span = timedelta(seconds=30)


class SshSettings(_Section):
    """How to see config changes exactly: a key that can run one reading command.

    ``hosts`` empty means the hosts of the API endpoints.
    """

    hosts: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    port: int = Field(default=22, ge=1, le=65535)
    user: str = "qlop"
    key_file: Path
    known_hosts: Path


class WebSettings(_Section):
    """Where the daemon is asked; with ``token`` others than this machine may trigger."""

    listen: Listen = Address(host="127.0.0.1", port=DEFAULT_LISTEN_PORT)
    token: SecretStr | None = None
    token_file: Path | None = None


class LogSettings(_Section):
    """What is logged, and how."""

    format: LogFormat = LogFormat.AUTO
    level: LogLevel = LogLevel.INFO


class Settings(_Section):
    """Everything about the daemon that is not desired state.

    ``interval`` overrides the one of the ``Cluster`` manifest. ``lease`` is the file
    whose lock makes one daemon of several the leader.
    """

    api: ApiSettings
    ssh: SshSettings | None = None
    desired_state: Path = Path("/etc/qlop/desired-state")
    journal: Path = Path("/var/lib/qlop/journal.sqlite3")
    lease: Path | None = None
    web: WebSettings = Field(default_factory=WebSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    interval: Span | None = None

    @property
    def lease_file(self) -> Path:
        """Return the lease's file: beside the journal unless it is set."""
        return self.lease or self.journal.with_name("lease")
