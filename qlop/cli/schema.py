"""``qlop schema``: the JSON Schema of manifests, for editors."""

from qlop.cli import screen
from qlop.manifest.jsonschema import json_schema


def schema() -> int:
    """Write the JSON Schema of manifests, so that an editor can complete and check them."""
    screen.show_json(json_schema())
    return 0
