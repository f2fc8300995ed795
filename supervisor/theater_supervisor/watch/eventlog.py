"""Where the supervisor's own events go: JSON lines in a file that is rotated, and a readable form on stderr.

Configured once, by the command line; everybody else asks structlog for a logger. Message bodies are never
logged.
"""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, cast

import structlog

from theater_supervisor.logs.budget import LogBudget
from theater_supervisor.logs.queued_output import QueuedOutput
from theater_supervisor.logs.rotation import RotatingFile
from theater_supervisor.terminal import escape, escape_lines

_Event = MutableMapping[str, Any]

_RENDER_JSON: Final = structlog.processors.JSONRenderer()
_STDERR: Final = 2
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # sd-daemon(3)


_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is logged and how much is kept: `files` of `file_mib` each, `total_mib` of all logs together."""

    level: str = "info"
    file_mib: int = 10
    files: int = 10
    total_mib: int = 2048

    def budget(self, directory: Path) -> LogBudget:
        """Return the account of all logs in a directory."""
        return LogBudget(directory, self.total_mib * _MIB)


def log_to_terminal(log_level: str, output: QueuedOutput | None = None) -> None:
    """Send events of `log_level` and above to stderr: coloured on a terminal, with priorities to journald.

    They go by way of `output`, where a process must not wait for whoever reads them.
    """
    _configure(log_level, [_terminal_form()], output)


def log_to_file(
    path: Path, options: LogOptions, budget: LogBudget, output: QueuedOutput | None = None
) -> RotatingFile:
    """Append events to `path` as JSON lines too, besides stderr; return the file.

    Raises OSError when it cannot be opened.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = RotatingFile(path, options.file_mib * _MIB, options.files, budget=budget)
    _configure(options.level, [_ToFile(file), _terminal_form()], output)
    return file


def goes_to_journald(environment: Mapping[str, str], fd: int) -> bool:
    """Say whether a descriptor is journald's: JOURNAL_STREAM has its device and inode, systemd.exec(5)."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def journald_mark(level: str) -> str:
    """Return what a line of this level begins with on stderr: its priority where that is journald's."""
    return f"<{_PRIORITIES[level]}>" if goes_to_journald(os.environ, _STDERR) else ""


class _ToFile:
    """A processor that writes the event as JSON and passes it on."""

    def __init__(self, file: RotatingFile) -> None:
        self._file = file
        # Threads log too: those of the journal and of the compiler.
        self._lock = threading.Lock()

    def __call__(self, logger: object, method: str, event: _Event) -> _Event:
        line = _RENDER_JSON(logger, method, structlog.processors.format_exc_info(logger, method, dict(event)))
        with self._lock:
            written = self._file.write([f"{line!s}\n".encode("utf-8", "backslashreplace")])
        # A full disk must not stop the supervisor; the terminal still has the event.
        return event if written else {**event, "log_file": "not written"}


def _terminal_form() -> Callable[[object, str, _Event], str]:
    if goes_to_journald(os.environ, _STDERR):
        return to_journald
    return _to_terminal


def to_journald(logger: object, method: str, event: _Event) -> str:
    """Render an event as one line with its priority; journald has the time."""
    event = dict(event)
    event.pop("timestamp", None)
    priority = _PRIORITIES.get(str(event.get("level")), 6)
    lines = str(_PLAIN(logger, method, _harmless(event))).splitlines()
    return "\n".join(f"<{priority}>{line}" for line in lines)


def _to_terminal(logger: object, method: str, event: _Event) -> str:
    event = {**event, "timestamp": str(event.get("timestamp", ""))[11:23]}
    return str(_CONSOLE(logger, method, _harmless(event)))


class _Shown:
    """A value as it is to be shown: structlog asks for the `repr` of what is no text."""

    def __init__(self, value: object) -> None:
        plain = isinstance(value, str) and not set(value) & set(" \t\r\n='\"")
        self._text = escape(value if plain and isinstance(value, str) else repr(value))

    def __repr__(self) -> str:
        return self._text


def _harmless(event: _Event) -> _Event:
    """Escape what an event tells: peers and workers have a say in it."""
    told = {key: value if key in _RENDERED else _Shown(value) for key, value in event.items()}
    told["event"] = escape(str(event.get("event", "")))
    for key in ("exception", "stack"):
        if key in event:
            told[key] = escape_lines(str(event[key]))
    return told


def _traceback(to: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Write a traceback, escaped, and without the variables that structlog's own forms show."""
    written = io.StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    to.write(escape_lines(written.getvalue()))


_RENDERED: Final = frozenset({"timestamp", "level", "exc_info", "stack_info"})
_CONSOLE: Final = structlog.dev.ConsoleRenderer(
    colors=os.isatty(_STDERR) and "NO_COLOR" not in os.environ,
    pad_event_to=24,
    exception_formatter=_traceback,
)
_PLAIN: Final = structlog.dev.ConsoleRenderer(
    colors=False, pad_event_to=0, pad_level=False, exception_formatter=_traceback
)


def _configure(log_level: str, sinks: list[Any], output: QueuedOutput | None) -> None:
    stream = cast(TextIO, output) if output else sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *sinks,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
