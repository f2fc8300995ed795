"""The load: raw WebSocket clients that cost next to nothing, so that the server is what is measured.

A frame is made once, and echoes are counted by their bytes alone: they are as long as the message and a
server's frame head. Blocking sockets and one selector; runs in a process of its own and prints JSON.
Whether it is the bottleneck is measured too, see sections/generator.py.
"""

import argparse
import json
import selectors
import socket
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

RECEIVE_BYTES = 1 << 20
TIMEOUT_S = 30.0
WARM_UP_SHARE = 0.2
MASK = b"\x11\x22\x33\x44"
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    received_bytes: int = 0


def frame_head(opcode: int, size: int, masked: bool) -> bytes:
    """Make the head of a whole message's frame, without the mask (RFC 6455, 5.2)."""
    mask_bit = 0x80 if masked else 0
    if size < 126:
        return bytes([0x80 | opcode, mask_bit | size])
    if size < 1 << 16:
        return bytes([0x80 | opcode, mask_bit | 126]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode, mask_bit | 127]) + size.to_bytes(8, "big")


def message_frame(size: int, binary: bool = False) -> bytes:
    """Make a client's frame with a message of `size` bytes, a to z again and again."""
    text = (bytes(range(97, 123)) * (size // 26 + 1))[:size]
    # A mask of 4 bytes and a text that repeats after 26: both do after 52.
    mask, period = MASK * 13, text[:52]
    masked = bytes(octet ^ key for octet, key in zip(period, mask, strict=False))
    return frame_head(2 if binary else 1, size, masked=True) + MASK + (masked * (size // 52 + 1))[:size]


def echo_bytes(size: int) -> int:
    """Return how long a server's frame with a message of `size` bytes is."""
    return len(frame_head(1, size, masked=False)) + size


def completed(before_bytes: int, after_bytes: int, reply_bytes: int) -> int:
    """Return how many replies became complete between two counts of received bytes."""
    return after_bytes // reply_bytes - before_bytes // reply_bytes


def begin_handshake(url: str) -> socket.socket:
    """Connect and send a handshake."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    client = socket.create_connection((parts.hostname, parts.port or 80), TIMEOUT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(_HANDSHAKE.format(path=parts.path or "/", host=parts.netloc).encode())
    return client


def end_handshake(client: socket.socket) -> None:
    """Read the 101 and nothing after it."""
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = client.recv(1)
        if not chunk:
            raise ConnectionError(f"no handshake, but {head!r}")
        head += chunk
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(f"refused: {head!r}")


def connect(url: str) -> socket.socket:
    """Open a WebSocket connection."""
    client = begin_handshake(url)
    end_handshake(client)
    return client


def throughput(
    url: str, connections: int, outstanding: int, frame: bytes, reply_bytes: int, duration_s: float
) -> tuple[float, float]:
    """Return echoes a second, with so many outstanding on each connection, and the share of a core."""
    clients = [_Connection(connect(url)) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    for client in clients:
        client.socket.sendall(frame * outstanding)
    buffer = bytearray(RECEIVE_BYTES)
    done, begun, end, begun_cpu = 0, 0.0, float("inf"), 0.0
    warm_until = time.perf_counter() + duration_s * WARM_UP_SHARE
    while (now := time.perf_counter()) < end:
        if not begun and now > warm_until:
            begun, end, done, begun_cpu = now, now + duration_s, 0, time.process_time()
        ready = selector.select(TIMEOUT_S)
        if not ready:
            raise TimeoutError(f"{url}: no reply for {TIMEOUT_S} s")
        for key, _ in ready:
            done += _echo(key.data, frame, reply_bytes, buffer)
    cpu_share = (time.process_time() - begun_cpu) / (now - begun)
    for client in clients:
        client.socket.close()
    return done / (now - begun), cpu_share


def _echo(client: _Connection, frame: bytes, reply_bytes: int, buffer: bytearray) -> int:
    size = client.socket.recv_into(buffer)
    if not size:
        raise ConnectionError("the server closed a connection")
    before = client.received_bytes
    client.received_bytes += size
    replies = completed(before, client.received_bytes, reply_bytes)
    if replies:
        client.socket.sendall(frame * replies)
    return replies


def latencies(url: str, frame: bytes, reply_bytes: int, duration_s: float) -> list[float]:
    """Return the times of echoes in µs: one connection with one message outstanding."""
    client = connect(url)
    times: list[float] = []
    now = time.perf_counter()
    warm_until, end = now + duration_s * WARM_UP_SHARE, now + duration_s * (1 + WARM_UP_SHARE)
    while (sent := time.perf_counter()) < end:
        client.sendall(frame)
        missing = reply_bytes
        while missing:
            missing -= len(client.recv(missing))
        if sent > warm_until:
            times.append((time.perf_counter() - sent) * 1e6)
    client.close()
    return times


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("what", choices=["throughput", "latency"])
    parser.add_argument("seconds", type=float)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--outstanding", type=int, default=4)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--binary", action="store_true")
    options = parser.parse_args()
    frame, reply_bytes = message_frame(options.size, options.binary), echo_bytes(options.size)
    result: dict[str, float] = {}
    if options.what == "throughput":
        result["per_s"], result["cpu_share"] = throughput(
            options.url, options.connections, options.outstanding, frame, reply_bytes, options.seconds
        )
    else:
        times = latencies(options.url, frame, reply_bytes, options.seconds)
        result["p50_us"], result["p99_us"] = statistics.median(times), statistics.quantiles(times, n=100)[98]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
