"""Open connections: events in order, replies in order, and every way a connection can end."""

import errno
import gc
import socket
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from tests.integration.gateway_rig import (
    BINARY,
    CLOSE,
    LOCAL,
    PING,
    PONG,
    TEXT,
    FakeService,
    RawClient,
    Rig,
    frame,
    gateway_rig,
    listening,
    request,
    run,
)
from theater_protocol.messages import Payload, Reply
from theater_supervisor.exchange import MessageKind
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.door.accepting import bind, close, listen
from theater_supervisor.gateway.door.access import AccessRules
from theater_supervisor.gateway.door.listener import Gateway
from theater_supervisor.gateway.door.routes import Route

CONTINUATION = 0
QUICK = ConnectionLimits(close_timeout_s=0.1, linger_s=0.1)


def test_every_message_kind_is_an_event_in_order() -> None:
    """Connect first, then each message, ping and pong with its payload, close last."""

    async def main() -> None:
        async with gateway_rig() as rig:
            async with rig.raw() as client:
                await client.upgrade()
                await client.send(
                    frame(TEXT, "grüße".encode()),
                    frame(BINARY, b"\0\xff"),
                    frame(PING, b"p"),
                    frame(PONG, b"q"),
                    frame(TEXT),
                    frame(CLOSE, b"\x03\xe8"),
                )
                assert await client.event() == TextMessage("grüße")
                assert await client.event() == BytesMessage(b"\0\xff")
                assert await client.event() == Pong(b"p")
                assert await client.event() == TextMessage("")
                assert await client.event() == CloseConnection(1000, "")
                assert await client.rest() == b""
            await rig.until_idle()
            assert rig.service.of(1) == [
                ("connect", None),
                ("text", "grüße"),
                ("binary", b"\0\xff"),
                ("ping", b"p"),
                ("pong", b"q"),
                ("text", ""),
                ("close", None),
            ]

    run(main)


def test_fragments_are_joined_with_pings_in_between() -> None:
    """A message is one event wherever it is cut, within a character too; pings are answered at once."""
    text = "aé☃𝄞\r\n" * 50
    octets = text.encode()

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            await client.upgrade()
            await client.send(frame(TEXT, octets[:1], fin=False))
            for at in range(1, len(octets)):
                await client.send(
                    frame(CONTINUATION, octets[at : at + 1], fin=False), frame(PING, b"%d" % at)
                )
            await client.send(frame(CONTINUATION))
            for at in range(1, len(octets)):
                assert await client.event() == Pong(b"%d" % at)
            assert await client.event() == TextMessage(text)
            assert ("text", text) in rig.service.of(1)

    run(main)


def test_replies_keep_their_order_and_end_with_the_close() -> None:
    """All kinds of replies of one result come in order; what follows a close reply is dropped."""
    replies = [
        Reply("text", "one"),
        Reply("ping", b"two"),
        Reply("pong", b"three"),
        Reply("binary", b"four"),
        Reply("text", ""),
        Reply("close", None),
        Reply("text", "never"),
    ]

    async def main() -> None:
        async with gateway_rig() as rig:
            rig.service.answer = lambda kind, payload: replies
            async with rig.raw() as client:
                await client.upgrade(frame(TEXT, b"go"))
                events = [await client.event() for _ in range(6)]
                assert events == [
                    TextMessage("one"),
                    Ping(b"two"),
                    Pong(b"three"),
                    BytesMessage(b"four"),
                    TextMessage(""),
                    CloseConnection(1000, ""),
                ]
                await client.send(frame(TEXT, b"too late"), frame(CLOSE, b"\x03\xe8"))
                assert await client.rest() == b""
            await rig.until_idle()
            assert rig.service.of(1) == [("connect", None), ("text", "go"), ("close", None)]

    run(main)


