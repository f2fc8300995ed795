"""A client that closes right behind its last message gets the reply: nobody has to wait to say goodbye.

Through one real supervisor; at its end every connection has one connect and one close in the chain.
"""

import os
import signal
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import trio
from wsproto.events import TextMessage

from tests.integration.gateway_rig import CLOSE, TEXT, RawClient, frame, request
from tests.integration.running import PATIENCE_S, Running, supervisor_beside, write_manifest
from theater_supervisor.ctl import client as control
from theater_supervisor.journal.reader import rows

DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
HELLO, GOODBYE = frame(TEXT, b"hello"), frame(CLOSE, b"\x03\xe8")
ACTORS = ("echo", "stuck", "many")
WAYS = pytest.mark.parametrize("how", ["close", "half-close"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A supervisor of an echo actor that compresses, if asked to, and of one that will be stuck."""
    directory = tmp_path_factory.mktemp("goodbye")
    write_manifest(directory, "echo", "echo", compression=True)
    write_manifest(directory, "stuck", "echo")
    write_manifest(directory, "many", "probe", reply_limit={"count": 10_000})
    with supervisor_beside(directory) as running:
        yield running
        for actor in ACTORS:
            until(running, actor, queue=0)
    for actor in ACTORS:
        kinds: dict[int, list[str]] = {}
        for _, transition in rows(running.var / "data" / actor / "journal.db"):
            kinds.setdefault(transition.connection, []).append(transition.kind)
        assert {tuple(of) for number, of in kinds.items() if number} <= {("connect", "text", "close")}


def until(running: Running, actor: str, queue: int) -> None:
    """Wait until so many events of an actor wait or are with its worker."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        with suppress(control.Unreachable):  # its control socket is there a moment after its ports
            actors = control.ask(running.var, "status").items[0]["actors"]
            if [each["queue"] for each in actors if each["name"] == actor] == [queue]:
                return
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


async def connect(running: Running, actor: str, extra: bytes = b"") -> RawClient:
    """Open a connection; its `connect` is committed."""
    port = urlsplit(running.urls[actor]).port
    client = RawClient(await trio.open_tcp_stream("127.0.0.1", port or 0))
    await client.send(request(extra=extra))
    assert (await client.response()).startswith(b"HTTP/1.1 101 ")
    await trio.to_thread.run_sync(until, running, actor, 0)
    return client


async def say_and_leave(client: RawClient, how: str) -> None:
    """Send a message and, in one write or at once after it, the end."""
    if how == "close":
        await client.send(HELLO, GOODBYE)
    else:
        await client.send(HELLO)
        await client.eof()


async def expect_reply_and_close(client: RawClient) -> None:
    """The reply, our close frame, the end."""
    with trio.fail_after(PATIENCE_S):
        assert await client.event() == TextMessage("hello")
        assert (await client.close_frame()).code == 1000
        assert await client.rest() == b""
    await client.stream.aclose()


@WAYS
def test_the_reply_comes_before_our_close(running: Running, how: str) -> None:
    """Each of many times, whatever the worker is at."""

    async def main() -> None:
        for _ in range(20):
            client = await connect(running, "echo")
            await say_and_leave(client, how)
            await expect_reply_and_close(client)

    trio.run(main)


@WAYS
def test_all_of_many_replies_come_before_our_close(running: Running, how: str) -> None:
    """They leave in turns, in which the peer's end is met: it waits for the last of them."""

    async def main() -> None:
        for _ in range(5):
            client = await connect(running, "many")
            await client.send(frame(TEXT, b"many 9000"))
            await (client.eof() if how == "half-close" else client.send(GOODBYE))
            with trio.fail_after(PATIENCE_S):
                data = await client.rest()
            assert data == b"\x81\x0bone of many" * 9000 + b"\x88\x02\x03\xe8"
            await client.stream.aclose()

    trio.run(main)


@WAYS
def test_a_compressed_reply_comes_too(running: Running, how: str) -> None:
    """The peer's close frame is no reason to fall back to plain ones."""

    async def main() -> None:
        client = await connect(running, "echo", DEFLATE)
        await say_and_leave(client, how)
        with trio.fail_after(PATIENCE_S):
            data = await client.rest()
        first, size = data[:2]
        assert first == 0xC1
        inflated = zlib.decompressobj(-15).decompress(data[2 : 2 + size] + b"\0\0\xff\xff")
        assert inflated == b"hello"
        assert data[2 + size :] == b"\x88\x02\x03\xe8"
        await client.stream.aclose()

    trio.run(main)


@WAYS
@pytest.mark.parametrize("fate", ["goes on", "dies"])
def test_a_slow_worker_is_waited_for(running: Running, how: str, fate: str) -> None:
    """The reply comes when the worker goes on, or from the next one when it is killed."""

    async def main() -> None:
        client = await connect(running, "echo")
        worker = running.worker_pids("echo")[-1]
        os.kill(worker, signal.SIGSTOP)
        await say_and_leave(client, how)
        await trio.to_thread.run_sync(until, running, "echo", 1)
        os.kill(worker, signal.SIGCONT if fate == "goes on" else signal.SIGKILL)
        await expect_reply_and_close(client)

    trio.run(main)


def test_who_closed_does_not_wait_for_ever(running: Running) -> None:
    """Past the deadline the connection is closed without the reply; the actor gets its event all the same."""

    async def main() -> None:
        clients = [await connect(running, "stuck") for _ in range(2)]
        worker = running.worker_pids("stuck")[-1]
        os.kill(worker, signal.SIGSTOP)
        for client, how in zip(clients, ("close", "half-close"), strict=True):
            await say_and_leave(client, how)
        with trio.fail_after(PATIENCE_S):
            for client in clients:
                assert await client.rest() == b"\x88\x02\x03\xe8"
                await client.stream.aclose()
        os.kill(worker, signal.SIGCONT)

    trio.run(main)
    logged = [event for event in running.events() if event["event"] == "replies_not_awaited"]
    assert len(logged) == 2
