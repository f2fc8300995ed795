"""What may reach a terminal, and how: text of others only escaped, in what the output's encoding has.

The one place for escaping, below all rooms. What is said, and which stream is whose, is decided elsewhere;
nothing here imports more than the standard library's first few modules, for commands that shall start fast.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO

READER_GONE: Final = 141  # what shells report for SIGPIPE
_CACHED: Final = 4096

# Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties.txt) where Python calls it printable.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class _Escapes(dict[int, int | str]):
    """What each code point is shown as; bounded, because a stranger chooses what is looked up."""

    def __missing__(self, code: int) -> int | str:
        char = chr(code)
        plain = char == "\t" or (char.isprintable() and not _UNSEEN.match(char))
        shown = code if plain else char.encode("unicode_escape").decode()
        if len(self) < _CACHED:
            self[code] = shown
        return shown


_ESCAPES: Final = _Escapes()


def escape(text: str) -> str:
    r"""Escape what could act on a terminal, hide, or begin a line of its own; tabs stay.

    That is whatever is not printable: controls, line separators, bidirectional and zero-width characters.
    They are shown as in Python's string literals, such as `\x1b`; a backslash stays as it is.
    """
    if text.isprintable() and (text.isascii() or not _UNSEEN.search(text)):
        return text
    return text.translate(_ESCAPES)


def escape_lines(text: str) -> str:
    """Escape each line of a text that may have several."""
    return "\n".join(map(escape, text.split("\n")))


def escape_all(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Escape every string in a value of JSON's types."""
    match value:
        case str():
            return escape(value)
        case dict():
            return {escape_all(key): escape_all(item) for key, item in value.items()}
        case list() | tuple():
            return [escape_all(item) for item in value]
        case _:
            return value


def quote(text: str | bytes) -> str:
    """Quote a text, or bytes, as Python does, with nothing in it that `escape` would not let through."""
    return escape(repr(text))


class OutputFailed(Exception):
    """Standard output takes no more: nobody reads it, or the disk behind it is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"stdout: {error.strerror or error}")
        self.reader_gone = error.errno == errno.EPIPE


@contextmanager
def writing() -> Iterator[None]:
    """Around writes to stdout: raises OutputFailed in place of OSError."""
    try:
        yield
    except OSError as error:
        raise OutputFailed(error) from error


class _Stream(io.TextIOWrapper):
    """Text that escapes what its encoding lacks."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        encoding, line_buffering = stream.encoding, stream.line_buffering
        self._ascii = _is_ascii(encoding)
        # click takes ASCII for a mistake and would write UTF-8 in its place.
        super().__init__(
            stream.detach(),
            "latin-1" if self._ascii else encoding,
            "backslashreplace",
            line_buffering=line_buffering,
        )

    def write(self, text: str) -> int:
        written = text.encode("ascii", "backslashreplace").decode("ascii") if self._ascii else text
        super().write(written)
        return len(text)

    def encoded(self, text: str) -> bytes:
        """Return text as `write` would write it."""
        return text.encode("ascii" if self._ascii else self.encoding, "backslashreplace")


class _Output(_Stream):
    """Standard output. A write that fails raises OutputFailed."""

    def write(self, text: str) -> int:
        with writing():
            return super().write(text)

    def flush(self) -> None:
        with writing():
            super().flush()


class _Complaints(_Stream):
    """Standard error. There is nowhere to tell of a write that fails."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def fill_missing_descriptors() -> None:
    """Put /dev/null where descriptor 0, 1 or 2 is missing, before a file or a socket gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            os.set_inheritable(opened, True)


def prepare_streams() -> None:
    """Let a command write whatever it has: see `_Output` and `_Complaints`. Streams of tests stay."""
    fill_missing_descriptors()
    sys.stdout = _prepared(sys.stdout, 1, _Output)
    sys.stderr = _prepared(sys.stderr, 2, _Complaints)


def encoded(text: str, stream: TextIO) -> bytes:
    """Return text as a stream that `prepare_streams` made would write it; UTF-8 for any other one."""
    return stream.encoded(text) if isinstance(stream, _Stream) else text.encode("utf-8", "backslashreplace")


def end_output() -> OutputFailed | None:
    """Write what stdout still holds; what can't be written is dropped. Returns what failed."""
    try:
        sys.stdout.flush()
    except OutputFailed as failure:
        drop_output()
        return failure
    return None


def drop_output() -> None:
    """Let the rest of stdout go nowhere: the interpreter's own flush at the end shall not fail."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - pathlib costs a command's start
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _prepared(stream: TextIO | None, number: int, kind: type[_Stream]) -> TextIO:
    if stream is None:  # its descriptor was missing when the interpreter started
        stream = open(number, "w", closefd=False)  # noqa: SIM115 - it is open for good
    if type(stream) is not io.TextIOWrapper or stream.fileno() != number:
        return stream
    return kind(stream)


def _is_ascii(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("ascii", "us-ascii", "ansi-x3.4-1968", "646")
