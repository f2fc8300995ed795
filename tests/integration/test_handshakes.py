"""Handshakes, good and hostile: who gets in, and that nobody who doesn't harms those who are in."""

import pytest
import trio
from structlog.testing import capture_logs

from tests.integration.gateway_rig import CLOSE, KEY, TEXT, RawClient, Rig, frame, gateway_rig, request, run
from theater_supervisor.gateway.door.limits import HandshakeLimits

BAD = b"\xff\xfe\xc3\xa9"
GOOD = request()
HELLO = frame(TEXT, b"hello")
TLS_CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(189))

# What is sent, and the status it gets; None where the client leaves before it gets any.
HOSTILE: dict[str, tuple[bytes, int | None]] = {
    "non-ascii-method": (request(b"G\xcbT / HTTP/1.1"), 400),
    "non-ascii-target": (request(b"GET /\xc3\xa9 HTTP/1.1"), 400),
    "non-ascii-version": (request(b"GET / HTTP/1.\xb9"), 400),
    "non-ascii-host": (request(host=BAD), 400),
    "non-ascii-upgrade": (request(upgrade=BAD), 426),
    "non-ascii-connection": (request(connection=BAD), 426),
    "non-ascii-key": (request(sec_websocket_key=BAD), 400),
    "non-ascii-websocket-version": (request(sec_websocket_version=BAD), 426),
    "non-ascii-protocol": (request(extra=b"Sec-WebSocket-Protocol: " + BAD + b"\r\n"), 101),
    "non-ascii-extensions": (request(extra=b"Sec-WebSocket-Extensions: " + BAD + b"\r\n"), 101),
    "non-ascii-origin": (request(extra=b"Origin: " + BAD + b"\r\n"), 403),
    "non-ascii-user-agent": (request(extra=b"User-Agent: " + BAD + b"\r\n"), 101),
    "non-ascii-header-name": (request(extra=BAD + b": x\r\n"), 400),
    "nul-in-header": (request(extra=b"X: a\x00b\r\n"), 400),
    "host-that-idna-refuses": (request(host=b"xn--99999999999"), 403),
    "host-with-a-label-too-long": (request(host=b"a" * 300), 403),
    "host-with-userinfo": (request(host=b"user@host"), 400),
    "host-empty": (request(host=b""), 400),
    "host-missing": (request(host=None), 400),
    "host-twice": (request(extra=b"Host: other\r\n"), 400),
    "key-missing": (request(sec_websocket_key=None), 400),
    "key-short": (request(sec_websocket_key=b"c2hvcnQ="), 400),
    "key-no-base64": (request(sec_websocket_key=b"!" * 24), 400),
    "key-twice": (request(extra=b"Sec-WebSocket-Key: " + KEY + b"\r\n"), 400),
    "version-missing": (request(sec_websocket_version=None), 400),
    "version-8": (request(sec_websocket_version=b"8"), 426),
    "version-twice": (request(extra=b"Sec-WebSocket-Version: 13\r\n"), 400),
    "plain-http": (request(upgrade=None, connection=None), 426),
    "upgrade-to-h2c": (request(upgrade=b"h2c"), 426),
    "connection-keep-alive": (request(connection=b"keep-alive"), 426),
    "post": (request(b"POST / HTTP/1.1", b"Content-Length: 5\r\n") + b"hello", 405),
    "options-star": (request(b"OPTIONS * HTTP/1.1"), 405),
    "connect-method": (request(b"CONNECT example.org:443 HTTP/1.1"), 405),
    "authority-form": (request(b"GET example.org:443 HTTP/1.1"), 400),
    "get-with-body": (request(extra=b"Content-Length: 5\r\n") + b"hello", 400),
    "get-with-chunked-body": (request(extra=b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400),
    "content-length-twice": (request(extra=b"Content-Length: 0\r\nContent-Length: 9\r\n"), 400),
    "content-length-negative": (request(extra=b"Content-Length: -1\r\n"), 400),
    "http-1.0": (request(b"GET / HTTP/1.0"), 505),
    "http-0.9": (b"GET /\r\n\r\n", 400),
    "http-2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "obs-fold": (request(extra=b"X: a\r\n b\r\n"), 101),
    "space-before-colon": (request(extra=b"X : a\r\n"), 400),
    "no-header-name": (request(extra=b": a\r\n"), 400),
    "bare-cr": (request(extra=b"X: a\rb\r\n"), 400),
    "bare-lf-lines": (GOOD.replace(b"\r\n", b"\n"), 101),
    "tls-client-hello": (TLS_CLIENT_HELLO, 400),
    "garbage": (bytes(range(256)) * 4 + b"\r\n\r\n", 400),
    "zeros": (bytes(4096), 400),
    "newlines": (b"\r\n" * 2000, 400),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
    "websocket-frames-only": (HELLO * 10, None),
    "oversize-target": (request(b"GET /" + b"a" * 20_000 + b" HTTP/1.1"), 431),
    "oversize-header": (request(extra=b"X: " + b"a" * 20_000 + b"\r\n"), 431),
    "oversize-header-count": (request(extra=b"X: a\r\n" * 4000), 431),
    "oversize-endless": (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, 431),
    "deep-path": (request(b"GET " + b"/a" * 7000 + b" HTTP/1.1"), 101),
    "no-end-nothing": (b"", None),
    "no-end-request-line": (b"GET / HT", None),
    "no-end-headers": (GOOD[:-2], None),
    "early-message": (GOOD + HELLO, 101),
    "early-half-frame": (GOOD + HELLO[:3], 101),
    "early-close": (GOOD + frame(CLOSE), 101),
    "pipelined-request": (GOOD + GOOD, 101),
    "pipelined-after-refused": (request(b"PUT / HTTP/1.1") + GOOD, 405),
    "absolute-form": (request(b"GET http://127.0.0.1/ HTTP/1.1"), 101),
    "absolute-form-broken": (request(b"GET http://[::1/ HTTP/1.1"), 400),
}


async def unharmed(rig: Rig) -> None:
    """A good client is served, and nothing of those before it is left."""
    await rig.good_client_is_served()
    await rig.until_idle()


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_handshake_gets_its_status_and_harms_nobody(case: str) -> None:
    """Its status is read, the next client is served, nothing is left over or logged as a failure."""
    sent, status = HOSTILE[case]

    async def main() -> None:
        async with gateway_rig() as rig:
            async with rig.raw() as client:
                await client.send(sent)
                if status is not None:
                    assert (await client.response()).startswith(b"HTTP/1.1 %d " % status)
                await client.eof()
                await client.rest()
            await unharmed(rig)

    with capture_logs() as logs:
        run(main)
    assert not [entry for entry in logs if entry["log_level"] in ("error", "critical")]


STEPS: dict[str, list[bytes]] = {
    "handshake": [line + b"\r\n" for line in GOOD.split(b"\r\n")[:-1]],
    "message": [HELLO[:1], HELLO[1:2], HELLO[2:6], HELLO[6:9], HELLO[9:], frame(CLOSE)],
}


@pytest.mark.parametrize("step", range(len(STEPS["handshake"])))
def test_a_reset_within_the_handshake_ends_only_that_connection(step: int) -> None:
    """The TCP connection is reset after so many lines of a good handshake."""

    async def main() -> None:
        async with gateway_rig() as rig:
            async with rig.raw() as client:
                for line in STEPS["handshake"][:step]:
                    await client.send(line)
                client.reset()
            await unharmed(rig)
            assert len(rig.service.clients) == 1

    run(main)


@pytest.mark.parametrize("wait", ["at-once", "after-the-101"])
@pytest.mark.parametrize("step", range(len(STEPS["message"]) + 1))
def test_a_reset_within_the_first_message_ends_only_that_connection(step: int, wait: str) -> None:
    """The TCP connection is reset after so many pieces of a good message and the close after it."""

    async def main() -> None:
        async with gateway_rig() as rig:
            async with rig.raw() as client:
                await client.send(GOOD)
                if wait == "after-the-101":
                    await client.response()
                for piece in STEPS["message"][:step]:
                    await client.send(piece)
                client.reset()
            await unharmed(rig)

    run(main)


def test_a_refusal_is_read_although_the_client_sent_more() -> None:
    """Unread bytes don't turn the response into a reset."""

    async def main() -> None:
        async with gateway_rig() as rig:
            async with rig.raw() as client:
                await client.send(request(b"PUT / HTTP/1.1"), bytes(200_000))
                answer = await client.rest()
            assert answer.startswith(b"HTTP/1.1 405 ")
            assert b"Allow: GET\r\n" in answer
            await unharmed(rig)

    run(main)


def test_a_refused_client_that_stays_is_dropped() -> None:
    """A client that never closes doesn't keep its refused connection open."""

    async def main() -> None:
        async with gateway_rig(handshakes=HandshakeLimits(linger_s=0.1)) as rig, rig.raw() as client:
            await client.send(b"\0")
            assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
            await rig.until_idle()

    run(main)


@pytest.mark.parametrize("sent", [b"", GOOD[:-2]], ids=["silent", "unfinished"])
def test_a_slow_handshake_ends_at_its_deadline(sent: bytes) -> None:
    """A head that doesn't come to its end is answered 408."""

    async def main() -> None:
        async with gateway_rig(handshakes=HandshakeLimits(timeout_s=0.2)) as rig:
            async with rig.raw() as client:
                await client.send(sent)
                assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
            await rig.until_idle()

    run(main)


def test_early_messages_are_answered() -> None:
    """Messages that came with the request head, before the 101, are events like any other."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            await client.upgrade(HELLO, HELLO)
            for _ in range(2):
                assert (await client.event()).data == "hello"  # type: ignore[attr-defined]

    run(main)


def test_a_handshake_byte_by_byte_is_accepted() -> None:
    """How the bytes are cut makes no difference."""

    async def main() -> None:
        async with gateway_rig() as rig, rig.raw() as client:
            for byte in GOOD:
                await client.send(bytes([byte]))
            assert (await client.response()).startswith(b"HTTP/1.1 101 ")

    run(main)


def test_no_actor_at_the_path_is_404() -> None:
    """Only the base path and what is below it is served."""

    async def main() -> None:
        async with gateway_rig(path="/chat") as rig:
            async with rig.websocket("/chat/room?q=1"):
                pass
            async with rig.raw() as client:
                await client.send(request(b"GET /chatter HTTP/1.1"))
                assert (await client.response()).startswith(b"HTTP/1.1 404 ")
            assert len(rig.service.clients) == 1

    run(main)


def test_an_unavailable_actor_is_503_with_its_retry_after() -> None:
    """A held actor's clients are told when to come again, and the actor hears nothing of them."""

    async def main() -> None:
        async with gateway_rig() as rig:
            rig.service.retry_after_s = 42
            async with rig.raw() as client:
                await client.send(GOOD)
                answer = await client.response()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 42" in answer
            assert not rig.service.events

    run(main)


def test_fifty_handshakes_at_once_fill_exactly_ten_places() -> None:
    """The others get 503 with Retry-After and never reach the actor; who leaves makes room for the next."""

    async def main() -> None:
        async with gateway_rig(max_connections=10) as rig:
            accepted: list[RawClient] = []
            refused: list[bytes] = []
            leave = trio.Event()

            async def one() -> None:
                async with rig.raw() as client:
                    await client.send(GOOD)
                    head = await client.response()
                    if not head.startswith(b"HTTP/1.1 101 "):
                        refused.append(head)
                        return
                    accepted.append(client)
                    await leave.wait()

            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(one)
                while len(accepted) + len(refused) < 50:
                    await trio.sleep(0.005)
                assert (len(accepted), len(refused)) == (10, 40)
                assert all(head.startswith(b"HTTP/1.1 503 ") for head in refused)
                assert all(b"Retry-After: " in head for head in refused)
                assert [kind for _, kind, _ in rig.service.events] == ["connect"] * 10

                await accepted[0].send(frame(CLOSE))
                await accepted[0].close_frame()
                await rig.good_client_is_served()
                leave.set()
            await rig.until_idle()
            assert len(rig.service.clients) == 11

    run(main)


def test_a_refused_handshake_takes_no_place() -> None:
    """Only handshakes that could be accepted count."""

    async def main() -> None:
        async with gateway_rig(max_connections=1) as rig, rig.raw() as lingering:
            await lingering.send(request(sec_websocket_key=None))
            await lingering.response()
            await rig.good_client_is_served()

    run(main)
