"""From an accepted socket to a client that is admitted, or to the end of one that isn't.

Whoever is attended to has a place: pending until its handshake is judged, lingering while it reads why it was
refused. Each has a bound, beyond which the oldest one makes room. What a handshake must look like is
`handshake`'s, who may come in `entrances`' concern, an open connection the listener's.
"""

import os
import ssl
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import trio

from theater_supervisor.gateway.connection.admitted import Admitted
from theater_supervisor.gateway.connection.stream import Stream, linger, shown
from theater_supervisor.gateway.connection.turns import Turns
from theater_supervisor.gateway.door.admission import Waiting
from theater_supervisor.gateway.door.entrances import Entrances, Place
from theater_supervisor.gateway.door.handshake import Head, HeadReader, Rejection
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.gateway.door.routes import Address
from theater_supervisor.logs.peer_log import PeerLog

_HEAD_READ_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Visitor:
    """A client that may come in, and who it is for the log."""

    admitted: Admitted
    place: Place
    remote: str


class Attendant:
    """Reads and judges handshakes, `handshakes` of them with each HTTP status."""

    def __init__(self, entrances: Entrances, limits: HandshakeLimits, turns: Turns, log: PeerLog) -> None:
        self.handshakes: Counter[int] = Counter()
        self.lingering: Waiting[trio.CancelScope] = Waiting(limits.max_lingering, limits.max_lingering)
        self._entrances = entrances
        self._limits = limits
        self._turns = turns
        self._log = log
        self._pending: Waiting[trio.CancelScope] = Waiting(limits.max_pending, limits.max_pending_per_address)
        self._closed = False

    def close(self) -> None:
        """Drop the handshakes under way, and admit nobody any more."""
        self._closed = True
        for scope in self._pending:
            scope.cancel()

    async def attend(self, stream: Stream, address: Address, came_from: Address) -> Visitor | None:
        """Return who came in at an address of ours; None when it left, was refused or is too late.

        Raises trio.BrokenResourceError.
        """
        remote = shown(came_from)
        try:
            head = await self._read_head(stream, address, came_from)
            if head is None or self._closed:
                return None
            admitted, place = self._entrances.admit(address, head, came_from[0])
        except Rejection as rejection:
            self.handshakes[rejection.status.value] += 1
            self._log.info("handshake_refused", remote=remote, **rejection.log_fields())
            await self._refuse(stream, rejection)
            return None
        self.handshakes[HTTPStatus.SWITCHING_PROTOCOLS.value] += 1
        if place.named_by is not None:
            self._log.warning("forwarded_for_unreadable", remote=remote, node=ascii(place.named_by))
        if place.address != came_from[0]:
            remote = f"{place.address} via {remote}"
        return Visitor(admitted, place, remote)

    def see_out(self, scope: trio.CancelScope) -> None:
        """Count a client that lingers until `scope` ends; take it out of `lingering` then."""
        _add(self.lingering, scope, None)

    async def _read_head(self, stream: Stream, address: Address, came_from: Address) -> Head | None:
        """Return the request head, None when the client leaves, or nobody is admitted, before its end."""
        reader = HeadReader(self._limits.max_head_bytes, self._limits.max_headers)
        # Most have sent it by now: they wait for nothing, so that they need no deadline and no place.
        if isinstance(stream, trio.SocketStream) and (head := _read_at_once(stream, reader)):
            return head
        with trio.move_on_after(self._limits.timeout_s) as scope:
            _add(self._pending, scope, self._entrances.counted_as(address, came_from[0]))
            try:
                if isinstance(stream, trio.SSLStream):
                    await self._encrypt(stream, came_from)
                while data := await stream.receive_some(_HEAD_READ_BYTES):
                    await self._turns.next()
                    if head := reader.feed(bytes(data)):
                        return head
            finally:
                self._pending.remove(scope)
        if scope.cancelled_caught and not self._closed:
            raise Rejection(408, "the handshake took too long")
        return None

    async def _encrypt(self, stream: trio.SSLStream[trio.SocketStream], came_from: Address) -> None:
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            cause = error.__cause__
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
                reason = cause.reason or str(cause)
                self._log.info("tls_handshake_failed", remote=shown(came_from), reason=reason)
            raise

    async def _refuse(self, stream: Stream, rejection: Rejection) -> None:
        with trio.move_on_after(self._limits.linger_s) as scope:
            self.see_out(scope)
            try:
                await stream.send_all(rejection.to_bytes())
                await linger(stream, self._limits.linger_s)
            finally:
                self.lingering.remove(scope)


def _add(waiting: Waiting[trio.CancelScope], scope: trio.CancelScope, counted_as: str | None) -> None:
    oldest = waiting.add(scope, counted_as)
    if oldest is not None:
        oldest.cancel()


def _read_at_once(stream: trio.SocketStream, reader: HeadReader) -> Head | None:
    """Return the head if all of it is there; else what there is of it is with the reader."""
    try:
        data = os.read(stream.socket.fileno(), _HEAD_READ_BYTES)
    except OSError:  # nothing is there, or it is broken: for the next read to find out
        return None
    return reader.feed(data) if data else None
