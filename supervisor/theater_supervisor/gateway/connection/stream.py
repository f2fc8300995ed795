"""What the gateway does with a byte stream, TLS or not: its peer's name, its reading, its gentle end.

Bytes only: nothing here knows what a WebSocket frame is. The sending side is `outbound`'s.
"""

import fcntl
import os
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import Final

import trio

from theater_supervisor.gateway.connection.turns import Turns

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_DISCARD_BYTES: Final = 64 * 1024
_LEFT_TO_KERNEL_BYTES: Final = 16 * 1024
_LOOK_S: Final = 0.1


def transport(stream: Stream) -> trio.SocketStream:
    """Return the TCP stream beneath, or the stream itself."""
    return stream.transport_stream if isinstance(stream, trio.SSLStream) else stream


def peer(stream: Stream) -> tuple[str, int] | None:
    """Return the address and port of the other end, None when it has left already."""
    try:
        host, port, *_ = transport(stream).socket.getpeername()
    except OSError:
        return None
    return host, port


def shown(address: tuple[str, int] | None) -> str:
    """Write an address as `address:port` for the log; "gone" for None."""
    if address is None:
        return "gone"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def receive(stream: Stream, max_bytes: int, turns: Turns | None = None) -> bytes:
    """Return what comes next, at most `max_bytes`, b"" at the end; a long read waits for one of `turns`.

    A plain socket is waited for first and then read, where trio would try to read first, in vain for a client
    that waits for its answer: 8 µs for each message of such a one. Raises trio.BrokenResourceError.
    """
    # An exact type first: asking an abstract class is two calls for each message.
    if type(stream) is not trio.SocketStream and isinstance(stream, trio.SSLStream):
        if turns is not None:
            await turns.next()
        return bytes(await stream.receive_some(max_bytes))
    while True:
        await trio.lowlevel.wait_readable(stream.socket)
        if turns is not None:
            await turns.next()
        try:
            return os.read(stream.socket.fileno(), max_bytes)
        except BlockingIOError:  # readiness is a hint
            continue
        except OSError as exc:
            raise trio.BrokenResourceError from exc


async def linger(stream: Stream, linger_s: float) -> None:
    """Half-close, then discard what the peer still sends until it closes too, at most `linger_s`.

    A socket closed with unread bytes answers with a reset, and a reset makes the peer lose what we sent last.
    """
    with trio.move_on_after(linger_s):
        try:
            if isinstance(stream, trio.SSLStream):
                await _say_goodbye(stream)
            tcp = transport(stream)
            await tcp.send_eof()
            while await tcp.receive_some(_DISCARD_BYTES):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


def unread_bytes(stream: Stream) -> int:
    """Return how much of what was written the other end has not acknowledged; 0 when closed.

    tcp(7), SIOCOUTQ.
    """
    answer = bytearray(4)
    try:
        fcntl.ioctl(transport(stream).socket.fileno(), termios.TIOCOUTQ, answer)
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


async def see_off(stream: Stream, deadline_s: float) -> None:
    """Wait until the other end has read most of what was written; what it hasn't by then is reset.

    A socket that is closed before that stays with the kernel, with up to 4 MiB and for as long as the other
    end likes, and nobody counts it.
    """
    while unread_bytes(stream) > _LEFT_TO_KERNEL_BYTES:
        if trio.current_time() >= deadline_s:
            reset(stream)
            return
        await trio.sleep(_LOOK_S)


def reset(stream: Stream) -> None:
    """Let the closing of the socket, which is to follow, drop what was written and is not read."""
    with suppress(OSError):
        transport(stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _say_goodbye(stream: trio.SSLStream[trio.SocketStream]) -> None:
    """Send TLS's own end; what else the peer still sends is left for the caller to discard."""
    with suppress(trio.BrokenResourceError):
        await stream.unwrap()
