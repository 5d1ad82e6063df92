"""Tell systemd how the daemon is: ``sd_notify`` without its library."""

import os
import socket
from collections.abc import Mapping
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
WATCHDOG: Final = "WATCHDOG=1"


def notify(*assignments: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``assignments`` to the manager, and return whether there is one.

    ``WATCHDOG`` is to be sent after each completed cycle: it vouches for progress, not
    for a loop that turns. A manager that does not listen is none of our trouble.
    """
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = f"\0{path[1:]}" if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto("\n".join(assignments).encode(), address)
    except OSError:
        return False
    return True


def status_assignment(text: str) -> str:
    """Return the assignment that shows ``text`` in ``systemctl status``."""
    return f"STATUS={' '.join(text.split())}"
