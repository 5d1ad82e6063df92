"""A real sshd on the loopback, with a key that is forced to print two files."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qlop.settings import SshSettings

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
PATIENCE_S = 60.0
VERSION = '{\n"starttime": 1,\n"vmlist": 7\n}\n'
VMLIST = (
    '{\n"version": 7,\n"ids": {\n"100": { "node": "pve1", "type": "qemu", "version": 3 }}\n\n}\n'
)


@dataclass(slots=True)
class Node:
    """A running sshd and what belongs to it; ``files`` is what the key prints."""

    directory: Path
    port: int
    key_file: Path
    known_hosts: Path
    files: Path
    process: subprocess.Popen[bytes] | None = None

    def settings(self, **other: object) -> SshSettings:
        values: dict[str, object] = {
            "port": self.port,
            "user": getpass.getuser(),
            "key_file": self.key_file,
            "known_hosts": self.known_hosts,
        }
        return SshSettings.model_validate(values | other)

    def start(self) -> None:
        """Let sshd listen, and wait until it does: on a busy machine that can take seconds.

        Raises:
            AssertionError: It ended, or does not listen; with what it said.
        """
        assert SSHD is not None, "these tests need sshd: apt-get install openssh-server"
        said = self.directory / "sshd.log"
        self.process = subprocess.Popen(
            [SSHD, "-D", "-E", str(said), "-f", str(self.directory / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < until_s:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
            ):
                return
            threading.Event().wait(0.02)
        status = self.process.poll()
        self.stop()
        how = "does not listen" if status is None else f"ended with {status}"
        raise AssertionError(f"sshd {how}: {said.read_text(encoding='utf-8')}")

    def stop(self) -> None:
        """End sshd with all its connections."""
        process, self.process = self.process, None
        if process is None:
            return
        children = subprocess.run(
            ["ps", "--ppid", str(process.pid), "-o", "pid="],
            check=False, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        process.terminate()
        process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), 15)


def keygen(file: Path) -> Path:
    """Make an SSH key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


@contextlib.contextmanager
def listening(directory: Path) -> Iterator[Node]:
    """Run sshd for the present user on a free port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    host_key, key_file = keygen(directory / "host_key"), keygen(directory / "key")
    files = directory / "pve"
    files.mkdir()
    (files / ".version").write_text(VERSION, encoding="utf-8")
    (files / ".vmlist").write_text(VMLIST, encoding="utf-8")
    public = key_file.with_suffix(".pub").read_text(encoding="utf-8")
    authorized = directory / "authorized_keys"
    authorized.write_text(
        f'command="cat {files}/.version {files}/.vmlist",restrict {public}', encoding="utf-8"
    )
    known_hosts = directory / "known_hosts"
    host_public = (directory / "host_key.pub").read_text(encoding="utf-8")
    known_hosts.write_text(f"[127.0.0.1]:{port} {host_public}", encoding="utf-8")
    (directory / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\n"
        f"AuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin forced-commands-only\nPasswordAuthentication no\n",
        encoding="utf-8",
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd as root does not start without.
    node = Node(directory, port, key_file, known_hosts, files)
    node.start()
    try:
        yield node
    finally:
        node.stop()
