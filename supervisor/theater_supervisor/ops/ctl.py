"""The command `theaterctl`: its group, where its commands look, and what their errors end with.

The commands themselves are in modules of their own; this one puts them together.
"""

import sys
from pathlib import Path
from typing import Final

import click

from theater_supervisor.errors import SupervisorError
from theater_supervisor.journal.errors import JournalFailed
from theater_supervisor.ops.chain import chain
from theater_supervisor.ops.ctl_actors import crash, kick, reload, reset, restart, start, stop
from theater_supervisor.ops.ctl_dead import dead
from theater_supervisor.ops.ctl_doctor import doctor
from theater_supervisor.ops.ctl_logs import logs
from theater_supervisor.ops.ctl_status import conns, explain, status
from theater_supervisor.ops.eventlog import log_to_terminal

_EX_IOERR: Final = 74
_INTERRUPTED: Final = 130

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


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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


for command in (
    status,
    logs,
    explain,
    conns,
    start,
    stop,
    restart,
    reset,
    reload,
    crash,
    kick,
    dead,
    chain,
    doctor,
):
    theaterctl.add_command(command)


def main() -> None:
    """Run the command line; an error becomes one clear line and its exit status."""
    log_to_terminal("info")
    try:
        theaterctl(prog_name="theaterctl")
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
