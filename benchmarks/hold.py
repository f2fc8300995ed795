"""Holds many connections open and idle, answering pings: `hold.py URL COUNT`, until its stdin ends.

Handshakes go in batches, so that the server's accepting is what takes time. Prints JSON once all are open.
"""

import json
import resource
import selectors
import socket
import sys
import time

from benchmarks.load import MASK, begin_handshake, end_handshake, frame_head

_BATCH = 64
_SPARE_DESCRIPTORS = 64
_PING, _PONG = 0x89, 10


def open_all(url: str, count: int) -> list[socket.socket]:
    """Open so many connections."""
    clients: list[socket.socket] = []
    while len(clients) < count:
        batch = [begin_handshake(url) for _ in range(min(_BATCH, count - len(clients)))]
        for client in batch:
            end_handshake(client)
        clients += batch
    return clients


def pong(frame: bytes) -> bytes:
    """Return the answer to a ping's whole frame. Raises ValueError for anything else."""
    if len(frame) < 2 or frame[0] != _PING or len(frame) != 2 + frame[1]:
        raise ValueError(f"not a ping but {frame[:16]!r}")
    payload = bytes(octet ^ MASK[index % 4] for index, octet in enumerate(frame[2:]))
    return frame_head(_PONG, len(payload), masked=True) + MASK + payload


def hold(clients: list[socket.socket]) -> None:
    """Answer pings until stdin ends."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    for client in clients:
        selector.register(client, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if not isinstance(key.fileobj, socket.socket):
                return
            key.fileobj.sendall(pong(key.fileobj.recv(1024)))


def main() -> None:
    """Open, tell, hold."""
    url, count = sys.argv[1], int(sys.argv[2])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + _SPARE_DESCRIPTORS, most), most))
    begun_s = time.perf_counter()
    clients = open_all(url, count)
    print(json.dumps({"accepted_per_s": count / (time.perf_counter() - begun_s)}), flush=True)
    hold(clients)


if __name__ == "__main__":
    main()
