"""The two files that tell whether anything was written."""

import pytest

from qlop.model.reading import Known, Unknown
from qlop.pve import vmlist
from tests.pve.fixture import known

VERSION = '{\n"starttime": 99,\n"vmlist": 7,\n"kvstore": {\n"pve2": {"x": 1},\n"pve1": {}}\n}\n'
VMLIST = (
    '{\n"version": 7,\n"ids": {\n"100": { "node": "pve1", "type": "qemu", "version": 3 },\n'
    '"101": { "node": "pve2", "type": "lxc", "version": 5 }}\n\n}\n'
)
EMPTY = '{\n"version": 1\n\n}\n'


def test_the_head_tells_who_counted_and_up_to_where() -> None:
    head = known(vmlist.parse_head(VERSION + VMLIST))

    assert (head.instance, head.version) == ("99@pve2", 7)
    assert vmlist.parse_versions(head.rest) == Known({100: 3, 101: 5})


def test_a_cluster_without_guests() -> None:
    head = known(vmlist.parse_head('{"starttime": 1}\n' + EMPTY))

    assert (head.instance, head.version) == ("1@", 1)
    assert vmlist.parse_versions(head.rest) == Known({})


@pytest.mark.parametrize("text", ["", "cat: /etc/pve/.version: denied", VERSION, VMLIST + VERSION])
def test_what_is_not_the_two_files_is_unknown(text: str) -> None:
    assert isinstance(vmlist.parse_head(text), Unknown)


@pytest.mark.parametrize("rest", ["", "[]", '{"ids": 1}', '{"ids": {"x": {}}}', VMLIST[:-20]])
def test_a_list_that_is_not_understood_is_unknown(rest: str) -> None:
    assert isinstance(vmlist.parse_versions(rest), Unknown)
