"""Answer for the guest agent: present, silent, hung, frozen; with a very small shell.

After ``PVE/API2/Qemu/Agent.pm`` and what a guest with a real agent was recorded to say.
"""

import re
import shlex

from qlop.ports import Json
from qlop.sim import application, power, qemu_options
from qlop.sim.call import Call, Handler, Handlers
from qlop.sim.state import Guest, Run
from qlop.sim.wire import ApiError, Row

_SILENT_S = 3.0
_ANSWER_S = 0.1
_NOT_RUNNING = "QEMU guest agent is not running"

_COMMANDS = [
    "exec",
    "exec-status",
    "file-read",
    "file-write",
    "fsfreeze-freeze",
    "fsfreeze-status",
    "fsfreeze-thaw",
    "fstrim",
    "get-fsinfo",
    "get-host-name",
    "get-memory-block-info",
    "get-memory-blocks",
    "get-osinfo",
    "get-time",
    "get-timezone",
    "get-users",
    "get-vcpus",
    "info",
    "network-get-interfaces",
    "ping",
    "set-user-password",
    "shutdown",
    "suspend-disk",
    "suspend-hybrid",
    "suspend-ram",
]

_MORE = (
    "file-close",
    "file-flush",
    "file-open",
    "file-seek",
    "fsfreeze-freeze-list",
    "get-cpustats",
    "get-devices",
    "get-disks",
    "get-diskstats",
    "set-memory-blocks",
    "set-time",
    "set-vcpus",
    "ssh-add-authorized-keys",
    "ssh-get-authorized-keys",
    "ssh-remove-authorized-keys",
    "sync",
    "sync-delimited",
)
"""What the agent has and the API has no call for."""

_WHILE_FROZEN = {"fsfreeze-status", "fsfreeze-thaw", "ping", "info"}
"""What a frozen agent still does."""


def _run(call: Call) -> tuple[Guest, Run]:
    guest = call.guest()
    if "agent" not in guest.config:
        raise ApiError("No QEMU guest agent configured")
    if guest.run is None:
        raise ApiError(f"VM {call.vmid} is not running")
    if not qemu_options.agent_is_on(guest.config):
        raise ApiError(_NOT_RUNNING)
    if not power.agent_answers(call.world, guest):
        raise ApiError(_NOT_RUNNING, delay_s=_SILENT_S)
    call.delay_s += _ANSWER_S
    return guest, guest.run


def index(call: Call) -> Json:
    """Answer ``GET …/agent``."""
    del call
    return [{"name": name} for name in _COMMANDS]


def generic(call: Call) -> Json:
    """Answer ``POST …/agent``: the command is a parameter."""
    return _command(call, call.params["command"])


def _handler(name: str) -> Handler:
    return lambda call: _command(call, name)


def _command(call: Call, name: str) -> Json:
    guest, run = _run(call)
    if run.frozen and name not in _WHILE_FROZEN:
        text = f"Command guest-{name} has been disabled: the agent is in frozen state"
        return {"result": {"error": {"class": "CommandNotFound", "desc": text}}}
    result: Json
    match name:
        case "ping":
            result = {}
        case "info":
            commands: list[Json] = [
                {"name": f"guest-{item}", "enabled": True, "success-response": True}
                for item in (*_COMMANDS, *_MORE)
            ]
            result = {"version": "7.2.22", "supported_commands": commands}
        case "fsfreeze-freeze" | "fsfreeze-thaw" | "fsfreeze-status":
            result = _freeze(run, name)
        case "shutdown":
            call.world.schedule(
                call.world.spec.timing.guest_shutdown_s,
                lambda: power.kill(call.world, guest) if guest.run is run else None,
            )
            result = {}
        case _:
            result = _facts(call, guest, name)
    return {"result": result}


def _freeze(run: Run, name: str) -> Json:
    if name == "fsfreeze-status":
        return "frozen" if run.frozen else "thawed"
    count = 0 if name == "fsfreeze-thaw" and not run.frozen else 1
    run.frozen = name == "fsfreeze-freeze"
    return count


