"""Loading is total, independent of order, quick the second time, and says what changed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.manifest.load import Loaded, load
from qlop.model.finding import Finding, Severity
from qlop.model.source import SourceFile, SourceTree
from tests.manifest.trees import CLUSTER, CONTAINER, VM, cluster, file, profile, service, tree

FILES = {
    "cluster": cluster("defaults: {onBoot: true}\n"),
    "small": profile("cpu: {cores: 1}\n", "small"),
    "web": service(VM + "profiles: [small]\nreplicas: 2\n"),
    "files": service(CONTAINER, "files"),
    "zoo": service(VM + "placement: {apartFrom: [web]}\n", "zoo"),
}


def desired_of(**files: str) -> Loaded:
    result = load(tree(**files))
    assert result.desired is not None, result.findings
    return result


def revision(**files: str) -> str:
    desired = desired_of(**files).desired
    assert desired is not None
    return desired.revision


@given(st.permutations(sorted(FILES)))
def test_the_order_of_files_means_nothing(order: list[str]) -> None:
    files = tuple(file(FILES[name], f"{name}.yaml") for name in order)

    assert load(SourceTree(root="x", files=files)) == desired_of(**FILES)


@given(st.permutations(sorted(FILES)))
def test_the_division_into_files_means_nothing(order: list[str]) -> None:
    one_file = load(tree(*(FILES[name] for name in order))).desired

    assert one_file is not None
    assert one_file.revision == revision(**FILES)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("web", "spec:", "# a comment\nspec:", id="comment"),
        pytest.param("web", "memory: 2GiB", "memory: 2048MiB", id="unit"),
        pytest.param("web", "type: vm\n  memory: 2GiB", "memory: 2GiB\n  type: vm", id="order"),
        pytest.param(
            "web", "{clone: {template: 9000}}", "\n    clone:\n      template: 9000", id="style"
        ),
    ],
)
def test_what_means_the_same_is_the_same_revision(name: str, old: str, new: str) -> None:
    edited = FILES[name].replace(old, new)

    assert edited != FILES[name]
    assert revision(**{**FILES, name: edited}) == revision(**FILES)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("web", "2GiB", "4GiB", id="memory"),
        pytest.param("web", "{name: web}", "{name: web, labels: {a: b}}", id="label"),
        pytest.param("small", "cores: 1", "cores: 2", id="profile"),
        pytest.param("cluster", "onBoot: true", "onBoot: false", id="defaults"),
        pytest.param("cluster", "testland", "elsewhere", id="cluster-name"),
        pytest.param("cluster", "nodes:", "interval: 1m\n  nodes:", id="interval"),
        pytest.param("cluster", "nodes:", "vmidRange: 500-599\n  nodes:", id="range"),
        pytest.param("zoo", "apartFrom: [web]", "apartFrom: []", id="placement"),
    ],
)
def test_what_means_something_else_is_another_revision(name: str, old: str, new: str) -> None:
    edited = FILES[name].replace(old, new)

    assert edited != FILES[name]
    assert revision(**{**FILES, name: edited}) != revision(**FILES)


def test_moving_a_field_into_a_profile_changes_nothing() -> None:
    said_itself = service(VM + "cpu: {cores: 1}\nreplicas: 2\n")

    assert revision(**{**FILES, "web": said_itself}) == revision(**FILES)


EDITS = st.sampled_from(
    [
        ("web", "2GiB", "4GiB"),
        ("small", "cores: 1", "cores: 2"),
        ("small", "cpu:", "cqu:"),
        ("small", "{name: small}", "{name: tiny}"),
        ("cluster", "onBoot: true", "onBoot: false"),
        ("cluster", "onBoot: true", "onBot: true"),
        ("cluster", "kind: Cluster", "kind: Clutter"),
        ("zoo", "[web]", "[wob]"),
        ("files", "8GiB", "8"),
        ("web", "spec:", "spec"),
        ("files", "{name: files}", "{name: web}"),
    ]
)


@given(st.lists(st.lists(EDITS, max_size=3), min_size=1, max_size=4))
def test_an_earlier_result_speeds_up_and_changes_nothing(
    steps: list[list[tuple[str, str, str]]],
) -> None:
    before = load(tree(**FILES))
    for edits in steps:
        files = dict(FILES)
        for name, old, new in edits:
            files[name] = files[name].replace(old, new)
        after = load(tree(**files), before)

        assert after == load(tree(**files))
        before = after


def test_what_did_not_change_is_not_worked_out_again() -> None:
    before = desired_of(**FILES)
    after = load(tree(**{**FILES, "web": FILES["web"].replace("2GiB", "4GiB")}), before)

    assert after.memory.files["zoo.yaml"] is before.memory.files["zoo.yaml"]
    assert after.memory.services["zoo"] is before.memory.services["zoo"]
    assert after.memory.services["web"] is not before.memory.services["web"]


def test_an_error_while_reading_keeps_the_tree_from_being_taken() -> None:
    problem = Finding(severity=Severity.ERROR, code="unreadable", message="no")
    result = load(replace(tree(**FILES), findings=(problem,)))

    assert (result.findings, result.desired) == ((problem,), None)


def test_a_tree_that_could_not_be_read_has_no_other_fault() -> None:
    problem = Finding(severity=Severity.ERROR, code="manifests-missing", message="no")
    result = load(SourceTree(root="x", files=(), findings=(problem,)))

    assert result.findings == (problem,)


def test_a_warning_while_reading_is_passed_on() -> None:
    problem = Finding(severity=Severity.WARNING, code="odd", message="hm")
    result = load(replace(tree(**FILES), findings=(problem,)))

    assert result.findings == (problem,)
    assert result.desired is not None


def test_a_file_that_is_too_large_does_not_hide_the_good_ones() -> None:
    dump = SourceFile(path="dump.yaml", content=b"", size_bytes=20 * 1024**2)
    sound = tree(**FILES)
    result = load(replace(sound, files=(*sound.files, dump)))

    assert [finding.code for finding in result.findings] == ["file-too-large"]
    assert set(result.memory.services) == {"files", "web", "zoo"}


def test_a_cluster_alone_wants_no_guests() -> None:
    result = load(tree(CLUSTER))

    assert result.desired is not None
    assert result.desired.guests == {}


YAMLISH = st.text(alphabet="abk:-[]{},&*!|>'\"#%@`\n\t 01.~?<=é\r\0", max_size=80)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(10**6), 10**6),
        st.sampled_from(["vm", "container", "8GiB", "dhcp", "x", "{index}", "scsi0", ""]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "memory",
                    "cpu",
                    "disks",
                    "slot",
                    "networks",
                    "bridge",
                    "address",
                    "source",
                    "clone",
                    "template",
                    "profiles",
                    "replicas",
                    "agent",
                    "tags",
                    "vmid",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(YAMLISH, max_size=3), st.dictionaries(st.sampled_from(["spec", "kind"]), VALUES))
def test_nothing_that_is_written_makes_loading_raise(
    texts: list[str], odd: dict[str, object]
) -> None:
    import json

    document = {"apiVersion": "qlop/v1", "kind": "Service", "metadata": {"name": "odd"}, **odd}
    files = {f"f{number}": text for number, text in enumerate(texts)}
    result = load(tree(**FILES, **files, odd=json.dumps(document)))

    for finding in result.findings:
        assert finding.origin is None or finding.origin.line >= 1
        assert finding.message


@pytest.mark.parametrize("broken", ["\tx", "a: *b", "kind: Service", "- a", "{" * 100])
def test_a_bad_file_never_hides_what_is_said_of_the_others(broken: str) -> None:
    result = load(tree(**{**FILES, "bad": broken, "zoo": service(VM + "vmid: 5\n", "zoo")}))

    files = {finding.origin.file for finding in result.findings if finding.origin}
    assert files == {"bad.yaml", "zoo.yaml"}
