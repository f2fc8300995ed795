"""The administration port: /livez, /readyz and /metrics over HTTP, for probes and Prometheus.

h11 speaks HTTP; one request a connection, bounded, each in a cage of its own. It only tells, and it asks
nobody who they are: it belongs on a loopback address.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11
import structlog
import trio

from theater_supervisor.errors import SupervisorError

REQUEST_S: Final = 5.0
MAX_CONNECTIONS: Final = 32

_MAX_HEAD_BYTES: Final = 16 * 1024
_RECEIVE_BYTES: Final = 16 * 1024
_ACCEPT_PAUSE_S: Final = 0.1
_TEXT: Final = "text/plain; charset=utf-8"

_log = structlog.get_logger()


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
        self._connections = 0

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Answer until cancelled; the listeners are closed then."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    _log.error("admin_accept_failed", reason=str(error))
                    await trio.sleep(_ACCEPT_PAUSE_S)
                else:
                    nursery.start_soon(self._cage, stream)

    async def _cage(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        try:
            async with stream:
                with trio.move_on_after(REQUEST_S):
                    await self._respond(stream)
        except trio.BrokenResourceError:
            pass
        # The failure boundary of a request: whatever broke here, the supervisor goes on.
        except Exception:
            _log.exception("admin_failed")
        finally:
            self._connections -= 1

    async def _respond(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        request: h11.Request | None = None
        try:
            request = await _receive(stream, connection)
        except h11.RemoteProtocolError as error:
            page = Page(HTTPStatus(error.error_status_hint), b"this is not an HTTP request\n")
        else:
            if request is None:
                return
            page = self._page(request)
        only_head = request is not None and request.method == b"HEAD"
        await stream.send_all(_to_bytes(connection, page, only_head=only_head))

    def _page(self, request: h11.Request) -> Page:
        if self._connections > MAX_CONNECTIONS:
            return Page(HTTPStatus.SERVICE_UNAVAILABLE, b"too many requests at once\n")
        if request.method not in (b"GET", b"HEAD"):
            return Page(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n")
        path = request.target.partition(b"?")[0].decode("ascii")
        return self._pages(path) or Page(HTTPStatus.NOT_FOUND, b"there are /livez, /readyz and /metrics\n")


async def _receive(stream: trio.SocketStream, connection: h11.Connection) -> h11.Request | None:
    """Return the request's head, None when the client leaves before its end."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        data = await stream.receive_some(_RECEIVE_BYTES)
        if not data:
            return None
        connection.receive_data(data)
    return event if isinstance(event, h11.Request) else None


def _to_bytes(connection: h11.Connection, page: Page, *, only_head: bool) -> bytes:
    headers = [
        ("Content-Type", page.content_type),
        ("Content-Length", str(len(page.body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    response = h11.Response(status_code=page.status, headers=headers, reason=page.status.phrase)
    events = (response, h11.Data(data=b"" if only_head else page.body), h11.EndOfMessage())
    return b"".join(part for part in map(connection.send, events) if part)
