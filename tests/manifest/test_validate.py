"""A document that breaks the schema is told so in words a person can act on."""

import pytest

from qlop.manifest.load import load
from tests.manifest.trees import CLUSTER, VM, file, loaded, only, profile, said, service, tree


@pytest.mark.parametrize(
    ("spec", "field", "hint"),
    [
        ("core: 2\n", "spec.core", "did you mean `cpu.cores`?"),
        ("cores: 2\n", "spec.cores", "did you mean `cpu.cores`?"),
        ("cpu: {core: 2}\n", "spec.cpu.core", "did you mean `cores`?"),
        ("on_boot: true\n", "spec.on_boot", "did you mean `onBoot`?"),
        ("onboot: true\n", "spec.onboot", "did you mean `onBoot`?"),
        ("scsihw: x\n", "spec.scsihw", "did you mean scsiController?"),
        ("net0: x\n", "spec.net0", "did you mean networks?"),
        ("scsi12: x\n", "spec.scsi12", "did you mean disks?"),
        ("hostname: x\n", "spec.hostname", None),
        ("zzzz: 1\n", "spec.zzzz", ""),
        (
            "startup: {zzzz: 1}\n",
            "spec.startup.zzzz",
            "known here: order, upDelay, downDelay",
        ),
        ("networks: [{bridge: vmbr0, tag: 5}]\n", "spec.networks[0].tag", "did you mean vlan?"),
        (
            "disks: [{slot: scsi0, sise: 1GiB}]\n",
            "spec.disks[0].sise",
            "did you mean `size`?",
        ),
    ],
)
def test_an_unknown_key_is_met_with_what_may_have_been_meant(
    spec: str, field: str, hint: str | None
) -> None:
    finding = only(loaded(service(VM + spec)))

    assert (finding.code, finding.field) == ("unknown-key", field)
    assert hint is None or finding.hint == hint


def test_an_unknown_key_of_metadata_has_a_hint_too() -> None:
    text = service().replace("{name: web}", "{name: web, label: {a: b}}")

    assert only(loaded(text)).hint == "did you mean `labels`?"


@pytest.mark.parametrize(
    ("spec", "code", "message", "hint"),
    [
        (
            "memory: 2048\n",
            "bare-number",
            "2048 of what? A size needs a unit",
            "write 2048MiB or 2048GiB, whichever it is",
        ),
        (
            "cpu: {cores: '2'}\n",
            "wrong-type",
            "a whole number is expected, not the text 2",
            "write 2 without quotes",
        ),
        (
            "cpu: {cores: two}\n",
            "wrong-type",
            "a whole number is expected, not the text two",
            "",
        ),
        ("cpu: {limit: {}}\n", "wrong-type", "a number is expected, not a mapping", ""),
        ("tags: web\n", "wrong-type", "a list is expected, not the text web", "write [web]"),
        ("tags: {a: b}\n", "wrong-type", "a list is expected, not a mapping", ""),
        (
            "tags: [1.10]\n",
            "wrong-type",
            "text is expected, not the number 1.1",
            'put it in quotes: "1.1"',
        ),
        ("onBoot: 1\n", "wrong-type", "true or false is expected, not the number 1", ""),
        (
            "description: true\n",
            "wrong-type",
            "text is expected, not true",
            'put it in quotes: "true"',
        ),
        ("cpu: [2]\n", "wrong-type", "a mapping is expected, not a list", ""),
        ("agent: 'yes'\n", "wrong-type", "a mapping is expected, not the text yes", ""),
        ("vmid: 5\n", "out-of-range", "5 is not at least 100", ""),
        ("networks: [{bridge: b, vlan: 4095}]\n", "out-of-range", "4095 is not at most 4094", ""),
        ("cpu: {cores: 0}\n", "out-of-range", "0 is not at least 1", ""),
        (
            "networks: [{bridge: b, rate: 0}]\n",
            "out-of-range",
            "0 is not more than 0",
            "",
        ),
        ("bootOrder: []\n", "out-of-range", "[] is not of a length of at least 1", ""),
        (
            "serialPorts: [socket, socket, socket, socket, socket]\n",
            "out-of-range",
            None,
            "",
        ),
        ("bios: uefi\n", "not-a-choice", "uefi is not one of the choices", None),
        ("power: runing\n", "not-a-choice", "runing is not one of the choices", None),
        ("networks: [{model: virtio}]\n", "missing", "bridge is missing", ""),
        (
            "tags: ['a b']\n",
            "malformed",
            "'a b' is no tag: letters, digits, _, +, . and -",
            "",
        ),
        ("networks: [{bridge: vmbr0, address: 10.0.0.1}]\n", "malformed", None, None),
        ("networks: [{bridge: vmbr0, address: [dhcp, 5]}]\n", "malformed", None, None),
        ("disks: [{slot: scsi31}]\n", "malformed", None, ""),
        ("source: {empty: false}\n", "not-a-choice", None, None),
        ("description: " + "x" * 8000 + "\n", "too-long", None, ""),
        ("metadata: 5\n", "unknown-key", None, None),
    ],
)
def test_a_wrong_value_is_explained(
    spec: str, code: str, message: str | None, hint: str | None
) -> None:
    base = "".join(line for line in VM.splitlines(keepends=True) if line[:5] != spec[:5])
    finding = only(loaded(service(base + spec)))

    assert finding.code == code
    assert message is None or finding.message == message
    assert hint is None or finding.hint == hint


