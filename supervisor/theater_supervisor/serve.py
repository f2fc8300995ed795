"""Serving from the command line: the manifests are read and checked, and what ends it becomes an exit status.

app.py gets the checked manifests. The command's options are cli.py's; nothing here knows how an actor is
served.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

import structlog
import trio

from theater_supervisor import inherited
from theater_supervisor.app import Supervisor, new_surroundings
from theater_supervisor.check import check, check_quickly, make_private
from theater_supervisor.control.operate import Posts, operate
from theater_supervisor.errors import SupervisorError, VarUnusable
from theater_supervisor.logs.queued_output import QueuedOutput, close_all
from theater_supervisor.manifest.model import Manifest, read_directory
from theater_supervisor.process.cgroup import find_delegation, settled
from theater_supervisor.terminal import escape_lines
from theater_supervisor.watch.eventlog import LogOptions, journald_mark, log_to_file, log_to_terminal

_EX_SOFTWARE: Final = 70
_EX_OSERR: Final = 71
_INTERRUPTED: Final = 130  # what shells report for SIGINT
_LAST_WORDS_S: Final = 1.0
_PAGER_S: Final = 60.0

_log = structlog.get_logger()

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


def run(directory: Path, check_only: bool, var: Path, log: LogOptions, admin: tuple[str, int] | None) -> None:
    """Serve a directory of manifests, or only check it; ends the process unless all went well."""
    # A check's report may be read page by page; a service that is asked to stop waits for no reader.
    with _outputs(patience_s=_PAGER_S if check_only else _LAST_WORDS_S) as outputs:
        log_to_terminal(log.level, outputs.err)
        try:
            manifests = read_and_check(directory, check_only, var)
            if check_only:
                outputs.out.write(f"{_verdict(manifests)}\n")
            else:
                serve(directory, manifests, var, log, admin, outputs)
        except SupervisorError as error:
            outputs.err.write(f"{escape_lines(str(error))}\n")
            sys.exit(error.exit_status)
        # The last boundary there is: whatever it is belongs in the log, too.
        except Exception as error:
            refused = _refusal(error)
            _log.exception("supervisor_failed", reason=str(refused or error))
            sys.exit(_EX_OSERR if refused else _EX_SOFTWARE)


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Standard output and error."""

    out: QueuedOutput
    err: QueuedOutput


@contextmanager
def _outputs(patience_s: float) -> Iterator[_Outputs]:
    """Give the standard streams as what never waits; what is in them at the end has `patience_s` to leave."""
    err = QueuedOutput(sys.stderr, name="stderr", mark=journald_mark("warning"))
    outputs = _Outputs(QueuedOutput(sys.stdout, name="stdout"), err)
    try:
        yield outputs
    finally:
        close_all((outputs.out, outputs.err), patience_s)


def _refusal(error: Exception) -> OSError | None:
    """Return what the operating system refused, None when anything else is behind the error."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, OSError) else None


def serve(
    directory: Path,
    manifests: list[Manifest],
    var: Path,
    log: LogOptions,
    admin: tuple[str, int] | None,
    outputs: _Outputs,
) -> None:
    """Serve until told to stop. On a terminal the actors' logs are shown too."""
    make_private(var)
    budget = log.budget(var / "log")
    try:
        log_file = log_to_file(var / "log" / "supervisor.log", log, budget, outputs.err)
    except OSError as error:
        raise VarUnusable.of(error, var) from error

    def show(line: str) -> None:
        outputs.out.write(f"{line}\n")

    async def work(cgroup: Path | None) -> None:
        if cgroup:
            _log.info("cgroup_settled", path=str(cgroup))
        debug = log.level == "debug"
        echo = show if sys.stdout.isatty() else None
        surroundings = new_surroundings(var, debug=debug, echo=echo, logs=budget, cgroup=cgroup)
        supervisor = Supervisor(directory, surroundings, announce=show)
        posts = Posts(admin, log_file.reopen, (outputs.out, outputs.err))
        await operate(supervisor, manifests, var, posts)

    with settled(find_delegation()) as cgroup:
        trio.run(work, cgroup)


def read_and_check(directory: Path, thoroughly: bool, var: Path) -> list[Manifest]:
    """Read the manifests. Raises ManifestError with all there is to say about all of them.

    Building and compiling are tried when that was asked for and nothing else is wrong. Nothing is made below
    `var` otherwise.
    """
    manifests, problems = read_directory(directory)
    if thoroughly:
        trio.run(_interruptible, check, manifests, problems, var)
    elif problems:
        trio.run(_interruptible, check_quickly, manifests, problems)
    return manifests


async def _interruptible(
    work: Callable[[*_Arguments], Awaitable[_Result]], *arguments: *_Arguments
) -> _Result:
    """Await what an INT or a TERM ends, with what it has started; the exit status is then 130."""
    results: list[_Result] = []
    failures: list[SupervisorError] = []
    with trio.open_signal_receiver(*inherited.STOPS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
            try:
                results.append(await work(*arguments))
            except SupervisorError as error:  # raised below, not in the group that the nursery would make
                failures.append(error)
            nursery.cancel_scope.cancel()
    for failure in failures:
        raise failure
    if not results:
        sys.exit(_INTERRUPTED)
    return results[0]


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    if not inherited.STOPS.intersection(inherited.take_noted()):
        await anext(signals)
    scope.cancel()


def _verdict(manifests: list[Manifest]) -> str:
    names = ", ".join(manifest.name for manifest in manifests)
    count = "1 manifest is" if len(manifests) == 1 else f"{len(manifests)} manifests are"
    return f"{count} fine: {names}"
