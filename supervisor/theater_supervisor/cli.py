"""The command `theater-supervise`: its options, its help, and exit statuses for what can go wrong.

It reads and checks the manifests, then hands them to app.py. Nothing here knows how an actor is served.
"""

import ipaddress
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

import click
import structlog
import trio

from theater_supervisor.app import Supervisor, new_surroundings
from theater_supervisor.check import check
from theater_supervisor.control.operate import Posts, operate
from theater_supervisor.errors import ManifestError, Problem, SupervisorError, VarUnusable
from theater_supervisor.manifest.model import Manifest, read_directory
from theater_supervisor.process.cgroup import find_delegation, settled
from theater_supervisor.watch.eventlog import LogOptions, log_to_file, log_to_terminal

_EX_SOFTWARE: Final = 70
_EX_OSERR: Final = 71
_INTERRUPTED: Final = 130  # what shells report for SIGINT

_log = structlog.get_logger()

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


def _read_address(
    _context: click.Context, _param: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    try:
        return str(ipaddress.ip_address(host.strip("[]"))), _port(port)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an IP address and a port, as 127.0.0.1:9464") from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError(text)
    return int(text)


_HELP: Final = """
Serve the actors described by the manifests (*.toml) in the directory MANIFESTS.

Each actor is a WebAssembly component with state, reached over WebSocket, and runs in a worker process of its
own. Components with a [build] are built first, all are compiled once and cached. Ctrl-C stops everything
cleanly.

\b
Examples:
  theater-supervise manifests/                        serve
  theater-supervise --check manifests/                only say whether it could
  theater-supervise --var /var/lib/theater manifests/

\b
What is kept under the --var directory:
  log/supervisor.log   what the supervisor did, one JSON object a line
  log/<actor>.log      what the actor printed and logged, and its worker's comings and goings
  data/<actor>/        its state and history
  cache/               compiled components; can be deleted at any time
  run/                 the lock, the control socket for theaterctl, status.json

\b
Exit status:
  0    stopped as asked, or nothing wrong with --check
  2    wrong command line
  65   a journal belongs to another actor, or is damaged
  69   the --admin address is taken
  70   an error in the supervisor itself; supervisor.log has it
  71   the operating system refuses what is needed: processes, descriptors, memory
  73   a file under the --var directory can't be made
  75   another theater-supervise uses the --var directory
  77   the --admin port needs a privilege, or this machine cannot lock workers in as [sandbox] require says
  78   something is wrong with the manifests; every problem is on a line of its own, as
       file: key: problem (hint)
  80   an actor with "critical = true" died too often and is held
  130  interrupted while checking


Signals: TERM and INT stop, a second one in haste; HUP reloads; USR1 opens the logs again; USR2 logs the state
and every task. `theaterctl` does the rest.
"""


@click.command(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("directory", metavar="MANIFESTS", type=click.Path(path_type=Path))
@click.option(
    "--check",
    "check_only",
    is_flag=True,
    help="Do everything up to serving (build, compile, bind the ports), report all problems, start nothing.",
)
@click.option(
    "--var",
    type=click.Path(path_type=Path),
    default=Path("var"),
    show_default=True,
    metavar="DIR",
    help="Where logs and caches are kept; made when missing.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least important lines to log; debug has the hash of every state.",
)
@click.option(
    "--log-file-mib",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How long supervisor.log may get before it is rotated.",
)
@click.option(
    "--log-files",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="How many files of supervisor.log are kept; those of an actor are in its manifest's [log].",
)
@click.option(
    "--log-total-mib",
    type=click.IntRange(min=16),
    default=2048,
    show_default=True,
    help="What all logs together may take; the oldest rotated files go first.",
)
@click.option(
    "--admin",
    metavar="HOST:PORT",
    callback=_read_address,
    help="Serve /livez, /readyz and /metrics there, such as 127.0.0.1:9464.",
)
@click.version_option(package_name="theater-supervise", message="%(prog)s %(version)s")
def main(
    directory: Path,
    check_only: bool,
    var: Path,
    log_level: str,
    log_file_mib: int,
    log_files: int,
    log_total_mib: int,
    admin: tuple[str, int] | None,
) -> None:
    """Run the command."""
    log_to_terminal(log_level)
    try:
        _make_private(var)
        manifests = read_and_check(directory, check_only, var)
        if check_only:
            click.echo(_verdict(manifests))
        else:
            log = LogOptions(log_level, log_file_mib, log_files, log_total_mib)
            serve(directory, manifests, var, log, admin)
    except SupervisorError as error:
        click.echo(str(error), err=True)
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


def _make_private(var: Path) -> None:
    """Make the var directory, when missing, for this user alone; one that exists stays as it is."""
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise VarUnusable.of(error, var) from error


def serve(
    directory: Path, manifests: list[Manifest], var: Path, log: LogOptions, admin: tuple[str, int] | None
) -> None:
    """Serve until told to stop. On a terminal the actors' logs are shown too."""
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

    try:
        with settled(find_delegation()) as cgroup:
            _run(work, cgroup)
    except ManifestError as error:
        # A start gives up at the first step that fails; the report has the problems of the other steps, too.
        raise ManifestError(_check(manifests, var) or error.problems) from error


def read_and_check(directory: Path, thoroughly: bool, var: Path) -> list[Manifest]:
    """Read the manifests. Raises ManifestError with all there is to say about all of them.

    Building, compiling and binding are tried when that was asked for, or when the start fails anyway, so that
    one run shows every problem.
    """
    manifests, problems = read_directory(directory)
    if thoroughly or problems:
        problems += _check(manifests, var)
    if problems:
        raise ManifestError(sorted(problems, key=lambda problem: problem.file))
    return manifests


def _check(manifests: list[Manifest], var: Path) -> list[Problem]:
    cache_dir = var / "cache"
    try:
        cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise VarUnusable.of(error, var) from error
    return _run(check, manifests, cache_dir)


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
