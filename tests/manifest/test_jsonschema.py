"""Editors are told the same as the loader says."""

from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from qlop.manifest.jsonschema import json_schema

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "desired-state").rglob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def service(**spec: object) -> dict[str, object]:
    return {
        "apiVersion": "qlop/v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"type": "vm", "memory": "2GiB", "source": {"clone": {"template": 9000}}, **spec},
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path, validator: jsonschema.Draft7Validator) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        assert [error.message for error in validator.iter_errors(document)] == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"memory": 2048}, "$.spec.memory"),
        ({"memory": "8GB"}, "$.spec.memory"),
        ({"cores": 2}, "$.spec"),
        ({"cpu": {"cores": "2"}}, "$.spec.cpu.cores"),
        ({"bios": "uefi"}, "$.spec.bios"),
        ({"networks": [{"vlan": 5}]}, "$.spec.networks[0]"),
        ({"networks": [{"bridge": "vmbr0", "vlan": 4095}]}, "$.spec.networks[0].vlan"),
        ({"networks": [{"bridge": "vmbr0", "address": "10.0.0.1"}]}, "$.spec.networks[0].address"),
        ({"source": {"empty": True, "image": "local:import/x"}}, "$.spec.source"),
        ({"onBoot": None}, "$.spec.onBoot"),
    ],
)
def test_what_the_loader_refuses_editors_mark(
    spec: dict[str, object], path: str, validator: jsonschema.Draft7Validator
) -> None:
    assert path in {error.json_path for error in validator.iter_errors(service(**spec))}


@pytest.mark.parametrize(
    "spec",
    [
        {"agent": True},
        {"agent": {"enabled": True, "trim": True}},
        {"networks": [{"bridge": "vmbr0", "address": "dhcp"}]},
        {"networks": [{"bridge": "vmbr0", "address": ["10.0.0.1/24", "10.0.0.2/24"]}]},
        {"networks": [{"bridge": "vmbr0", "address": "10.0.0.1{index}/24"}]},
        {"source": {"clone": {"template": "debian-12"}}},
    ],
)
def test_what_the_loader_takes_editors_take(
    spec: dict[str, object], validator: jsonschema.Draft7Validator
) -> None:
    assert [error.message for error in validator.iter_errors(service(**spec))] == []


def test_another_kind_is_not_taken(validator: jsonschema.Draft7Validator) -> None:
    document = {**service(), "kind": "Deployment"}

    assert [error.json_path for error in validator.iter_errors(document)] == ["$.kind"]
