"""Compare with a text kept in a file; ``QLOP_ACCEPT=1`` writes it anew."""

import os
from pathlib import Path

EXPECTED = Path(__file__).parent / "expected"


def check(name: str, text: str) -> None:
    file = EXPECTED / name
    if os.environ.get("QLOP_ACCEPT"):
        file.write_text(text, encoding="utf-8")

    assert text == file.read_text(encoding="utf-8")
