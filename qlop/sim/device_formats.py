"""Name the keys of a VM's property strings that PVE registers under a name of their own.

The schema tells those of disks and network cards in place; of these it tells but the name.
After ``PVE/QemuServer.pm`` and ``PVE/QemuServer/{CPUConfig,PCI,RNG}.pm`` (qemu-server).
"""

import re
from collections.abc import Callable, Mapping

from qlop.sim.schema import Spec

_CPU_MODELS = frozenset({
    "486", "Broadwell", "Broadwell-IBRS", "Broadwell-noTSX", "Broadwell-noTSX-IBRS",
    "Cascadelake-Server", "Cascadelake-Server-noTSX", "Cascadelake-Server-v2",
    "Cascadelake-Server-v4", "Cascadelake-Server-v5", "ClearwaterForest", "Conroe",
    "Cooperlake", "Cooperlake-v2", "EPYC", "EPYC-Genoa", "EPYC-Genoa-v2", "EPYC-IBPB",
    "EPYC-Milan", "EPYC-Milan-v2", "EPYC-Milan-v3", "EPYC-Rome", "EPYC-Rome-v2", "EPYC-Rome-v3",
    "EPYC-Rome-v4", "EPYC-Turin", "EPYC-v3", "EPYC-v4", "GraniteRapids", "GraniteRapids-v2",
    "Haswell", "Haswell-IBRS", "Haswell-noTSX", "Haswell-noTSX-IBRS", "Icelake-Client",
    "Icelake-Client-noTSX", "Icelake-Server", "Icelake-Server-noTSX", "Icelake-Server-v3",
    "Icelake-Server-v4", "Icelake-Server-v5", "Icelake-Server-v6", "IvyBridge",
    "IvyBridge-IBRS", "KnightsMill", "Nehalem", "Nehalem-IBRS", "Opteron_G1", "Opteron_G2",
    "Opteron_G3", "Opteron_G4", "Opteron_G5", "Penryn", "SandyBridge", "SandyBridge-IBRS",
    "SapphireRapids", "SapphireRapids-v2", "SapphireRapids-v3", "SierraForest",
    "Skylake-Client", "Skylake-Client-IBRS", "Skylake-Client-noTSX-IBRS", "Skylake-Client-v4",
    "Skylake-Server", "Skylake-Server-IBRS", "Skylake-Server-noTSX-IBRS", "Skylake-Server-v4",
    "Skylake-Server-v5", "Westmere", "Westmere-IBRS", "athlon", "core2duo", "coreduo", "host",
    "kvm32", "kvm64", "max", "pentium", "pentium2", "pentium3", "phenom", "qemu32", "qemu64",
    "x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4",
})  # fmt: skip

_CPU_FLAGS = (
    "nested-virt", "md-clear", "pcid", "spec-ctrl", "ssbd", "ibpb", "virt-ssbd", "amd-ssbd",
    "amd-no-ssb", "pdpe1gb", "hv-tlbflush", "hv-evmcs", "aes",
)  # fmt: skip
"""The flags that a VM, unlike a custom model, may ask for."""

_ANY_FLAG = r"[+-][a-zA-Z0-9\-_.]+"
_PCI = r"(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?"
_HEX_ID = r"0x[0-9a-fA-F]{4}"


def _text(*, named: str = "", pattern: str | None = None, requires: str = "") -> Spec:
    return Spec(type="s", format=named, pattern=pattern, requires=requires, optional=True)


_FLAG = Spec(type="b", optional=True)
_NUMBER = Spec(type="i", optional=True)
_BASE64 = _text(pattern=r"[A-Za-z0-9+/]+={0,2}")

