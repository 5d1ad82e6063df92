"""What contradicts each other across documents is found, wherever it stands."""

from qlop.manifest.load import load
from tests.manifest.trees import CLUSTER, CONTAINER, VM, loaded, only, profile, said, service, tree


def placed(name: str, placement: str) -> str:
    return service(VM + f"placement: {{{placement}}}\n", name)


def test_a_name_is_taken_once() -> None:
    result = load(tree(CLUSTER, b=service(), c=service()))
    finding = only(result)

    assert (str(finding.origin), finding.code) == ("c.yaml:3:18", "duplicate-name")
    assert finding.message == "there is a Service web already, at b.yaml:3:18"


def test_a_profile_may_be_called_like_a_service() -> None:
    assert loaded(service(), profile("{}\n", "web")).findings == ()


def test_there_is_one_cluster() -> None:
    result = load(tree(CLUSTER, other=CLUSTER.replace("testland", "elsewhere")))

    assert said(result) == [("second-cluster", "kind")]


def test_without_a_cluster_nothing_is_desired() -> None:
    result = load(tree(service()))

    assert said(result) == [("no-cluster", "")]
    assert result.findings[0].origin is None
    assert result.desired is None


def test_guests_of_two_services_can_t_have_one_name() -> None:
    result = loaded(service(VM + "replicas: 2\n"), service(VM, "web-2"))

    assert said(result) == [("duplicate-guest", "spec")]
    assert result.findings[0].message == "web-2: a guest is called web-2, as one of web is"


def test_a_vmid_is_taken_once_within_blocks_too() -> None:
    result = loaded(
        service(VM + "vmid: 10010\nreplicas: 3\n"), service(VM + "vmid: 10012\n", "zoo")
    )
    finding = only(result)

    assert (finding.code, finding.field) == ("duplicate-vmid", "spec.vmid")
    assert finding.message == "zoo: zoo can't have VMID 10012: web-3 has it"
    assert finding.hint == "the other is at a.yaml:15:9"


def test_a_guest_does_not_take_the_vmid_of_its_template() -> None:
    text = VM.replace("9000", "10500") + "vmid: 10500\n"

    assert said(loaded(service(text))) == [("duplicate-vmid", "spec.vmid")]


def test_a_mac_address_is_taken_once_in_whatever_case() -> None:
    def with_mac(mac: str) -> str:
        return VM + f"networks: [{{bridge: vmbr0, mac: '{mac}'}}]\n"

    result = loaded(
        service(with_mac("bc:24:11:00:00:0a")), service(with_mac("BC:24:11:00:00:0A"), "zoo")
    )

    assert said(result) == [("duplicate-mac", "spec.networks[0].mac")]


def test_an_address_is_taken_once_whatever_the_kind_of_guest() -> None:
    nic = "networks: [{bridge: vmbr0, address: 10.0.0.5/24, address6: '2001:DB8::5/64'}]\n"
    result = loaded(service(VM + "cloudInit: {}\n" + nic), service(CONTAINER + nic.lower(), "zoo"))

    assert said(result) == [
        ("duplicate-address", "spec.networks[0].address"),
        ("duplicate-address", "spec.networks[0].address6"),
    ]


def test_replicas_can_t_share_a_fixed_address() -> None:
    nic = "networks: [{bridge: vmbr0, address: 10.0.0.5/24}]\n"
    finding = only(loaded(service(VM + "cloudInit: {}\nreplicas: 2\n" + nic)))

    assert finding.message == "web: web-2 can't have address 10.0.0.5: web-1 has it"
    assert finding.hint == "write {index} in it, or a list with one for each guest"


def test_addresses_that_are_found_out_are_nobody_s() -> None:
    nic = "networks: [{bridge: vmbr0, address: dhcp, address6: auto}]\n"

    assert loaded(service(CONTAINER + "replicas: 3\n" + nic)).findings == ()


def test_a_service_is_never_told_that_it_meant_itself() -> None:
    result = loaded(
        service(VM, "simrs-database"), service(VM + "dependsOn: [simrs-db]\n", "simrs")
    )

    assert [found.hint for found in result.findings] == ["did you mean simrs-database?"]


def test_placement_names_services_that_exist() -> None:
    result = loaded(
        service(VM, "database"),
        service(VM + "bogus: 1\n", "broken"),
        placed("web", "apartFrom: [databse, broken], togetherWith: [zzzzzz]"),
    )

    assert [
        (found.code, found.hint) for found in result.findings if found.code != "unknown-key"
    ] == [("unknown-service", "did you mean database?"), ("unknown-service", "")]


def test_together_and_apart_contradict_each_other_even_by_way_of_others() -> None:
    result = loaded(
        placed("a", "togetherWith: [b]"),
        placed("b", "togetherWith: [c]"),
        placed("c", "apartFrom: [a]"),
        placed("d", "apartFrom: [a]"),
    )

    assert [found.message for found in result.findings] == [
        "c: it has to be apart from a and, by togetherWith, beside it"
    ]


def test_services_that_belong_together_need_a_common_node() -> None:
    result = loaded(
        placed("a", "nodes: [pve1], togetherWith: [b, c]"),
        placed("b", "nodes: [pve2]"),
        placed("c", "preferred: [pve2]"),
    )

    assert [found.message for found in result.findings] == [
        "a: it has to be beside b, and no node is allowed to both"
    ]
