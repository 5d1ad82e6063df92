"""Lower what is said of a guest to PVE's options, in canonical form.

Only what is said becomes an option: the rest of a guest is left alone.
"""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote

from qlop.manifest import devices
from qlop.manifest.conduct import Startup
from qlop.manifest.parts import Agent, CloudInit, Container, Cpu, Rng
from qlop.manifest.placeholder import fill
from qlop.manifest.schema import ServiceSpec
from qlop.model.guest import GuestKind, OptionValue
from qlop.model.option import canonical
from qlop.model.owner import OWN_TAG
from qlop.model.units import MIB

_Values = dict[str, str | float | None]


def shared_options(spec: ServiceSpec) -> dict[str, OptionValue]:
    """Return the options that all guests of a service have alike."""
    values: _Values = {
        "tags": _tags(spec),
        "onboot": spec.on_boot,
        "startup": _startup(spec.startup),
        "protection": spec.protection,
        "hookscript": spec.hook_script,
        "memory": _mib(spec.memory),
        "ostype": spec.os_type,
        "cores": spec.cpu.cores if spec.cpu else None,
        "cpulimit": spec.cpu.limit if spec.cpu else None,
        "cpuunits": spec.cpu.units if spec.cpu else None,
    }
    if spec.type == "vm":
        values |= _vm(spec) | _cpu(spec.cpu) | _boot(spec)
        if spec.cloud_init is not None:
            values |= _cloud_init(spec.cloud_init) | _dns(spec)
    else:
        values |= {"swap": _mib(spec.swap)} | _dns(spec) | _container(spec.container)
    return _canonical(kind_of(spec), values)


def own_options(
    spec: ServiceSpec, *, index: int, name: str, service: str
) -> dict[str, OptionValue]:
    """Return the options that only the guest with number ``index`` has."""

    def filled(text: str | None) -> str | None:
        return None if text is None else fill(text, index=index, name=name, service=service)

    is_vm = spec.type == "vm"
    values: _Values = {
        "name" if is_vm else "hostname": _display_name(spec, filled(spec.guest_name), name),
        "description": filled(spec.description),
    }
    if is_vm and spec.cloud_init is not None:
        snippets = {
            "user": filled(spec.cloud_init.user_data),
            "vendor": filled(spec.cloud_init.vendor_data),
            "network": filled(spec.cloud_init.network_data),
            "meta": filled(spec.cloud_init.meta_data),
        }
        values["cicustom"] = _properties(snippets)
        for position, network in enumerate(spec.networks or ()):
            addresses = devices.ip_config(network, index=index, name=name, service=service)
            slot = devices.nic_slot(network, position)
            values[slot.replace("net", "ipconfig")] = _properties(addresses)
    return _canonical(kind_of(spec), values)


def create_options(spec: ServiceSpec) -> dict[str, str]:
    """Return what PVE takes when it creates a guest and never shows again."""
    keys = spec.container.ssh_keys if spec.container else None
    return {"ssh-public-keys": "\n".join(keys)} if keys else {}


def kind_of(spec: ServiceSpec) -> GuestKind:
    """Return the kind of guest that a resolved service has."""
    return GuestKind.VM if spec.type == "vm" else GuestKind.CONTAINER


def is_existing(spec: ServiceSpec) -> bool:
    """Return whether the service is about guests that were there before it."""
    return spec.source is not None and spec.source.existing is not None


def _tags(spec: ServiceSpec) -> str | None:
    """Return the tags, None for those of an existing guest that nothing is said of."""
    if spec.tags is None and is_existing(spec):
        return None
    return ";".join([OWN_TAG, *(spec.tags or ())])


def _display_name(spec: ServiceSpec, said: str | None, name: str) -> str | None:
    """Return what PVE calls a guest, None for an existing one that nothing is said of."""
    return said or (None if is_existing(spec) else name)


def _canonical(kind: GuestKind, values: _Values) -> dict[str, OptionValue]:
    return {key: canonical(kind, key, value) for key, value in values.items() if value is not None}