def test_the_first_close_code_wins() -> None:
    """`end` is idempotent, and comes after what is queued."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            await client.upgrade()
            await rig.service.until(lambda: bool(rig.service.events))
            actor_side = rig.service.clients[1]
            actor_side.send([Reply("text", "first")])
            actor_side.end(1011, "internal error")
            actor_side.end(1013, "again")
            actor_side.send([Reply("text", "dropped")])
            assert await client.event() == TextMessage("first")
            closed = await client.close_frame()
            assert closed.code == 1011
            assert (closed.reason or "").startswith("internal error [")

    run(main)


@pytest.mark.parametrize(
    "reply",
    [Reply("ping", bytes(126)), Reply("pong", bytes(200)), Reply("text", b"x"), Reply("text", "\ud800")],
)
def test_a_reply_that_is_no_frame_is_logged_and_skipped(reply: Reply) -> None:
    """The replies after it go out all the same."""

    async def main() -> None:
        async with gateway_rig() as rig:
            rig.service.answer = lambda kind, payload: [reply, Reply("text", "after")]
            async with rig.raw() as client:
                await client.upgrade(frame(TEXT, b"go"))
                assert await client.event() == TextMessage("after")

    with capture_logs() as logs:
        run(main)
    assert [entry["kind"] for entry in logs if entry["event"] == "reply_refused"] == [reply.kind]


def test_many_replies_that_are_no_frames_are_told_of_in_few_lines() -> None:
    """A client that makes an actor answer with a thousand of them does not fill the log."""

    async def main() -> None:
        async with gateway_rig() as rig:
            refused = [Reply("ping", bytes(126))] * 1000
            rig.service.answer = lambda kind, payload: [*refused, Reply("text", "after")]
            async with rig.raw() as client:
                await client.upgrade(frame(TEXT, b"go"))
                assert await client.event() == TextMessage("after")

    with capture_logs() as logs:
        run(main)
    told = [entry["refused_so_far"] for entry in logs if entry["event"] == "reply_refused"]
    assert told == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


BROKEN: dict[str, tuple[bytes, int]] = {
    "unmasked": (frame(TEXT, b"x", masked=False), 1002),
    "reserved-bit": (frame(TEXT, b"x", rsv=4), 1002),
    "reserved-opcode": (frame(3), 1002),
    "reserved-control-opcode": (frame(11), 1002),
    "control-frame-fragmented": (frame(PING, b"x", fin=False), 1002),
    "control-frame-too-long": (frame(PING, bytes(126)), 1002),
    "continuation-of-nothing": (frame(CONTINUATION, b"x"), 1002),
    "message-within-a-message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "length-not-minimal": (b"\x81\xfe\x00\x01\0\0\0\0x", 1002),
    "length-negative": (b"\x81\xff\xff\0\0\0\0\0\0\0\0\0\0\0", 1002),
    "close-with-one-byte": (frame(CLOSE, b"x"), 1002),
    "close-with-code-999": (frame(CLOSE, b"\x03\xe7"), 1002),
    "close-with-code-1005": (frame(CLOSE, b"\x03\xed"), 1002),
    "close-with-bad-reason": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "pipelined-http": (b"GET / HTTP/1.1\r\n\r\n", 1002),
    "text-not-utf8": (frame(TEXT, b"\xff"), 1007),
    "text-cut-short": (frame(TEXT, b"\xe2\x98"), 1007),
    "text-not-utf8-across-fragments": (frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"x"), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "too-big": (frame(BINARY, bytes(1001)), 1009),
    "too-big-in-utf8": (frame(TEXT, "é".encode() * 501), 1009),
    "too-big-in-fragments": (frame(BINARY, bytes(600), fin=False) + frame(CONTINUATION, bytes(401)), 1009),
    "too-big-announced": (b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4) + bytes(1100), 1009),
}

ANNOUNCED = {
    "at-once": b"\x82\xfe" + (1001).to_bytes(2, "big") + bytes(4),
    "in-fragments": frame(BINARY, bytes(600), fin=False) + b"\x80\xfe" + (401).to_bytes(2, "big") + bytes(4),
    "in-the-middle": frame(BINARY, bytes(600), fin=False) + b"\x00\xfe" + (401).to_bytes(2, "big") + bytes(4),
    "huge": b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4),
    "compressed": b"\xc2\xfe" + (1300).to_bytes(2, "big") + bytes(4),
}


@pytest.mark.parametrize(
    ("case", "deflate"),
    [(case, deflate) for case in ANNOUNCED for deflate in (False, True) if deflate or case != "compressed"],
)
def test_a_message_that_announces_too_much_is_closed_at_once(case: str, deflate: bool) -> None:
    """1009 at the header; none of the payload has to come."""
    access = AccessRules(compression=deflate)

    async def main() -> None:
        limits = ConnectionLimits(max_message_bytes=1000)
        async with gateway_rig(limits, access=access) as rig, rig.raw() as client:
            await client.send(request(extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
            assert (b"permessage-deflate" in await client.response()) is deflate
            await client.send(ANNOUNCED[case])
            assert (await client.close_frame()).code == 1009

    run(main)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_frame_is_answered_with_its_code(case: str) -> None:
    """The close frame is read before TCP ends, nothing of the message or after it is an event."""
    sent, code = BROKEN[case]

    async def main() -> None:
        async with gateway_rig(ConnectionLimits(max_message_bytes=1000)) as rig:
            async with rig.raw() as client:
                await client.upgrade()
                await client.send(frame(TEXT, b"good"), sent, frame(TEXT, b"after"), bytes(300_000))
                assert await client.event() == TextMessage("good")
                assert (await client.close_frame()).code == code
                assert await client.rest() == b""
            await rig.until_idle()
            assert rig.service.of(1) == [("connect", None), ("text", "good"), ("close", None)]
            await rig.good_client_is_served()

    with capture_logs() as logs:
        run(main)
    assert not [entry for entry in logs if entry["log_level"] == "error"]


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_of_exactly_the_bound_is_served(kind: int) -> None:
    """The bound is inclusive, whole and in fragments; some empty fragments do no harm."""

    async def main() -> None:
        async with gateway_rig(ConnectionLimits(max_message_bytes=1000)) as rig, rig.raw() as client:
            await client.upgrade()
            await client.send(frame(kind, b"x" * 1000), frame(kind, b"x" * 500, fin=False))
            await client.send(frame(CONTINUATION, fin=False) * 256, frame(CONTINUATION, b"x" * 500))
            for _ in range(2):
                event = await client.event()
                assert isinstance(event, TextMessage | BytesMessage)
                assert len(event.data) == 1000

    run(main)


async def client_closes(client: RawClient, rig: Rig) -> None:
    """The client closes by the book."""
    await client.send(frame(CLOSE, b"\x03\xe8"))
    await client.close_frame()


async def client_half_closes(client: RawClient, rig: Rig) -> None:
    """The client ends its side of the TCP connection."""
    await client.eof()
    await client.rest()


async def client_drops(client: RawClient, rig: Rig) -> None:
    """The client closes its socket."""
    await client.stream.aclose()


async def client_resets(client: RawClient, rig: Rig) -> None:
    """The client resets the TCP connection."""
    client.reset()


async def client_breaks_the_rules(client: RawClient, rig: Rig) -> None:
    """The client sends a broken frame and stays."""
    await client.send(frame(3))
    await client.rest()


async def actor_closes(client: RawClient, rig: Rig) -> None:
    """The actor closes and the client answers."""
    rig.service.clients[1].send([Reply("close", None)])
    await client.close_frame()
    await client.send(frame(CLOSE, b"\x03\xe8"))


async def actor_closes_and_the_client_is_silent(client: RawClient, rig: Rig) -> None:
    """The actor closes and the client doesn't answer."""
    rig.service.clients[1].end(1011, "")
    await client.rest()


