"""The values people write, and what they are told when one is wrong."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic_core import PydanticCustomError

from qlop.manifest import forms
from qlop.model.units import GIB, MIB

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOUQ me@here"


@pytest.mark.parametrize(
    ("parse", "written", "meant"),
    [
        (forms.size, "8GiB", 8 * GIB),
        (forms.size, "512 MiB", 512 * MIB),
        (forms.size_or_zero, "0B", 0),
        (forms.memory, "16MiB", 16 * MIB),
        (forms.span, "1h30m", timedelta(minutes=90)),
        (forms.seconds, "90s", timedelta(seconds=90)),
        (forms.share, "150%", 1.5),
        (forms.share_up_to_whole, "12.5%", 0.125),
        (forms.vmid_range, "100-999", (100, 999)),
        (forms.template, 9000, 9000),
        (forms.template, "debian-12", "debian-12"),
        (forms.address4, "dhcp", "dhcp"),
        (forms.address4, "10.0.0.1{index}/24", "10.0.0.1{index}/24"),
        (forms.address6, "auto", "auto"),
        (forms.address6, "2001:db8::1/64", "2001:db8::1/64"),
        (forms.host, "10.0.0.{index}", "10.0.0.{index}"),
        (forms.mac, "bc:24:11:00:00:0a", "BC:24:11:00:00:0A"),
        (forms.mac, "bc:24:11:00:00:0{index}", "bc:24:11:00:00:0{index}"),
        (forms.snapshot, "before-upgrade", "before-upgrade"),
        (forms.ssh_key, f" {KEY}\n", KEY),
    ],
)
def test_what_is_written_is_what_is_meant(
    parse: Callable[[object], object], written: object, meant: object
) -> None:
    assert parse(written) == meant


@pytest.mark.parametrize(
    ("parse", "written", "code", "hint"),
    [
        (forms.size, 8, "bare-number", "write 8MiB or 8GiB, whichever it is"),
        (forms.size, True, "wrong-type", "write it like 8GiB"),
        (forms.size, "8GB", "malformed", "write 8GiB"),
        (forms.size, "8g", "malformed", "write 8GiB"),
        (forms.size, "big", "malformed", "write it like 512MiB or 8GiB"),
        (forms.size, "1500KiB", "malformed", "write 2MiB"),
        (forms.size, "0B", "too-small", ""),
        (forms.size, "99999999TiB", "too-large", ""),
        (forms.memory, "8MiB", "too-small", "write 16MiB or more"),
        (forms.span, 30, "bare-number", "write 30s or 30m, whichever it is"),
        (forms.span, [], "wrong-type", "write it like 90s"),
        (forms.span, "soon", "malformed", "write it like 30s, 15m, 1h30m or 2d"),
        (forms.span, "9" * 30 + "d", "malformed", "write it like 30s, 15m, 1h30m or 2d"),
        (forms.span, "400d", "too-large", ""),
        (forms.seconds, "1500ms", "malformed", ""),
        (forms.share, 0.1, "malformed", "write 10%"),
        (forms.share, 10, "malformed", "write 10%"),
        (forms.share, "ten", "malformed", "write it like 10%"),
        (forms.share_up_to_whole, "120%", "too-large", ""),
        (forms.vmid_range, 100, "malformed", "write it like 10000-10999"),
        (forms.vmid_range, "999-100", "malformed", "write it like 10000-10999"),
        (forms.template, 5, "malformed", None),
        (forms.template, True, "malformed", None),
        (forms.template, "a b", "malformed", None),
        (forms.address4, "10.0.0.1", "malformed", "write 10.0.0.1/24"),
        (forms.address4, "auto", "malformed", "write dhcp or an address like 10.0.20.11/24"),
        (forms.address4, "10.0.0.{nr}/24", "malformed", None),
        (forms.address6, "10.0.0.1/24", "malformed", None),
        (forms.host, "gateway", "malformed", ""),
        (forms.mac, "01:00:00:00:00:00", "malformed", None),
        (forms.snapshot, "x", "malformed", "a letter, then 1 to 39 letters, digits, - or _"),
        (forms.snapshot, 5, "malformed", "a letter, then 1 to 39 letters, digits, - or _"),
        (forms.snapshot, "current", "malformed", ""),
        (forms.ssh_key, "AAAA", "malformed", None),
        (forms.ssh_key, 5, "malformed", None),
        (forms.ssh_key, "-----BEGIN OPENSSH PRIVATE KEY-----", "private-key", None),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(
    parse: Callable[[object], object], written: object, code: str, hint: str | None
) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse(written)

    context = caught.value.context
    assert context is not None
    assert context["code"] == code
    assert hint is None or context["hint"] == hint


def test_a_private_key_is_not_repeated_in_the_message() -> None:
    with pytest.raises(PydanticCustomError) as caught:
        forms.ssh_key("-----BEGIN OPENSSH PRIVATE KEY----- c2VjcmV0")

    assert "c2VjcmV0" not in str(caught.value)
