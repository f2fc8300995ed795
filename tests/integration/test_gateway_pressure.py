"""Busy actors, silent clients, fast clients, large replies: what the gateway does before anything breaks."""

import ssl
import subprocess
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked
from wsproto.events import BytesMessage, Ping, Pong, TextMessage

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
from theater_protocol.messages import Reply
from theater_supervisor.gateway.connection.limits import (
    ConnectionLimits,
    RateLimit,
)
from theater_supervisor.gateway.door.access import AccessRules
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.gateway.door.listener import Gateway
from theater_supervisor.gateway.door.routes import Route
from theater_supervisor.gateway.door.secret_files import SecretUnusable
from theater_supervisor.gateway.door.tls import server_context

MIB = 1024 * 1024
QUICK = ConnectionLimits(close_timeout_s=0.1, linger_s=0.1)


def test_pings_are_answered_at_once_while_the_actor_is_busy() -> None:
    """A held-back message doesn't hold the pong back; what was read ahead reaches the actor in order."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            rig.service.roomy = False
            await client.upgrade(frame(TEXT, b"one"), frame(PING, b"now"), frame(TEXT, b"two"))
            assert await client.event() == Pong(b"now")
            assert rig.service.of(1) == [("connect", None)]
            rig.service.make_room()
            assert await client.event() == TextMessage("one")
            assert await client.event() == TextMessage("two")
            assert rig.service.of(1)[1:] == [("text", "one"), ("ping", b"now"), ("text", "two")]

    run(main)


def test_reading_ahead_is_bounded() -> None:
    """With the bound reached no more is read, and all of it comes in order once there is room."""

    async def main() -> None:
        limits = ConnectionLimits(max_held_events=3)
        async with gateway_rig(limits) as rig, rig.raw() as client:
            rig.service.roomy = False
            await client.upgrade(*(frame(TEXT, b"%d" % number) for number in range(4)), frame(PING, b"late"))
            await wait_all_tasks_blocked()
            await client.send(frame(TEXT, b"4"))
            await wait_all_tasks_blocked()
            rig.service.make_room()
            events = [await client.event() for _ in range(6)]
            assert [event for event in events if isinstance(event, TextMessage)] == [
                TextMessage(str(number)) for number in range(5)
            ]
            assert Pong(b"late") in events

    run(main)


@pytest.mark.parametrize("how", ["reset", "drop"])
def test_a_client_that_leaves_a_busy_actor_is_gone_soon(how: str) -> None:
    """Its place is free although there never was room for its message."""

    async def main() -> None:
        async with gateway_rig(QUICK, max_connections=1) as rig:
            rig.service.roomy = False
            async with rig.raw() as client:
                await client.upgrade(frame(TEXT, b"held"))
                await rig.service.until(lambda: bool(rig.service.events))
                if how == "reset":
                    client.reset()
            await rig.until_idle()
            assert rig.service.of(1) == [("connect", None), ("close", None)]

    run(main)


def test_what_came_before_a_close_is_delivered_before_it() -> None:
    """A client that says goodbye behind its messages loses none of them to a busy actor."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            rig.service.roomy = False
            await client.upgrade(frame(TEXT, b"one"), frame(TEXT, b"two"), frame(CLOSE, b"\x03\xe8"))
            await wait_all_tasks_blocked()
            rig.service.make_room()
            assert (await client.close_frame()).code == 1000
            await rig.until_idle()
            assert [kind for kind, _ in rig.service.of(1)] == ["connect", "text", "text", "close"]

    run(main)


