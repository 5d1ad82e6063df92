"""Telling systemd how the daemon is."""

import socket
from pathlib import Path

from qlop.telemetry import systemd


def test_assignments_go_to_the_socket_that_systemd_names(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)

        sent = systemd.notify(
            systemd.READY,
            systemd.status_assignment("14/15\nguests"),
            environ={"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )

        assert sent
        assert manager.recv(1024) == b"READY=1\nSTATUS=14/15 guests"


def test_an_abstract_socket_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0qlop-test-notify")
        manager.settimeout(5)

        assert systemd.notify(systemd.WATCHDOG, environ={"NOTIFY_SOCKET": "@qlop-test-notify"})
        assert manager.recv(1024) == b"WATCHDOG=1"


def test_without_a_manager_nothing_is_sent(tmp_path: Path) -> None:
    assert not systemd.notify(systemd.READY, environ={})
    assert not systemd.notify(systemd.READY, environ={"NOTIFY_SOCKET": str(tmp_path / "none")})
