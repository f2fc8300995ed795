"""A gateway on a free port with a fake actor behind it, and clients that may break every rule.

The fake actor echoes and keeps what it was told; what the gateway promises about events is asserted on that.
"""

import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from trio_websocket import WebSocketConnection, open_websocket_url
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Event

from theater_protocol.messages import Payload, Reply
from theater_supervisor.exchange import Client, MessageKind
from theater_supervisor.gateway.connection.limits import (
    ConnectionLimits,
)
from theater_supervisor.gateway.connection.wire import Frames
from theater_supervisor.gateway.door.accepting import bind, listen
from theater_supervisor.gateway.door.access import AccessRules
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.gateway.door.listener import Gateway
from theater_supervisor.gateway.door.routes import Route

LOCAL = ("127.0.0.1", 0)


def listening(host: str, port: int) -> list[socket.socket]:
    """Bind and listen, as for a gateway that serves at once."""
    bound = bind(host, port)
    listen(bound)
    return bound


KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    b"Host": b"127.0.0.1",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": KEY,
    b"Sec-WebSocket-Version": b"13",
}
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def request(line: bytes = b"GET / HTTP/1.1", extra: bytes = b"", **headers: bytes | None) -> bytes:
    """A handshake's head; a keyword (`sec_websocket_key`) replaces that header, None leaves it out."""
    changed = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    values = {name: changed.get(name.lower(), value) for name, value in HEADERS.items()}
    lines = [line, *(name + b": " + value for name, value in values.items() if value is not None)]
    return b"\r\n".join(lines) + b"\r\n" + extra + b"\r\n"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """A client's frame, masked with zeros so that its payload is readable in the source."""
    size, mask = len(payload), 0x80 if masked else 0
    match size:
        case _ if size < 126:
            length = bytes([mask | size])
        case _ if size < 1 << 16:
            length = bytes([mask | 126]) + struct.pack("!H", size)
        case _:
            length = bytes([mask | 127]) + struct.pack("!Q", size)
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + (bytes(4) if masked else b"") + payload


@dataclass
class FakeService:
    """Echoes text and binary; `answer` may do otherwise. `roomy` False holds every event back."""

    name: str = "fake"
    retry_after_s: int | None = None
    answer: Callable[[MessageKind, Payload], Sequence[Reply]] | None = None
    roomy: bool = True
    events: list[tuple[int, str, Payload]] = field(default_factory=list)
    clients: dict[int, Client] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    unanswered: set[int] = field(default_factory=set)
    changed: trio.Event = field(default_factory=trio.Event)

    def connect(self, client: Client) -> int:
        """Number the client."""
        connection = len(self.clients) + 1
        self.clients[connection] = client
        self.open.add(connection)
        self._note(connection, "connect", None)
        return connection

    def receive(self, connection: int, kind: MessageKind, payload: Payload) -> None:
        """Note the event and answer it."""
        assert connection in self.open
        assert self.roomy
        self._note(connection, kind, payload)
        if self.answer is not None:
            self.clients[connection].send(self.answer(kind, payload))
        elif kind in ("text", "binary"):
            self.clients[connection].send([Reply(kind, payload)])

    def has_room(self, connection: int, size: int) -> bool:
        """Say whether events are taken."""
        return self.roomy

    async def room(self, connection: int, size: int) -> None:
        """Wait for `make_room`."""
        await self.until(lambda: self.roomy)

    async def answered(self, connection: int) -> None:
        """Wait until there are no events whose answers are held back."""
        await self.until(lambda: connection not in self.unanswered)

    def disconnect(self, connection: int) -> None:
        """Note the close; a second one is a failure."""
        self.open.remove(connection)
        self._note(connection, "close", None)

    def make_room(self) -> None:
        """Take events again."""
        self.roomy = True
        self._wake()

    def of(self, connection: int) -> list[tuple[str, Payload]]:
        """The events of one connection."""
        return [(kind, payload) for number, kind, payload in self.events if number == connection]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what this actor was told."""
        while not condition():
            await self.changed.wait()

    def _note(self, connection: int, kind: str, payload: Payload) -> None:
        self.events.append((connection, kind, payload))
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class RawClient:
    """A client on a bare TCP stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._received = b""
        self._frames = Frames(ConnectionType.CLIENT, [])
        self._events: deque[Event] = deque()

    async def send(self, *parts: bytes) -> None:
        """Send the parts in one write."""
        await self.stream.send_all(b"".join(parts))

    async def response(self) -> bytes:
        """Read the head of the HTTP response; what follows is taken as frames."""
        while b"\r\n\r\n" not in self._received:
            data = await self.stream.receive_some()
            assert data, f"closed within the response head: {self._received!r}"
            self._received += data
        head, _, rest = self._received.partition(b"\r\n\r\n")
        self._frames.receive_data(rest)
        self._received = b""
        return head

    async def upgrade(self, *early: bytes) -> None:
        """Do a good handshake."""
        await self.send(request(), *early)
        assert (await self.response()).startswith(b"HTTP/1.1 101 ")

    async def event(self) -> Event:
        """Return the next frame."""
        while not self._events:
            self._events.extend(self._frames.events())
            if not self._events:
                data = await self.stream.receive_some()
                assert data, "closed without a close frame"
                self._frames.receive_data(data)
        return self._events.popleft()

    async def close_frame(self) -> CloseConnection:
        """Skip to the close frame."""
        while not isinstance(event := await self.event(), CloseConnection):
            pass
        return event

    async def rest(self) -> bytes:
        """Read until the server closes or resets."""
        data = self._received
        try:
            while chunk := await self.stream.receive_some():
                data += chunk
        except trio.BrokenResourceError:
            pass
        return data

    async def eof(self) -> None:
        """Half-close."""
        await self.stream.send_eof()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()


