"""Services inherit from the cluster's defaults and from profiles, and know from where."""

import pytest

from qlop.manifest import kinds, merge
from qlop.manifest.load import load
from qlop.manifest.marks import Yaml
from qlop.model.desired import CloneSource, Desired, ImageSource
from qlop.model.finding import Severity
from qlop.model.ids import GuestName, ServiceName
from tests.manifest.trees import (
    CONTAINER,
    VM,
    cluster,
    loaded,
    only,
    profile,
    said,
    service,
    tree,
)

WEB = GuestName("web")


def desired(*documents: str) -> Desired:
    result = loaded(*documents)
    assert result.findings == ()
    assert result.desired is not None
    return result.desired


@pytest.mark.parametrize(
    ("base", "top", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": "text"}, {"a": "text"}),
        (
            {"source": {"clone": {"template": 1}}},
            {"source": {"image": "i"}},
            {"source": {"image": "i"}},
        ),
        (
            {"source": {"clone": {"template": 1}}},
            {"source": {"clone": {"full": False}}},
            {"source": {"clone": {"template": 1, "full": False}}},
        ),
    ],
)
def test_mappings_merge_and_the_rest_is_replaced(
    base: dict[str, Yaml], top: dict[str, Yaml], merged: dict[str, Yaml]
) -> None:
    assert merge.overlay(base, top) == merged


@pytest.mark.parametrize(
    ("top", "path", "said_there"),
    [
        ({"a": {"b": 1}}, ("a", "b"), True),
        ({"a": {"b": 1}}, ("a", "c"), False),
        ({"a": "text"}, ("a", "b"), True),
        ({}, ("a",), False),
        ({"source": {"image": "i"}}, ("source", "clone", "full"), True),
        ({"source": {"clone": {}}}, ("source", "clone", "full"), False),
    ],
)
def test_a_value_is_said_where_it_is_not_inherited(
    top: dict[str, Yaml], path: tuple[str, ...], *, said_there: bool
) -> None:
    assert merge.is_said(top, path) is said_there


def test_a_service_overrides_profiles_which_override_defaults() -> None:
    found = load(
        tree(
            cluster("defaults: {onBoot: true, cpu: {cores: 1, type: host}, tags: [d]}\n"),
            profile("cpu: {cores: 2, limit: 1.5}\ntags: [a]\n", "small"),
            profile("cpu: {cores: 4}\n", "big"),
            service(VM + "profiles: [small, big]\ncpu: {units: 50}\n"),
        )
    ).desired

    assert found is not None
    options = found.guests[WEB].options
    assert options["onboot"] == "1"
    assert options["cores"] == "4"
    assert options["cpulimit"] == "1.5"
    assert options["cpuunits"] == "50"
    assert options["cpu"] == {"cputype": "host"}
    assert options["tags"] == "a;qlop"
    assert found.services[ServiceName("web")].inherited == {
        "onBoot": "cluster defaults",
        "cpu.type": "cluster defaults",
        "cpu.limit": "small",
        "tags": "small",
        "cpu.cores": "big",
    }


def test_another_kind_of_source_replaces_the_inherited_one() -> None:
    vm = profile("type: vm\nmemory: 1GiB\nsource: {clone: {template: 9000}}\n", "vm")
    disk = "disks: [{slot: scsi0, storage: local-lvm}]\n"
    found = desired(
        vm,
        service("profiles: [vm]\n" + disk + "source: {image: 'local:import/x.qcow2'}\n"),
        service("profiles: [vm]\nsource: {clone: {full: false}}\n", name="linked"),
    )

    assert found.guests[WEB].source == ImageSource(volume="local:import/x.qcow2")
    assert found.guests[GuestName("linked")].source == CloneSource(template=9000, full=False)  # type: ignore[arg-type]
    assert "source.clone.template" not in found.services[ServiceName("web")].inherited
    assert found.services[ServiceName("linked")].inherited["source.clone.template"] == "vm"


def test_the_short_form_of_agent_merges_with_the_long_one() -> None:
    found = desired(
        profile("agent: true\n", "a"), service(VM + "profiles: [a]\nagent: {trim: true}\n")
    )

    assert found.guests[WEB].options["agent"] == {"enabled": "1", "fstrim_cloned_disks": "1"}


def test_defaults_that_a_kind_lacks_are_left_out_for_it() -> None:
    text = "defaults: {agent: true, osType: l26, swap: 1GiB, cpu: {cores: 1, sockets: 1}}\n"
    result = load(tree(cluster(text), service(CONTAINER, "ct"), service(VM, "vm")))

    assert result.findings == ()
    assert result.desired is not None
    vm = result.desired.guests[GuestName("vm")].options
    ct = result.desired.guests[GuestName("ct")].options
    assert {"agent", "ostype", "sockets"} <= vm.keys()
    assert "swap" not in vm
    assert {"agent", "ostype", "sockets"}.isdisjoint(ct.keys())
    assert ct["swap"] == "1024"


