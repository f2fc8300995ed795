"""Hostile clients of a gateway, in numbers, as a process of their own.

    python -m tests.faults.gateway_attacks ATTACK URL COUNT

Exits with 0 when all of them got what they deserve. What becomes of others meanwhile is not seen from here.
"""

import socket
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio

from tests.integration.gateway_rig import BINARY, CLOSE, PING, TEXT, RawClient, frame, request
from tests.integration.test_handshakes import HOSTILE

MIB: Final = 1024 * 1024
DEFLATE: Final = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
HANDSHAKES: Final = [sent for sent, _ in HOSTILE.values()]
# Made once: an attacker's time is none of the supervisor's.
LARGE: Final = frame(BINARY, bytes(64 * 1024))
PINGS: Final = frame(PING, bytes(125)) * 400
EMPTY: Final = frame(TEXT, fin=False) + frame(0, fin=False) * 40_000


@asynccontextmanager
async def raw(url: str, receive_buffer: int | None = None) -> AsyncIterator[RawClient]:
    """A bare client that is reset at the end, so that nothing of it waits anywhere."""
    where = urlsplit(url)
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    with sock:
        await sock.connect((where.hostname, where.port))
        raw_client = RawClient(trio.SocketStream(sock))
        try:
            yield raw_client
        finally:
            with suppress(OSError):  # closed by the attack itself
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def slow_loris(url: str, number: int) -> None:
    """A head that comes a line at a time and never ends."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(3):
        async with raw(url) as attacker:
            await attacker.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            for _ in range(30):
                await trio.sleep(0.1)
                await attacker.send(b"X-%d: y\r\n" % number)


async def hostile_handshake(url: str, number: int) -> None:
    """What is no handshake, or an eighth or more of it, then a reset."""
    eighths, which = number % 8 + 1, number // 8 % len(HANDSHAKES)
    sent = HANDSHAKES[which][: len(HANDSHAKES[which]) * eighths // 8]
    with suppress(trio.BrokenResourceError), trio.move_on_after(0.1):
        async with raw(url) as attacker:
            await attacker.send(sent)
            await attacker.rest()


async def slow_reader(url: str, number: int) -> None:
    """Asks for a megabyte sixteen times over, and reads nothing."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(3):
        async with raw(url, receive_buffer=4096) as attacker:
            await attacker.upgrade()
            for _ in range(256):
                await attacker.send(LARGE)
            await trio.sleep_forever()


async def ping_flood(url: str, number: int) -> None:
    """Pings as fast as the socket takes them; the pongs aren't read."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(3):
        async with raw(url) as attacker:
            await attacker.upgrade()
            while True:
                await attacker.send(PINGS)


async def empty_fragments(url: str, number: int) -> None:
    """Forty thousand fragments without a byte: closed 1008."""
    async with raw(url) as attacker:
        await attacker.upgrade()
        with suppress(trio.BrokenResourceError):
            await attacker.send(EMPTY)
        assert (await attacker.close_frame()).code == 1008


async def churn(url: str, number: int) -> None:
    """Come and go, by the book or not."""
    async with raw(url) as attacker:
        await attacker.upgrade()
        if number % 3 == 0:
            await attacker.send(frame(CLOSE, b"\x03\xe8"))
            await attacker.close_frame()
        elif number % 3 == 1:
            await attacker.stream.aclose()


async def deflate_bomb(url: str, number: int) -> None:
    """A gigabyte in a megabyte: closed 1009."""
    async with raw(url) as attacker:
        await attacker.send(request(extra=DEFLATE))
        await attacker.response()
        with suppress(trio.BrokenResourceError):
            await attacker.send(frame(BINARY, bomb(), rsv=4))
        assert (await attacker.close_frame()).code == 1009


async def silent_reader(url: str, number: int) -> None:
    """Has a quarter of a megabyte echoed, reads nothing of it, and stays."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(10):
        async with raw(url, receive_buffer=4096) as attacker:
            await attacker.upgrade()
            for _ in range(4):
                await attacker.send(LARGE)
            await trio.sleep_forever()


async def unfinished_message(url: str, number: int) -> None:
    """Sends all of a megabyte but its end, and stays: closed 1013 when there are too many of them."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(10):
        async with raw(url) as attacker:
            await attacker.upgrade()
            await attacker.send(frame(BINARY, bytes(64 * 1024), fin=False))
            for _ in range(14):
                await attacker.send(frame(0, bytes(64 * 1024), fin=False))
            assert (await attacker.close_frame()).code == 1013


@cache
def bomb() -> bytes:
    """A gigabyte of zeros, deflated: a megabyte of them again and again."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return ((stream.compress(bytes(MIB)) + stream.flush(zlib.Z_FULL_FLUSH)) * 1024)[:-4]


Attack = Callable[[str, int], Awaitable[None]]
# The attack, how many of it in the full campaign, how many at a time.
ATTACKS: Final[list[tuple[Attack, int, int]]] = [
    (slow_loris, 500, 500),
    (hostile_handshake, 5000, 50),
    (slow_reader, 100, 100),
    (ping_flood, 20, 20),
    (empty_fragments, 20, 4),
    (churn, 10_000, 50),
    (deflate_bomb, 50, 10),
    (silent_reader, 1000, 1000),
    (unfinished_message, 1000, 1000),
]


async def attack(name: str, url: str, count: int) -> None:
    """Let `count` of these clients loose, as many at a time as the attack has."""
    (one, at_once) = next((one, at_once) for one, _, at_once in ATTACKS if one.__name__ == name)
    places = trio.CapacityLimiter(at_once)

    async def in_its_place(number: int) -> None:
        async with places:
            await one(url, number)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(in_its_place, number)


async def let_loose(name: str, url: str, count: int, niceness: int = 0) -> None:
    """Run an attack as a process of its own. Raises CalledProcessError when one was let through."""
    command = ["nice", "-n", str(niceness), sys.executable, "-m", __name__, name, url, str(count)]
    await trio.run_process(command, cwd=Path(__file__).parents[2])


if __name__ == "__main__":
    trio.run(attack, sys.argv[1], sys.argv[2], int(sys.argv[3]))
