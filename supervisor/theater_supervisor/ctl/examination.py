"""Checks of the machine and of a var directory: what a supervisor needs, each with a way to mend it.

A check returns a finding and changes nothing that lasts. To add one, write a function and name it in CHECKS.
"""

import importlib.metadata
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import apsw
import trio

from theater_supervisor.journal import schema
from theater_supervisor.journal.lock import LOCK_FILE
from theater_supervisor.process.cgroup import LEAF, find_delegation
from theater_supervisor.process.containment import probe_sandbox
from theater_supervisor.process.environment import bare_environment

Verdict = Literal["ok", "warning", "failure"]

_MIN_PYTHON: Final = (3, 11)
_MIN_FILES: Final = 4096
_MIN_FREE_BYTES: Final = 256 * 1024 * 1024
_GIB: Final = 1024**3
_WORKER_S: Final = 60.0
_FULL_SANDBOX: Final = 2
_PROC: Final = Path("/proc")
_LOOSE: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and how to mend it when it is not ok."""

    check: str
    verdict: Verdict
    what: str
    hint: str = ""


def check_python(_var: Path) -> Finding:
    """The interpreter is one that this was made for."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _MIN_PYTHON:
        return Finding("python", "failure", f"{version} is too old", "install 3.11 or newer")
    return Finding("python", "ok", f"{version} at {sys.executable}")


def check_worker(_var: Path) -> Finding:
    """A worker process can be started and load wasmtime."""
    script = (
        "import importlib.metadata, theater_worker, wasmtime; "
        "wasmtime.Engine(); print(importlib.metadata.version('wasmtime'))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", script],
            env=bare_environment(),
            capture_output=True,
            text=True,
            timeout=_WORKER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(
            "wasmtime", "failure", f"no worker process: {error}", "look at the limits of this user"
        )
    if done.returncode:
        last_words = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return Finding("wasmtime", "failure", last_words, "install theater-supervise again")
    return Finding("wasmtime", "ok", f"{done.stdout.strip()} in a worker process")


def check_sandbox(_var: Path) -> Finding:
    """How much of the sandbox workers can lock themselves into here."""
    report = trio.run(probe_sandbox)
    landlock = f"Landlock ABI {report.landlock_abi}" if report.landlock_abi else "no Landlock"
    what = f"level {report.level}: {'seccomp' if report.seccomp else 'no seccomp'}, {landlock}"
    if report.level < _FULL_SANDBOX:
        hint = "use a Linux kernel from 5.13 on with Landlock among its LSMs, on x86_64 or aarch64"
        return Finding("sandbox", "warning", what, hint)
    return Finding("sandbox", "ok", what)


def check_cgroup(var: Path) -> Finding:
    """Who limits the memory of workers: the kernel, or the supervisor alone.

    Said of the supervisor that runs on this var directory, or of one that would be started as this is.
    """
    try:
        pid = (var / LOCK_FILE).read_text().strip()
    except OSError:
        pid = ""
    is_running = pid.isdecimal() and (_PROC / pid).exists()
    delegation = find_delegation(_PROC / (pid if is_running else "self"))
    if delegation is not None:
        others = set((delegation.own / "cgroup.procs").read_text().split()) - {str(os.getpid())}
        if delegation.own.name == LEAF if is_running else not others:
            return Finding("cgroup", "ok", f"the kernel limits each worker, in {delegation.group}")
    hint = "with Delegate=yes in its unit, the kernel would"
    return Finding("cgroup", "ok", "not delegated: the supervisor alone watches its workers' memory", hint)


def check_sqlite(var: Path) -> Finding:
    """A journal can be written in the var directory, with a write-ahead log."""
    place = var if var.is_dir() else Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as scratch:
            connection = schema.connect(Path(scratch) / "journal.db", None, create=True)
            mode = connection.pragma("journal_mode", "wal")
            connection.execute("CREATE TABLE one (n)")
            connection.close()
    except (apsw.Error, OSError) as error:
        return Finding(
            "sqlite", "failure", f"no journal can be written in {place}: {error}", "see to the disk"
        )
    if mode != "wal":
        return Finding("sqlite", "failure", f"no write-ahead log in {place}", "use a local file system")
    return Finding("sqlite", "ok", f"{apsw.sqlite_lib_version()} (apsw {importlib.metadata.version('apsw')})")


def check_files(_var: Path) -> Finding:
    """Enough files may be open: one for each connection, some for each actor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    what = f"{_limit(soft)} open files, at most {_limit(hard)}"
    if soft != resource.RLIM_INFINITY and soft < _MIN_FILES:
        hint = "raise it: ulimit -n 65536, or LimitNOFILE= in the unit"
        return Finding("open files", "warning", f"{what}: each client takes one", hint)
    return Finding("open files", "ok", what)


def check_processes(_var: Path) -> Finding:
    """Workers can be started: one process for each actor."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return Finding("processes", "ok", f"{_limit(soft)} for this user")


def check_var(var: Path) -> Finding:
    """The var directory is there, ours, writable, and closed to others."""
    if not var.exists():
        return Finding("var", "warning", f"{var} is not there yet", "a start makes it; or name another --var")
    status = var.stat()
    if status.st_uid not in (os.getuid(), 0) or not os.access(var, os.W_OK | os.X_OK):
        return Finding("var", "failure", f"{var} can't be written by uid {os.getuid()}", "change its owner")
    loose = [path for path in (var / "run", var / "data") if path.exists() and path.stat().st_mode & _LOOSE]
    if loose:
        names = ", ".join(map(str, loose))
        return Finding("var", "warning", f"others can look into {names}", f"chmod 700 {names}")
    return Finding("var", "ok", f"{var.absolute()}")


def check_space(var: Path) -> Finding:
    """There is room for journals and logs."""
    place = next(path for path in (var.absolute(), *var.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    what = f"{free / _GIB:.1f} GiB free at {place}"
    if free < _MIN_FREE_BYTES:
        return Finding("disk", "failure", what, "make room: a full disk stops the actors")
    return Finding("disk", "ok", what)


CHECKS: Final[tuple[Callable[[Path], Finding], ...]] = (
    check_python,
    check_worker,
    check_sandbox,
    check_cgroup,
    check_sqlite,
    check_files,
    check_processes,
    check_var,
    check_space,
)


def examine(var: Path) -> list[Finding]:
    """Run all checks."""
    return [check(var) for check in CHECKS]


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)
