"""Keep where a simulated cluster can be reached, and speak with it."""

import http.client
import json
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from qlop.sim.server import SimServer
from qlop.sim.world import DEFAULT_TOKEN

TIMEOUT_S = 10.0
_STATE = "sim.json"


class SimulatedError(Exception):
    """There is no simulated cluster to speak with, or it refused a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """How to reach a simulated cluster."""

    endpoints: tuple[str, ...]
    ca_file: str
    token_id: str
    token_file: str

    def settings(self) -> dict[str, object]:
        """Return the settings of a qlop that shall use it, as its settings file has them."""
        return {
            "api": {
                "endpoints": [*self.endpoints],
                "token_id": self.token_id,
                "token_secret_file": self.token_file,
                "ca_file": self.ca_file,
            }
        }

    def environment(self) -> dict[str, str]:
        """Return the settings of a qlop that shall use it, as environment variables."""
        return {
            "QLOP_API_ENDPOINTS": " ".join(self.endpoints),
            "QLOP_API_TOKEN_ID": self.token_id,
            "QLOP_API_TOKEN_SECRET_FILE": self.token_file,
            "QLOP_API_CA_FILE": self.ca_file,
        }


def default_directory() -> Path:
    """Return where this user's simulated cluster leaves word of itself."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"qlop-sim-{os.getuid()}"


def private(directory: Path) -> Path:
    """Return ``directory``, made if need be, which nobody else may enter.

    Raises:
        SimulatedError: if it is somebody else's.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = directory.stat(follow_symlinks=False)
    if seen.st_uid != os.getuid() or seen.st_mode & 0o077 or directory.is_symlink():
        raise SimulatedError(f"{directory} is not yours alone; give another one (--directory)")
    return directory


def announce(server: SimServer, directory: Path) -> Whereabouts:
    """Write down how to reach ``server``, and return it."""
    token_id, _, secret = DEFAULT_TOKEN.partition("=")
    token_file = directory / "token"
    _write(token_file, f"{secret}\n")
    found = Whereabouts(
        endpoints=tuple(server.urls),
        ca_file=str(server.ca_file),
        token_id=token_id,
        token_file=str(token_file),
    )
    _write(
        directory / _STATE,
        json.dumps(
            {
                "endpoints": found.endpoints,
                "ca_file": found.ca_file,
                "token_id": found.token_id,
                "token_file": found.token_file,
            }
        ),
    )
    return found


def forget(directory: Path) -> None:
    """Take back what ``announce`` wrote: the cluster is gone."""
    (directory / _STATE).unlink(missing_ok=True)


def find(directory: Path) -> Whereabouts:
    """Return how to reach the cluster that left word in ``directory``.

    Raises:
        SimulatedError: if there is none.
    """
    try:
        found = json.loads((directory / _STATE).read_text(encoding="utf-8"))
        return Whereabouts(
            endpoints=tuple(str(one) for one in found["endpoints"]),
            ca_file=str(found["ca_file"]),
            token_id=str(found["token_id"]),
            token_file=str(found["token_file"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise SimulatedError(
            f"no simulated cluster left word in {directory}; start one with `qlop sim` or "
            "`qlop demo`"
        ) from None


def do(where: Whereabouts, words: Sequence[str]) -> str:
    """Have the cluster carry out a command, and return what it says.

    Raises:
        SimulatedError: if it can't be reached, or refuses.
    """
    trust = ssl.create_default_context(cafile=where.ca_file)
    for endpoint in where.endpoints:
        address = urlsplit(endpoint)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=TIMEOUT_S, context=trust
        )
        try:
            connection.request("POST", "/sim/do", body=" ".join(words).encode())
            response = connection.getresponse()
            text = response.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException):
            continue  # That node is down; the command may be about bringing it back.
        finally:
            connection.close()
        if response.status != 200:
            raise SimulatedError(text)
        return text
    raise SimulatedError("the simulated cluster does not answer; is it still running?")


def _write(file: Path, text: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
