"""Clients that read slowly or not at all: what they may hold of ours, and when they are gone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.lowlevel
from structlog.testing import capture_logs

from tests.integration.gateway_rig import (
    BINARY,
    CLOSE,
    LOCAL,
    TEXT,
    FakeService,
    RawClient,
    Rig,
    frame,
    gateway_rig,
    listening,
    run,
)
from theater_protocol.messages import Reply
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.door.listener import Gateway
from theater_supervisor.gateway.door.routes import Route

MIB = 1024 * 1024
QUICK = ConnectionLimits(
    max_reply_bytes=2 * MIB, close_timeout_s=0.2, linger_s=0.2, closing_timeout_s=0.4, send_timeout_s=20
)
# More than sockets take, so that a frame is always under way.
LARGE = [Reply("binary", bytes(12 * MIB))]
ROOMY = replace(QUICK, max_message_bytes=MIB, max_reply_bytes=12 * MIB, ping_interval_s=0)


@asynccontextmanager
async def small_budget(send_budget_bytes: int) -> AsyncIterator[Rig]:
    """A gateway in which all replies together may be so much, and 2 MiB each."""
    service = FakeService()
    gateway = Gateway([Route(*LOCAL, "/", 100, service, QUICK)], send_budget_bytes=send_budget_bytes)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.serve, {LOCAL: listening(*LOCAL)})
        yield Rig(gateway, service, gateway.addresses()[LOCAL][0][1])
        nursery.cancel_scope.cancel()


def waiting_bytes(rig: Rig) -> int:
    """What all connections hold."""
    return sum(connection.waiting_bytes for connection in rig.gateway.connections)


@pytest.mark.parametrize(
    "replies",
    [
        [Reply("binary", bytes(2 * MIB - 64))],
        [Reply("binary", bytes(MIB - 64))] * 2,
        [Reply("text", "")] * 1024,
    ],
    ids=["one-large", "two", "many-empty"],
)
@pytest.mark.parametrize("begun", [False, True], ids=["queued", "under-way"])
def test_all_slow_readers_together_hold_only_so_much(replies: list[Reply], begun: bool) -> None:
    """Whatever it is, and whether or not a part of it is written, it counts; the others are served."""
    count = 40
    size = sum(len(reply.payload or "") for reply in replies)

    async def main() -> None:
        async with small_budget(4 * MIB) as rig:
            socks = []
            for _ in range(count):
                sock = trio.socket.socket()
                sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
                await sock.connect(("127.0.0.1", rig.port))
                socks.append(sock)
                await RawClient(trio.SocketStream(sock)).upgrade()
            for client in tuple(rig.service.clients.values()):
                for _ in range(4 * MIB // size if size else 2):
                    client.send(replies)
                    assert waiting_bytes(rig) <= 4 * MIB + count * 256
                if begun:
                    await trio.lowlevel.checkpoint()
            await rig.good_client_is_served()
            for sock in socks:
                sock.close()

    with capture_logs() as logs:
        run(main)
    closed = [entry["code"] for entry in logs if entry["event"] == "connection_closed"]
    assert (closed.count(1013) >= count // 2) is bool(size)


def test_who_reads_gets_a_large_reply_while_others_do_not() -> None:
    """The room is taken from those that have had it for longer."""

    async def main() -> None:
        async with small_budget(4 * MIB) as rig:
            rig.service.answer = lambda kind, payload: [Reply("binary", bytes(2 * MIB))]
            async with rig.raw(4096) as first, rig.raw(4096) as second, rig.raw() as third:
                for client in (first, second):
                    await client.upgrade(frame(TEXT, b"go"))
                await rig.service.until(lambda: len(rig.service.of(2)) > 1)
                await trio.sleep(1)
                await third.upgrade(frame(TEXT, b"go"))
                size = 0
                while size < 2 * MIB:
                    event = await third.event()
                    size += len(event.data)  # type: ignore[attr-defined]

    run(main)


async def kick(rig: Rig, client: RawClient) -> None:
    """As an operator does, and as a login's end, a quarantine, an actor that is held or removed do."""
    rig.service.clients[1].end(1008, "closed by the operator")


async def actor_closes(rig: Rig, client: RawClient) -> None:
    """The actor's own close reply."""
    rig.service.clients[1].send([Reply("close", None)])


async def reply_limit(rig: Rig, client: RawClient) -> None:
    """More than the handler's limit."""
    rig.service.clients[1].send([Reply("binary", bytes(13 * MIB))])


async def dismissed(rig: Rig, client: RawClient) -> None:
    """A reload that takes the actor away."""
    await rig.gateway.dismiss({"fake"}, "going away", grace_s=0.01)


async def too_big(rig: Rig, client: RawClient) -> None:
    """A message over the bound."""
    await client.send(frame(BINARY, bytes(MIB + 1))[:2000])


async def broken_frame(rig: Rig, client: RawClient) -> None:
    """A frame that breaks the rules."""
    await client.send(frame(TEXT, b"x", masked=False))


async def peer_closes(rig: Rig, client: RawClient) -> None:
    """The client's own close frame, behind which it does not read."""
    await client.send(frame(CLOSE, b"\x03\xe8"))


async def half_close(rig: Rig, client: RawClient) -> None:
    """The end of what the client sends."""
    await client.eof()


async def more_replies(rig: Rig, client: RawClient) -> None:
    """Another reply, for which there is no room."""
    rig.service.clients[1].send([Reply("text", "one more")])


@pytest.mark.parametrize(
    "end",
    [
        kick,
        actor_closes,
        reply_limit,
        dismissed,
        too_big,
        broken_frame,
        peer_closes,
        half_close,
        more_replies,
    ],
    ids=lambda end: end.__name__,
)
@pytest.mark.parametrize("reads", [False, True], ids=["stands-still", "drips"])
def test_whoever_closes_a_slow_reader_is_gone_soon(
    end: Callable[[Rig, RawClient], Awaitable[None]], reads: bool
) -> None:
    """It takes a few KiB now and then, so no write of ours takes long; still there is an end, a reset."""

    async def main() -> None:
        async with gateway_rig(ROOMY) as rig, rig.raw(4096) as client:
            await client.upgrade()
            rig.service.clients[1].send(LARGE)
            await trio.sleep(0.05)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end, rig, client)
                with pytest.raises(trio.BrokenResourceError):
                    await (drip(client) if reads else wait_and_read(rig, client))
            await rig.until_idle()

    run(main)


async def wait_and_read(rig: Rig, client: RawClient) -> None:
    """Read nothing until the gateway has let go, then to the end."""
    while rig.gateway.connections:
        await trio.sleep(0.005)
    while await client.stream.receive_some(MIB):
        pass


async def drip(client: RawClient) -> None:
    """Read a little now and then, for as long as there is anything."""
    while await client.stream.receive_some(2048):
        await trio.sleep(0.02)


def test_who_reads_gets_all_that_was_queued_before_a_close() -> None:
    """The deadline is for those who don't."""

    async def main() -> None:
        async with gateway_rig(replace(ROOMY, closing_timeout_s=30)) as rig, rig.raw() as client:
            await client.upgrade()
            rig.service.clients[1].send([*LARGE, Reply("close", None)])
            assert (await client.close_frame()).code == 1000
            await client.send(frame(CLOSE, b"\x03\xe8"))
            await rig.until_idle()

    run(main)
