"""Show how ``apply`` gets on: bars on a terminal, a line per event elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from qlop.cli import screen
from qlop.controller.cycle import CycleResult
from qlop.model.event import Event
from qlop.render.event import event_line


class Progress:
    """A bar for the whole, and one for each action that is under way.

    PVE does not say how far a task is, so those only say that it is running, and since
    when.
    """

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        """Show nothing at all if ``quiet``; else on ``console``, standard error if None."""
        self._quiet = quiet
        self._console = console or screen.error_console()
        self._bars: RichProgress | None = None
        self._whole: TaskID | None = None
        self._actions: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._bars = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[done]}"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._bars.start()
            self._whole = self._bars.add_task("guests converged", total=None, done="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def event(self, event: Event) -> None:
        """Show that something happened."""
        if not self._quiet:
            screen.write(self._console, [event_line(event)])

    def refresh(self) -> None:
        """Draw the bars now."""
        if self._bars is not None:
            self._bars.refresh()

    def cycle(self, result: CycleResult) -> None:
        """Bring the bars to what a cycle found."""
        if self._bars is None or self._whole is None:
            return
        status = result.status
        total = len(status.subjects)
        done = f"{status.ready}/{total}"
        self._bars.update(self._whole, completed=status.ready, total=total or None, done=done)
        under_way = {
            one.inflight.intended.summary for one in status.subjects if one.inflight is not None
        }
        for summary in under_way - self._actions.keys():
            self._actions[summary] = self._bars.add_task(f"  {summary}", total=None, done="")
        for summary in self._actions.keys() - under_way:
            self._bars.remove_task(self._actions.pop(summary))
