"""Answer what consoles and monitors ask of a VM, and list what a guest's directory holds."""

from urllib.parse import unquote

from qlop.ports import Json
from qlop.sim import drives, qemu_options
from qlop.sim.call import Call, Handlers
from qlop.sim.state import Guest, Run, Worker
from qlop.sim.wire import ApiError

_QEMU_INDEX = (
    "config cloudinit pending status unlink vncproxy termproxy migrate resize move rrd rrddata "
    "monitor agent snapshot spiceproxy sendkey firewall mtunnel remote_migrate"
)
_LXC_INDEX = (
    "config pending status vncproxy termproxy vncwebsocket spiceproxy migrate clone initlog rrd "
    "rrddata firewall snapshot resize interfaces mtunnel remote_migrate"
)
_KEYS = {"ret", "esc", "spc", "tab", "ctrl", "alt", "shift", "up", "down", "left", "right"}


def qemu_index(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/qemu/{vmid}``, whether the VM exists or not."""
    del call
    return [{"subdir": name} for name in _QEMU_INDEX.split()]


def lxc_index(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/lxc/{vmid}``."""
    call.guest()
    return [{"subdir": name} for name in _LXC_INDEX.split()]


def _running(call: Call) -> tuple[Guest, Run]:
    guest = call.guest()
    if guest.run is None:
        raise ApiError(f"VM {call.vmid} not running")
    return guest, guest.run


def monitor(call: Call) -> Json:
    """Answer ``POST …/monitor`` for the one command that means something here."""
    command = call.params["command"]
    guest = call.guest()
    if command.split(" ", 1)[0] not in {"info", "help"} and not call.who.is_root:
        raise ApiError(
            f"command '{command}' non-existent or not assigned a required permission yet, "
            f"limiting to root user"
        )
    if guest.run is None:
        return f"ERROR: VM {call.vmid} not running\n"
    if command == "info status":
        return f"VM status: {'paused' if guest.run.paused else 'running'}\r\n"
    return ""


def send_key(call: Call) -> Json:
    """Answer ``PUT …/sendkey``."""
    _running(call)
    keys = call.params["key"].split("-")
    if any(len(key) > 1 and key not in _KEYS and not key.startswith("f") for key in keys):
        raise ApiError("Bad Request", status=400, empty=True)
    return None


def console(call: Call) -> Json:
    """Answer ``POST …/vncproxy`` and ``/termproxy``: a ticket and a port nobody listens on."""
    call.guest()
    upid = call.fork("vncproxy", call.vmid, lambda _: _wait())
    return {
        "user": call.who.full,
        "ticket": f"PVEVNC:{call.world.stamp():08X}::{qemu_options.new_uuid(call.world)}",
        "port": "5900",
        "upid": upid,
        "cert": "",
    }


def _wait() -> Worker:
    yield 10.0


def spice(call: Call) -> Json:
    """Answer ``POST …/spiceproxy``: no simulated VM has a SPICE display."""
    guest, _ = _running(call)
    raise ApiError(
        f"VM {guest.vmid} qmp command 'query-spice' failed - The command query-spice has not "
        f"been found"
    )


def dump(call: Call) -> Json:
    """Answer ``GET …/cloudinit/dump``: what the drive's files say."""
    guest = call.guest()
    kind = call.params["type"]
    config = guest.config
    if kind == "user":
        return _user_data(guest)
    if kind == "meta":
        return f"instance-id: {qemu_options.new_uuid(call.world)}\n"
    lines = ["version: 1", "config:"]
    for key in drives.numbered(config, "net"):
        mac = qemu_options.parse_net(config[key]).get("macaddr", "").lower()
        lines += [
            "    - type: physical",
            f"      name: eth{key[3:]}",
            f"      mac_address: '{mac}'",
            "      subnets:",
            *_subnets(config.get(f"ipconfig{key[3:]}", "")),
        ]
    return "\n".join(lines) + "\n"


def _subnets(value: str) -> list[str]:
    keys = drives.parse(value, "ip")
    ip = keys.get("ip", "")
    if not ip:
        return []
    if ip == "dhcp":
        return ["      - type: dhcp4"]
    lines = ["      - type: static", f"        address: '{ip.partition('/')[0]}'"]
    if "gw" in keys:
        lines.append(f"        gateway: '{keys['gw']}'")
    return lines


def _user_data(guest: Guest) -> str:
    config = guest.config
    name = config.get("name", f"VM{guest.vmid}")
    lines = ["#cloud-config", f"hostname: {name}", "manage_etc_hosts: true"]
    if "searchdomain" in config:
        lines.append(f"fqdn: {name}.{config['searchdomain'].split()[0]}")
    if "ciuser" in config:
        lines.append(f"user: {config['ciuser']}")
    if "cipassword" in config:
        lines.append(f"password: {config['cipassword']}")
    if "sshkeys" in config:
        lines.append("ssh_authorized_keys:")
        keys = unquote(config["sshkeys"]).split("\n")
        lines += [f"  - {key}" for key in keys if key.strip()]
    lines += ["chpasswd:", "  expire: False", "users:", "  - default"]
    lines.append(f"package_upgrade: {'true' if config.get('ciupgrade', '1') == '1' else 'false'}")
    return "\n".join(lines) + "\n"


_VM = "/nodes/{node}/qemu/{vmid}"
_CT = "/nodes/{node}/lxc/{vmid}"

HANDLERS: Handlers = {
    f"GET {_VM}": qemu_index,
    f"GET {_CT}": lxc_index,
    f"POST {_VM}/monitor": monitor,
    f"PUT {_VM}/sendkey": send_key,
    f"POST {_VM}/vncproxy": console,
    f"POST {_VM}/termproxy": console,
    f"POST {_CT}/vncproxy": console,
    f"POST {_CT}/termproxy": console,
    f"POST {_VM}/spiceproxy": spice,
    f"GET {_VM}/cloudinit/dump": dump,
}
