"""Reading manifests: all of them, of one instant, and nothing passed over in silence."""

import os
from pathlib import Path

import pytest

from qlop.model.finding import Severity
from qlop.model.source import MAX_FILE_BYTES, SourceFile, SourceTree
from qlop.sources import files


def lay(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"# {path}\n")


def source(path: str) -> SourceFile:
    content = f"# {path}\n".encode()
    return SourceFile(path=path, content=content, size_bytes=len(content))


def codes(tree: SourceTree) -> list[str]:
    assert all(finding.severity is Severity.ERROR for finding in tree.findings)
    return [finding.code for finding in tree.findings]


def test_manifests_of_any_depth_are_read_and_nothing_else(tmp_path: Path) -> None:
    lay(tmp_path, "a.yaml", "b/c/d.yml", "README.md", ".git/x.yaml", "e.yaml~", ".f.yaml")

    tree = files.load(tmp_path)

    assert tree == SourceTree(
        root=str(tmp_path), files=(source("a.yaml"), source("b/c/d.yml")), findings=()
    )


def test_a_directory_that_is_missing_is_not_an_empty_one(tmp_path: Path) -> None:
    assert codes(files.load(tmp_path / "none")) == ["manifests-missing"]
    assert codes(files.load(tmp_path)) == ["manifests-none"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    lay(tmp_path, "a.yaml")

    assert codes(files.load(tmp_path / "a.yaml")) == ["manifests-missing"]


def test_a_symlink_loop_is_an_error_and_the_rest_is_read(tmp_path: Path) -> None:
    lay(tmp_path, "a.yaml", "b/c.yaml")
    (tmp_path / "b" / "up").symlink_to(tmp_path)

    tree = files.load(tmp_path)

    assert codes(tree) == ["manifest-loop"]
    assert [file.path for file in tree.files] == ["a.yaml", "b/c.yaml"]


def test_symlinks_to_files_and_directories_elsewhere_are_followed(tmp_path: Path) -> None:
    lay(tmp_path, "elsewhere/a.yaml", "root/b.yaml")
    (tmp_path / "root" / "c.yaml").symlink_to(tmp_path / "elsewhere" / "a.yaml")
    (tmp_path / "root" / "d").symlink_to(tmp_path / "elsewhere")

    tree = files.load(tmp_path / "root")

    assert [file.path for file in tree.files] == ["b.yaml", "c.yaml", "d/a.yaml"]
    assert tree.findings == ()


@pytest.mark.parametrize("target", ["a.yaml", "nowhere"])
def test_a_symlink_to_nothing_is_an_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / target)

    (finding,) = files.load(tmp_path).findings

    assert finding.code == "manifest-unreadable"
    assert finding.hint == f"it is a symlink to {tmp_path / target}: mend it, or remove it"


def test_a_fifo_neither_blocks_nor_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")

    assert codes(files.load(tmp_path)) == ["manifest-unreadable"]


def test_an_empty_file_is_one_that_is_being_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()

    assert codes(files.load(tmp_path)) == ["manifest-empty"]


def test_of_a_huge_file_only_the_size_is_taken(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as stream:
        stream.truncate(20 * 1024**2)

    (file,) = files.load(tmp_path).files

    assert file == SourceFile(path="a.yaml", content=b"", size_bytes=20 * 1024**2)
    assert file.size_bytes > MAX_FILE_BYTES


def test_directories_without_end_are_an_error(tmp_path: Path) -> None:
    lay(tmp_path, "/".join(["d"] * 40) + "/a.yaml")

    assert codes(files.load(tmp_path)) == ["manifest-depth"]


def test_too_many_manifests_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 2)
    lay(tmp_path, "a.yaml", "b.yaml", "c.yaml")

    assert codes(files.load(tmp_path)) == ["manifests-too-many"]


def test_too_much_text_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "TOTAL_BYTES_MAX", 10)
    lay(tmp_path, "a.yaml", "b.yaml")

    assert codes(files.load(tmp_path)) == ["manifests-too-large"]


class Meddler:
    """Changes the directory each time a file of it is opened, ``times`` times."""

    def __init__(self, root: Path, times: int) -> None:
        self.root = root
        self.left = times

    def open(self, path: Path, flags: int) -> int:
        if self.left:
            self.left -= 1
            lay(self.root, f"new-{self.left}.yaml")
        return os_open(path, flags)


os_open = os.open


def test_a_directory_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "a.yaml")
    monkeypatch.setattr(os, "open", Meddler(tmp_path, 2).open)

    tree = files.load(tmp_path)

    assert [file.path for file in tree.files] == ["a.yaml", "new-0.yaml", "new-1.yaml"]
    assert tree.findings == ()


def test_a_directory_that_never_stands_still_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "a.yaml")
    monkeypatch.setattr(os, "open", Meddler(tmp_path, 1000).open)

    assert codes(files.load(tmp_path)) == ["manifests-changing"]


def test_a_file_that_vanishes_while_it_is_read_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "a.yaml", "b.yaml")

    def vanish(path: Path, flags: int) -> int:
        (tmp_path / "b.yaml").unlink(missing_ok=True)
        return os_open(path, flags)

    monkeypatch.setattr(os, "open", vanish)

    assert files.load(tmp_path).files == (source("a.yaml"),)
