"""Write the manifest reference from the schema, so that the two can't disagree."""

from collections.abc import Iterable, Iterator

from pydantic.alias_generators import to_camel

from qlop.manifest import jsonschema, vocabulary
from qlop.manifest.jsonschema import Json, JsonObject
from qlop.manifest.part import Part
from qlop.manifest.schema import KINDS, GuestSpec, Metadata

_INTRODUCTION = """\
# Manifest reference

<!-- Written by `scripts/reference` from the schema. Edit qlop/manifest, not this file. -->

A manifest is a YAML file (`*.yaml`, `*.yml`) anywhere below the directory that qlop
watches. A file holds any number of documents, separated by `---`. Every document has
`apiVersion: qlop/v1`, a `kind`, `metadata` and a `spec`. `qlop validate` checks them,
`qlop schema` prints a JSON Schema with which editors complete them, `qlop explain NAME`
shows what a service amounts to and which profile each value came from. The directory
`desired-state/` is a complete example.

## How values are written

| what | how | not |
|---|---|---|
| a size | `512MiB`, `8GiB`, `1.5TiB` | `8`, `8G`, `8GB` |
| a span of time | `30s`, `15m`, `1h30m`, `2d` | `30` |
| a share | `10%` | `0.1` |
| yes or no | `true`, `false` | `yes`, `on`, `1` |
| a number | `42`, `1.5` | `042`, `0x2a`, `1_000` |
| a range of VMIDs | `10000-10999` | |

YAML 1.1 and 1.2 read `yes`, `010` or `12:30:45` differently; qlop refuses them and says
what to write. It also refuses unknown keys, a key that occurs twice, a key without a
value, tabs, tags (`!!str`), merge keys (`<<`; use a Profile), and files above 1 MiB.
Anchors and aliases work within a document. Every finding names file, line and column.
One error anywhere, and the last good revision stays in force; all findings of all files
are reported at once.

## What is said and what is left alone

What a manifest does not say is left as it is in PVE: a service without `cpu` keeps the
cores it was created with, or that somebody gave it. Two lists are whole: `networks`, if
it is there, names all interfaces, and `tags` all tags. Disks that are not in `disks` are
left alone, since deleting one loses data.

`{index}` (the number of the guest, from 1), `{name}` (its name) and `{service}` may stand
in descriptions, addresses, MAC addresses, snippets and host paths.

## What is inherited

The `defaults` of the Cluster are overridden by the profiles of a service, in the order in
which it names them, and those by the service itself. Mappings are merged key by key;
lists and plain values are replaced. Another kind of `source` replaces the whole source.
What a kind of guest can't have is an error in the service itself, a warning if it comes
from a profile, and left out silently if it comes from the cluster's `defaults`.
"""

_PATTERN_WORDS = (
    ("MiB|GiB", "size"),
    ("ms|s|m|h|d", "span"),
    ("%$", "share"),
    (r"^\d{3,9}-", "range"),
)


def render_reference() -> str:
    """Return the text of ``docs/manifests.md``."""
    definitions = jsonschema.json_schema()["definitions"]
    assert isinstance(definitions, dict), "the schema names its parts"
    sections = [_INTRODUCTION]
    described: set[type[Part]] = set()
    for kind, model in KINDS.items():
        sections.append(f"## {kind}\n\n{_summary(model)}\n")
        sections.append(_table(model, definitions))
        for path, part in _parts(model, ""):
            if part is Metadata and part in described:
                continue
            described.add(part)
            if part is GuestSpec:
                sections.append(
                    f"### {path}\n\n{_summary(part)} The keys are those of a"
                    " [Service](#service), but for `profiles`, `replicas` and `vmid`.\n"
                )
            else:
                sections.append(f"### {path}\n\n{_summary(part)}\n")
                sections.append(_table(part, definitions))
    return "\n".join(sections)


def _summary(model: type[Part]) -> str:
    return " ".join((model.__doc__ or "").split())


def _parts(model: type[Part], above: str) -> Iterator[tuple[str, type[Part]]]:
    """Yield every mapping inside ``model`` with its path, in the order of the text."""
    for field in model.model_fields.values():
        part = vocabulary.part_in(field.annotation)
        if part is None:
            continue
        many = "[]" if "list[" in str(field.annotation) else ""
        path = f"{above}{field.alias}{many}"
        yield path, part
        if part is not GuestSpec:
            yield from _parts(part, f"{path}.")


def _table(model: type[Part], definitions: JsonObject) -> str:
    shape = definitions.get(model.__name__) or _inline(definitions, model)
    assert isinstance(shape, dict), "every part is an object"
    properties = shape["properties"]
    needed = shape.get("required", [])
    assert isinstance(properties, dict), "every part has keys"
    assert isinstance(needed, list), "required is a list of keys"
    lines = ["| key | value | what it is |", "|---|---|---|"]
    for key in _own_first(model):
        value = properties[key]
        assert isinstance(value, dict), "every key has a schema"
        mark = " *" if key in needed else ""
        words = str(value.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{key}`{mark} | {_value(value)} | {words} |")
    note = "\n\\* needed\n" if needed else ""
    return "\n".join(lines) + "\n" + note


def _own_first(model: type[Part]) -> list[str]:
    """Return the keys of a part, those it has beyond what it extends first."""
    own = [to_camel(name) for name in model.__annotations__ if name in model.model_fields]
    return [*own, *(key for key in vocabulary.keys_of(model) if key not in own)]


def _inline(definitions: JsonObject, model: type[Part]) -> JsonObject:
    """Return the schema of a part that has a shorthand and therefore no definition."""
    words = (model.__doc__ or "").strip()
    return next(found for found in _objects(definitions) if found.get("description") == words)


def _objects(schema: Json) -> Iterator[JsonObject]:
    """Yield every mapping of a schema that describes a mapping, the innermost first."""
    inner = schema.values() if isinstance(schema, dict) else schema
    for part in inner if isinstance(inner, Iterable) and not isinstance(inner, str) else ():
        yield from _objects(part)
    if isinstance(schema, dict) and "properties" in schema:
        yield schema


def _value(value: JsonObject) -> str:
    """Return in a few words what may be written."""
    if "allOf" in value or "$ref" in value or value.get("type") == "object":
        return "mapping"
    if "const" in value:
        return f"`{_literal(value['const'])}`"
    choices = value.get("anyOf")
    if isinstance(choices, list):
        return " or ".join(_value(choice) for choice in choices if isinstance(choice, dict))
    enum = value.get("enum")
    if isinstance(enum, list):
        return ", ".join(f"`{_literal(choice)}`" for choice in enum)
    items = value.get("items")
    if isinstance(items, dict):
        return f"list of {_value(items)}"
    return _scalar(value)


def _scalar(value: JsonObject) -> str:
    kind = value.get("type")
    if isinstance(kind, list):
        return "number or text"
    if kind == "boolean":
        return "`true`, `false`"
    if kind in {"integer", "number"}:
        low = value.get("minimum", value.get("exclusiveMinimum"))
        high = value.get("maximum")
        above = "above " if "exclusiveMinimum" in value else ""
        if high is not None:
            return f"{low} to {high}"
        return f"number, {above or 'from '}{low}"
    pattern = str(value.get("pattern", ""))
    word = next((word for sample, word in _PATTERN_WORDS if sample in pattern), "text")
    examples = value.get("examples")
    if word == "text" and isinstance(examples, list) and examples:
        return "text like " + ", ".join(f"`{example}`" for example in examples)
    return word


def _literal(value: Json) -> str:
    return "true" if value is True else str(value)
