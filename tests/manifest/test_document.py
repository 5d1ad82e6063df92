"""Files become documents that know where everything stands, or findings that say why not."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.manifest import document as parsing
from qlop.manifest.document import Document, parse_file
from qlop.manifest.marks import Path, Yaml, text_of
from qlop.manifest.tree import MAX_NODES
from qlop.model.finding import Finding, Origin
from qlop.model.source import MAX_FILE_BYTES, SourceFile
from tests.manifest.trees import file


def parsed(content: str | bytes) -> list[Yaml]:
    found = parse_file(file(content))
    assert found.findings == ()
    return [document.data for document in found.documents]


def refused(content: str | bytes) -> Finding:
    (finding,) = parse_file(file(content)).findings
    return finding


@pytest.mark.parametrize(
    ("content", "place", "code"),
    [
        pytest.param("a:\n\tb: 1\n", "2:1", "tab", id="tab-for-indentation"),
        pytest.param("a:\n  b: 1\n\tc: 2\n", "3:1", "tab", id="tab-after-spaces"),
        pytest.param("?", "1:1", "empty-value", id="at-the-end"),
        pytest.param("a: [\n  \t, b]\n", "2:3", "tab", id="tab-in-a-list"),
        pytest.param("a: 1\nb: 2\na: 3\n", "3:1", "duplicate-key", id="key-twice"),
        pytest.param("a: {b: 1, b: 2}\n", "1:11", "duplicate-key", id="key-twice-in-braces"),
        pytest.param("a: 'x\n", "2:1", "yaml-syntax", id="open-quote"),
        pytest.param("a: b: c\n", "1:5", "yaml-syntax", id="two-colons"),
        pytest.param("a: [1, 2\n", "2:1", "yaml-syntax", id="open-bracket"),
        pytest.param("a: @x\n", "1:4", "yaml-syntax", id="at-sign"),
        pytest.param("a: 1\n b: 2\n", "2:3", "yaml-syntax", id="crooked"),
        pytest.param("x: 1\na:1\nb: 2\n", "2:1", "yaml-syntax", id="no-space-after-colon"),
        pytest.param("<<<<<<< HEAD\na: 1\n=======\na: 2\n", "1:1", "merge-conflict", id="ours"),
        pytest.param("a: 1\n>>>>>>> main\n", "2:1", "merge-conflict", id="theirs"),
        pytest.param("a: 1\n---\n||||||| 1f\n", "3:1", "merge-conflict", id="what-both-were"),
        pytest.param("a:\n", "1:3", "empty-value", id="no-value"),
        pytest.param("a: ~\n", "1:4", "empty-value", id="null"),
        pytest.param("a: yes\n", "1:4", "ambiguous-boolean", id="yes"),
        pytest.param("a: 012\n", "1:4", "ambiguous-number", id="octal"),
        pytest.param("a: !!str 5\n", "1:4", "tag", id="tag"),
        pytest.param("a: !Secret x\n", "1:4", "tag", id="own-tag"),
        pytest.param("!!map {a: 1}\n", "1:1", "tag", id="tag-on-top"),
        pytest.param("!!str a: 1\n", "1:1", "tag", id="tag-on-key"),
        pytest.param("x: &x {a: 1}\ny: {<<: *x}\n", "2:5", "merge-key", id="merge"),
        pytest.param("? [a, {b: c}]\n: 1\n", "1:3", "complex-key", id="list-as-key"),
        pytest.param("a: *b\n", "1:4", "unknown-anchor", id="alias-of-nothing"),
        pytest.param("a: &a [*a]\n", "1:8", "recursive-alias", id="alias-of-itself"),
        pytest.param("- a\n- b\n", "1:1", "not-a-mapping", id="list"),
        pytest.param("# c\njust text\n", "2:1", "not-a-mapping", id="text"),
        pytest.param("a: " + "[" * 30 + "]" * 30, "1:27", "too-deep", id="deep"),
        pytest.param(b"a: \xe9\n", "1:4", "encoding", id="latin-1"),
        pytest.param("a: é\n".encode("utf-16"), "1:1", "encoding", id="utf-16"),
        pytest.param("a: 1\nb: \0\n", "2:4", "not-text", id="nul"),
        pytest.param("a: x\u2028y\n", "1:5", "not-text", id="line-separator"),
        pytest.param("%FOO bar\n---\na: 1\n", "1:5", "yaml-syntax", id="directive"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(content: str | bytes, place: str, code: str) -> None:
    finding = refused(content)

    assert (str(finding.origin), finding.code) == (f"a.yaml:{place}", code)


def test_a_duplicate_key_names_the_line_of_the_first() -> None:
    finding = parse_file(file("a: 1\n---\nb:\n  c: 1\n  c: 2\n")).findings[0]

    assert finding.message == "the key c is here a second time; the first is on line 4"
    assert finding.field == "b.c"


def test_of_a_duplicate_key_the_first_counts_and_marks_stay_right() -> None:
    found = parse_file(file("a: 1\na: {x: [1, 2]}\nb: 2\n")).documents[0]

    assert found.data == {"a": 1, "b": 2}
    assert found.value_origin(("b",)) == Origin(file="a.yaml", line=3, column=4)


def test_an_anchor_in_what_is_dropped_still_has_its_marks() -> None:
    found = parse_file(file("a: 1\na: &x [1, {y: 2}]\nb: *x\nc: 3\n")).documents[0]

    assert found.data == {"a": 1, "b": [1, {"y": 2}], "c": 3}
    assert str(found.value_origin(("b", 1, "y"))) == "a.yaml:2:15"
    assert str(found.value_origin(("c",))) == "a.yaml:4:4"


def test_what_was_wrong_before_a_document_is_given_up_is_reported_too() -> None:
    found = parse_file(file("a: yes\nb: 010\n? [x]\n: 1\n"))

    assert [finding.code for finding in found.findings] == [
        "ambiguous-boolean",
        "ambiguous-number",
        "complex-key",
    ]


def test_a_broken_document_does_not_take_the_others_along() -> None:
    found = parse_file(file("a: 1\n---\n\tb: 1\n---\nc: 3\n"))

    assert [document.data for document in found.documents] == [{"a": 1}, {"c": 3}]
    assert [str(finding.origin) for finding in found.findings] == ["a.yaml:3:1"]


def test_every_problem_of_a_document_is_reported() -> None:
    found = parse_file(file("a: yes\nb: 010\nc:\n- no\n"))

    assert [finding.field for finding in found.findings] == ["a", "b", "c[0]"]


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("# only a comment\n", [], id="comment"),
        pytest.param("---\n---\na: 1\n---\n", [{"a": 1}], id="empty-documents"),
        pytest.param("a: 1\n...\n---\nb: 2\n...\n", [{"a": 1}, {"b": 2}], id="end-markers"),
        pytest.param("\ufeffa: 1\r\nb: 2\r\n", [{"a": 1, "b": 2}], id="bom-and-crlf"),
        pytest.param("a: |\n  x\n  --- y\n", [{"a": "x\n--- y\n"}], id="dashes-in-text"),
        pytest.param("a: '010'\nb: \"yes\"\n", [{"a": "010", "b": "yes"}], id="quoted"),
        pytest.param("yes: 1\n010: 2\n", [{"yes": 1, "010": 2}], id="keys-are-text"),
        pytest.param("--- {a: 1}\n--- {b: 2}\n", [{"a": 1}, {"b": 2}], id="on-the-marker"),
        pytest.param("a: &a {x: [1]}\nb: *a\n", [{"a": {"x": [1]}, "b": {"x": [1]}}], id="alias"),
        pytest.param("a:\t1\n", [{"a": 1}], id="tab-as-space"),
    ],
)
def test_documents_are_read(content: str, documents: list[Yaml]) -> None:
    assert parsed(content) == documents


def test_marks_point_to_keys_and_values() -> None:
    text = "a: 1\nb:\n  - x\n  - c: {d: e}\nf: &f\n  g: 1\nh: *f\ni: 9\n"
    found = parse_file(file(text)).documents[0]

    def places(path: Path) -> tuple[str, str]:
        value, key = found.value_origin(path), found.key_origin(path)
        return f"{value.line}:{value.column}", f"{key.line}:{key.column}"

    assert places(()) == ("1:1", "1:1")
    assert places(("a",)) == ("1:4", "1:1")
    assert places(("b", 0)) == ("3:5", "3:5")
    assert places(("b", 1, "c", "d")) == ("4:12", "4:9")
    assert places(("h", "g")) == ("6:6", "6:3")
    assert places(("i",)) == ("8:4", "8:1")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("b", "missing"), "2:1"),
        (("missing",), "1:1"),
        (("b", "c", 5), "3:3"),
        (("a", "x"), "1:1"),
    ],
)
def test_what_is_missing_is_looked_for_in_what_should_hold_it(path: Path, place: str) -> None:
    found = parse_file(file("a: 1\nb:\n  c: [1]\n")).documents[0]

    assert str(found.value_origin(path)) == f"a.yaml:{place}"


def test_a_path_is_written_as_people_write_it() -> None:
    assert text_of(("spec", "disks", 0, "size")) == "spec.disks[0].size"


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines) + "\n"


def test_a_yaml_bomb_is_refused_before_it_grows() -> None:
    started = time.process_time()
    finding = refused(bomb())

    assert finding.code == "too-large"
    assert str(MAX_NODES) in finding.message
    assert time.process_time() - started < 2


def test_a_document_of_too_many_values_is_refused() -> None:
    assert refused("a: [" + "1," * (MAX_NODES + 1) + "]").code == "too-large"


def test_a_file_of_twenty_megabytes_is_refused_unparsed() -> None:
    huge = SourceFile(path="dump.yaml", content=b"", size_bytes=20 * 1024**2)
    (finding,) = parse_file(huge).findings

    assert finding.message == ("the file is 20MiB large; manifests of more than 1MiB are not read")


def test_the_size_of_what_was_read_counts_too() -> None:
    content = b"#" * (MAX_FILE_BYTES + 1)
    (finding,) = parse_file(SourceFile(path="a.yaml", content=content, size_bytes=0)).findings

    assert finding.code == "file-too-large"


def test_too_many_documents_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_DOCUMENTS", 3)

    assert refused("---\na: 1\n" * 10).code == "too-many-documents"


def test_a_file_of_rubbish_does_not_drown_the_rest() -> None:
    found = parse_file(file("a: yes\n---\n" * 250)).findings

    assert len(found) == parsing.MAX_FINDINGS + 1
    assert found[-1].message == "150 more findings in this file are not shown"


def test_a_document_of_rubbish_is_given_up() -> None:
    found = parse_file(file("a: {" + "b, " * 100_000 + "b}\n---\nc: 1\n"))

    assert found.findings[-1].code == "too-many-findings"
    assert [document.data for document in found.documents] == [{"c": 1}]


def test_the_digest_tells_a_cut_file_from_an_empty_one() -> None:
    cut = SourceFile(path="a.yaml", content=b"", size_bytes=5_000_000)

    assert parsing.digest_of(cut) != parsing.digest_of(file(""))


YAMLISH = st.text(alphabet="ab:-[]{},&*!|>'\"#%@`\n\t 01.~?<=é\r\0\u2028", max_size=60)


@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(str.encode), YAMLISH.map(str.encode)
    )
)
def test_whatever_is_in_a_file_findings_lie_within_it(content: bytes) -> None:
    found = parse_file(file(content))

    lines = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    for finding in found.findings:
        assert finding.origin is not None
        assert 1 <= finding.origin.line <= lines.count("\n") + 1
        assert finding.origin.column >= 1


def _paths(node: Yaml, above: Path = ()) -> Iterator[tuple[Path, Yaml]]:
    yield above, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _paths(value, (*above, key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _paths(value, (*above, position))


WORDS = st.text(alphabet="abcd", min_size=1, max_size=4)
TREES = st.dictionaries(
    WORDS,
    st.recursive(
        WORDS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
        max_leaves=20,
    ),
    min_size=1,
    max_size=5,
)


def _flow(node: Yaml) -> str:
    if isinstance(node, dict):
        return "{" + ", ".join(f'"{key}": {_flow(value)}' for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(_flow(value) for value in node) + "]"
    return f'"{node}"'


@given(TREES)
def test_every_mark_points_to_its_value(data: dict[str, Yaml]) -> None:
    text = _flow(data)
    found: Document = parse_file(file(text)).documents[0]

    assert found.data == data
    for path, value in _paths(data):
        origin = found.value_origin(path)
        assert text[origin.column - 1 :].startswith(_flow(value))


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        pytest.param(
            "x: 1\na: 'y\nb: 2\n", "the quote that opens text on line 2 is not closed", id="quote"
        ),
        pytest.param(
            "x: 1\n---\na: [1, 2\nb: 2\n",
            "the bracket or brace that opens on line 3 is not closed, or a comma is missing",
            id="bracket-of-the-second-document",
        ),
    ],
)
def test_what_is_not_closed_is_told_by_where_it_opens(content: str, hint: str) -> None:
    (finding,) = parse_file(file(content)).findings

    assert finding.hint == hint
