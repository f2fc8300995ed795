"""What a real supervisor tells its clients: the documented close codes and HTTP statuses, row by row.

Each answer has an id that is in the supervisor's log. Code 1001 is shown with signals, 408 where the deadline
can be shorter.
"""

import os
import re
import signal
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ed25519
from wsproto.events import CloseConnection

from tests.integration.gateway_rig import BINARY, TEXT, RawClient, frame, request
from tests.integration.running import PATIENCE_S, Running, supervisor_beside, write_manifest
from tests.integration.test_secrets import install, jwt_config, private, public

GATEWAY_PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"
KEY = ed25519.Ed25519PrivateKey.generate()
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
CROWDED = {"max_connections": 2, "max_connections_per_address": 1, "trusted_proxies": ["127.0.0.1"]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One supervisor with an actor for every kind of answer."""
    directory = tmp_path_factory.mktemp("answers")
    (directory / "manifests").mkdir()
    install(directory / "manifests" / "key.pem", public(KEY), 0o644)
    limits = {"max_message_size": 100_000, "reply_limit": {"count": 50}}
    write_manifest(
        directory, "probe", "probe", "[limits]\ncall_timeout_s = 1", compression=True, path="/at", **limits
    )
    rate = {"messages_per_s": 100, "burst": 5, "patience_s": 0.1}
    write_manifest(directory, "impatient", "probe", rate_limit=rate)
    write_manifest(directory, "pinging", "probe", ping_interval_s=0.1, ping_timeout_s=0.1)
    write_manifest(directory, "login", "probe", **jwt_config("key.pem"))
    write_manifest(directory, "crowded", "probe", **CROWDED)
    write_manifest(directory, "mortal", "probe", '[restart]\npolicy = "temporary"')
    with supervisor_beside(directory) as running:
        yield running


@asynccontextmanager
async def raw(running: Running, actor: str) -> AsyncIterator[RawClient]:
    """A bare client of an actor."""
    port = urlsplit(running.urls[actor]).port
    assert port is not None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield RawClient(stream)


def answers(running: Running, event: str, error: str) -> list[dict[str, object]]:
    """The lines of the log with that error id."""
    return [line for line in running.events() if line["event"] == event and line.get("error") == error]


async def the_line(running: Running, event: str, shown: str) -> dict[str, object]:
    """Wait until the log has the line whose error id the client was shown; return it."""
    found = re.search(r"\[([0-9a-f]{8})\]", shown)
    assert found is not None, shown
    while not (lines := answers(running, event, found[1])):
        await trio.sleep(0.01)
    (line,) = lines
    return line


def deflated(data: bytes) -> bytes:
    """A message as permessage-deflate has it."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


@dataclass(frozen=True)
class Close:
    """What a client sends to which actor, and what it is told."""

    code: int
    reason: str
    sent: bytes = b""
    actor: str = "probe"
    extra: bytes = b""


CLOSES = {
    "actor-closes": Close(1000, "", frame(TEXT, b"replies")),
    "reserved-opcode": Close(1002, "protocol error", frame(3)),
    "unmasked": Close(1002, "protocol error", frame(TEXT, b"x", masked=False)),
    "not-utf-8": Close(1007, "invalid data", frame(TEXT, b"\xff")),
    "not-deflated": Close(1007, "invalid data", frame(TEXT, b"\xff\xff", rsv=4), extra=DEFLATE),
    "fragments": Close(1008, "too many fragments", frame(TEXT, fin=False) + frame(0, fin=False) * 300),
    "messages": Close(1008, "too many messages", frame(TEXT, b"x") * 2000, "impatient"),
    "login-expires": Close(1008, "the login has expired", actor="login"),
    "too-big": Close(1009, "message too big", frame(BINARY, bytes(100_001))),
    "bomb": Close(1009, "message too big", frame(BINARY, deflated(bytes(1 << 24)), rsv=4), extra=DEFLATE),
    "actor-fails": Close(1011, "internal error", frame(TEXT, b"err why")),
    "actor-traps": Close(1011, "internal error", frame(TEXT, b"trap")),
    "actor-takes-too-long": Close(1011, "internal error", frame(TEXT, b"spin")),
    "too-many-replies": Close(1011, "internal error", frame(TEXT, b"many 51")),
    "no-pong": Close(1011, "no answer to a ping", actor="pinging"),
}


async def closed(running: Running, client: RawClient) -> CloseConnection:
    """Wait for the close frame, check its line in the log, and leave."""
    close = await client.close_frame()
    await client.stream.aclose()
    if close.code != 1000:
        line = await the_line(running, "connection_closed", close.reason or "")
        assert (line["by"], line["code"]) == ("server", close.code)
        assert str(line["reason"]) == (close.reason or "").partition(" [")[0]
    return close


def expiring_login() -> bytes:
    """The header with a login that is good for a second or two."""
    claims = {"aud": "a", "iss": "i", "exp": int(time.time()) + 3}
    return f"Authorization: Bearer {jwt.encode(claims, private(KEY), 'EdDSA')}\r\n".encode()


@pytest.mark.parametrize("case", CLOSES)
def test_a_connection_is_closed_with_its_code(case: str, running: Running) -> None:
    """Code and reason as the table has them; the log's line has both, and the id."""
    wanted = CLOSES[case]

    async def main() -> None:
        extra = expiring_login() if wanted.actor == "login" else wanted.extra
        line = b"GET /at HTTP/1.1" if wanted.actor == "probe" else b"GET / HTTP/1.1"
        with trio.fail_after(PATIENCE_S):
            async with raw(running, wanted.actor) as client:
                await client.send(request(line, extra), wanted.sent)
                assert (await client.response()).startswith(b"HTTP/1.1 101 ")
                close = await closed(running, client)
        assert (close.code, (close.reason or "").partition(" [")[0]) == (wanted.code, wanted.reason)

    trio.run(main)


def test_an_actor_that_has_ended_closes_1013_and_answers_503(running: Running) -> None:
    """Who is connected, and who comes later."""

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with raw(running, "mortal") as client, raw(running, "mortal") as late:
                await client.upgrade()
                os.kill(running.worker_pids("mortal")[-1], signal.SIGKILL)
                assert (await closed(running, client)).code == 1013
                assert b"\r\nretry-after: " in (await refused(running, late, 503, request())).lower()

    trio.run(main)


async def refused(running: Running, client: RawClient, status: int, *sent: bytes) -> bytes:
    """Send; assert that the answer has this status and its line in the log. Returns the answer."""
    await client.send(*sent)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    line = await the_line(running, "handshake_refused", answer.decode())
    assert line["status"] == status
    return answer


PROBE = b"GET /at HTTP/1.1"
REFUSALS = {
    "broken-key": ("probe", request(PROBE, sec_websocket_key=b"short"), 400),
    "no-http": ("probe", b"\x16\x03\x01 hello\r\n\r\n", 400),
    "no-login": ("login", request(), 401),
    "foreign-host": ("probe", request(PROBE, host=b"evil.example.org"), 403),
    "foreign-page": ("probe", request(PROBE, b"Origin: https://evil.example.org\r\n"), 403),
    "other-path": ("probe", request(b"GET /elsewhere HTTP/1.1"), 404),
    "post": ("probe", request(b"POST /at HTTP/1.1"), 405),
    "no-upgrade": ("probe", request(PROBE, upgrade=None), 426),
    "old-version": ("probe", request(PROBE, sec_websocket_version=b"8"), 426),
    "long-head": ("probe", request(PROBE, b"X: " + b"x" * 20_000 + b"\r\n"), 431),
    "many-headers": ("probe", request(PROBE, b"X: y\r\n" * 101), 431),
    "http-1.0": ("probe", request(b"GET /at HTTP/1.0"), 505),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_handshake_is_refused_with_its_status(case: str, running: Running) -> None:
    """The status as the table has it; the log's line has it, and the id."""
    actor, sent, status = REFUSALS[case]

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with raw(running, actor) as client:
                await refused(running, client, status, sent)

    trio.run(main)


def test_taken_places_are_refused_and_say_when_to_come_back(running: Running) -> None:
    """429 for the address's, 503 for the handler's."""

    def coming_from(address: str) -> bytes:
        return request(extra=f"X-Forwarded-For: {address}\r\n".encode())

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with raw(running, "crowded") as first, raw(running, "crowded") as second:
                for client, address in ((first, "192.0.2.1"), (second, "192.0.2.2")):
                    await client.send(coming_from(address))
                    assert (await client.response()).startswith(b"HTTP/1.1 101 ")
                for address, status in (("192.0.2.2", 429), ("192.0.2.3", 503)):
                    async with raw(running, "crowded") as third:
                        answer = await refused(running, third, status, coming_from(address))
                    assert b"\r\nretry-after: 5\r\n" in answer.lower()

    trio.run(main)


def test_the_tables_of_the_readme_are_complete() -> None:
    """Every code and status here is on the page, and it has no other ones."""
    section = GATEWAY_PAGE.read_text().partition("## Close codes")[2].partition("## Behind a proxy")[0]
    documented = {
        int(number) for row in re.findall(r"^\| ([0-9, ]+) \|", section, re.M) for number in row.split(",")
    }
    shown = {case.code for case in CLOSES.values()} | {status for _, _, status in REFUSALS.values()}
    assert documented == shown | {1001, 1013, 408, 429, 501, 503}
