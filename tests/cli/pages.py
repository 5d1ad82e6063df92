"""Write the pages of the documentation that are made from the program.

python -m tests.cli.pages
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from qlop.cli import reference

DOCS = Path(__file__).parents[2] / "docs"
PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": reference.settings_page,
    "commands.md": reference.commands_page,
}


def main() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
