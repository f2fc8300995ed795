"""A real worker for tests: spoken to through its pipes, as the supervisor does, but blocking."""

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

from tests.components import build
from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.items import all_from_worker, to_item
from theater_protocol.messages import (
    Deliver,
    EventKind,
    FromWorker,
    Limits,
    Payload,
    Ready,
    Result,
    Start,
    Stop,
    ToWorker,
)
from theater_worker.compile import compile_component

SEED = hashlib.sha256(b"a seed").digest()
LIMITS = Limits(call_timeout_us=5_000_000, memory_bytes=64 << 20)
AT_US = 1_700_000_000_000_005
COMMAND = (sys.executable, "-I", "-m", "theater_worker")

_CACHE = Path(__file__).parents[3] / "build" / "compiled"


# Whether start_frame names code with the shim in it; a test may change it for its time.
with_shim = True
NO_SHIM_LINE = "\x1eEthis component runs without the fast call path: it was compiled without it\n"


@functools.cache
def compile_actor(name: str, with_shim: bool = True) -> dict[str, object]:
    """Build and compile the test actor `name` and return the compiler's report."""
    if not with_shim:
        return asdict(compile_component(_CACHE, build(name), with_shim=False))
    command = [sys.executable, "-I", "-m", "theater_worker.compile", str(_CACHE), str(build(name))]
    report: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    return report


def start_frame(
    actor: str, state: bytes | None = None, limits: Limits = LIMITS, seed: bytes = SEED, name: str = "test"
) -> Start:
    """Make the Start frame for a test actor."""
    report = compile_actor(actor, with_shim)
    assert not report["problems"], report["problems"]
    sha256 = bytes.fromhex(str(report["component_sha256"]))
    return Start(name, str(report["compiled_path"]), sha256, limits, seed, state)


def deliver(delivery: int, kind: EventKind, payload: Payload = None, at_us: int = AT_US) -> Deliver:
    """Make a Deliver frame."""
    return Deliver(delivery, 0 if kind == "init" else 1, kind, at_us, payload)


def texts(*commands: str, first: int = 1) -> list[Deliver]:
    """Make a text delivery of each command, numbered from `first`."""
    return [deliver(first + index, "text", command) for index, command in enumerate(commands)]


class WorkerProcess:
    """A worker process; leaving its `with` block ends it."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # A thread, because nobody else reads while a test waits for a result; a worker writes no files.
        self._stderr: list[bytes] = []
        self._stderr_reader = threading.Thread(target=self._read_stderr)
        self._stderr_reader.start()
        self._decoder = FrameDecoder()
        self._frames: deque[FromWorker] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self._close_input()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait()
        self._stderr_reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def send(self, *frames: ToWorker) -> None:
        """Write the frames in one write."""
        self.send_bytes(b"".join(encode_frame(to_item(frame)) for frame in frames))

    def send_bytes(self, data: bytes) -> None:
        """Write bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def start(self, start: Start) -> Ready:
        """Send Start and wait for Ready."""
        self.send(start)
        ready = self.receive()
        assert isinstance(ready, Ready)
        return ready

    def results(self, deliveries: Sequence[Deliver]) -> list[Result]:
        """Send the deliveries in one write and wait for all of their results."""
        self.send(*deliveries)
        results = []
        for _ in deliveries:
            result = self.receive()
            assert isinstance(result, Result)
            results.append(result)
        return results

    def result(self, delivery: Deliver) -> Result:
        """Send one delivery and wait for its result."""
        (result,) = self.results([delivery])
        return result

    def receive(self) -> FromWorker:
        """Wait for the next frame. Raises EOFError when there is none."""
        while not self._frames:
            self._read()
        return self._frames.popleft()

    def receive_read(self) -> list[Result]:
        """Wait for the results of one more write, which a single read brings when they are few."""
        assert not self._frames
        self._read()
        results = [frame for frame in self._frames if isinstance(frame, Result)]
        self._frames.clear()
        return results

    def stop(self) -> str:
        """Send Stop, expect exit status 0, and return what the worker wrote to stderr."""
        self.send(Stop())
        return self.finish(0)

    def finish(self, status: int) -> str:
        """Close the pipe, expect this exit status, and return what the worker wrote to stderr.

        Without the shim, but for the line that says so.
        """
        self._close_input()
        returned = self.process.wait(timeout=30)
        self._stderr_reader.join()
        stderr = b"".join(self._stderr).decode()
        assert returned == status, stderr
        return stderr if with_shim else stderr.replace(NO_SHIM_LINE, "", 1)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        while data := os.read(self.process.stderr.fileno(), 65536):
            self._stderr.append(data)

    def _close_input(self) -> None:
        assert self.process.stdin is not None
        # A dead worker cannot take what is still buffered.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        if not data:
            raise EOFError("the worker closed its pipe")
        self._frames += all_from_worker(self._decoder.feed(data))
