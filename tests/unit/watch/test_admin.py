"""The administration port's HTTP: what is answered, and what a bad client cannot do."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from http import HTTPStatus

import pytest
import trio

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
        (b"GET /" + 20_000 * b"x", 431, b"the request head is too large\n"),
        (b"\r\n" + request("GET /page"), 200, b"fine\n"),
        (b"GET /page HTTP/1.0\r\n\r\n", 200, b"fine\n"),
        (request("GET http://localhost/page"), 200, b"fine\n"),
    ],
    ids=["get", "query", "head", "missing", "post", "nonsense", "long", "empty-line", "1.0", "absolute"],
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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:9464", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1:9464", 200),
        ("127.0.0.2", 200),
        ("[::1]:9464", 200),
        ("evil.example", 403),
        ("localhost.evil.example:9464", 403),
        ("192.0.2.1", 403),
        ("user@localhost", 400),
    ],
)
def test_only_names_of_this_machine_are_known(host: str, status: int) -> None:
    """So that no page reads it by a name that was made to point here, in a target in absolute form either."""

    async def test(port: int) -> None:
        for head in (
            f"GET /page HTTP/1.1\r\nHost: {host}",
            f"GET http://{host}/page HTTP/1.1\r\nHost: localhost",
        ):
            answer = await ask(port, f"{head}\r\n\r\n".encode())
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    serving(test)


def test_idle_crowds_hold_no_probe_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest is answered, for who has been silent longest makes room; and nobody is silent for long."""
    monkeypatch.setattr(admin, "REQUEST_S", 1.0)
    monkeypatch.setattr(admin, "MAX_CONNECTIONS", 3)

    async def test(port: int) -> None:
        async with AsyncExitStack() as stack:
            idle = [
                await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
                for _ in range(10)
            ]
            for _ in range(3):
                assert b" 200 " in await ask(port, request("GET /page"))
            for stream in idle:
                assert await stream.receive_some(1) == b""

    serving(test)