@dataclass
class Rig:
    """A running gateway, its one listening port, and the fake actor at `/`."""

    gateway: Gateway
    service: FakeService
    port: int
    idle_tasks: int = 0

    @asynccontextmanager
    async def raw(self, receive_buffer: int | None = None) -> AsyncIterator[RawClient]:
        """A bare TCP client."""
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        with sock:
            await sock.connect(("127.0.0.1", self.port))
            yield RawClient(trio.SocketStream(sock))

    def websocket(self, path: str = "/") -> Any:  # noqa: ANN401
        """A proper client."""
        return open_websocket_url(f"ws://127.0.0.1:{self.port}{path}")

    async def good_client_is_served(self) -> None:
        """Assert that a proper client gets its echo."""
        client: WebSocketConnection
        async with self.websocket() as client:
            await client.send_message("still there?")
            assert await client.get_message() == "still there?"

    async def until_idle(self) -> None:
        """Wait until no connection, no task and no slot of one is left."""
        while self.gateway.connections or self._tasks() > self.idle_tasks:
            await trio.sleep(0.005)
        assert not self.service.open
        for connection in self.service.clients:
            kinds = [kind for kind, _ in self.service.of(connection)]
            assert kinds[0] == "connect"
            assert kinds[-1] == "close"
            assert kinds.count("connect") == kinds.count("close") == 1

    @staticmethod
    def _tasks() -> int:
        return trio.lowlevel.current_statistics().tasks_living


@asynccontextmanager
async def gateway_rig(
    limits: ConnectionLimits | None = None,
    *,
    max_connections: int = 10,
    path: str = "/",
    access: AccessRules | None = None,
    handshakes: HandshakeLimits | None = None,
) -> AsyncIterator[Rig]:
    """Serve a fake actor; at the end nothing may be left over."""
    service = FakeService()
    route = Route(
        *LOCAL, path, max_connections, service, limits or ConnectionLimits(), access or AccessRules()
    )
    gateway = Gateway([route], handshakes)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.serve, {LOCAL: listening(*LOCAL)})
        (address,) = gateway.addresses()[LOCAL]
        rig = Rig(gateway, service, address[1])
        rig.idle_tasks = rig._tasks()
        yield rig
        nursery.cancel_scope.cancel()
    assert not service.open


def run(test: Callable[[], Awaitable[None]], timeout_s: float = 30) -> None:
    """Run an async test under a deadline that only a hang exceeds."""

    async def main() -> None:
        with trio.fail_after(timeout_s):
            await test()

    trio.run(main)
