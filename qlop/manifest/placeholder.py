"""Put a guest's number and names into text that all guests of a service share."""

import re

PLACEHOLDERS = ("index", "name", "service")
"""``{index}`` is the guest's number (from 1), ``{name}`` and ``{service}`` are names."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def fill(text: str, *, index: int, name: str, service: str) -> str:
    """Return ``text`` with what stands between braces put in; other braces stay."""
    if "{" not in text:
        return text
    values = {"index": str(index), "name": name, "service": service}
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def sample(text: str) -> str:
    """Return ``text`` as the first guest of a service would have it."""
    return fill(text, index=1, name="name-1", service="name")