def test_a_half_closed_client_still_gets_what_was_queued() -> None:
    """What was queued when its side ended is sent before our close frame and our end."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw(receive_buffer=4096) as client:
            await client.upgrade()
            await client.send(frame(BINARY, bytes(900_000)))
            await client.eof()
            data = await client.rest()
            assert len(data) == 900_000 + 10 + 4
            assert data.endswith(b"\x88\x02\x03\xe8")

    run(main)


@pytest.mark.parametrize("how", ["close", "half-close"])
def test_an_actor_that_closes_ends_the_wait_for_its_replies(how: str) -> None:
    """A peer that has closed and waits gets what the actor closes with, at once."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            rig.service.answer = lambda kind, payload: []
            rig.service.unanswered.add(1)
            await client.upgrade(frame(TEXT, b"hello"))
            if how == "close":
                await client.send(frame(CLOSE, b"\x03\xe8"))
            else:
                await client.eof()
            await wait_all_tasks_blocked(0.05)
            rig.service.clients[1].end(1011, "internal error")
            assert (await client.close_frame()).code == 1011
            assert await client.rest() == b""
            await rig.until_idle()

    run(main)


def test_a_reply_as_large_as_the_largest_message_is_sent() -> None:
    """16 MiB pass both ways although less may be waiting when the next reply is queued."""

    async def main() -> None:
        async with gateway_rig(ConnectionLimits(max_message_bytes=16 * MIB)) as rig, rig.raw() as client:
            await client.upgrade()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, frame(BINARY, bytes(16 * MIB)))
                size = 0
                while True:
                    event = await client.event()
                    assert isinstance(event, BytesMessage)
                    size += len(event.data)
                    if event.message_finished:
                        break
            assert size == 16 * MIB

    run(main)


@pytest.mark.parametrize(
    "replies",
    [[Reply("text", "x")] * 11, [Reply("binary", bytes(501))] * 2, [Reply("binary", bytes(1001))]],
    ids=["too-many", "too-large-together", "too-large"],
)
def test_replies_over_the_limit_close_1011_and_are_not_sent(replies: list[Reply]) -> None:
    """An event is answered with ten replies and a thousand bytes, or not at all."""

    async def main() -> None:
        async with gateway_rig(ConnectionLimits(max_replies=10, max_reply_bytes=1000)) as rig:
            rig.service.answer = lambda kind, payload: replies
            async with rig.raw() as client:
                await client.upgrade(frame(TEXT, b"go"))
                closed = await client.event()
                assert closed.code == 1011  # type: ignore[attr-defined]
            rig.service.answer = lambda kind, payload: [Reply("text", "x")] * 10
            async with rig.raw() as client:
                await client.upgrade(frame(TEXT, b"go"))
                assert [await client.event() for _ in range(10)] == [TextMessage("x")] * 10

    run(main)