def _vm(spec: ServiceSpec) -> _Values:
    display = spec.display
    hotplug = spec.hotplug
    watchdog = spec.watchdog
    values: _Values = {
        "balloon": _mib(spec.balloon),
        "machine": spec.machine,
        "bios": spec.bios,
        "scsihw": spec.scsi_controller,
        "agent": _agent(spec.agent),
        "rng0": _rng(spec.rng),
        "tablet": spec.tablet,
        "kvm": spec.kvm,
    }
    if display is not None:
        values["vga"] = _properties({"type": display.type, "memory": _text(_mib(display.memory))})
    if watchdog is not None:
        values["watchdog"] = _properties({"model": watchdog.model, "action": watchdog.action})
    if hotplug is not None:
        values["hotplug"] = ",".join(hotplug) or "0"
    for position, port in enumerate(spec.serial_ports or ()):
        values[f"serial{position}"] = port
    return values


def _cpu(cpu: Cpu | None) -> _Values:
    if cpu is None:
        return {}
    flags = None if cpu.flags is None else ";".join(cpu.flags)
    return {
        "sockets": cpu.sockets,
        "vcpus": cpu.vcpus,
        "numa": cpu.numa,
        "cpu": _properties({"cputype": cpu.type, "flags": flags}),
    }


def _boot(spec: ServiceSpec) -> _Values:
    if spec.boot_order is None:
        return {}
    return {"boot": f"order={';'.join(spec.boot_order)}"}


def _cloud_init(cloud_init: CloudInit) -> _Values:
    keys = cloud_init.ssh_keys
    return {
        "ciuser": cloud_init.user,
        "sshkeys": None if keys is None else quote("\n".join(keys), safe=""),
        "ciupgrade": cloud_init.upgrade,
        "citype": cloud_init.type,
    }


def _dns(spec: ServiceSpec) -> _Values:
    if spec.dns is None:
        return {}
    return {
        "nameserver": None if spec.dns.servers is None else " ".join(spec.dns.servers),
        "searchdomain": None if spec.dns.search is None else " ".join(spec.dns.search),
    }


def _container(container: Container | None) -> _Values:
    if container is None:
        return {}
    features = container.features
    values: _Values = {
        "unprivileged": container.unprivileged,
        "arch": container.arch,
        "timezone": container.timezone,
        "console": container.console,
        "cmode": container.console_mode,
        "tty": container.tty,
    }
    if features is not None:
        values["features"] = _properties(
            {
                "nesting": _flag(features.nesting),
                "keyctl": _flag(features.keyctl),
                "fuse": _flag(features.fuse),
                "mknod": _flag(features.mknod),
                "force_rw_sys": _flag(features.force_rw_sys),
                "mount": None if features.mount is None else ";".join(features.mount),
            }
        )
    return values


def _agent(agent: Agent | None) -> str | None:
    if agent is None:
        return None
    return _properties(
        {
            "enabled": _flag(agent.enabled is not False),
            "type": agent.type,
            "fstrim_cloned_disks": _flag(agent.trim),
            "freeze-fs-on-backup": _flag(agent.freeze),
        }
    )


def _rng(rng: Rng | None) -> str | None:
    if rng is None:
        return None
    period = None if rng.period is None else str(rng.period // timedelta(milliseconds=1))
    return _properties({"source": rng.source, "max_bytes": _text(rng.max_bytes), "period": period})


def _startup(startup: Startup | None) -> str | None:
    if startup is None:
        return None
    return _properties(
        {
            "order": _text(startup.order),
            "up": _text(_seconds(startup.up_delay)),
            "down": _text(_seconds(startup.down_delay)),
        }
    )


def _properties(values: Mapping[str, str | None]) -> str | None:
    """Return a property string of what is said, None if nothing is."""
    parts = [f"{key}={value}" for key, value in values.items() if value is not None]
    return ",".join(parts) or None


def _mib(size_bytes: int | None) -> int | None:
    return None if size_bytes is None else size_bytes // MIB


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def _flag(value: bool | None) -> str | None:  # noqa: FBT001 - a value, not a switch
    return None if value is None else str(int(value))


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
