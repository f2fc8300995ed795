"""The command `theater-supervise`: its options and its help.

It imports what reading them needs, and serve.py once there is something to serve.
"""

from pathlib import Path
from typing import Final

import click

from theater_supervisor import __version__


def _read_address(
    _context: click.Context, _param: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    if text is None:
        return None
    import ipaddress

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
  74   the help can't be written
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
    envvar="THEATER_VAR",
    show_envvar=True,
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
@click.version_option(__version__, message="%(prog)s %(version)s")
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
    # Half a second of imports, which --version, --help and completion shall not wait for.
    from theater_supervisor.serve import run
    from theater_supervisor.watch.eventlog import LogOptions

    run(directory, check_only, var, LogOptions(log_level, log_file_mib, log_files, log_total_mib), admin)
