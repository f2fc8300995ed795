"""Where the supervisor's own events go: JSON lines in a file, and a readable form on the terminal.

Configured once, by the command line; everybody else asks structlog for a logger. Message bodies are never
logged.
"""

import logging
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import IO, Any, Final

import structlog

_Event = MutableMapping[str, Any]

_RENDER_JSON: Final = structlog.processors.JSONRenderer()


def log_to_terminal(log_level: str) -> None:
    """Send events of `log_level` and above to stderr."""
    _configure(log_level, [_to_terminal])


def log_to_file(path: Path, log_level: str) -> None:
    """Append events to `path` as JSON lines too, besides stderr. Raises OSError when it cannot be opened."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    # Line-buffered: an event is in the file when the call that logged it returns.
    stream = os.fdopen(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    _configure(log_level, [_ToFile(stream), _to_terminal])


class _ToFile:
    """A processor that writes the event as JSON and passes it on."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, logger: object, method: str, event: _Event) -> _Event:
        line = _RENDER_JSON(logger, method, structlog.processors.format_exc_info(logger, method, dict(event)))
        try:
            self._stream.write(f"{line!s}\n")
        except OSError:
            # A full disk must not stop the supervisor; the terminal still has the event.
            return {**event, "log_file": "not written"}
        return event


def _to_terminal(logger: object, method: str, event: _Event) -> str:
    event = {**event, "timestamp": str(event.get("timestamp", ""))[11:23]}
    return str(_CONSOLE(logger, method, event))


_CONSOLE: Final = structlog.dev.ConsoleRenderer(
    colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ, pad_event_to=24
)


def _configure(log_level: str, sinks: list[Any]) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *sinks,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[log_level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
