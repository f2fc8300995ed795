"""What goes over the control socket: one request, then the items of its answer and an end.

Sans-IO, for both sides. Frames are those of theater_protocol.framing; a request is `[command, arguments]`, an
answer is any number of `["item", object]` and then `["end", status, message]`. Where the socket is, and how
long paths are coped with, is here too, since both sides must agree on it.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.framing import encode_frame

SOCKET: Final = Path("run/control.sock")
MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_MAX_PATH_BYTES: Final = 100  # sun_path has 108 on Linux, 104 on macOS


def encode_request(command: str, arguments: dict[str, Any]) -> bytes:
    """Encode a request as a frame."""
    return encode_frame([command, arguments])


def read_request(item: object) -> tuple[str, object]:
    """Return command and arguments. Raises RemoteProtocolError for what is no request."""
    match item:
        case [str(command), dict(arguments)]:
            return command, arguments
        case _:
            raise RemoteProtocolError("a request must be a command and a map of arguments")


def encode_answer(items: Sequence[dict[str, Any]], status: int, message: str) -> bytes:
    """Encode an answer as its frames."""
    frames = [encode_frame(["item", item]) for item in items]
    return b"".join([*frames, encode_frame(["end", status, message])])


def read_answer(item: object) -> dict[str, Any] | tuple[int, str]:
    """Return an item, or the end's status and message. Raises RemoteProtocolError for what is neither."""
    match item:
        case ["item", dict(value)]:
            return value
        case ["end", int(status), str(message)]:
            return status, message
        case _:
            raise RemoteProtocolError("neither an item nor an end")


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a path for a socket's address, which may be short only, by way of its directory's descriptor.

    Raises OSError where the directory is missing, or the path is too long for a system without /proc.
    """
    name = os.fspath(path)
    if len(os.fsencode(name)) <= _MAX_PATH_BYTES:
        yield name
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
