"""Asking a running supervisor over its control socket: theaterctl's side, blocking."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.framing import FrameDecoder
from theater_supervisor.conversation import (
    MAX_ANSWER_BYTES,
    SOCKET,
    encode_request,
    read_answer,
    short_path,
)
from theater_supervisor.errors import SupervisorError

CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
_RECEIVE_BYTES: Final = 256 * 1024


class Unreachable(SupervisorError):
    """No supervisor answers on the control socket."""

    exit_status = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its items, its status, and why when that is not 0."""

    items: list[dict[str, Any]]
    status: int
    message: str


def ask(var: Path, command: str, *, answer_s: float = ANSWER_S, **arguments: Any) -> Reply:  # noqa: ANN401
    """Send a command to the supervisor of a var directory and return its answer.

    Raises Unreachable when there is none, it does not let this user in, or it does not answer in `answer_s`.
    """
    path = (var / SOCKET).absolute()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(CONNECT_S)
        try:
            with short_path(path) as address:
                sock.connect(address)
            sock.sendall(encode_request(command, arguments))
            sock.settimeout(answer_s)
            return _receive(sock)
        except TimeoutError as error:
            raise Unreachable(f"{path}: the supervisor does not answer within {answer_s:g} s") from error
        except OSError as error:
            raise _unreachable(path, error) from error
        except RemoteProtocolError as error:
            raise Unreachable(f"{path}: not the answer of a supervisor: {error}") from error


def _receive(sock: socket.socket) -> Reply:
    decoder = FrameDecoder(MAX_ANSWER_BYTES)
    items: list[dict[str, Any]] = []
    while data := sock.recv(_RECEIVE_BYTES):
        for item in decoder.feed(data):
            match read_answer(item):
                case int(status), str(message):
                    return Reply(items, status, message)
                case dict(value):
                    items.append(value)
    raise ConnectionResetError


def _unreachable(path: Path, error: OSError) -> Unreachable:
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            var = path.parent.parent
            hint = f"no supervisor runs on {var}: start one, or name its directory with --var"
            return Unreachable(hint)
        case ConnectionResetError() | BrokenPipeError():
            return Unreachable(f"{path}: the supervisor hung up without an answer: is it another user's?")
        case PermissionError():
            return Unreachable(f"{path}: only its owner and root may: this is uid {os.getuid()}")
        case _:
            return Unreachable(f"{path}: {error.strerror or error}")
