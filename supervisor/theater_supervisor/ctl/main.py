"""The command `theaterctl`: its group, where its commands look, and what their errors end with.

The commands themselves are in modules of their own, each imported when it is wanted; this one puts them
together, and imports next to nothing, so that theaterctl is there at once.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from theater_supervisor import __version__, inherited
from theater_supervisor.errors import JournalFailed, SupervisorError
from theater_supervisor.terminal import (
    READER_GONE,
    OutputFailed,
    drop_output,
    end_output,
    escape_lines,
    prepare_streams,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_EX_IOERR: Final = 74
_INTERRUPTED: Final = 130


class _Listed(NamedTuple):
    """A command in the list of commands: the module that has it, and what it does."""

    module: str
    says: str


_COMMANDS: Final = {
    "status": _Listed("status", "Show how the actors are."),
    "logs": _Listed("logs", "Show what actors, or the supervisor, wrote."),
    "explain": _Listed("explain", "Say how an actor's workers ended, and what happens next."),
    "conns": _Listed("conns", "List an actor's connections."),
    "start": _Listed("actors", "Start actors that were stopped or have ended."),
    "stop": _Listed("actors", "Stop actors; they stay stopped until start."),
    "restart": _Listed("actors", "Give actors a new worker; connections stay."),
    "reset": _Listed("actors", "Forget all deaths; a held actor starts afresh."),
    "reload": _Listed("actors", "Read the manifests again."),
    "crash": _Listed("actors", "Kill an actor's worker, to see what happens."),
    "kick": _Listed("actors", "Close a connection."),
    "dead": _Listed("dead", "List, show, retry or drop events that workers died on."),
    "chain": _Listed("chain", "Verify, show, export and replay an actor's history."),
    "backup": _Listed("backup", "Copy an actor's journal and components."),
    "restore": _Listed("backup", "Put a backup back."),
    "state": _Listed("data", "Set an actor's state."),
    "purge": _Listed("data", "Remove an actor's data for good."),
    "gc": _Listed("gc", "Remove components and compiled code that nothing needs."),
    "doctor": _Listed("doctor", "Check that this machine has what a supervisor needs."),
}

_HELP: Final = """
Look after the actors of a theater-supervise.

`theaterctl COMMAND --help` says more. --var names the directory that the supervisor was given; it may stand
after the command, too.

\b
Exit status:
  0    done, and nothing wrong was found; status: everything that should be ready is
  2    wrong command line
  3    something is not ready, or was not in time
  4    no such actor, or no supervisor that answers
  65   chain: something wrong was found, or the journal is damaged
  66   chain: what is needed for it is not kept any more
  73   backup, restore: there is something already where the copy is to go
  74   a file cannot be read, or the output not be written
  75   restore, state set, purge, gc: a supervisor runs on the directory
  78   reload: something is wrong with the manifests, and nothing was changed
  130  interrupted
  141  whoever read the output has gone
"""


class _Commands(click.Group):
    """The commands, none of them imported to be listed, named or completed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name them in the order of the help."""
        return list(_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List them in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.says) for name, listed in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Offer them to the shell, and the options."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=listed.says)
            for name, listed in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one is met with the nearest."""
        import difflib

        near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
        if args[0] not in _COMMANDS and near:
            ctx.fail(f"No such command {args[0]!r}: did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one; None when there is none of that name."""
        listed = _COMMANDS.get(cmd_name)
        if listed is None:
            return None
        command = getattr(import_module(f"theater_supervisor.ctl.{listed.module}"), cmd_name)
        assert isinstance(command, click.Command)
        if "structlog" in sys.modules:  # it comes with what logs, and would log to stdout
            from theater_supervisor.watch.eventlog import log_to_terminal

            log_to_terminal("info")
        return _with_var(command)

    def invoke(self, ctx: click.Context) -> object:
        """Carry out the command line; Ctrl-C ends it as it ends any program."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)


def _with_var(command: click.Command) -> click.Command:
    """Let --var stand after a command as well, and after those of its own."""
    if not any(parameter.name == "var" for parameter in command.params):
        command.params.append(_var_option(expose_value=False, is_eager=True, callback=_move))
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            command.commands[name] = _with_var(below)
    return command


def _move(context: click.Context, _param: click.Parameter, var: Path | None) -> None:
    """Let the commands look in this directory, if one is named."""
    if var is None:
        return
    at: click.Context | None = context
    while at is not None:
        at.obj, at = var, at.parent
    context.find_root().params["var"] = var


def _complete_directory(
    _context: click.Context, _param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def _var_option(**settings: Any) -> click.Option:  # noqa: ANN401 - as click takes them
    return click.Option(
        ["--var"],
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="What the supervisor was given as --var.",
        shell_complete=_complete_directory,
        **settings,
    )


@click.group(
    cls=_Commands,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    params=[_var_option(default=Path("var"), show_default=True, envvar="THEATER_VAR", show_envvar=True)],
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def theaterctl(context: click.Context, var: Path) -> None:
    """Hand the directory to the command."""
    context.obj = var


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, or these arguments; an error becomes one clear line and its exit status."""
    prepare_streams()
    if arguments is None:  # the process is this command's
        inherited.set_right()
    try:
        status = _run(arguments)
        failure = end_output()
    except OutputFailed as failed:
        drop_output()
        failure = failed
    if failure is not None:
        status = READER_GONE if failure.reader_gone else _EX_IOERR
        if not failure.reader_gone:
            _say(str(failure))
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int | str | None:
    try:
        theaterctl(arguments, prog_name="theaterctl")
    except SystemExit as ended:
        return ended.code
    except SupervisorError as error:
        return _say(str(error), error.exit_status)
    except JournalFailed as error:
        return _say(str(error))
    except OSError as error:
        return _say(f"{error.filename or 'the system'}: {error.strerror or error}")
    # Ctrl-C within trio comes out in a group.
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        return _INTERRUPTED
    return 0


def _say(message: str, status: int = _EX_IOERR) -> int:
    click.echo(f"theaterctl: {escape_lines(message)}", err=True)
    return status
