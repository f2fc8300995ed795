"""The administration port's HTTP: what is answered, and what a bad client cannot do."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
import trio
import trio.testing

from theater_supervisor.watch import admin
from theater_supervisor.watch.admin import AdminPort, Page, bind_admin


def page(path: str) -> Page | None:
    """There is one page, and one that has a bug."""
    if path == "/broken":
        raise ZeroDivisionError
    return Page(HTTPStatus.OK, b"fine\n") if path == "/page" else None


def serving(test: Callable[[int], Awaitable[None]]) -> None:
    """Run a test with the port that is served."""

    async def main() -> None:
        with trio.fail_after(20):
            listeners = await bind_admin("127.0.0.1", 0)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(AdminPort(page).serve, listeners)
                await test(listeners[0].socket.getsockname()[1])
                nursery.cancel_scope.cancel()

    trio.run(main)


async def ask(port: int, data: bytes) -> bytes:
    """Send bytes; return all that comes back."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        try:
            await stream.send_all(data)
            return b"".join([chunk async for chunk in stream])
        except trio.BrokenResourceError:
            return b""


def request(line: str) -> bytes:
    """A request's head."""
    return f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (request("GET /page"), 200, b"fine\n"),
        (request("GET /page?query"), 200, b"fine\n"),
        (request("HEAD /page"), 200, b""),
        (request("GET /other"), 404, b"there are /livez, /readyz and /metrics\n"),
        (request("POST /page"), 405, b"only GET\n"),
        (b"nonsense\r\n\r\n", 400, b"this is not an HTTP request\n"),
        (b"GET /" + 20_000 * b"x", 431, b"this is not an HTTP request\n"),
    ],
    ids=["get", "query", "head", "missing", "post", "nonsense", "long"],
)
def test_answers(data: bytes, status: int, body: bytes) -> None:
    """One request a connection, which ends with the answer."""

    async def test(port: int) -> None:
        head, _, rest = (await ask(port, data)).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Connection: close" in head
        assert rest == body

    serving(test)


def test_a_page_that_breaks_ends_its_request_only() -> None:
    """The next one is answered."""

    async def test(port: int) -> None:
        assert await ask(port, request("GET /broken")) == b""
        assert b"fine" in await ask(port, request("GET /page"))

    serving(test)


def test_silence_and_crowds_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says nothing is hung up on; beyond the bound the answer is 503, and all is well afterwards."""
    monkeypatch.setattr(admin, "REQUEST_S", 0.3)
    monkeypatch.setattr(admin, "MAX_CONNECTIONS", 1)

    async def test(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as silent:
            await trio.testing.wait_all_tasks_blocked()
            assert b" 503 " in await ask(port, request("GET /page"))
            assert await silent.receive_some(1) == b""
        assert b" 200 " in await ask(port, request("GET /page"))

    serving(test)
