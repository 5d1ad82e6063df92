"""Name the small types of the schema, for pydantic and for editors alike."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from qlop.manifest import facts, forms

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Human:
    """A value that people write in a form of its own.

    ``parse`` takes what YAML gave; ``schema`` is what editors are told.
    """

    parse: Callable[[object], object]
    schema: tuple[tuple[str, object], ...]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse, metadata={"pydantic_js_functions": [self._json]}
        )

    def _json(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in self.schema
        }


@dataclass(frozen=True, slots=True)
class Matching:
    """Text of a pattern; ``what`` completes the sentence "… is no"."""

    pattern: str
    what: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._check,
            core_schema.str_schema(strict=True),
            metadata={"pydantic_js_functions": [self._json]},
        )

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise forms.problem("malformed", f"{value!r} is no {self.what}")
        return value

    def _json(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": self.pattern}


def _text(pattern: str, *examples: str) -> tuple[tuple[str, object], ...]:
    return (("type", "string"), ("pattern", pattern), ("examples", examples))


_BRACES = r"[^\s]*\{(index|name|service)\}[^\s]*"
_OCTETS = r"\d{1,3}(\.\d{1,3}){3}"
_ADDRESS4 = rf"^(dhcp|{_OCTETS}/\d{{1,2}}|{_BRACES})$"
_ADDRESS6 = rf"^(auto|dhcp|[0-9a-fA-F:.]+/\d{{1,3}}|{_BRACES})$"
_HOST = rf"^({_OCTETS}|[0-9a-fA-F:.]+|{_BRACES})$"
_MAC = rf"^([0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{{2}}){{5}}|{_BRACES})$"
_SIZE = _text(forms.SIZE_PATTERN, "512MiB", "8GiB", "1TiB")
_SPAN = _text(forms.SPAN_PATTERN, "30s", "15m", "1h30m")
_SHARE = _text(forms.SHARE_PATTERN, "10%")

Size = Annotated[int, Human(forms.size, _SIZE)]
SizeOrZero = Annotated[int, Human(forms.size_or_zero, _SIZE)]
Memory = Annotated[int, Human(forms.memory, _SIZE)]
Span = Annotated[timedelta, Human(forms.span, _SPAN)]
Seconds = Annotated[timedelta, Human(forms.seconds, _SPAN)]
Share = Annotated[float, Human(forms.share, _SHARE)]
ShareOfWhole = Annotated[float, Human(forms.share_up_to_whole, _SHARE)]
VmIdRange = Annotated[
    tuple[int, int], Human(forms.vmid_range, _text(forms.RANGE_PATTERN, "10000-10999"))
]
TemplateRef = Annotated[int | str, Human(forms.template, (("type", ("integer", "string")),))]
Address4 = Annotated[str, Human(forms.address4, _text(_ADDRESS4, "dhcp", "10.0.20.11/24"))]
Address6 = Annotated[str, Human(forms.address6, _text(_ADDRESS6, "auto", "2001:db8::11/64"))]
Host = Annotated[str, Human(forms.host, _text(_HOST, "10.0.20.1"))]
GuestName = Annotated[
    str, Human(forms.guest_name, _text(rf"^({facts.DNS_NAME_PATTERN[1:-1]}|{_BRACES})$", "Web01"))
]
Mac = Annotated[str, Human(forms.mac, _text(_MAC, "BC:24:11:00:00:01"))]
Snapshot = Annotated[str, Human(forms.snapshot, _text(facts.SNAPSHOT_PATTERN, "before-upgrade"))]
SshKey = Annotated[str, Human(forms.ssh_key, _text(facts.SSH_KEY_PATTERN))]
CronLine = Annotated[str, Human(forms.cron, _text(r"^(\S+\s+){4}\S+$", "0 2 * * sat"))]
TimeOfDay = Annotated[str, Human(forms.time_of_day, _text(r"^\d{2}:\d{2}$", "22:00"))]
Weekdays = Annotated[
    str, Human(forms.weekdays, _text(r"^[a-z]{3}(-[a-z]{3})?$", "sat", "mon-fri"))
]
Day = Annotated[str, Human(forms.day, _text(r"^\d{4}-\d{2}-\d{2}$", "2026-12-24"))]
Zone = Annotated[str, Human(forms.zone, _text(facts.TIME_ZONE_PATTERN, "Asia/Jakarta"))]

Name = Annotated[
    str,
    Matching(facts.LABEL_PATTERN, "name: up to 63 lower-case letters, digits and hyphens"),
]
NodeRef = Annotated[str, Matching(facts.NODE_PATTERN, "name of a node")]
StorageRef = Annotated[str, Matching(facts.STORAGE_PATTERN, "name of a storage")]
PoolRef = Annotated[str, Matching(facts.POOL_PATTERN, "name of a pool")]
Tag = Annotated[str, Matching(facts.TAG_PATTERN, "tag: letters, digits, _, +, . and -")]
Bridge = Annotated[str, Matching(facts.BRIDGE_PATTERN, "name of a bridge")]
Interface = Annotated[str, Matching(facts.INTERFACE_PATTERN, "name of an interface (eth0)")]
DnsName = Annotated[str, Matching(facts.DNS_NAME_PATTERN, "DNS name")]
Volume = Annotated[str, Matching(facts.VOLUME_PATTERN, "volume: storage:path (local:iso/x.iso)")]
HostPath = Annotated[
    str, Matching(facts.HOST_PATH_PATTERN, "absolute path without spaces, commas and `..`")
]
Machine = Annotated[str, Matching(facts.MACHINE_PATTERN, "machine type (pc, q35, pc-q35-9.2)")]
CpuType = Annotated[str, Matching(facts.CPU_TYPE_PATTERN, "CPU type (host, x86-64-v2-AES)")]
CpuFlag = Annotated[str, Matching(facts.CPU_FLAG_PATTERN, "CPU flag with its sign (+aes)")]
SerialPort = Annotated[str, Matching(facts.SERIAL_PATTERN, "serial port (socket, /dev/ttyS0)")]
DiskSlot = Annotated[
    str,
    Matching(
        facts.DISK_SLOT_PATTERN,
        "slot: scsi0 to scsi30, virtio0 to virtio15, sata0 to sata5, ide0 to ide3",
    ),
]
MountSlot = Annotated[str, Matching(facts.MOUNT_SLOT_PATTERN, "slot: mp0 to mp255")]
NicSlot = Annotated[str, Matching(facts.NIC_SLOT_PATTERN, "slot: net0 to net31")]
BootDevice = Annotated[str, Matching(facts.BOOT_PATTERN, "disk or NIC (scsi0, net0)")]
FileSystem = Annotated[str, Matching(facts.FILE_SYSTEM_PATTERN, "file system type (nfs)")]
UserName = Annotated[str, Matching(facts.USER_PATTERN, "user name")]
TimeZone = Annotated[str, Matching(facts.TIME_ZONE_PATTERN, "time zone (Asia/Jakarta, host)")]
SerialNumber = Annotated[str, Matching(facts.SERIAL_NUMBER_PATTERN, "serial number of a disk")]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def enabled(value: object) -> object:
    """Return the long form of ``true`` and ``false``."""
    return {"enabled": value} if isinstance(value, bool) else value


def moded(value: object) -> object:
    """Return the long form of a word that is a mode."""
    return {"mode": value} if isinstance(value, str) else value


def _described(value: str) -> str:
    limit = facts.DESCRIPTION_MAX - facts.MARK_ROOM
    if len(value) > limit:
        raise forms.problem("too-long", f"{len(value)} characters are more than {limit}")
    return value


@dataclass(frozen=True, slots=True)
class Shorthand:
    """Tell editors about a short form, of which ``expand`` makes the long one."""

    expand: Callable[[object], object]
    of: str = ""
    """The type that the short form has; empty: that of an item of the long one."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            self.expand,
            handler(source),
            metadata={"pydantic_js_functions": [self._json]},
        )

    def _json(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        long = handler(core["schema"]) if "schema" in core else handler(core)
        short = {"type": self.of} if self.of else long["items"]
        return {"anyOf": [short, long]}


ONE_OR_LIST = Shorthand(_listed)
"""A list with one entry per guest; a single value stands for all of them."""

OR_MODE = Shorthand(moded, of="string")
"""A mapping with ``mode``, or just its value."""

OR_BOOLEAN = Shorthand(enabled, of="boolean")
"""A mapping with ``enabled``, or just its value."""

Description = Annotated[str, AfterValidator(_described)]
