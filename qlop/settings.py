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
INTERVAL_MAX = timedelta(minutes=2)
"""systemd restarts a daemon that has completed no cycle in five minutes."""

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


def _parse_interval(value: object) -> object:
    span = _parse_span(value)
    if isinstance(span, timedelta) and span > INTERVAL_MAX:
        raise ValueError(f"{value} is too long; the most is {units.format_span(INTERVAL_MAX)}")
    return span


Endpoint = Annotated[Address, BeforeValidator(_parse_endpoint)]
Listen = Annotated[Address, BeforeValidator(_parse_listen)]
Span = Annotated[timedelta, BeforeValidator(_parse_span)]
Interval = Annotated[timedelta, BeforeValidator(_parse_interval)]
Fingerprint = Annotated[str, BeforeValidator(_parse_fingerprint)]
TokenId = Annotated[str, BeforeValidator(_parse_token_id)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ApiSettings(_Section):
    """How to reach the PVE API.

    Without ``ca_file`` and ``fingerprints`` the system's certificate authorities decide;
    verification can't be turned off.
    """

    endpoints: Annotated[tuple[Endpoint, ...], BeforeValidator(_split)] = Field(min_length=1)
    """Nodes to ask, `https://HOST:8006` each; the next is tried when one is down."""
    token_id: TokenId
    """The API token, `USER@REALM!TOKEN`."""
    token_secret: SecretStr
    """The token's secret. Not in the settings file: by its variable, by the file below, or
    by the systemd credential `api-token`."""
    token_secret_file: Path | None = None
    """A file that holds the secret on one line and that not everybody may read."""
    ca_file: Path | None = None
    """The certificate authority of the cluster, `/etc/pve/pve-root-ca.pem`."""
    fingerprints: Annotated[tuple[Fingerprint, ...], BeforeValidator(_split)] = ()
    """SHA-256 fingerprints of the nodes' certificates, instead of an authority."""
    timeout: Span = timedelta(seconds=30)
    """How long a call may take. PVE itself gives up on another node after 30s."""


class SshSettings(_Section):
    """How to see config changes exactly: a key that can run one reading command."""

    hosts: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """Nodes to ask; those of `api.endpoints` if not set."""
    port: int = Field(default=22, ge=1, le=65535)
    """The port of the nodes' SSH server."""
    user: str = "qlop-read"
    """The user on the nodes whom the key belongs to."""
    key_file: Path
    """The private key."""
    known_hosts: Path
    """The nodes' host keys; a node that is not in it is not asked."""


class WebSettings(_Section):
    """Where the daemon is asked, and by whom."""

    listen: Listen = Address(host="127.0.0.1", port=DEFAULT_LISTEN_PORT)
    """Where to serve metrics, health, and the page."""
    token: SecretStr | None = None
    """What other machines must show to see more than metrics and health. Not in the
    settings file: by its variable, by the file below, or by the systemd credential
    `web-token`."""
    token_file: Path | None = None
    """A file that holds the token on one line and that not everybody may read."""


class LogSettings(_Section):
    """What is logged, and how."""

    format: LogFormat = LogFormat.AUTO
    """`json`, `console`, or `auto`: console on a terminal."""
    level: LogLevel = LogLevel.INFO
    """The least severe line that is written: `debug`, `info`, `warning`, `error`."""


class Settings(_Section):
    """Everything about the daemon that is not desired state."""

    api: ApiSettings
    ssh: SshSettings | None = None
    desired_state: Path = Path("/etc/qlop/desired-state")
    """The directory of the manifests."""
    journal: Path = Path("/var/lib/qlop/journal.sqlite3")
    """The record of what was intended and done. Keep it: a restart goes by it."""
    orders: Path | None = None
    """The book of people's orders (`qlop approve`, `qlop freeze`); `orders.sqlite3` beside the
    journal if not set. Who may write it may give orders."""
    lease: Path | None = None
    """The file whose lock makes one qlop of several the one that acts; `lease` beside the
    journal if not set."""
    web: WebSettings = Field(default_factory=WebSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    interval: Interval | None = None
    """How far apart cycles are; what the `Cluster` manifest says if not set."""

    @property
    def orders_file(self) -> Path:
        """Return the order book's file: beside the journal unless it is set."""
        return self.orders or self.journal.with_name("orders.sqlite3")

    @property
    def lease_file(self) -> Path:
        """Return the lease's file: beside the journal unless it is set."""
        return self.lease or self.journal.with_name("lease")
