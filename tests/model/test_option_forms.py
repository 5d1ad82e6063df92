"""A canonical value, rendered and read back by PVE's rules, is the same value."""

from hypothesis import given
from hypothesis import strategies as st

from qlop.model.guest import GuestKind, OptionValue
from qlop.model.option import canonical, is_met, parse_properties, render, rule_for
from qlop.model.option_table import RULES, Form, OptionRule

VALUES = st.sampled_from(
    [
        "1",
        "0",
        "on",
        "off",
        "yes",
        "no",
        "1.50",
        "0100",
        "host",
        "a b",
        "x,y",
        "z;a",
        "+aes",
        "%20",
    ]
)
WORDS = st.text(st.sampled_from("abcXYZ019-_. ,;=%\n"), max_size=20)
KEYS = st.sampled_from(
    sorted(
        (kind.value, f"{key}0" if rule.numbered else key)
        for kind in GuestKind
        for key, rule in RULES[kind].items()
    )
)


def texts(rule: OptionRule) -> st.SearchStrategy[str]:
    """Texts that a person or PVE may write for an option of this form."""
    match rule.form:
        case Form.BOOL:
            return st.sampled_from(["0", "1", "on", "off", "yes", "no", "True", "false", " 1 "])
        case Form.NUMBER:
            return st.integers(0, 10**6).map(str) | st.floats(0, 1000).map(lambda x: f"{x:.3f}")
        case Form.PROPERTIES:
            keys = sorted(
                {*rule.bool_keys, *rule.number_keys, *rule.property_defaults, "other"}
                - {rule.default_key}
            )
            pairs = st.dictionaries(
                st.sampled_from(keys), st.sampled_from(["0", "1", "on", "no", "10.0", "x"])
            )
            head = st.sampled_from(
                ["", "first", f"{rule.default_key}=x"] if rule.default_key else [""]
            )
            return st.builds(_joined, head, pairs)
        case _:
            return WORDS


def _joined(head: str, pairs: dict[str, str]) -> str:
    return ",".join(
        [*([head] if head else []), *(f"{key}={value}" for key, value in pairs.items())]
    )


@given(st.data(), KEYS)
def test_canonical_is_a_fixed_point(data: st.DataObject, key: tuple[str, str]) -> None:
    kind, name = GuestKind(key[0]), key[1]
    rule = rule_for(kind, name)
    assert rule is not None
    written = data.draw(texts(rule))

    value = canonical(kind, name, written)

    assert canonical(kind, name, render(kind, name, value)) == value


@given(st.data(), KEYS)
def test_what_is_wanted_is_met_by_itself_and_by_more(
    data: st.DataObject, key: tuple[str, str]
) -> None:
    kind, name = GuestKind(key[0]), key[1]
    rule = rule_for(kind, name)
    assert rule is not None
    value = canonical(kind, name, data.draw(texts(rule)))

    assert is_met(kind, name, value, value)
    if not isinstance(value, str):
        more: OptionValue = {**value, "unheard-of": "x"}
        assert is_met(kind, name, value, more)


@given(VALUES)
def test_an_option_without_a_rule_is_carried_as_it_is(value: str) -> None:
    assert canonical(GuestKind.VM, "unheard-of", value) == value
    assert render(GuestKind.VM, "unheard-of", value) == value


@given(st.sampled_from(GuestKind), st.sampled_from(["net0", "scsi0", "rootfs", "mp0"]))
def test_parts_without_anything_in_them_are_no_properties(kind: GuestKind, key: str) -> None:
    rule = rule_for(kind, key)

    if rule is not None:
        assert parse_properties(",, ,", rule) == {}