async def actor_closes_and_the_client_drops(client: RawClient, rig: Rig) -> None:
    """The actor closes and the client leaves without an answer."""
    rig.service.clients[1].end(1011, "")
    await client.stream.aclose()


async def both_close(client: RawClient, rig: Rig) -> None:
    """Actor and client close at the same time."""
    await client.send(frame(CLOSE, b"\x03\xe8"))
    rig.service.clients[1].end(1011, "")
    await client.close_frame()


async def gateway_drains(client: RawClient, rig: Rig) -> None:
    """The gateway drains and drops who doesn't answer."""
    await rig.gateway.drain(grace_s=0.05)


async def held_back_and_closed(client: RawClient, rig: Rig) -> None:
    """The actor closes a connection that waits for room; the client's answer is read all the same."""
    rig.service.roomy = False
    await client.send(frame(TEXT, b"held back"), frame(PING, b"x"), frame(PONG, b"y"))
    rig.service.clients[1].end(1013, "")
    await client.send(frame(CLOSE, b"\x03\xf5"))
    assert (await client.close_frame()).code == 1013
    assert await client.rest() == b""


Ending = Callable[[RawClient, Rig], Awaitable[None]]
ENDINGS: list[Ending] = [
    client_closes,
    client_half_closes,
    client_drops,
    client_resets,
    client_breaks_the_rules,
    actor_closes,
    actor_closes_and_the_client_is_silent,
    actor_closes_and_the_client_drops,
    both_close,
    gateway_drains,
    held_back_and_closed,
]


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
def test_close_is_an_event_exactly_once(end: Ending) -> None:
    """However a connection ends: one connect, one close, and nothing of it is left."""

    async def main() -> None:
        async with gateway_rig(QUICK) as rig, rig.raw() as client:
            await client.upgrade()
            await rig.service.until(lambda: bool(rig.service.events))
            await end(client, rig)
            await rig.until_idle()
            rig.service.clients[1].send([Reply("text", "nobody is there")])
            rig.service.clients[1].end(1011, "nor now")
            assert rig.service.of(1) == [("connect", None), ("close", None)]

    run(main)


