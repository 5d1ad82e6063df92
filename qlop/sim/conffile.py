"""Write and read guest configuration files as PVE has them under ``/etc/pve``.

The text matters: its SHA-1 is the ``digest``, and the SSH observer can print it.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "%:")
"""What PVE leaves alone in a description line: printable ASCII but ``%`` and ``:``
(``PVE/Tools.pm``, ``encode_text``)."""


def render(
    config: Mapping[str, str],
    pending: Mapping[str, str],
    deletes: Mapping[str, bool],
    snapshots: Mapping[str, Mapping[str, str]],
    *,
    pending_header: str,
) -> str:
    """Return the whole file: the current section, pending changes, snapshots."""
    parts = [_section(config)]
    if pending or deletes:
        body = _section(pending)
        if deletes:
            names = ",".join(f"!{name}" if deletes[name] else name for name in sorted(deletes))
            body = f"delete: {names}\n" + body
        parts.append(f"[{pending_header}]\n{body}")
    parts.extend(f"[{name}]\n{_section(snapshots[name])}" for name in sorted(snapshots))
    return "\n".join(parts)


def _section(config: Mapping[str, str]) -> str:
    lines = []
    if description := config.get("description"):
        lines = ["#" + encode(line) for line in description.rstrip("\n").split("\n")]
    lines += [f"{key}: {config[key]}" for key in sorted(config) if key != "description"]
    return "".join(f"{line}\n" for line in lines)


def encode(text: str) -> str:
    """Return ``text`` as a description line holds it."""
    return quote(text, safe=_SAFE)


_HEADER = re.compile(r"^\[([\w:.+-]+)\]\s*$")


def parse(
    text: str,
) -> tuple[dict[str, str], dict[str, str], dict[str, bool], dict[str, dict[str, str]]]:
    """Return current section, pending changes, pending removals and snapshots of a file."""
    config: dict[str, str] = {}
    pending: dict[str, str] = {}
    deletes: dict[str, bool] = {}
    snapshots: dict[str, dict[str, str]] = {}
    section = config
    for line in text.split("\n"):
        if header := _HEADER.match(line):
            name = header[1]
            is_pending = name in {"PENDING", "pve:pending"}
            section = pending if is_pending else snapshots.setdefault(name, {})
        elif line.startswith("#"):
            section["description"] = section.get("description", "") + unquote(line[1:]) + "\n"
        elif ": " in line:
            key, _, value = line.partition(": ")
            if section is pending and key == "delete":
                deletes.update(
                    {name.lstrip("!"): name.startswith("!") for name in value.split(",")}
                )
            else:
                section[key] = value.strip()
    return config, pending, deletes, snapshots
