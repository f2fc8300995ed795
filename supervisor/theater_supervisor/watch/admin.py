"""The administration port: /livez, /readyz and /metrics over HTTP, for probes and Prometheus.

One request a connection, bounded in size and time, each in a cage of its own; when there are too many, the
oldest makes room. It only tells, and it asks nobody who they are: it belongs on a loopback address. Its names
are this machine's alone, so that no page reads it by one that was made to point here (DNS rebinding).
"""

import errno
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11
import trio

from theater_supervisor.errors import SupervisorError
from theater_supervisor.gateway.connection.stream import linger, peer, shown
from theater_supervisor.gateway.door.access import bare_host, is_loopback_name
from theater_supervisor.gateway.door.admission import Waiting
from theater_supervisor.gateway.door.handshake import Head, HeadReader, Rejection, hosts_of, path_of
from theater_supervisor.logs.peer_log import PeerLog, PeerLogRates

REQUEST_S: Final = 5.0
MAX_CONNECTIONS: Final = 32

_LINGER_S: Final = 1.0
_MAX_HEAD_BYTES: Final = 16 * 1024
_RECEIVE_BYTES: Final = 16 * 1024
_ACCEPT_PAUSE_S: Final = 0.1
_TEXT: Final = "text/plain; charset=utf-8"


class AdminUnavailable(SupervisorError):
    """The administration port is taken."""

    exit_status = 69  # EX_UNAVAILABLE


class AdminForbidden(SupervisorError):
    """The administration port needs a privilege."""

    exit_status = 77  # EX_NOPERM


@dataclass(frozen=True, slots=True)
class Page:
    """A response."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


Pages = Callable[[str], Page | None]


async def bind_admin(host: str, port: int) -> list[trio.SocketListener]:
    """Bind the administration port. Raises AdminUnavailable and AdminForbidden."""
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        what = f"--admin {host}:{port} can't be bound: {error.strerror or os.strerror(error.errno or 0)}"
        if error.errno == errno.EACCES:
            raise AdminForbidden(f"{what}: ports below 1024 need a privilege") from error
        raise AdminUnavailable(f"{what}: name another address") from error


class AdminPort:
    """Answers on the listeners; `pages` gives what is at a path, None for nothing."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._requests: Waiting[trio.CancelScope] = Waiting(MAX_CONNECTIONS, MAX_CONNECTIONS)
        self._log_rates = PeerLogRates()
        self._log = PeerLog(self._log_rates)

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Answer until cancelled; the listeners are closed then."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._log_rates.keep_reporting)
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    self._log.error("admin_accept_failed", reason=str(error))
                    await trio.sleep(_ACCEPT_PAUSE_S)
                else:
                    # Whoever comes last is answered: a probe that is told nothing takes this for a failure.
                    scope = trio.CancelScope(deadline=trio.current_time() + REQUEST_S)
                    if (oldest := self._requests.add(scope, None)) is not None:
                        oldest.cancel()
                    nursery.start_soon(self._cage, stream, scope)

    async def _cage(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        came_from = peer(stream)
        try:
            async with stream:
                with scope:
                    await self._respond(stream)
        except trio.BrokenResourceError:
            pass
        # The failure boundary of a request: whatever broke here, the supervisor goes on.
        except Exception:
            self._log.exception("admin_failed", remote=shown(came_from))
        finally:
            self._requests.remove(scope)

    async def _respond(self, stream: trio.SocketStream) -> None:
        only_head = False
        try:
            head = await _receive(stream)
            if head is None:
                return
            only_head = head.method == b"HEAD"
            page = self._page(head, stream.socket.getsockname()[0])
        except Rejection as rejection:
            page = Page(rejection.status, f"{rejection.detail}\n".encode())
        await stream.send_all(_to_bytes(page, only_head=only_head))
        await linger(stream, _LINGER_S)

    def _page(self, head: Head, own_address: str) -> Page:
        if not _is_known_by(head, own_address):
            known = f"ask for localhost or {own_address}: no other name is known here\n"
            return Page(HTTPStatus.FORBIDDEN, known.encode())
        if head.method not in (b"GET", b"HEAD"):
            return Page(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n")
        path, _, _ = path_of(head).partition("?")
        return self._pages(path) or Page(HTTPStatus.NOT_FOUND, b"there are /livez, /readyz and /metrics\n")


async def _receive(stream: trio.SocketStream) -> Head | None:
    """Return the request's head, None when the client leaves before its end. Raises Rejection."""
    reader = HeadReader(_MAX_HEAD_BYTES)
    while data := await stream.receive_some(_RECEIVE_BYTES):
        if head := reader.feed(bytes(data)):
            return head
    return None


def _is_known_by(head: Head, own_address: str) -> bool:
    """Say whether Host is a name of this machine, or the address that was asked; no Host is no page."""
    hosts = [bare_host(host) for host in hosts_of(head)]
    return all(is_loopback_name(host) or _is_address(host, own_address) for host in hosts)


def _is_address(host: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")) == ipaddress.ip_address(address)
    except ValueError:
        return False


def _to_bytes(page: Page, *, only_head: bool) -> bytes:
    headers = [
        ("Content-Type", page.content_type),
        ("Content-Length", str(len(page.body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    response = h11.Response(status_code=page.status, headers=headers, reason=page.status.phrase)
    connection = h11.Connection(h11.SERVER)
    events = (response,) if only_head else (response, h11.Data(data=page.body), h11.EndOfMessage())
    return b"".join(part for part in map(connection.send, events) if part)
