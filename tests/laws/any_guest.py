"""Draw guests with every option that PVE's API takes when it creates one.

The options, their types and limits come from the API's own description; only what that
leaves open (a storage that is there, a bridge, a template) is filled in here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from qlop.sim import formats, schema
from qlop.sim.schema import Spec

VM, CONTAINER = "qemu", "lxc"
STORAGE = "local-lvm"
ARCHIVE = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
ISO = "local:iso/debian-12.8.0-amd64-netinst.iso"
SNIPPETS = ("local:snippets/user.yaml", "nas:snippets/other.yaml")

NOT_OPTIONS: Mapping[str, str] = {
    "node": "where, not what",
    "vmid": "where, not what",
    "archive": "restores a backup",
    "restore": "restores a backup",
    "force": "only with a restore",
    "unique": "only with a restore",
    "live-restore": "only with a restore",
    "ignore-unpack-errors": "how it is created",
    "bwlimit": "how it is created",
    "import-working-storage": "how it is created",
    "storage": "a default for disks that name none",
    "start": "its power, drawn apart",
    "pool": "its pool, drawn apart",
    "ha-managed": "puts it under the HA manager, which owns its power",
    "lock": "a locked guest is left alone",
    "template": "a template is left alone",
    "cdrom": "another word for ide2",
    "ostemplate": "drawn always",
    "password": "never in a configuration",
    "unused": "what a detached disk becomes",
}
"""Parameters of the call that are no options of the guest, or no guest to be adopted."""

MAC = "BC:24:11"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAUqT3SZvuMILVJ3nMHmCzBVep/E6Q4zWH2ix+wRNluA me@x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One guest to be created: ``params`` of the call, and whether it is then started."""

    vmid: int
    kind: str
    params: Mapping[str, str]
    starts: bool


