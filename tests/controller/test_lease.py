"""Of all qlops on a machine one holds the lease; the kernel gives it back."""

import os
from pathlib import Path

import pytest

from qlop.controller.lease import FileLease


def test_one_holds_it(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")

    assert [one.acquire(), other.acquire()] == [True, False]
    assert [one.is_held, other.is_held] == [True, False]


def test_it_may_be_taken_twice_by_the_same(tmp_path: Path) -> None:
    one = FileLease(tmp_path / "lease")

    assert [one.acquire(), one.acquire()] == [True, True]


def test_given_back_it_is_free(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")
    one.acquire()
    one.release()
    one.release()

    assert other.acquire()
    assert not one.is_held


def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    FileLease(tmp_path / "lease").acquire()

    assert os.stat(tmp_path / "lease").st_mode & 0o077 == 0  # noqa: PTH116 - the plain call


def test_a_lease_that_can_not_be_opened_is_no_lease(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="lease"):
        FileLease(tmp_path / "nowhere" / "lease").acquire()
