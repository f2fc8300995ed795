"""Sentences for why a call was stopped: what the guest asked for, and what its author can do instead.

Pure: from wasmtime's last line and the last lines that the guest printed. The log has the whole of both.
"""

import re
from collections.abc import Sequence
from typing import Final

_MAX_REASON_CHARS: Final = 200
_UNKNOWN_IMPORT: Final = re.compile(
    r"unknown import: `(?P<interface>[^@#`]+)(?:@[^#`]*)?#(?P<function>[^`]+)`"
)
# What the runtime of Python actors prints below an exception's traceback, before it traps.
_PYTHON_FAILED: Final = "Python function threw an unexpected exception"

_NETWORK: Final = "an actor has no network; what it needs from elsewhere has to come to it in a message"
_TIME: Final = "an actor can't wait: time stands still while it handles an event"
_FILES: Final = "an actor has no files; keep data in its state, or in a module that it imports"
_NOT_THERE: Final = "an actor does not have it"
# The first interface that fits counts.
_INTERFACES: Final = (
    ("wasi:cli/exit", "an actor can't end its process (sys.exit); return or raise an error, or reply close"),
    ("wasi:sockets/", f"{_NETWORK}, and asyncio.run can't work either"),
    ("wasi:http/", _NETWORK),
    ("wasi:filesystem/", _FILES),
    ("wasi:clocks/", _TIME),
    ("wasi:io/poll", _TIME),
    ("wasi:io/streams", "an actor has no standard input"),
)
_MODULES: Final = "modules are put in when the component is built: import it at the top of the source"
_EXCEPTIONS: Final = (
    (re.compile("(ModuleNotFoundError|ImportError): "), _MODULES),
    (re.compile("LookupError: unknown encoding: idna"), _NETWORK),
    (re.compile("LookupError: unknown encoding: "), "import encodings and it at the top of the source"),
    (re.compile("(socket.gaierror|ConnectionError|urllib.error.URLError)\\b"), _NETWORK),
    (re.compile(r"\w*Error: \[Errno 44\]"), _FILES),
    (re.compile("RuntimeError: can't start new thread"), "an actor has one thread"),
)


def trap_reason(message: str, printed: Sequence[str] = ()) -> str:
    """Say in a line why a call was stopped.

    `message` is wasmtime's, whose last line is the innermost cause; `printed` are the lines on the guest's
    stderr.
    """
    reason = message.rstrip().rpartition("\n")[2].strip()
    # The rest of the line says where, which depends on the route.
    if reason.startswith(("invalid utf-8", "incomplete utf-8")):
        return "a string of the guest is not UTF-8"
    if asked := _UNKNOWN_IMPORT.match(reason):
        return f"{asked['interface']} {asked['function']} is not provided: {_why_not(asked['interface'])}"
    if exception := _python_exception(printed):
        hints = (f" ({hint})" for pattern, hint in _EXCEPTIONS if pattern.match(exception))
        return exception[:_MAX_REASON_CHARS] + next(hints, "")
    return reason[:_MAX_REASON_CHARS]


def _why_not(interface: str) -> str:
    return next((words for prefix, words in _INTERFACES if interface.startswith(prefix)), _NOT_THERE)


def _python_exception(printed: Sequence[str]) -> str | None:
    """Find the exception that ended a Python actor's call: the last line before what the runtime says."""
    if _PYTHON_FAILED not in printed:
        return None
    above = printed[: printed.index(_PYTHON_FAILED)]
    # Between them stand an empty line and "thread … panicked at …".
    return next((line for line in reversed(above) if line and not line.startswith("thread '")), None)
