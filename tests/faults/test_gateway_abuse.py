"""Hostile clients in numbers against a real supervisor, with a good client beside them.

After each attack: the good client was served in order all along, the supervisor lives, its memory and its
descriptors are back, and its log has no failure. How long it takes is measured in benchmarks/, not here.
"""

import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.faults.counts import repeats
from tests.integration.gateway_rig import BINARY, CLOSE, PING, TEXT, RawClient, frame, request
from tests.integration.running import Running, ask, client, supervisor, write_manifest
from tests.integration.test_handshakes import HOSTILE

pytestmark = pytest.mark.campaign

MIB = 1024 * 1024
PATIENCE_S = 60.0
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


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


async def slow_reader(url: str, number: int) -> None:
    """Asks for a megabyte sixteen times over, and reads nothing."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(3):
        async with raw(url, receive_buffer=4096) as attacker:
            await attacker.upgrade()
            for _ in range(256):
                await attacker.send(frame(BINARY, bytes(64 * 1024)))
            await trio.sleep_forever()


async def ping_flood(url: str, number: int) -> None:
    """Pings as fast as the socket takes them; the pongs aren't read."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(3):
        async with raw(url) as attacker:
            await attacker.upgrade()
            while True:
                await attacker.send(frame(PING, bytes(125)) * 400)


async def empty_fragments(url: str, number: int) -> None:
    """Forty thousand fragments without a byte: closed 1008."""
    async with raw(url) as attacker:
        await attacker.upgrade()
        with suppress(trio.BrokenResourceError):
            await attacker.send(frame(TEXT, fin=False) + frame(0, fin=False) * 40_000)
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
            await attacker.send(frame(BINARY, BOMB, rsv=4))
        assert (await attacker.close_frame()).code == 1009


def _bomb() -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(stream.compress(bytes(MIB)) for _ in range(1024)) + stream.flush(zlib.Z_SYNC_FLUSH)[:-4]


BOMB = _bomb()
Attack = Callable[[str, int], Awaitable[None]]
# The attack, how many of it in the full campaign, how many at a time.
ATTACKS: list[tuple[Attack, int, int]] = [
    (slow_loris, 500, 500),
    (slow_reader, 100, 100),
    (ping_flood, 20, 20),
    (empty_fragments, 20, 4),
    (churn, 10_000, 50),
    (deflate_bomb, 50, 10),
]