@dataclass(slots=True)
class Maker:
    """Draws guests from a seed."""

    seed: int
    share: float = 0.3
    """The share of all options that a guest has."""
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def guests(self, count: int, *, first: int = 20_000) -> Iterator[Drawn]:
        """Yield ``count`` guests, two thirds of them VMs."""
        for number in range(count):
            vmid = first + number
            kind = CONTAINER if number % 3 == 2 else VM
            params = self.container() if kind == CONTAINER else self.vm()
            if self.random.random() < 0.3:
                params["pool"] = "simrs"
            yield Drawn(vmid=vmid, kind=kind, params=params, starts=number % 4 == 0)

    def vm(self) -> dict[str, str]:
        """Return the parameters of a VM."""
        params = self._options(VM)
        if "hugepages" in params:
            params.pop("balloon", None)
        memory = int(params.get("memory", "512").removeprefix("current="))
        if int(params.get("balloon", "0")) > memory:
            params["balloon"] = str(memory // 2)
        sockets, cores = int(params.get("sockets", "1")), int(params.get("cores", "1"))
        if "vcpus" in params:
            params["vcpus"] = str(self.random.randint(1, sockets * cores))
        return params

    def container(self) -> dict[str, str]:
        """Return the parameters of a container."""
        params = self._options(CONTAINER)
        params["ostemplate"] = ARCHIVE
        params.setdefault("rootfs", f"{STORAGE}:4")
        for number, key in enumerate(sorted(key for key in params if key.startswith("net"))):
            if key != "net":
                params[key] = params[key].replace("name=?", f"name=eth{number}")
        return params

    def _options(self, kind: str) -> dict[str, str]:
        params: dict[str, str] = {}
        for name, spec, count in options_of(kind):
            if self.random.random() > self.share and name not in {"net", "scsi"}:
                continue
            if not count:
                params[name] = self.value(kind, name, spec)
                continue
            top = min(count, 5) if self.random.random() < 0.5 else count
            for number in self.random.sample(range(top), self.random.randint(1, min(2, top))):
                key = f"{name}{number}"
                params[key] = self.value(kind, key, spec)
        drives = [key for key, value in params.items() if value.endswith(":cloudinit")]
        return params | dict.fromkeys(drives[1:], "none,media=cdrom")  # PVE takes one at most.

    def value(self, kind: str, name: str, spec: Spec) -> str:
        """Return a value that ``spec`` allows for an option."""
        base = name.rstrip("0123456789") if name != "smbios1" else name
        special = SPECIAL.get((kind, base)) or SPECIAL.get(("", base))
        if special is not None:
            return special(self, name)
        if base in SAMPLES:
            return self.random.choice(SAMPLES[base])
        keys = formats.property_keys(spec.format) if spec.format else None
        if keys is not None:
            return self.properties(base, keys)
        return self.scalar(base, spec)

    def properties(self, base: str, keys: Mapping[str, Spec]) -> str:
        """Return a property string with some of its keys."""
        parts: dict[str, str] = {}
        for key, spec in keys.items():
            if spec.requires and spec.requires not in parts:
                continue
            if spec.alias or (base, key) in LEFT_OUT or ("", key) in LEFT_OUT:
                continue
            share = 0.9 if key == "bridge" else 0.35
            if spec.optional and not spec.default_key and self.random.random() > share:
                continue
            if spec.optional and spec.default_key and base in {"usb", "hostpci"}:
                continue
            value = self.inner(base, key, spec)
            parts[key] = value if spec.default_key else f"{key}={value}"
        return ",".join(parts.values()) or self.properties(base, keys)

    def inner(self, base: str, key: str, spec: Spec) -> str:
        """Return a value for one key of a property string."""
        special = INNER.get((base, key)) or INNER.get(("", key))
        if special is not None:
            return special(self, key)
        if spec.type == "b":
            return self.random.choice(["0", "1", "on", "off", "yes"])
        return self.scalar(key, spec)

    def scalar(self, name: str, spec: Spec) -> str:
        """Return a scalar within its limits."""
        if spec.enum:
            return self.random.choice(spec.enum)
        if spec.type == "b":
            return self.random.choice("01")
        low = int(spec.minimum or 0)
        high = int(spec.maximum) if spec.maximum is not None else low + 4000
        if spec.type == "i":
            return str(self.random.choice([low, high, self.random.randint(low, high)]))
        if spec.type == "n":
            return f"{self.random.uniform(low, high):.{self.random.randint(0, 3)}f}"
        samples = SAMPLES.get(name) or SAMPLES.get(spec.format) or SAMPLES.get(spec.pattern or "")
        assert samples is not None, f"no sample for {name} ({spec.format or spec.pattern})"
        return self.random.choice(samples)

    def mac(self) -> str:
        """Return a MAC of PVE's own prefix."""
        return ":".join([MAC, *(f"{self.random.randrange(256):02x}" for _ in range(3))])

    def uuid(self) -> str:
        """Return a UUID."""
        digits = f"{self.random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def disk(self, name: str) -> str:
        """Return a new disk, a medium, or a cloud-init drive, with some properties."""
        base = name.rstrip("0123456789")
        keys = formats.property_keys(f"@{base}")
        assert keys is not None, base
        if base != "virtio" and self.random.random() < (0.5 if base == "ide" else 0.1):
            return self.random.choice(["none,media=cdrom", f"{STORAGE}:cloudinit"])
        size = self.random.choice(["1", "2", "0.5", "3.25"])
        rest = [
            f"{key}={self.inner(base, key, spec)}"
            for key, spec in keys.items()
            if key not in _NOT_OF_NEW_DISKS and not spec.alias and self.random.random() < 0.15
        ]
        return ",".join([f"{STORAGE}:{size}", *rest])

    def mount(self, name: str) -> str:
        """Return a new volume of a container."""
        base = "rootfs" if name == "rootfs" else "mp"
        keys = formats.property_keys(f"@{base}")
        assert keys is not None, base
        rest = [
            f"{key}={self.inner(base, key, spec)}"
            for key, spec in keys.items()
            if key not in {"volume", "size", "mp"} and self.random.random() < 0.3
        ]
        where = [] if base == "rootfs" else [f"mp=/srv/{name}"]
        return ",".join([f"{STORAGE}:{self.random.choice('1248')}", *where, *rest])


Special = Callable[[Maker, str], str]

_NOT_OF_NEW_DISKS = frozenset({"file", "size", "import-from"})

SPECIAL: Mapping[tuple[str, str], Special] = {
    **{(VM, bus): Maker.disk for bus in ("ide", "sata", "scsi", "virtio")},
    (VM, "efidisk"): lambda maker, _: maker.random.choice(
        [
            f"{STORAGE}:1",
            f"{STORAGE}:1,efitype=4m,pre-enrolled-keys=1,ms-cert=2023",
            f"{STORAGE}:1,efitype=4m,ms-cert=2011",
            f"{STORAGE}:1,efitype=4m,ms-cert=2023w",
            f"{STORAGE}:1,efitype=2m,format=raw",
        ]
    ),
    (VM, "tpmstate"): lambda maker, _: maker.random.choice(
        [f"{STORAGE}:1", f"{STORAGE}:1,version=v1.2,format=raw", f"{STORAGE}:1,version=v2.0"]
    ),
    (CONTAINER, "mp"): Maker.mount,
    (CONTAINER, "rootfs"): Maker.mount,
    (VM, "smbios1"): lambda maker, _: maker.random.choice(
        [
            "uuid={}",
            "uuid={},family=Zm9v,base64=1",
            "serial=x1,uuid={}",
            "uuid={},manufacturer=QUNNRQ==,product=Vk0=,version=MQ==,sku=Uw==,base64=1",
        ]
    ).format(maker.uuid()),
    (VM, "memory"): lambda maker, _: maker.random.choice(["2048", "current=1024", "16", "3000"]),
    ("", "description"): lambda maker, _: maker.random.choice(NOTES),
    ("", "startup"): lambda maker, _: maker.random.choice(
        ["order=3", "7", "order=1,up=3661,down=60", "up=5", "down=86400", "order=0"]
    ),
}
"""Options that need something which is there, or that no limit describes."""

INNER: Mapping[tuple[str, str], Special] = {
    ("", "format"): lambda *_: "raw",  # The only one that an LVM-thin pool keeps.
    ("", "media"): lambda *_: "disk",
    ("", "bridge"): lambda maker, _: maker.random.choice(["vmbr0", "vmbr1"]),
    ("", "macaddr"): lambda maker, _: maker.mac(),
    ("", "hwaddr"): lambda maker, _: maker.mac(),
    ("net", "name"): lambda *_: "?",
    ("", "serial"): lambda maker, _: maker.random.choice(["S%20x", "abc-1", "W_D.5"]),
    ("cicustom", "vendor"): lambda maker, _: maker.random.choice(SNIPPETS),
    ("", "gw"): lambda *_: "10.1.2.1",
    ("", "gw6"): lambda *_: "2001:db8::1",
    ("", "ip"): lambda maker, _: maker.random.choice(
        ["dhcp", "manual", f"10.1.{maker.random.randrange(250)}.{maker.random.randrange(250)}/16"]
    ),
    ("", "ip6"): lambda maker, _: maker.random.choice(
        ["auto", "dhcp", "manual", f"2001:db8::{maker.random.randrange(9999)}/64"]
    ),
}

LEFT_OUT: Mapping[tuple[str, str], str] = {
    ("hostpci", "legacy-igd"): "excludes what else is drawn",
    ("hostpci", "host"): "excludes a mapping, which is drawn",
    ("cpu", "reported-model"): "only of a custom model",
    ("usb", "host"): "excludes a mapping, which is drawn",
    ("", "import-from"): "how a disk is made; its configuration never has it",
    ("", "size"): "how large a disk is made is drawn apart",
}
"""Keys of property strings that are not drawn, each with the reason."""

NOTES: tuple[str, ...] = (
    "The web.",
    "# Title\n\nTwo *lines*.\n",
    "  indented\n\ttab\n",
    "colon: and #hash, 'quote' \"double\"",
    "--- \n...\n",
    "ünïcödé 🐄 — and {name} in braces",
    "{index}",
    "yes",
    "0x10",
    "x" * 7700,
    "trailing space \nnext",
    "line\u2028separator",
    "- list\n- of\n- things",
)

SAMPLES: Mapping[str, tuple[str, ...]] = {
    "name": ("Web-1", "db.example.org", "a", "X2"),
    "hostname": ("Web-1", "db.example.org", "a", "X2"),
    "args": ("-device foo", "-cpu host,+x"),
    "affinity": ("0-1", "0,3"),
    "tags": ("b;a", "qlop", "Prod;web", "z,y x", "qlop;web"),
    "hookscript": SNIPPETS,
    "cipassword": ("geheim",),
    "ciuser": ("admin", "With Space", "a.b"),
    "sshkeys": (quote(f"{KEY}\n", safe=""), quote(f"{KEY}\n\n{KEY}", safe="")),
    "nameserver": ("9.9.9.9", "1.1.1.1 2001:db8::1", "8.8.8.8,9.9.9.9"),
    "searchdomain": ("example.org", "a.b c.d"),
    "boot": ("order=scsi0;net0", "order=ide2", "cdn", "order=usb0;scsi0"),
    "bootdisk": ("scsi0",),
    "startdate": ("now", "2026-11-24T08:00:00"),
    "timezone": ("host", "Asia/Jakarta", "Europe/Berlin"),
    "vmstatestorage": (STORAGE,),
    "hotplug": ("0", "1", "network,disk,usb", "memory,cpu", "disk;network"),
    "cpu": (
        "host",
        "cputype=kvm64,flags=+aes;-pcid",
        "x86-64-v2-AES,hidden=1",
        "host,hv-vendor-id=qlop,guest-phys-bits=40,phys-bits=host",
        "kvm64,phys-bits=40",
    ),
    "machine": (
        "q35",
        "pc-i440fx-9.2+pve1",
        "type=q35,viommu=intel,aw-bits=39",
        "q35,viommu=virtio,enable-s3=1,enable-s4=0",
    ),
    "env": ("A=1", "A=1\0B=2"),
    "entrypoint": ("/sbin/init", "/bin/sh -c x"),
    "serial": ("socket", "/dev/ttyS0"),
    "model": ("M%201",),
    "wwn": ("0x0123456789abcdef",),
    "product": ("Disk 1",),
    "vendor": ("ACME",),
    "path": ("/dev/null", "/dev/ttyUSB0"),
    "mount": ("nfs", "nfs;cifs", "nfs cifs"),
    "mountoptions": ("noatime", "noatime;nodev"),
    "trunks": ("10;20", "30"),
    "mode": ("0660",),
    "dirid": ("share",),
    "mapping": ("gpu",),
    "host": ("0000:01:00.0",),
    "cpus": ("0", "0-1"),
    "hostnodes": ("0",),
    "parallel": ("/dev/parport0",),
    "vmgenid": ("1", "0"),
    "ssh-public-keys": (KEY,),
    "pve-volume-id": SNIPPETS,
    "rng": (
        "source=/dev/urandom",
        "/dev/hwrng,max_bytes=0,period=90061",
        "source=/dev/random,period=1500",
    ),
    "watchdog": ("i6300esb", "model=ib700,action=reset", "action=poweroff"),
    "hostpci": (
        "mapping=gpu",
        "mapping=gpu,pcie=1,rombar=0",
        "mapping=gpu,mdev=nvidia-63,x-vga=1",
        "mapping=gpu,romfile=vbios.bin,driver=keep",
        "mapping=gpu,vendor-id=0x10de,device-id=0x1b38,sub-vendor-id=0x10de,sub-device-id=0x0001",
    ),
    "usb": ("spice", "mapping=stick,usb3=1"),
    "amd-sev": (
        "type=std",
        "std,no-debug=1",
        "es,no-key-sharing=1,kernel-hashes=1",
        "snp,allow-smt=0,kernel-hashes=0",
    ),
    "intel-tdx": ("type=tdx,attestation=1", "tdx,attestation=0,vsock-cid=2,vsock-port=4050"),
    "ivshmem": ("size=32", "size=16,name=foo"),
}
"""Texts for what has a pattern or a format that describes no text."""


def options_of(kind: str) -> Iterator[tuple[str, Spec, int]]:
    """Yield every option that a guest of ``kind`` may be created with.

    The last is how many of it there may be with numbers, 0 if it has none.
    """
    found = schema.table().find("POST", f"/nodes/x/{kind}")
    assert found is not None
    route = found[0]
    for name, spec in sorted(route.params.items()):
        if name not in NOT_OPTIONS:
            yield name, spec, 0
    for name, (count, spec) in sorted(route.counted.items()):
        if name not in NOT_OPTIONS:
            yield name, spec, count
