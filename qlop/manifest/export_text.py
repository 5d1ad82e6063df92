"""Write a document as a person would: plain where that is safe, in quotes where not."""

import textwrap
from collections.abc import Iterable, Mapping

import yaml
from typing_extensions import override

from qlop.manifest.marks import Yaml
from qlop.manifest.scalar import parse_plain
from qlop.manifest.schema import API_VERSION

LINE = 88
"""Comments are wrapped to this width."""
FLOW_WIDTH = 72
"""A short list or mapping of scalars up to this width stays on one line."""


def document_text(
    kind: str, name: str, spec: Mapping[str, Yaml], comments: Iterable[str] = ()
) -> str:
    """Return the text of one document, each of ``comments`` a paragraph above it."""
    head = "".join(f"{line}\n" for comment in comments for line in _comment(comment))
    data: dict[str, Yaml] = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }
    return head + yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=2**20,
    )


def _comment(paragraph: str) -> list[str]:
    printable = "".join(char if char.isprintable() else " " for char in paragraph)
    return textwrap.wrap(
        printable,
        LINE,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text(dumper: yaml.representer.BaseRepresenter, value: str) -> yaml.ScalarNode:
    style = None
    is_printable = all(map(str.isprintable, value.split("\n")))
    if "\n" in value and is_printable:
        style = "|"
    elif not is_printable or parse_plain(value) != value:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _float(dumper: yaml.representer.BaseRepresenter, value: float) -> yaml.ScalarNode:
    digits = f"{value:.6f}".rstrip("0")
    padded = f"{digits}0" if digits.endswith(".") else digits
    return dumper.represent_scalar("tag:yaml.org,2002:float", padded)


def _list(dumper: yaml.representer.BaseRepresenter, value: list[Yaml]) -> yaml.SequenceNode:
    short = all(isinstance(item, str | int | float) for item in value) and (
        sum(len(str(item)) + 2 for item in value) <= FLOW_WIDTH
    )
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=short)


def _mapping(dumper: yaml.representer.BaseRepresenter, value: dict[str, Yaml]) -> yaml.MappingNode:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", value)
    is_source = value == {"existing": True} or not value
    node.flow_style = is_source
    return node


class _Dumper(yaml.SafeDumper):
    """Writes what ``document`` reads back as the same values."""

    yaml_representers = {  # noqa: RUF012 - PyYAML's own way to say it, never changed
        **yaml.SafeDumper.yaml_representers,
        str: _text,
        float: _float,
        list: _list,
        dict: _mapping,
    }

    @override
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless  # A list is indented below its key.
        super().increase_indent(flow, indentless=False)

    @override
    def ignore_aliases(self, data: object) -> bool:
        return True