def test_cancelling_the_gateway_closes_every_connection_once() -> None:
    """The end of the whole gateway is one more way for a connection to go."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            await client.upgrade()
            await rig.service.until(lambda: bool(rig.service.events))
        assert rig.service.of(1) == [("connect", None), ("close", None)]

    run(main)


def test_the_close_is_an_event_before_the_client_is_told() -> None:
    """A client that saw its close answered has left: its event is queued and its place is free."""

    async def main() -> None:
        async with gateway_rig(max_connections=1) as rig:
            for number in range(1, 20):
                async with rig.raw() as client:
                    await client.upgrade(frame(CLOSE))
                    await client.close_frame()
                    assert rig.service.of(number) == [("connect", None), ("close", None)]

    run(main)


def test_a_full_actor_stops_the_reading_and_resumes_it() -> None:
    """Without room nothing is delivered; with room everything is, in order."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            rig.service.roomy = False
            await client.upgrade(*(frame(TEXT, b"%d" % number) for number in range(100)))
            await wait_all_tasks_blocked()
            assert rig.service.of(1) == [("connect", None)]
            rig.service.make_room()
            for number in range(100):
                assert await client.event() == TextMessage(str(number))

    run(main)


def test_a_client_that_does_not_read_is_closed_1013_beyond_the_bound() -> None:
    """What is held for it is bounded, the actor isn't blocked, other clients are served."""
    limits = ConnectionLimits(max_outbound_bytes=1_000_000, close_timeout_s=0.2, linger_s=0.2)

    async def main() -> None:
        async with gateway_rig(limits) as rig, rig.raw(receive_buffer=4096) as client:
            await client.upgrade()
            await rig.service.until(lambda: bool(rig.service.events))
            for _ in range(200):
                rig.service.clients[1].send([Reply("binary", bytes(100_000))])
                await wait_all_tasks_blocked()
            await rig.good_client_is_served()
            await rig.until_idle()

    with capture_logs() as logs:
        run(main)
    ends = [(entry["by"], entry["code"]) for entry in logs if entry["event"] == "connection_closed"]
    assert ("server", 1013) in ends


