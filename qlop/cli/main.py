"""Put the commands together, and say in one line what went wrong."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated

import typer

from qlop import __version__
from qlop.cli import (
    adopt,
    apply,
    approve,
    demo,
    explain,
    history,
    import_command,
    options,
    plan,
    run,
    schema,
    screen,
    sim,
    status,
    suspend,
    undelete,
    validate,
)
from qlop.cli.ordering import OtherBookError
from qlop.cli.plan_file import PlanFileError
from qlop.cli.settings_file import SettingsError
from qlop.cli.simulated import SimulatedError
from qlop.cli.stage import StageError
from qlop.ports import PortError
from qlop.render.finding import findings_lines
from qlop.render.line import line
from qlop.sim.world import SpecError

DEBUG = "--debug"
_FORESEEN = (
    PortError,
    PlanFileError,
    OtherBookError,
    SimulatedError,
    SpecError,
    StageError,
    OSError,
)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        screen.show([line(f"qlop {__version__}")])
        raise typer.Exit


def application() -> typer.Typer:
    """Return the command line, its commands in the order in which a person meets them."""
    app = typer.Typer(
        name="qlop",
        help="Keep a Proxmox VE cluster as git says it should be.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        epilog=(
            "Exit codes: plan 0 nothing to do, 2 changes; apply 0 converged, 3 held; "
            "1 error; 64 wrong usage. With --debug an error comes with its traceback."
        ),
    )
    for command in (
        validate.validate,
        plan.plan,
        apply.apply,
        run.run,
        status.status,
        explain.explain,
        history.history,
        import_command.import_guests,
        adopt.adopt,
        adopt.release,
        approve.approve,
        approve.acknowledge,
        suspend.suspend,
        suspend.resume,
        suspend.freeze,
        suspend.thaw,
        suspend.break_glass,
        suspend.revoke,
        undelete.undelete,
        schema.schema,
        demo.demo,
    ):
        name = "import" if command is import_command.import_guests else None
        app.command(name)(command)
    app.add_typer(sim.application(), name="sim")
    app.callback()(_common)
    return app


def _common(
    *,
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Say which qlop this is.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Keep a Proxmox VE cluster as git says it should be."""


def main() -> None:
    """Run the command line and exit."""
    arguments = [one for one in sys.argv[1:] if one != DEBUG]
    if len(arguments) == len(sys.argv) - 1:
        sys.excepthook = report_bug
    sys.exit(outcome(arguments))


def outcome(arguments: Sequence[str]) -> int:
    """Return the exit code of a command, having said what it has to say."""
    try:
        code = application()(args=[*arguments], prog_name="qlop", standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():  # empty if nothing was asked: the help is shown
            screen.complain(message, "see: qlop --help")
        return options.USAGE
    except typer.Abort:
        return 130
    except SettingsError as error:
        screen.tell(findings_lines(error.findings))
    except _FORESEEN as error:
        complain_of(error)
    except ExceptionGroup as group:
        known, rest = group.split(_FORESEEN)
        if rest is not None:
            raise
        for leaf in leaves(known):
            complain_of(leaf)
    else:
        return code if isinstance(code, int) else 0
    return options.ERROR


def complain_of(error: Exception) -> None:
    """Say what went wrong, and what can be done about it."""
    match error:
        case OSError(strerror=str() as reason, filename=str() as file):
            screen.complain(f"{file}: {reason}")
        case _:
            screen.complain(str(error))


def leaves(error: BaseException | None) -> list[Exception]:
    """Return the errors that a group of them holds, however deep."""
    if isinstance(error, ExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error] if isinstance(error, Exception) else []


def report_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say of an error that nobody foresaw what it is, without its traceback."""
    del trace
    screen.complain(
        f"this is a bug in qlop: {kind.__name__}: {error}",
        f"run it again with {DEBUG} and report what it prints",
    )
