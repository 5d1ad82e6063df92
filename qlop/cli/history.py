"""``qlop history [NAME]``: what was done, and how did it end?"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from qlop.cli import asking, options, screen
from qlop.cli.asking import Answer
from qlop.cli.status import show_answer
from qlop.journal import sqlite
from qlop.journal.orderbook import SqliteOrderBook
from qlop.render import history as rendering
from qlop.settings import Settings

Name = Annotated[
    str | None, typer.Argument(help="A guest or a service. [default: all]", show_default=False)
]


def history(
    name: Name = None,
    *,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Show what was done, and what people ordered. Asks the daemon if one is running, else reads the file."""
    answer = asking.ask(options.web_of(config, overrides), "history", *([name] if name else []))
    if isinstance(answer, Answer):
        return show_answer(answer, as_json=as_json)
    journal = Path(
        options.setting_of("journal", config, overrides)
        or Settings.model_fields["journal"].default
    )
    orders = options.setting_of("orders", config, overrides)
    book = SqliteOrderBook(Path(orders) if orders else journal.with_name("orders.sqlite3"))
    done = rendering.entries(sqlite.read(journal), name)
    entries = rendering.with_orders(done, book.records(), name)
    book.close()
    if as_json:
        screen.show_json([*rendering.history_document(entries)])
    else:
        screen.show(rendering.history_lines(entries, now=datetime.now(UTC)))
    return 0
