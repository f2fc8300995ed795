"""The control socket: who may ask, one bounded request at a time, and the answer back.

Every conversation is in a cage of its own, with deadlines. What a command does is commands.py's. Once a
command is under way it is finished, whether or not the one who asked is still there.
"""

import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog
import trio

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.framing import FrameDecoder
from theater_supervisor.control.commands import Answer
from theater_supervisor.conversation import (
    MAX_REQUEST_BYTES,
    SOCKET,
    encode_answer,
    read_request,
    short_path,
)
from theater_supervisor.errors import VarUnusable

REQUEST_S: Final = 5.0
COMMAND_S: Final = 900.0
SEND_S: Final = 10.0
MAX_CONVERSATIONS: Final = 32

_RECEIVE_BYTES: Final = 16 * 1024
_ACCEPT_PAUSE_S: Final = 0.1
_PEER_CREDENTIALS: Final = getattr(socket, "SO_PEERCRED", None)
_BUSY: Final = Answer(status=75, message="too many commands at once: try again")
_TOO_LONG: Final = Answer(status=75, message=f"not done within {COMMAND_S:g} s; see supervisor.log")

_log = structlog.get_logger()

Responder = Callable[[str, object], Awaitable[Answer]]


class ControlSocket:
    """The way in for operators, a socket that only its owner and root can use."""

    def __init__(self, path: Path, respond: Responder) -> None:
        self._path = path
        self._respond = respond
        self._conversations = 0
        self._listen()

    def renew(self) -> None:
        """Listen anew where the socket's name was removed or leads elsewhere. Raises OSError."""
        if not self._is_there():
            _log.warning("control_socket_renewed", path=str(self._path))
            former = self._listener
            self._listen()
            former.socket.close()

    def close(self) -> None:
        """Listen no more, and remove the name if it is this one's."""
        self._listener.socket.close()
        if self._is_there():
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _listen(self) -> None:
        self._path.parent.chmod(0o700)
        # It gets its name when it listens, so that whoever finds it is answered.
        unnamed = self._path.with_suffix(".new")
        unnamed.unlink(missing_ok=True)
        with contextlib.ExitStack() as on_failure:
            sock = on_failure.enter_context(contextlib.closing(_bind(unnamed)))
            self._identity = unnamed.lstat()
            unnamed.rename(self._path)
            on_failure.pop_all()
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), self._identity)
        except OSError:
            return False

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await self._listener.accept()
                except trio.ClosedResourceError:  # there is a new one
                    await trio.lowlevel.checkpoint()
                except OSError as error:
                    _log.error("control_accept_failed", reason=str(error))
                    await trio.sleep(_ACCEPT_PAUSE_S)
                else:
                    nursery.start_soon(self._cage, stream)

    async def _cage(self, stream: trio.SocketStream) -> None:
        self._conversations += 1
        try:
            async with stream:
                await self._converse(stream)
        except (trio.BrokenResourceError, trio.TooSlowError):
            _log.debug("control_dropped")
        # The failure boundary of a conversation: whatever broke here, the supervisor goes on.
        except Exception:
            _log.exception("control_failed")
        finally:
            self._conversations -= 1

    async def _converse(self, stream: trio.SocketStream) -> None:
        uid = peer_uid(stream.socket)
        if uid not in (None, 0, os.getuid()):
            _log.warning("control_refused", uid=uid)
            return
        answer = _BUSY if self._conversations > MAX_CONVERSATIONS else await self._answer(stream)
        if answer is not None:
            with trio.fail_after(SEND_S):
                await stream.send_all(encode_answer(answer.items, answer.status, answer.message))

    async def _answer(self, stream: trio.SocketStream) -> Answer | None:
        with trio.fail_after(REQUEST_S):
            try:
                request = await _receive(stream)
            except RemoteProtocolError as error:
                return Answer(status=76, message=f"not a request: {error}")  # EX_PROTOCOL
        if request is None:
            return None
        with trio.move_on_after(COMMAND_S):
            return await self._respond(*request)
        return _TOO_LONG


@contextlib.asynccontextmanager
async def open_control(var: Path, respond: Responder) -> AsyncIterator[ControlSocket]:
    """Listen on the control socket of a var directory whose lock is held; it is gone at the end.

    Raises VarUnusable when it cannot be made.
    """
    path = (var / SOCKET).absolute()
    try:
        control = ControlSocket(path, respond)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise VarUnusable.of(error, var) from error
    try:
        yield control
    finally:
        control.close()


def peer_uid(sock: trio.socket.SocketType) -> int | None:
    """Return who is on the other side; None where only the file's mode can tell (not Linux)."""
    if _PEER_CREDENTIALS is None:
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, _PEER_CREDENTIALS, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def _bind(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as address:
            sock.bind(address)
        path.chmod(0o600)
        sock.listen(MAX_CONVERSATIONS)
    except BaseException:
        sock.close()
        raise
    return sock


async def _receive(stream: trio.SocketStream) -> tuple[str, object] | None:
    """Return the request, None when the other side leaves before it is whole."""
    decoder = FrameDecoder(MAX_REQUEST_BYTES)
    while data := await stream.receive_some(_RECEIVE_BYTES):
        match decoder.feed(data):
            case []:
                continue
            case [item] if not decoder.buffered_bytes:
                return read_request(item)
            case _:
                raise RemoteProtocolError("more than one request")
    return None
