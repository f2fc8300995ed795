"""A worker without a component: it echoes, knows a few ways to go wrong, and starts fast.

Usage: python small_worker.py FAULT [FILE…]: it goes wrong while one of the files exists, and removes that
one; without files always. The last line it writes before it does is `going wrong: FAULT`.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.items import all_to_worker, to_item
from theater_protocol.messages import (
    Deliver,
    FromWorker,
    Ready,
    Reply,
    Result,
    Start,
    Stop,
    ToWorker,
    Unchanged,
)


def send(*frames: FromWorker) -> None:
    """Write frames to the wire."""
    data = b"".join(encode_frame(to_item(frame)) for frame in frames)
    while data:
        data = data[os.write(1, data) :]


def go_wrong(fault: str) -> None:
    """Do what the fault says."""
    os.write(2, f"going wrong: {fault}\n".encode())
    match fault:
        case "exit 0" | "exit 3":
            os._exit(int(fault[-1]))
        case "SIGKILL" | "SIGSTOP" | "SIGSEGV":
            os.kill(os.getpid(), getattr(signal, fault))
        case "nonsense":
            os.write(1, b"\x00\x00\x00\x03abc")
        case "silence":
            sleep_forever()
        case "closed pipe":
            os.close(1)
            sleep_forever()


def sleep_forever() -> NoReturn:
    """Stay, and do nothing."""
    while True:
        time.sleep(60)


def take_census(directory: Path) -> None:
    """Note how many workers are starting at this moment, this one included."""
    here = directory / f"starting-{os.getpid()}"
    here.touch()
    time.sleep(0.05)
    (directory / f"census-{os.getpid()}").write_text(str(len(list(directory.glob("starting-*")))))
    here.unlink()


def armed() -> bool:
    """Whether this worker is to go wrong."""
    for name in sys.argv[2:]:
        try:
            Path(name).unlink()
        except FileNotFoundError:
            continue
        return True
    return len(sys.argv) == 2


def handle(frame: ToWorker, fault: str) -> None:
    """Answer one frame."""
    match frame:
        case Start():
            if fault == "init":
                send(Ready(frame.component_sha256, exports_init=True))
                return
            if fault.startswith("start "):
                go_wrong(fault.removeprefix("start "))
            if fault.startswith("census "):
                take_census(Path(fault.removeprefix("census ")))
            send(Ready(frame.component_sha256, exports_init=False))
        case Deliver(kind="init"):
            send(Result(frame.delivery, "err", "no room", (), None, Unchanged()))
        case Deliver(kind="text"):
            if fault:
                go_wrong(fault)
            send(Result(frame.delivery, "ok", None, (Reply("text", frame.payload),), None, Unchanged()))
        case Deliver():
            if fault == f"{frame.kind} SIGKILL":
                go_wrong("SIGKILL")
            send(Result(frame.delivery, "ok", None, (), None, Unchanged()))
        case Stop():
            if fault.startswith("deaf"):
                if fault == "deaf to SIGTERM":
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                sleep_forever()
            sys.exit(0)


def main() -> None:
    """Serve until the pipe ends."""
    fault = sys.argv[1] if armed() else ""
    decoder = FrameDecoder()
    while data := os.read(0, 65536):
        for frame in all_to_worker(decoder.feed(data)):
            handle(frame, fault)


if __name__ == "__main__":
    main()
