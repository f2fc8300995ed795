"""The load: raw WebSocket clients that cost next to nothing, so that the server is what is measured.

Frames are made once and replies are counted by their bytes; the echo of a text of n < 126 bytes has n + 2.
Blocking sockets and one selector; run in a process of its own.
"""

import json
import os
import selectors
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

RECEIVE_BYTES = 1 << 16
TIMEOUT_S = 10.0
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    received_bytes: int = 0


def connect(url: str) -> socket.socket:
    """Open a WebSocket connection and return its socket, the 101 read."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    client = socket.create_connection((parts.hostname, parts.port or 80), TIMEOUT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(_HANDSHAKE.format(path=parts.path or "/", host=parts.netloc).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = client.recv(1)
        if not chunk:
            raise ConnectionError(f"{url}: no handshake, but {head!r}")
        head += chunk
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(f"{url}: refused: {head!r}")
    return client


def text_frame(size: int) -> bytes:
    """A masked text frame of `size` (< 126) bytes."""
    mask = b"\x11\x22\x33\x44"
    text = bytes(97 + i % 26 for i in range(size))
    return bytes([0x81, 0x80 | size]) + mask + bytes(octet ^ mask[i % 4] for i, octet in enumerate(text))


def throughput(url: str, connections: int, outstanding: int, size: int, duration_s: float) -> float:
    """Echoes a second with so many connections and messages outstanding on each."""
    frame, reply_bytes = text_frame(size), size + 2
    clients = [_Connection(connect(url)) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.socket.sendall(frame * outstanding)
    done = 0
    warm_until = time.perf_counter() + duration_s / 5
    begun, end = 0.0, float("inf")
    while (now := time.perf_counter()) < end:
        if not begun and now > warm_until:
            begun, end, done = now, now + duration_s, 0
        ready = selector.select(TIMEOUT_S)
        if not ready:
            raise TimeoutError(f"{url}: no reply for {TIMEOUT_S} s")
        for key, _ in ready:
            done += _echo(key.data, frame, reply_bytes)
    for client in clients:
        client.socket.close()
    return done / (now - begun)


def latency(url: str, size: int, duration_s: float) -> float:
    """The median time of one echo, one connection with one message outstanding, in µs."""
    frame, reply_bytes = text_frame(size), size + 2
    client = connect(url)
    times: list[float] = []
    end = time.perf_counter() + duration_s
    while (sent := time.perf_counter()) < end:
        client.sendall(frame)
        missing = reply_bytes
        while missing:
            missing -= len(client.recv(missing))
        times.append(time.perf_counter() - sent)
    client.close()
    return statistics.median(times) * 1e6


def _echo(client: _Connection, frame: bytes, reply_bytes: int) -> int:
    data = client.socket.recv(RECEIVE_BYTES)
    if not data:
        raise ConnectionError("the server closed a connection")
    before = client.received_bytes // reply_bytes
    client.received_bytes += len(data)
    replies = client.received_bytes // reply_bytes - before
    if replies:
        client.socket.sendall(frame * replies)
    return replies


def main() -> None:
    """Measure and print JSON. Usage: `load.py URL throughput|latency SECONDS`."""
    url, what, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    started = os.times()
    value = throughput(url, 32, 4, 16, seconds) if what == "throughput" else latency(url, 16, seconds)
    ended = os.times()
    busy_s = ended.user + ended.system - started.user - started.system
    print(json.dumps({"value": value, "load_cpu_s": busy_s}))


if __name__ == "__main__":
    main()
