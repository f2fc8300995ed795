"""The command `theaterctl`: its group, where its commands look, and what their errors end with.

The commands themselves are in modules of their own; this one puts them together.
"""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from theater_supervisor.errors import SupervisorError
from theater_supervisor.journal.errors import JournalFailed
from theater_supervisor.watch.eventlog import log_to_terminal

_EX_IOERR: Final = 74
_INTERRUPTED: Final = 130

_COMMANDS: Final = {
    "status": "status",
    "logs": "logs",
    "explain": "status",
    "conns": "status",
    "start": "actors",
    "stop": "actors",
    "restart": "actors",
    "reset": "actors",
    "reload": "actors",
    "crash": "actors",
    "kick": "actors",
    "dead": "dead",
    "chain": "chain",
    "doctor": "doctor",
}

_HELP: Final = """
Look after the actors of a theater-supervise.

`theaterctl COMMAND --help` says more. --var names the directory that the supervisor was given.

\b
Exit status:
  0    done, and nothing wrong was found; status: everything that should be ready is
  2    wrong command line
  3    something is not ready, or was not in time
  4    no such actor, or no supervisor that answers
  65   chain: something wrong was found, or the journal is damaged
  66   chain: what is needed for it is not kept any more
  74   a file cannot be read
  78   reload: something is wrong with the manifests, and nothing was changed
  130  interrupted
"""


class _Commands(click.Group):
    """The commands, each imported when it is wanted: theaterctl shall be there at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name them in the order of the help."""
        return list(_COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one is met with the nearest."""
        near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
        if args[0] not in _COMMANDS and near:
            ctx.fail(f"No such command {args[0]!r}: did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one; None when there is none of that name."""
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(import_module(f"theater_supervisor.ctl.{module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=_Commands,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--var",
    type=click.Path(path_type=Path),
    default=Path("var"),
    show_default=True,
    metavar="DIR",
    help="What the supervisor was given as --var.",
)
@click.version_option(package_name="theater-supervise", message="%(prog)s %(version)s")
@click.pass_context
def theaterctl(context: click.Context, var: Path) -> None:
    """Hand the directory to the command."""
    context.obj = var


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, or these arguments; an error becomes one clear line and its exit status."""
    log_to_terminal("info")
    try:
        theaterctl(arguments, prog_name="theaterctl")
    except SupervisorError as error:
        _end(str(error), error.exit_status)
    except JournalFailed as error:
        _end(str(error), _EX_IOERR)
    except OSError as error:
        _end(f"{error.filename or 'the system'}: {error.strerror}", _EX_IOERR)
    # Ctrl-C within trio comes out in a group.
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        sys.exit(_INTERRUPTED)


def _end(message: str, status: int) -> None:
    click.echo(f"theaterctl: {message}", err=True)
    sys.exit(status)