def memory_bytes(running: Running) -> int:
    """The supervisor's resident set."""
    (line,) = [
        line
        for line in Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    return int(line.split()[1]) * 1024


def descriptors(running: Running) -> int:
    """How many the supervisor has open."""
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


async def until(condition: Callable[[], bool]) -> None:
    """Poll for what only the other process can bring about."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.05)


async def good_client(url: str, stop: trio.Event) -> int:
    """Ask and be answered, in order, until it is over; return how often."""
    count = 0
    async with client(url) as good:
        while not stop.is_set() or not count:
            assert await ask(good, f"message {count}") == f"message {count}"
            count += 1
    return count


def assert_unharmed(running: Running) -> None:
    """The supervisor lives and logged no failure."""
    assert running.process.returncode is None
    assert not [entry for entry in running.events() if entry["level"] in ("error", "critical")]


@pytest.mark.parametrize(
    ("attack", "count", "at_once"), ATTACKS, ids=[attack[0].__name__ for attack in ATTACKS]
)
def test_an_attack_leaves_the_others_served_and_nothing_behind(
    attack: Attack, count: int, at_once: int, tmp_path: Path
) -> None:
    """Memory grows by less than 64 MiB while it lasts, descriptors come back, a good client is served."""
    write_manifest(tmp_path, "echo", "echo", compression=True)

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            url = running.urls["echo"]
            async with client(url) as first:
                await ask(first, "warm")
            before_fds, before_bytes = descriptors(running), memory_bytes(running)
            peak = [before_bytes]
            over = trio.Event()
            places = trio.CapacityLimiter(at_once)

            async def one(number: int) -> None:
                async with places:
                    await attack(url, number)

            async def watch() -> None:
                while not over.is_set():
                    peak.append(memory_bytes(running))
                    await trio.sleep(0.02)

            async with trio.open_nursery() as beside:
                beside.start_soon(good_client, url, over)
                beside.start_soon(watch)
                async with trio.open_nursery() as attackers:
                    for number in range(repeats(count)):
                        attackers.start_soon(one, number)
                over.set()
            assert max(peak) - before_bytes < 64 * MIB
            await until(lambda: descriptors(running) <= before_fds + 1)
            assert_unharmed(running)
            async with client(url) as last:
                assert await ask(last, "still there?") == "still there?"

    trio.run(main)


def pieces_of(sent: bytes) -> Iterator[bytes]:
    """What had been sent when the reset came: after each line, or in eighths where there are none."""
    lines = sent[:20_000].splitlines(keepends=True)
    if len(lines) <= 1 or len(lines) > 20:
        step = max(1, len(sent) // 8)
        lines = [sent[at : at + step] for at in range(0, len(sent), step)]
    for count in range(len(lines) + 1):
        yield b"".join(lines[:count])


def test_hostile_handshakes_reset_after_each_step_leave_nothing(tmp_path: Path) -> None:
    """Every entry of the corpus, reset after every line of it."""
    assert len(HOSTILE) >= 60
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            url = running.urls["echo"]
            async with client(url) as first:
                await ask(first, "warm")
            before_fds = descriptors(running)
            async with client(url) as good:
                for sent, _ in HOSTILE.values():
                    for piece in pieces_of(sent):
                        with suppress(trio.BrokenResourceError):
                            async with raw(url) as attacker:
                                await attacker.send(piece)
                    assert await ask(good, "still there?") == "still there?"
            await until(lambda: descriptors(running) <= before_fds + 1)
            assert_unharmed(running)

    trio.run(main)


CORPUS = [sent for sent, _ in HOSTILE.values() if len(sent) < 4096]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A handshake of the corpus with some bytes changed, left out, doubled or put in."""
    sent = bytearray(draw(st.sampled_from(CORPUS)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(sent)))
        match draw(st.sampled_from(["change", "drop", "double", "insert", "cut"])):
            case "change":
                sent[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "drop":
                del sent[at : at + draw(st.integers(1, 20))]
            case "double":
                sent[at:at] = sent[at : at + draw(st.integers(1, 40))]
            case "insert":
                sent[at:at] = draw(
                    st.sampled_from([b"\r\n", b"\n", b"\0", b":", b" ", b"\xff", b"\r\n\r\n", b","])
                )
            case "cut":
                del sent[at:]
    return bytes(sent)


def test_mutated_handshakes_harm_nobody(tmp_path: Path) -> None:
    """Whatever is sent, it is answered or dropped; the supervisor logs no failure. Seeds are printed."""
    write_manifest(tmp_path, "echo", "echo")
    inputs: list[bytes] = []

    @settings(
        max_examples=repeats(10_000),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated())
    def collect(sent: bytes) -> None:
        note(repr(sent))
        inputs.append(sent)

    collect()

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            url = running.urls["echo"]
            async with client(url) as first:
                await ask(first, "warm")
            before_fds = descriptors(running)
            places = trio.CapacityLimiter(32)

            async def one(sent: bytes) -> None:
                async with places:
                    with suppress(trio.BrokenResourceError), trio.move_on_after(0.2):
                        async with raw(url) as attacker:
                            await attacker.send(sent)
                            await attacker.eof()
                            await attacker.rest()

            async with client(url) as good:
                async with trio.open_nursery() as nursery:
                    for sent in inputs:
                        nursery.start_soon(one, sent)
                assert await ask(good, "still there?") == "still there?"
            await until(lambda: descriptors(running) <= before_fds + 1)
            assert_unharmed(running)

    trio.run(main)
