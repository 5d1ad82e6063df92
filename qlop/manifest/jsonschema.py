"""Render the schema as JSON Schema (draft 7), with which editors complete and check.

The YAML language server takes it: ``# yaml-language-server: $schema=qlop.schema.json``
as the first line of a manifest, or a path in the editor's settings.
"""

from pydantic.json_schema import models_json_schema

from qlop.manifest.schema import API_VERSION, KINDS

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
JsonObject = dict[str, Json]


def json_schema() -> JsonObject:
    """Return the JSON Schema of one document of any kind."""
    _, whole = models_json_schema(
        [(model, "validation") for model in KINDS.values()],
        ref_template="#/definitions/{model}",
    )
    definitions = whole["$defs"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "qlop manifest",
        "description": "One document of a qlop manifest: Cluster, Profile or Service.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"enum": list(KINDS)},
        },
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/definitions/{model.__name__}"},
            }
            for kind, model in KINDS.items()
        ],
        "definitions": {name: _plain(part) for name, part in sorted(definitions.items())},
    }


def _plain(part: Json) -> Json:
    """Return a schema without pydantic's titles and without null, which YAML may not say."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    found: JsonObject = {}
    for key, value in part.items():
        if key == "properties" and isinstance(value, dict):
            found[key] = {name: _plain(inner) for name, inner in value.items()}
        elif key == "anyOf" and isinstance(value, list):
            choices = [_plain(item) for item in value if item != {"type": "null"}]
            if len(choices) == 1 and isinstance(choices[0], dict):
                found = {**choices[0], **found}
            else:
                found[key] = choices
        elif key != "title" and not (key == "default" and value is None):
            found[key] = _plain(value)
    reference = found.pop("$ref", None)
    if reference is None:
        return found
    # Draft 7 ignores what stands beside a $ref, the description of the field included.
    return {"allOf": [{"$ref": reference}], **found} if found else {"$ref": reference}
