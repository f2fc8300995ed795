"""Serving from the command line: the manifests are read and checked, and what ends it becomes an exit status.

app.py gets the checked manifests. The command's options are cli.py's; nothing here knows how an actor is
served.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

import click
import structlog
import trio

from theater_supervisor.app import Supervisor, new_surroundings
from theater_supervisor.check import check, check_quickly, make_private
from theater_supervisor.control.operate import Posts, operate
from theater_supervisor.errors import SupervisorError, VarUnusable
from theater_supervisor.manifest.model import Manifest, read_directory
from theater_supervisor.process.cgroup import find_delegation, settled
from theater_supervisor.terminal import escape_lines
from theater_supervisor.watch.eventlog import LogOptions, log_to_file, log_to_terminal

_EX_SOFTWARE: Final = 70
_EX_OSERR: Final = 71
_INTERRUPTED: Final = 130  # what shells report for SIGINT

_log = structlog.get_logger()

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


def run(directory: Path, check_only: bool, var: Path, log: LogOptions, admin: tuple[str, int] | None) -> None:
    """Serve a directory of manifests, or only check it; ends the process unless all went well."""
    log_to_terminal(log.level)
    try:
        manifests = read_and_check(directory, check_only, var)
        if check_only:
            click.echo(_verdict(manifests))
        else:
            serve(directory, manifests, var, log, admin)
    except SupervisorError as error:
        click.echo(escape_lines(str(error)), err=True)
        sys.exit(error.exit_status)
    # The last boundary there is: whatever it is belongs in the log, too.
    except Exception as error:
        refused = _refusal(error)
        _log.exception("supervisor_failed", reason=str(refused or error))
        sys.exit(_EX_OSERR if refused else _EX_SOFTWARE)


def _refusal(error: Exception) -> OSError | None:
    """Return what the operating system refused, None when anything else is behind the error."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, OSError) else None


def serve(
    directory: Path, manifests: list[Manifest], var: Path, log: LogOptions, admin: tuple[str, int] | None
) -> None:
    """Serve until told to stop. On a terminal the actors' logs are shown too."""
    make_private(var)
    budget = log.budget(var / "log")
    try:
        log_file = log_to_file(var / "log" / "supervisor.log", log, budget)
    except OSError as error:
        raise VarUnusable.of(error, var) from error
    echo = click.echo if sys.stdout.isatty() else None

    async def work(cgroup: Path | None) -> None:
        if cgroup:
            _log.info("cgroup_settled", path=str(cgroup))
        debug = log.level == "debug"
        surroundings = new_surroundings(var, debug=debug, echo=echo, logs=budget, cgroup=cgroup)
        supervisor = Supervisor(directory, surroundings, announce=click.echo)
        await operate(supervisor, manifests, var, Posts(admin, log_file.reopen))

    with settled(find_delegation()) as cgroup:
        _run(work, cgroup)


def read_and_check(directory: Path, thoroughly: bool, var: Path) -> list[Manifest]:
    """Read the manifests. Raises ManifestError with all there is to say about all of them.

    Building and compiling are tried when that was asked for and nothing else is wrong. Nothing is made below
    `var` otherwise.
    """
    manifests, problems = read_directory(directory)
    if thoroughly:
        _run(check, manifests, problems, var)
    elif problems:
        _run(check_quickly, manifests, problems)
    return manifests


def _run(work: Callable[[*_Arguments], Awaitable[_Result]], *arguments: *_Arguments) -> _Result:
    """Run an async function. Ctrl-C before anything is served ends the command, without a traceback."""
    try:
        return trio.run(work, *arguments)
    except* KeyboardInterrupt:
        pass
    sys.exit(_INTERRUPTED)


def _verdict(manifests: list[Manifest]) -> str:
    names = ", ".join(manifest.name for manifest in manifests)
    count = "1 manifest is" if len(manifests) == 1 else f"{len(manifests)} manifests are"
    return f"{count} fine: {names}"