def _facts(call: Call, guest: Guest, name: str) -> Json:
    disk = qemu_options.memory_mib(guest.config) * 1024**2
    facts: dict[str, Json] = {
        "get-osinfo": {
            "id": "debian",
            "name": "Debian GNU/Linux",
            "pretty-name": "Debian GNU/Linux 12 (bookworm)",
            "version": "12 (bookworm)",
            "version-id": "12",
            "machine": "x86_64",
            "kernel-release": "6.1.0-56-cloud-amd64",
            "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)",
        },
        "get-host-name": {"host-name": guest.config.get("name", f"VM{guest.vmid}")},
        "network-get-interfaces": _interfaces(guest),
        "get-time": call.world.stamp() * 1_000_000_000,
        "get-timezone": {"zone": "UTC", "offset": 0},
        "get-users": [],
        "get-vcpus": [
            {"logical-id": number, "online": True, "can-offline": number > 0}
            for number in range(qemu_options.cpus(guest.config))
        ],
        "get-memory-blocks": [
            {"phys-index": number, "online": True, "can-offline": True}
            for number in range(disk // 134217728)
        ],
        "get-memory-block-info": {"size": 134217728},
        "get-fsinfo": [
            {
                "name": "sda1",
                "type": "ext4",
                "mountpoint": "/",
                "disk": [
                    {
                        "bus": 0,
                        "bus-type": "scsi",
                        "target": 0,
                        "unit": 0,
                        "dev": "/dev/sda1",
                        "pci-controller": {"bus": 1, "slot": 1, "domain": 0, "function": 0},
                    }
                ],
                "used-bytes": 2_000_000_000,
                "total-bytes": 8_000_000_000,
            }
        ],
        "fstrim": {"paths": [{"path": "/", "minimum": 0, "trimmed": 41665536}]},
    }
    return facts.get(name, {})


def _interfaces(guest: Guest) -> list[Json]:
    rows: list[Json] = [_interface("lo", "00:00:00:00:00:00", "127.0.0.1", 8)]
    for name, ip, prefix in application.addresses(guest):
        card = guest.config[f"net{name[3:]}"]
        mac = qemu_options.parse_net(card).get("macaddr", "").lower()
        rows.append(_interface(name, mac, ip, prefix))
    return rows


def _interface(name: str, mac: str, address: str, prefix: int) -> Row:
    counters = "rx-bytes rx-packets rx-errs rx-dropped tx-bytes tx-packets tx-errs tx-dropped"
    return {
        "name": name,
        "hardware-address": mac,
        "ip-addresses": [{"ip-address": address, "ip-address-type": "ipv4", "prefix": prefix}],
        "statistics": dict.fromkeys(counters.split(), 0),
    }


def execute(call: Call) -> Json:
    """Answer ``POST …/agent/exec``."""
    guest, run = _run(call)
    if run.frozen:
        raise ApiError(
            "Agent error: Command guest-exec has been disabled: the agent is in frozen state"
        )
    words = call.items("command")
    if not words or words[0].rpartition("/")[2] not in _PROGRAMS:
        raise ApiError("Broken pipe", status=596, delay_s=5.0, empty=True)
    pid = 124 + 2 * len(run.processes)
    out, error, code, seconds = _interpret(words, call.text("input-data"))
    _side_effects(call, guest, run, " ".join(words))
    run.processes[pid] = {
        "out": out,
        "err": error,
        "code": str(code),
        "until": str(call.world.now + seconds),
    }
    return {"pid": pid}


_PROGRAMS = {
    "echo",
    "cat",
    "true",
    "false",
    "sh",
    "bash",
    "ls",
    "sleep",
    "hostname",
    "uptime",
    "test",
}


def _side_effects(call: Call, guest: Guest, run: Run, text: str) -> None:
    """Do to the guest what a command inside it does: power off, reboot, panic, stop the agent."""
    world = call.world
    delay_s = sum(float(found) for found in re.findall(r"sleep (\d+)", text))

    def is_same() -> bool:
        return guest.run is run

    def power_off() -> None:
        if is_same():
            power.kill(world, guest)

    def restart() -> None:
        if is_same():
            run.booted_at = world.now + world.spec.timing.boot_s / 2
            run.frozen = False

    def fall_silent() -> None:
        run.agent_hung = True

    def panic() -> None:
        run.agent_hung = run.acpi_deaf = True

    for pattern, effect in (
        (r"\b(poweroff|shutdown|halt)\b", power_off),
        (r"\breboot\b", restart),
        (r"\bkillall? -STOP\b", fall_silent),
        (r"sysrq-trigger", panic),
    ):
        if re.search(pattern, text):
            world.schedule(delay_s + 0.5, effect)


def _interpret(words: list[str], stdin: str) -> tuple[str, str, int, float]:
    name = words[0].rpartition("/")[2]
    match name:
        case "echo":
            return " ".join(words[1:]) + "\n", "", 0, 0.0
        case "cat":
            return stdin or "\n", "", 0, 0.0
        case "ls" | "hostname" | "uptime":
            return "\n", "", 0, 0.0
        case "false":
            return "", "", 1, 0.0
        case "sleep":
            return "", "", 0, float(words[1])
        case "sh" | "bash" if len(words) > 2:
            return _script(words[2])
        case _:
            return "", "", 0, 0.0


def _script(text: str) -> tuple[str, str, int, float]:
    """Run the few words of shell that probes use: ``echo``, ``exit``, ``>&2``."""
    out, error, code, seconds = "", "", 0, 0.0
    for command in text.split(";"):
        words = shlex.split(command)
        if not words:
            continue
        if words[0] == "exit":
            code = int(words[1]) if len(words) > 1 else 0
            break
        if words[0] == "echo":
            to_error = ">&2" in words
            line = " ".join(word for word in words[1:] if word != ">&2") + "\n"
            error, out = (error + line, out) if to_error else (error, out + line)
        elif words[0] == "sleep":
            seconds += float(words[1])
        elif not re.search(r"[<>]", command):
            out += "\n"
    return out, error, code, seconds


def exec_status(call: Call) -> Json:
    """Answer ``GET …/agent/exec-status``: the first answer with ``exited:1`` is the last."""
    _, run = _run(call)
    pid = call.number("pid")
    process = run.processes.get(pid)
    if process is None:
        raise ApiError("Agent error: Invalid parameter 'pid'")
    if call.world.now < float(process["until"]):
        return {"exited": 0}
    run.processes[pid] = {**process, "until": "inf"}
    del run.processes[pid]
    row: Row = {"exited": 1, "exitcode": int(process["code"])}
    for key in ("out", "err"):
        if process[key]:
            row[f"{key}-data"] = process[key]
            row[f"{key}-truncated"] = 0
    return row


def file_write(call: Call) -> Json:
    """Answer ``POST …/agent/file-write``."""
    _, run = _run(call)
    run.files[call.params["file"]] = call.params["content"]
    return None


def file_read(call: Call) -> Json:
    """Answer ``GET …/agent/file-read``."""
    _, run = _run(call)
    name = call.params["file"]
    if name not in run.files:
        raise ApiError(
            f"Agent error: failed to open file '{name}' (mode: 'r'): No such file or directory"
        )
    content = run.files[name]
    return {"content": content, "bytes-read": len(content.encode())}


def set_password(call: Call) -> Json:
    """Answer ``POST …/agent/set-user-password``."""
    _run(call)
    return {"result": {}}


_BASE = "/nodes/{node}/qemu/{vmid}/agent"
_POSTS = {
    "fsfreeze-freeze",
    "fsfreeze-status",
    "fsfreeze-thaw",
    "fstrim",
    "ping",
    "shutdown",
    "suspend-disk",
    "suspend-hybrid",
    "suspend-ram",
}
_OWN = {"exec", "exec-status", "file-read", "file-write", "set-user-password"}

HANDLERS: Handlers = {
    f"GET {_BASE}": index,
    f"POST {_BASE}": generic,
    f"POST {_BASE}/exec": execute,
    f"GET {_BASE}/exec-status": exec_status,
    f"POST {_BASE}/file-write": file_write,
    f"GET {_BASE}/file-read": file_read,
    f"POST {_BASE}/set-user-password": set_password,
    **{
        f"{'POST' if name in _POSTS else 'GET'} {_BASE}/{name}": _handler(name)
        for name in _COMMANDS
        if name not in _OWN
    },
}