@pytest.mark.parametrize("roomy", [True, False], ids=["at-once", "held"])
def test_an_actor_side_that_fails_closes_1011_with_an_id(roomy: bool) -> None:
    """The id in the reason is the one beside the traceback."""

    def fails(kind: object, payload: object) -> list[Reply]:
        raise KeyError("bug")

    reasons: list[str] = []

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            rig.service.answer = fails
            rig.service.roomy = roomy
            await client.upgrade(frame(TEXT, b"go"))
            await rig.service.until(lambda: bool(rig.service.events))
            await wait_all_tasks_blocked()
            rig.service.make_room()
            closed = await client.close_frame()
            assert closed.code == 1011
            reasons.append(closed.reason or "")

    with capture_logs() as logs:
        run(main)
    (failure,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert reasons == [f"internal error [{failure['error']}]"]
    assert [entry["error"] for entry in logs if entry["event"] == "connection_closed"] == [failure["error"]]


def test_a_silent_client_is_pinged_and_its_pongs_stay_here() -> None:
    """The client answers three pings and stays; the actor hears of neither pings nor pongs."""

    async def main() -> None:
        limits = ConnectionLimits(ping_interval_s=0.05, ping_timeout_s=5)
        async with gateway_rig(limits) as rig, rig.raw() as client:
            await client.upgrade()
            for _ in range(3):
                ping = await client.event()
                assert isinstance(ping, Ping)
                await client.send(frame(PONG, bytes(ping.payload)))
            await client.send(frame(PONG, b"the actor's"), frame(CLOSE))
            await client.close_frame()
            await rig.until_idle()
            assert rig.service.of(1) == [("connect", None), ("pong", b"the actor's"), ("close", None)]

    run(main)


def test_a_client_that_answers_nothing_is_closed() -> None:
    """1011 for one that could still read, and its place is free."""

    async def main() -> None:
        limits = ConnectionLimits(
            ping_interval_s=0.05, ping_timeout_s=0.05, close_timeout_s=0.1, linger_s=0.1
        )
        async with gateway_rig(limits, max_connections=1) as rig, rig.raw() as client:
            await client.upgrade()
            closed = await client.close_frame()
            assert closed.code == 1011
            assert (closed.reason or "").startswith("no answer to a ping [")
            await rig.until_idle()

    run(main)


def test_a_client_that_is_not_listened_to_is_not_taken_for_silent() -> None:
    """Its pongs wait in the socket while the actor is busy; that is not its fault."""

    async def main() -> None:
        limits = ConnectionLimits(max_held_events=1, ping_interval_s=0.05, ping_timeout_s=0.05)
        async with gateway_rig(limits) as rig, rig.raw() as client:
            rig.service.roomy = False
            await client.upgrade(frame(TEXT, b"held"))
            for _ in range(5):
                assert isinstance(await client.event(), Ping)
            rig.service.make_room()
            while not isinstance(event := await client.event(), TextMessage):
                assert isinstance(event, Ping)
            assert event.data == "held"

    run(main)


def test_zero_turns_pings_off() -> None:
    """Nothing is sent to a client that is left alone."""

    async def main() -> None:
        async with gateway_rig(ConnectionLimits(ping_interval_s=0)) as rig, rig.raw() as client:
            await client.upgrade()
            await wait_all_tasks_blocked(0.2)
            await client.send(frame(TEXT, b"x"))
            assert await client.event() == TextMessage("x")

    run(main)


def test_a_fast_client_is_slowed_and_loses_nothing() -> None:
    """Beyond the burst the socket is read at the rate; every message comes, in order."""

    async def main() -> None:
        limits = ConnectionLimits(rate_limit=RateLimit(200, 5))
        async with gateway_rig(limits) as rig, rig.raw() as client:
            await client.upgrade(*(frame(TEXT, b"%d" % number) for number in range(25)))
            started_s = trio.current_time()
            for number in range(25):
                assert await client.event() == TextMessage(str(number))
            # Twenty beyond the burst at 200 a second; a slow machine only makes it longer.
            assert trio.current_time() - started_s >= 0.09

    run(main)


def test_a_client_that_presses_on_is_closed_1008() -> None:
    """Slowed for as long as the patience lasts, then closed; others aren't touched."""

    async def main() -> None:
        limits = ConnectionLimits(
            rate_limit=RateLimit(100, 5, patience_s=0.1), close_timeout_s=0.2, linger_s=0.2
        )
        async with gateway_rig(limits) as rig, rig.raw() as client:
            await client.upgrade(*(frame(TEXT, b"x") for _ in range(500)))
            closed = await client.close_frame()
            assert closed.code == 1008
            assert (closed.reason or "").startswith("too many messages [")
            await rig.good_client_is_served()

    run(main)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two self-signed certificates, `a` and `b`."""
    directory = tmp_path_factory.mktemp("tls")
    for name in ("a", "b"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
            ],
            cwd=directory,
            check=True,
            capture_output=True,
        )
        (directory / f"{name}.key").chmod(0o600)
    subprocess.run(
        ["openssl", "pkey", "-in", "a.key", "-out", "locked.key", "-aes256", "-passout", "pass:secret"],
        cwd=directory,
        check=True,
    )
    return directory


async def served(gateway: Gateway, nursery: trio.Nursery) -> int:
    """Start a gateway; return its port."""
    await nursery.start(gateway.serve, {LOCAL: listening(*LOCAL)})
    return gateway.addresses()[LOCAL][0][1]


async def open_tls(port: int, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    """Connect and shake hands."""
    tcp = await trio.open_tcp_stream("127.0.0.1", port)
    stream = trio.SSLStream(tcp, context, server_hostname="127.0.0.1")
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(tcp)
        raise
    return stream


def trusting(certificate: Path) -> ssl.SSLContext:
    """A client that trusts one certificate."""
    return ssl.create_default_context(cafile=str(certificate))


def test_tls_serves_and_refuses(certificates: Path) -> None:
    """Messages pass; 1.1 doesn't, plain text doesn't."""

    async def echo(port: int) -> None:
        stream = await open_tls(port, trusting(certificates / "a.pem"))
        client = RawClient(stream)  # type: ignore[arg-type]
        await client.send(request(), frame(TEXT, b"hello"))
        assert (await client.response()).startswith(b"HTTP/1.1 101 ")
        assert await client.event() == TextMessage("hello")
        await client.send(frame(CLOSE, b"\x03\xe8"))
        assert (await client.close_frame()).code == 1000
        await trio.aclose_forcefully(stream)

    async def main() -> None:
        service = FakeService()
        tls = server_context(certificates / "a.pem", certificates / "a.key")
        gateway = Gateway([Route(*LOCAL, "/", 10, service)], tls={LOCAL: tls})
        async with trio.open_nursery() as nursery:
            port = await served(gateway, nursery)
            old = trusting(certificates / "a.pem")
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            with pytest.raises(trio.BrokenResourceError):
                await open_tls(port, old)
            plain = RawClient(await trio.open_tcp_stream("127.0.0.1", port))
            await plain.send(request())
            assert not (await plain.rest()).startswith(b"HTTP/")
            await plain.stream.aclose()
            await echo(port)
            nursery.cancel_scope.cancel()
        assert [kind for _, kind, _ in service.events] == ["connect", "text", "close"]

    with pytest.warns(DeprecationWarning, match="TLSv1"), capture_logs() as logs:
        run(main)
    assert not [entry for entry in logs if entry["log_level"] == "error"]


def test_a_tls_handshake_has_a_deadline(certificates: Path) -> None:
    """A client that says nothing, or half of a hello, is gone."""

    async def main() -> None:
        tls = server_context(certificates / "a.pem", certificates / "a.key")
        limits = HandshakeLimits(timeout_s=0.2, linger_s=0.1)
        gateway = Gateway([Route(*LOCAL, "/", 10, FakeService())], limits, tls={LOCAL: tls})
        async with trio.open_nursery() as nursery:
            port = await served(gateway, nursery)
            for sent in (b"", bytes.fromhex("16030100c8010000c40303")):
                client = RawClient(await trio.open_tcp_stream("127.0.0.1", port))
                await client.send(sent)
                assert await client.rest() == b""
                await client.stream.aclose()
            nursery.cancel_scope.cancel()

    with capture_logs() as logs:
        run(main)
    assert not [entry for entry in logs if entry["log_level"] == "error"]


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("a.pem", "b.key", "b.key is not the key of the certificate in"),
        ("a.key", "a.key", "a.key is no certificate in PEM"),
        ("a.pem", "a.pem", "can be read by others"),
        ("a.pem", "locked.key", "locked.key is no private key in PEM, or has a password"),
        ("no", "a.key", "no can't be read"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused(
    cert: str, key: str, why: str, certificates: Path
) -> None:
    """At start, with a sentence that names the file."""
    with pytest.raises(SecretUnusable, match=why):
        server_context(certificates / cert, certificates / key)


def test_ipv6_and_ipv4_lead_to_the_same_actor() -> None:
    """Several listeners, one service."""
    sixth = ("::1", 0)

    async def main() -> None:
        service = FakeService()
        gateway = Gateway(
            [
                Route(*LOCAL, "/", 10, service),
                Route(*sixth, "/", 10, service, access=AccessRules(host="::1")),
            ]
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.serve, {LOCAL: listening(*LOCAL), sixth: listening(*sixth)})
            for address in (LOCAL, sixth):
                host, port = gateway.addresses()[address][0]
                client = RawClient(await trio.open_tcp_stream(host, port))
                await client.send(request(host=b"[::1]" if ":" in host else b"127.0.0.1"))
                assert (await client.response()).startswith(b"HTTP/1.1 101 ")
                await client.stream.aclose()
            nursery.cancel_scope.cancel()
        assert [kind for _, kind, _ in service.events].count("connect") == 2

    run(main)


def test_unfinished_messages_of_all_clients_together_hold_only_so_much() -> None:
    """Each is within its own bound; beyond the common one who holds most is closed 1013, the others go on."""

    async def main() -> None:
        service = FakeService()
        limits = ConnectionLimits(max_message_bytes=64 * 1024, close_timeout_s=0.1, linger_s=0.1)
        gateway = Gateway([Route(*LOCAL, "/", 100, service, limits)], receive_budget_bytes=256 * 1024)
        async with trio.open_nursery() as nursery:
            rig = Rig(gateway, service, await served(gateway, nursery))
            async with rig.raw() as small, rig.raw() as large:
                await small.upgrade(frame(BINARY, b"begun", fin=False))
                await large.upgrade(frame(BINARY, bytes(60_000), fin=False))
                others = [RawClient(await trio.open_tcp_stream("127.0.0.1", rig.port)) for _ in range(5)]
                for other in others:
                    await other.upgrade(frame(BINARY, bytes(50_000), fin=False))
                closed = await large.close_frame()
                assert closed.code == 1013
                assert (closed.reason or "").startswith("overloaded, try again later")
                await rig.good_client_is_served()
                await small.send(frame(0, b" and done"))
                assert await small.event() == BytesMessage(b"begun and done")
                for other in others:
                    await other.send(frame(0, b"."))
                    assert (await other.event()).data[:1] == b"\0"  # type: ignore[attr-defined]
                    await other.stream.aclose()
            nursery.cancel_scope.cancel()

    run(main)


def test_a_message_as_large_as_allowed_fits_the_common_bound() -> None:
    """Four of the largest do, whatever the bound is."""

    async def main() -> None:
        limits = ConnectionLimits(max_message_bytes=MIB)
        gateway = Gateway([Route(*LOCAL, "/", 100, FakeService(), limits)], receive_budget_bytes=1)
        async with trio.open_nursery() as nursery:
            rig = Rig(gateway, FakeService(), await served(gateway, nursery))
            async with rig.raw() as first, rig.raw() as second, rig.raw() as third:
                for client in (first, second, third):
                    await client.upgrade(frame(BINARY, bytes(MIB - 1), fin=False))
                for client in (third, second, first):
                    await client.send(frame(0, b"."))
                    assert isinstance(await client.event(), BytesMessage)
            nursery.cancel_scope.cancel()

    run(main)


def test_who_has_something_waiting_is_read_no_further_when_all_hold_much() -> None:
    """A client whose message waits for the actor stops the reading of its next one; none of it is lost."""

    async def main() -> None:
        service = FakeService()
        limits = ConnectionLimits(max_message_bytes=64 * 1024)
        gateway = Gateway([Route(*LOCAL, "/", 100, service, limits)])
        async with trio.open_nursery() as nursery:
            rig = Rig(gateway, service, await served(gateway, nursery))
            gateway._receive_budget.max_bytes = 2000
            service.roomy = False
            async with rig.raw() as client:
                await client.upgrade(*(frame(TEXT, b"%d" % number * 1000) for number in range(5)))
                await wait_all_tasks_blocked()
                assert gateway._receive_budget.held_bytes < 1500
                service.make_room()
                assert [await client.event() for _ in range(5)] == [
                    TextMessage(str(number) * 1000) for number in range(5)
                ]
                assert gateway._receive_budget.held_bytes == 0
            nursery.cancel_scope.cancel()

    run(main)