KEYS: Mapping[str, Mapping[str, Spec]] = {
    "pve-qm-boot": {
        "legacy": Spec(type="s", pattern="[acdn]{1,4}", optional=True, default_key=True),
        "order": _text(named="pve-qm-bootdev-list"),
    },
    "pve-qm-ipconfig": {
        "ip": _text(named="pve-ipv4-config"),
        "gw": _text(named="ipv4", requires="ip"),
        "ip6": _text(named="pve-ipv6-config"),
        "gw6": _text(named="ipv6", requires="ip6"),
    },
    "pve-qm-cicustom": {
        key: _text(named="pve-volume-id") for key in ("meta", "network", "user", "vendor")
    },
    "pve-vm-cpu-conf": {
        "cputype": Spec(type="s", optional=True, default_key=True),
        "reported-model": Spec(type="s", enum=tuple(sorted(_CPU_MODELS)), optional=True),
        "hidden": _FLAG,
        "hv-vendor-id": _text(pattern="[a-zA-Z0-9]{1,12}"),
        "flags": _text(pattern=f"{_ANY_FLAG}(;{_ANY_FLAG})*"),
        "guest-phys-bits": Spec(type="i", minimum=32, maximum=64, optional=True),
        "phys-bits": _text(named="pve-phys-bits"),
    },
    "pve-qm-watchdog": {
        "model": Spec(type="s", enum=("i6300esb", "ib700"), optional=True, default_key=True),
        "action": Spec(
            type="s",
            enum=("reset", "shutdown", "poweroff", "pause", "debug", "none"),
            optional=True,
        ),
    },
    "pve-qm-rng": {
        "source": Spec(
            type="s", enum=("/dev/urandom", "/dev/random", "/dev/hwrng"), default_key=True
        ),
        "max_bytes": _NUMBER,
        "period": _NUMBER,
    },
    "pve-qm-smbios1": {
        "uuid": _text(pattern="[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"),
        "base64": _FLAG,
        **dict.fromkeys(
            ("version", "serial", "manufacturer", "product", "sku", "family"), _BASE64
        ),
    },
    "pve-qm-hostpci": {
        "host": Spec(type="s", pattern=f"{_PCI}(;{_PCI})*", optional=True, default_key=True),
        "mapping": _text(named="pve-configid"),
        "romfile": _text(pattern="[^,;]+"),
        "mdev": _text(pattern=r"[^/.:]+"),
        "driver": Spec(type="s", enum=("vfio", "keep"), optional=True),
        **dict.fromkeys(("rombar", "pcie", "x-vga", "legacy-igd"), _FLAG),
        **dict.fromkeys(
            ("vendor-id", "device-id", "sub-vendor-id", "sub-device-id"), _text(pattern=_HEX_ID)
        ),
    },
    "pve-qemu-sev-fmt": {
        "type": Spec(type="s", enum=("std", "es", "snp"), default_key=True),
        **dict.fromkeys(("no-debug", "no-key-sharing", "allow-smt", "kernel-hashes"), _FLAG),
    },
    "pve-qemu-tdx-fmt": {
        "type": Spec(type="s", enum=("tdx",), default_key=True),
        "attestation": Spec(type="b"),
        "vsock-cid": Spec(type="i", minimum=2, optional=True),
        "vsock-port": Spec(type="i", minimum=0, optional=True),
    },
    "prune-backups": {
        "keep-all": _FLAG,
        **dict.fromkeys(
            (
                "keep-last",
                "keep-hourly",
                "keep-daily",
                "keep-weekly",
                "keep-monthly",
                "keep-yearly",
            ),
            _NUMBER,
        ),
    },
}
"""The keys by the name of the format."""


def _keys_of(value: str, default: str) -> dict[str, str]:
    parts = (part.partition("=") for part in value.split(",") if part.strip())
    return {key if equals else default: item if equals else key for key, equals, item in parts}


def _cpu(value: str) -> str:
    """Complain of what is no CPU of a VM (``validate_vm_cpu_conf``)."""
    cpu = _keys_of(value, "cputype")
    model = cpu.get("cputype", "")
    if not model:
        return "CPU is missing cputype\n"
    if model.startswith("custom-"):  # The simulator's clusters define none.
        return f"Custom cputype '{model.removeprefix('custom-')}' not found\n"
    if model not in _CPU_MODELS:
        return f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)\n"
    if any(flag[1:] not in _CPU_FLAGS for flag in cpu.get("flags", "").split(";") if flag):
        return f"VM-specific CPU flags must be a subset of: {', '.join(_CPU_FLAGS)}\n"
    if "reported-model" in cpu:
        return "Property 'reported-model' not allowed in VM-specific CPU config.\n"
    return ""


def _prune(value: str) -> str:
    """Complain of ``keep-all`` beside other limits (``validate_prune_backups``)."""
    kept = _keys_of(value, "")
    keeps_all = re.fullmatch("1|on|yes|true", kept.pop("keep-all", ""), re.IGNORECASE)
    is_limited = any(count.strip("0") for count in kept.values())
    return (
        "keep-all cannot be set together with other options.\n" if keeps_all and is_limited else ""
    )


VALIDATORS: Mapping[str, Callable[[str], str]] = {"pve-vm-cpu-conf": _cpu, "prune-backups": _prune}
"""What is checked of a whole property string once each key is good."""
