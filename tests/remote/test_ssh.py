"""The key prints two files, whatever is asked, from a host that is known."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from qlop.ports import ErrorKind, PortError
from qlop.pve import vmlist
from qlop.remote.ssh import SshShell
from qlop.settings import SshSettings
from tests.remote.sshd import VERSION, VMLIST, Node, keygen, listening

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # a real sshd, and its key exchange
    pytest.mark.timeout(90),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with listening(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def using(
    settings: SshSettings,
    work: Callable[[SshShell], Coroutine[object, object, str]],
    hosts: tuple[str, ...] = ("127.0.0.1",),
) -> str:
    async def main() -> str:
        shell = SshShell(settings, hosts)
        try:
            return await work(shell)
        finally:
            await shell.close()

    return asyncio.run(main())


async def look(shell: SshShell) -> str:
    return await shell.run(vmlist.COMMAND, timeout_s=10)


def refusal(settings: SshSettings, hosts: tuple[str, ...] = ("127.0.0.1",)) -> PortError:
    with pytest.raises(PortError) as caught:
        using(settings, look, hosts)
    return caught.value


def test_the_two_files_are_printed_and_understood(node: Node) -> None:
    printed = using(node.settings(), look)

    assert printed == VERSION + VMLIST


def test_no_other_command_can_be_run(node: Node, tmp_path: Path) -> None:
    witness = tmp_path / "was-here"

    printed = using(node.settings(), lambda shell: shell.run(f"touch {witness}", timeout_s=10))

    assert printed == VERSION + VMLIST
    assert not witness.exists()


def test_the_connection_is_kept(node: Node) -> None:
    async def twice(shell: SshShell) -> str:
        await look(shell)
        first = shell._connection  # noqa: SLF001 - whether it is the same is the point
        await look(shell)
        return str(first is shell._connection)  # noqa: SLF001

    assert using(node.settings(), twice) == "True"


def test_a_connection_that_broke_is_made_anew(node: Node) -> None:
    async def across_a_restart(shell: SshShell) -> str:
        await look(shell)
        node.stop()
        node.start()
        return await look(shell)

    assert using(node.settings(), across_a_restart) == VERSION + VMLIST


def test_the_next_host_is_tried(node: Node) -> None:
    hosts = ("nowhere.invalid", "127.0.0.1")

    assert using(node.settings(), look, hosts) == VERSION + VMLIST


def test_a_host_with_another_key_is_refused(node: Node, tmp_path: Path) -> None:
    public = keygen(tmp_path / "other").with_suffix(".pub").read_text(encoding="utf-8")
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{node.port} {public}", encoding="utf-8")

    error = refusal(node.settings(known_hosts=known))

    assert error.kind is ErrorKind.DENIED
    assert str(error).startswith(f"the host key of 127.0.0.1 is not the one in {known} (")


def test_a_host_that_is_not_known_is_refused(node: Node, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("", encoding="utf-8")

    assert refusal(node.settings(known_hosts=known)).kind is ErrorKind.DENIED


def test_a_key_that_is_not_authorized_is_refused(node: Node, tmp_path: Path) -> None:
    key = keygen(tmp_path / "other")

    error = refusal(node.settings(key_file=key))

    assert error.kind is ErrorKind.DENIED
    assert str(error).startswith(f"127.0.0.1 refuses the key {key} for user ")


@pytest.mark.parametrize("missing", ["key_file", "known_hosts"])
def test_a_file_that_is_not_there_is_named(node: Node, tmp_path: Path, missing: str) -> None:
    error = refusal(node.settings(**{missing: tmp_path / "gone"}))

    assert error.kind is ErrorKind.DENIED
    assert str(error).endswith(
        f"file {tmp_path / 'gone'} can't be read: No such file or directory"
    )


def test_a_key_file_that_is_no_key_is_told(node: Node, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nonsense", encoding="utf-8")

    assert str(refusal(node.settings(key_file=tmp_path / "key"))).startswith("127.0.0.1: ")


def test_no_host_at_all_is_transient_and_each_is_named(node: Node) -> None:
    error = refusal(node.settings(port=1), ("127.0.0.1", "nowhere.invalid"))

    assert error.kind is ErrorKind.TRANSIENT
    assert "127.0.0.1: " in str(error)
    assert "nowhere.invalid: " in str(error)


def test_a_command_that_fails_is_told(node: Node) -> None:
    hidden = node.files / ".vmlist"
    hidden.rename(node.files / ".gone")
    try:
        error = refusal(node.settings())
    finally:
        (node.files / ".gone").rename(hidden)

    assert error.kind is ErrorKind.TRANSIENT
    assert str(error) == f"127.0.0.1: cat: {hidden}: No such file or directory"


def test_an_answer_that_does_not_come_is_given_up(node: Node) -> None:
    async def impatient(shell: SshShell) -> str:
        return await shell.run(vmlist.COMMAND, timeout_s=0.0001)

    with pytest.raises(PortError) as caught:
        using(node.settings(), impatient)

    assert caught.value.kind is ErrorKind.TRANSIENT