def test_a_slow_reader_beyond_the_bound_still_reads_its_close_code() -> None:
    """What was not under way is dropped in favour of the close frame."""

    async def main() -> None:
        async with (
            gateway_rig(ConnectionLimits(max_outbound_bytes=1_000_000)) as rig,
            rig.raw(4096) as client,
        ):
            await client.upgrade()
            await rig.service.until(lambda: bool(rig.service.events))
            rig.service.clients[1].send([Reply("binary", bytes(100_000))] * 100)
            closed = await client.close_frame()
            assert closed.code == 1013
            assert (closed.reason or "").startswith("replies are not being read [")

    run(main)


def test_a_write_that_stands_still_is_ended() -> None:
    """A client within the bound that takes nothing for too long is dropped."""

    async def main() -> None:
        limits = ConnectionLimits(send_timeout_s=0.2, max_outbound_bytes=32_000_000)
        async with gateway_rig(limits) as rig, rig.raw(receive_buffer=4096) as client:
            await client.upgrade()
            await rig.service.until(lambda: bool(rig.service.events))
            rig.service.clients[1].send([Reply("binary", bytes(16_000_000))])
            await rig.until_idle()
            await rig.good_client_is_served()

    with capture_logs() as logs:
        run(main)
    assert ("server", 1013) in [(entry.get("by"), entry.get("code")) for entry in logs]


def test_a_ping_flood_without_reading_is_ended() -> None:
    """Pongs count towards the bound of what is held for a client."""

    async def main() -> None:
        limits = ConnectionLimits(max_outbound_bytes=10_000, close_timeout_s=0.1, linger_s=0.1)
        async with gateway_rig(limits) as rig, rig.raw(receive_buffer=4096) as client:
            await client.upgrade()
            with pytest.raises(trio.BrokenResourceError):
                await client.send(frame(PING, bytes(125)) * 500_000)
            await rig.until_idle()

    run(main)


def fails(kind: MessageKind, payload: Payload) -> Sequence[Reply]:
    """An actor side with a bug."""
    raise KeyError("bug")


def test_a_service_that_fails_ends_only_that_connection() -> None:
    """An exception out of the actor's side is logged with its traceback; the next client is served."""

    async def main() -> None:
        async with gateway_rig() as rig:
            rig.service.answer = fails
            async with rig.raw() as client:
                await client.upgrade()
                await client.send(frame(TEXT, b"go"))
                await client.rest()
            rig.service.answer = None
            await rig.good_client_is_served()
            await rig.until_idle()

    with capture_logs() as logs:
        run(main)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["connection_failed"]