def test_a_profile_that_says_what_a_kind_lacks_is_warned_about() -> None:
    disks = (
        "networks: [{bridge: vmbr0, model: virtio}]\nbios: ovmf\nsource: {iso: 'local:iso/x'}\n"
    )
    finding = only(loaded(profile(disks, "p"), service(CONTAINER + "profiles: [p]\n")))

    assert (finding.severity, finding.code) == (Severity.WARNING, "left-out")
    assert finding.message == (
        "web: profile p says source.iso, bios, networks[0].model, which a container can't have"
    )


def test_what_a_kind_lacks_is_an_error_in_the_service_itself() -> None:
    result = loaded(
        service(VM + "swap: 1GiB\nrootfs: {size: 1GiB}\nosType: debian\n", "vm"),
        service(CONTAINER + "disks: []\ncpu: {sockets: 2}\ncloudInit: {}\n", "ct"),
    )

    assert [(found.code, found.field, found.hint) for found in result.findings] == [
        (
            "wrong-kind",
            "spec.swap",
            "swap of a VM is set up inside it; PVE gives it memory and balloon",
        ),
        ("wrong-kind", "spec.rootfs", "a VM has disks"),
        (
            "wrong-kind",
            "spec.osType",
            (
                "there are l24, l26, other, solaris, w2k, w2k3, w2k8, win10, win11, win7, win8,"
                " wvista, wxp"
            ),
        ),
        ("wrong-kind", "spec.disks", "a container has rootfs and mountPoints"),
        ("wrong-kind", "spec.cpu.sockets", "a container has cpu.cores"),
        (
            "wrong-kind",
            "spec.cloudInit",
            "a container has container.sshKeys, dns and networks[].address",
        ),
    ]


def test_without_a_type_nothing_is_misplaced_but_the_type_is_missing() -> None:
    text = "memory: 1GiB\nsource: {clone: {template: 9000}}\nprofiles: [p]\nswap: 0B\n"
    finding = only(loaded(profile("bios: ovmf\n", "p"), service(text)))

    assert (finding.code, finding.hint) == ("missing", "write type: vm or type: container")


def test_only_what_misfits_is_taken_out() -> None:
    spec: dict[str, Yaml] = {
        "source": {"iso": "local:iso/x"},
        "networks": [{"bridge": "a", "model": "e1000"}, "odd", {"bridge": "b"}],
        "snapshots": {"keep": ["x"], "memory": True},
        "cpu": "odd",
    }

    assert kinds.fitting(spec, "container") == {
        "networks": [{"bridge": "a"}, "odd", {"bridge": "b"}],
        "snapshots": {"keep": ["x"]},
        "cpu": "odd",
    }


def test_an_unknown_profile_is_named() -> None:
    result = loaded(profile("{}\n", "small"), service(VM + "profiles: [smal, zzzzz]\n"))

    assert [(found.code, found.field, found.hint) for found in result.findings] == [
        ("unknown-profile", "spec.profiles[0]", "did you mean small?"),
        ("unknown-profile", "spec.profiles[1]", ""),
    ]


def test_a_broken_profile_is_not_called_missing_and_hides_nothing_else() -> None:
    result = loaded(
        profile("cpu: {cores: many}\n", "p"),
        service("profiles: [p]\nballoon: 2GiB\nmemory: 1GiB\ntype: vm\n"),
    )

    assert said(result) == [
        ("wrong-type", "spec.cpu.cores"),
        ("balloon-too-large", "spec.balloon"),
    ]


def test_a_broken_cluster_hides_no_finding_of_services() -> None:
    broken = cluster("interval: 30\n")
    result = load(tree(broken, service("type: vm\nmemory: 1GiB\nballoon: 2GiB\n")))

    assert said(result) == [
        ("bare-number", "spec.interval"),
        ("balloon-too-large", "spec.balloon"),
    ]


def test_a_finding_about_what_is_inherited_points_to_where_it_was_written() -> None:
    result = load(
        tree(
            cluster=cluster("defaults:\n  balloon: 4GiB\n"),
            p=profile("disks:\n- {slot: scsi0, storage: nowhere}\n", "p"),
            s=service(VM + "profiles: [p]\n"),
        )
    )

    assert [(str(found.origin), found.code, found.field) for found in result.findings] == [
        ("cluster.yaml:8:14", "balloon-too-large", "spec.defaults.balloon"),
        ("p.yaml:6:28", "unknown-storage", "spec.disks[0].storage"),
    ]
