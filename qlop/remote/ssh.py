"""Run the one reading command of our key on a node, over SSH.

The only file that imports asyncssh. The connection is kept; the next host is tried when
one does not answer. A host is only talked to if its key is in ``known_hosts``, and
nothing of the user's own SSH setup (agent, configuration, default keys) is used.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import asyncssh
from typing_extensions import override

from qlop.ports import ErrorKind, PortError, RemoteShell
from qlop.settings import SshSettings

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 30.0
"""A connection whose other end is gone is noticed in three times this."""
OUTPUT_CHARS_MAX = 16 * 1024 * 1024
"""Both files of a cluster of 10,000 guests have about 0.7 million characters."""


class SshShell(RemoteShell):
    """A shell on whichever of several nodes answers. ``close`` it when done."""

    def __init__(self, settings: SshSettings, hosts: Sequence[str]) -> None:
        """Prepare to connect to one of ``hosts``, in this order; nothing is sent yet."""
        assert hosts, "there is a host for every endpoint of the API"
        asyncssh.set_log_level(logging.WARNING)
        self._settings = settings
        self._hosts = list(hosts)
        self._connection: asyncssh.SSHClientConnection | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    @override
    async def run(self, command: str, *, timeout_s: float) -> str:
        async with self._lock:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._run_somewhere(command)
            except TimeoutError:
                await self._drop()
                message = f"no answer over SSH within {timeout_s:.0f} s"
                raise PortError(ErrorKind.TRANSIENT, message) from None

    async def _run_somewhere(self, command: str) -> str:
        """Ask over the kept connection, then each host in turn until one answers."""
        if self._connection is not None:
            try:
                return await self._run_on(self._connection, self._hosts[0], command)
            except PortError:
                await self._drop()
        errors: list[PortError] = []
        for host in tuple(self._hosts):
            try:
                connection = await self._connect(host)
                output = await self._run_on(connection, host, command)
            except PortError as error:
                await self._drop()
                errors.append(error)
            else:
                self._hosts.remove(host)
                self._hosts.insert(0, host)
                return output
        denied = all(error.kind is ErrorKind.DENIED for error in errors)
        message = "; ".join(error.message for error in errors)
        raise PortError(ErrorKind.DENIED if denied else ErrorKind.TRANSIENT, message)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()

    async def _connect(self, host: str) -> asyncssh.SSHClientConnection:
        settings = self._settings
        for file, what in ((settings.known_hosts, "known hosts"), (settings.key_file, "key")):
            _check_readable(file, what)
        try:
            self._connection = await asyncssh.connect(
                host,
                settings.port,
                username=settings.user,
                client_keys=[str(settings.key_file)],
                known_hosts=str(settings.known_hosts),
                config=None,
                agent_path=None,
                preferred_auth="publickey",
                connect_timeout=CONNECT_TIMEOUT_S,
                login_timeout=CONNECT_TIMEOUT_S,
                keepalive_interval=KEEPALIVE_S,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise PortError(ErrorKind.DENIED, _unverified(host, settings, error)) from None
        except asyncssh.PermissionDenied:
            raise PortError(
                ErrorKind.DENIED,
                f"{host} refuses the key {settings.key_file} for user {settings.user};"
                " is it in that user's authorized_keys, and is our address in its from= list?",
            ) from None
        except (asyncssh.Error, asyncssh.KeyImportError, OSError) as error:
            raise PortError(ErrorKind.TRANSIENT, f"{host}: {_brief(error)}") from None
        return self._connection

    async def _run_on(
        self, connection: asyncssh.SSHClientConnection, host: str, command: str
    ) -> str:
        try:
            async with connection.create_process(command, errors="replace") as process:
                output = await _read_all(process.stdout, host)
                trouble = await _read_all(process.stderr, host)
                done = await process.wait()
        except (asyncssh.Error, OSError) as error:
            raise PortError(ErrorKind.TRANSIENT, f"{host}: {_brief(error)}") from None
        if done.exit_status != 0:
            said = trouble.strip() or f"exit status {done.exit_status}"
            raise PortError(ErrorKind.TRANSIENT, f"{host}: {said}")
        return output


async def _read_all(stream: asyncssh.SSHReader[str], host: str) -> str:
    """Read a stream to its end.

    Raises:
        PortError: if it is longer than anything that the key should print.
    """
    parts: list[str] = []
    length = 0
    while part := await stream.read(64 * 1024):
        parts.append(part)
        length += len(part)
        if length > OUTPUT_CHARS_MAX:
            message = f"{host} prints more than {OUTPUT_CHARS_MAX} characters; is that the key?"
            raise PortError(ErrorKind.TRANSIENT, message)
    return "".join(parts)


def _check_readable(file: Path, what: str) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        message = f"the {what} file {file} can't be read: {error.strerror}"
        raise PortError(ErrorKind.DENIED, message) from None


def _unverified(host: str, settings: SshSettings, error: asyncssh.Error) -> str:
    return (
        f"the host key of {host} is not the one in {settings.known_hosts} ({error.reason}); if"
        f" the node was installed anew, put its new key there (ssh-keyscan {host})"
    )


def _brief(error: Exception) -> str:
    if isinstance(error, asyncssh.Error):
        return error.reason or type(error).__name__
    if isinstance(error, TimeoutError):
        return "no connection in time"
    strerror = getattr(error, "strerror", None)
    return str(strerror or error).lower()