def test_draining_closes_everyone_with_the_code_and_accepts_no_more() -> None:
    """Open connections get the code, handshakes under way end, new connections are refused."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client, rig.raw() as waiting:
            await client.upgrade()
            await waiting.send(b"GET / HTTP/1.1\r\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.gateway.drain)
                assert await client.event() == CloseConnection(1001, "going away")
                assert await waiting.rest() == b""
                await client.send(frame(CLOSE, b"\x03\xe9"))
            with pytest.raises(OSError) as refused:
                async with rig.raw():
                    pass
            assert refused.value.errno == errno.ECONNREFUSED
            assert rig.service.of(1) == [("connect", None), ("close", None)]

    run(main)


def test_several_actors_share_a_port() -> None:
    """The longest base path decides; each actor has its own places and its own connections."""

    async def main() -> None:
        root, chat = FakeService("root"), FakeService("chat")
        gateway = Gateway([Route(*LOCAL, "/", 1, root), Route(*LOCAL, "/chat", 1, chat)])
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.serve, {LOCAL: listening(*LOCAL)})
            (address,) = gateway.addresses()[LOCAL]
            rig = Rig(gateway, root, address[1])
            async with rig.websocket("/chatter"), rig.websocket("/chat/room") as ws:
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"
            assert [kind for _, kind, _ in root.events] == ["connect", "close"]
            assert [kind for _, kind, _ in chat.events] == ["connect", "text", "close"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_taken_port_is_an_error_with_its_errno() -> None:
    """The second bind of an address says EADDRINUSE, whether the first one listens yet or not."""
    (bound,) = bind(*LOCAL)
    with bound:
        for _ in range(2):
            with pytest.raises(OSError) as taken:
                bind("127.0.0.1", bound.getsockname()[1])
            assert taken.value.errno == errno.EADDRINUSE
            listen([bound])


def test_nobody_connects_before_somebody_listens() -> None:
    """A client, or a probe, that is too early is refused and not left in a queue."""
    (bound,) = bind(*LOCAL)
    with bound:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(bound.getsockname())
        listen([bound])
        socket.create_connection(bound.getsockname()).close()


def test_connections_that_are_over_keep_nobody_from_binding() -> None:
    """Whoever closes first has the port in TIME_WAIT for a minute."""
    (bound,) = bind(*LOCAL)
    listen([bound])
    with bound, socket.create_connection(bound.getsockname()) as client:
        bound.setblocking(True)
        served, _ = bound.accept()
        served.close()
        assert client.recv(1) == b""
        address = bound.getsockname()
    again = bind(*address)
    listen(again)
    close(again)


def test_listeners_must_match_the_routes() -> None:
    """A route without a listener is an error before anything is accepted."""

    async def main() -> None:
        gateway = Gateway([Route(*LOCAL, "/", 1, FakeService())])
        with pytest.raises(ValueError, match=r"routes for .* but listeners for"):
            await gateway.serve({})

    run(main)


class ExhaustedListener(socket.socket):
    """A listener whose accept fails for want of file descriptors, some times, before it works."""

    failures = 3

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept, or fail as accept(2) does when the process is out of descriptors."""
        if self.failures:
            type(self).failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_running_out_of_descriptors_ends_no_listener() -> None:
    """EMFILE is waited out, said once, and the next client is served."""

    async def main() -> None:
        service = FakeService()
        gateway = Gateway([Route(*LOCAL, "/", 1, service)])
        (listener,) = listening(*LOCAL)
        exhausted = ExhaustedListener(fileno=listener.detach())
        exhausted.setblocking(False)
        port = exhausted.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.serve, {LOCAL: [exhausted]})
            await Rig(gateway, service, port).good_client_is_served()
            nursery.cancel_scope.cancel()
        assert ExhaustedListener.failures == 0

    with capture_logs() as logs:
        run(main)
    assert [entry["errno"] for entry in logs if entry["event"] == "accept_failed"] == ["EMFILE"]


async def _says_goodbye(client: RawClient) -> None:
    await client.send(frame(CLOSE, b"\x03\xe8"))
    await client.close_frame()


async def _resets(client: RawClient) -> None:
    client.reset()


async def _breaks_a_rule(client: RawClient) -> None:
    await client.send(frame(3, b"reserved"))
    assert (await client.close_frame()).code == 1002


async def _sends_too_much(client: RawClient) -> None:
    await client.send(frame(BINARY, bytes(2000)))
    assert (await client.close_frame()).code == 1009


@pytest.mark.parametrize("end", [_says_goodbye, _resets, _breaks_a_rule, _sends_too_much])
@pytest.mark.parametrize("extra", [b"", b"Sec-WebSocket-Extensions: permessage-deflate\r\n"])
def test_a_connection_that_has_ended_leaves_nothing_to_collect(
    end: Callable[[RawClient], Awaitable[None]], extra: bytes
) -> None:
    """It is in no cycle, however it ends: a crowd that leaves costs the others no full collection."""
    limits = replace(QUICK, max_message_bytes=1000)

    async def main() -> None:
        async with gateway_rig(limits, access=AccessRules(compression=True)) as rig:
            async with rig.raw() as client:
                await client.send(request(extra=extra))
                await client.response()
                await client.send(frame(TEXT, b"hello"))
                await client.stream.receive_some(100)
                (connection,) = map(weakref.ref, rig.gateway.connections)
                await end(client)
            await rig.until_idle()
            rig.service.clients.clear()
            assert connection() is None

    gc.collect()
    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()