def test_a_choice_lists_what_there_is() -> None:
    assert (
        only(loaded(service(VM + "bios: ovfm\n"))).hint
        == "did you mean ovmf? ('seabios' or 'ovmf')"
    )


def test_a_value_that_yaml_refuses_is_reported_once() -> None:
    result = loaded(service(VM + "onBoot: yes\nbios:\ncpu: {cores: 0x2}\n"))

    assert said(result) == [
        ("ambiguous-boolean", "spec.onBoot"),
        ("empty-value", "spec.bios"),
        ("ambiguous-number", "spec.cpu.cores"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        (
            "kind: Service\nmetadata: {name: a}\nspec: {}\n",
            "api-version",
            "apiVersion is missing",
            "write apiVersion: qlop/v1",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {}\n",
            "api-version",
            "no apiVersion v1",
            "write apiVersion: qlop/v1",
        ),
        ("apiVersion: qlop/v1\n", "unknown-kind", "kind is missing", None),
        (
            "apiVersion: qlop/v1\nkind: Services\n",
            "unknown-kind",
            "no kind Services",
            "did you mean Service?",
        ),
        (
            "apiVersion: qlop/v1\nkind: Deployment\n",
            "unknown-kind",
            "no kind Deployment",
            "there are Cluster, Profile, Service",
        ),
        ("apiVersion: qlop/v1\nkind: [a]\n", "unknown-kind", "no kind ['a']", None),
        ("apiVersion: qlop/v1\nkind:\n", "empty-value", None, None),
        ("apiVersion:\nkind: Profile\nmetadata: {name: a}\nspec: {}\n", "empty-value", None, None),
        (
            "apiVersion: qlop/v1\nkind: Profile\nmetadata: {name: A_b}\nspec: {}\n",
            "malformed",
            None,
            None,
        ),
        (
            "apiVersion: qlop/v1\nkind: Profile\nmetadata: {name: 5}\nspec: {}\n",
            "wrong-type",
            None,
            'put it in quotes: "5"',
        ),
        (
            "apiVersion: qlop/v1\nkind: Profile\nmetadata: a\nspec: {}\n",
            "wrong-type",
            None,
            "",
        ),
        (
            "apiVersion: qlop/v1\nkind: Profile\nmetadata: {name: a}\nspec: text\n",
            "wrong-type",
            None,
            "",
        ),
    ],
)
def test_a_document_says_what_it_is(
    text: str, code: str, message: str | None, hint: str | None
) -> None:
    finding = only(loaded(text))

    assert finding.code == code
    assert message is None or finding.message == message
    assert hint is None or finding.hint == hint


def test_a_long_value_is_shortened() -> None:
    finding = only(loaded(service(VM + f"power: {'x' * 200}\n")))

    assert finding.message == f"{'x' * 60}… is not one of the choices"


def test_findings_of_all_files_come_in_one_go_in_order() -> None:
    good = service(name="good")
    bad = service(VM + "bioss: ovmf\n", name="bad")
    worse = profile("tags: a\ncpu: {cores: none}\n", "worse")
    result = load(tree(cluster=CLUSTER, a=bad, b=good, c=worse, d="- x\n"))

    assert result.desired is None
    assert [(str(found.origin), found.code) for found in result.findings] == [
        ("a.yaml:8:3", "unknown-key"),
        ("c.yaml:5:9", "wrong-type"),
        ("c.yaml:6:16", "wrong-type"),
        ("d.yaml:1:1", "not-a-mapping"),
    ]


def test_an_unusual_file_of_one_document_keeps_its_name() -> None:
    result = load(tree(cluster=CLUSTER, x=""))

    assert result.findings == ()
    assert file("a").path == "a.yaml"
