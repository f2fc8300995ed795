"""The worker as a process: its pipes, its end, and what it says then."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from wasmtime.component import Component

from tests.components import build
from tests.unit.worker.process import LIMITS, WorkerProcess, deliver, start_frame, texts
from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.items import all_from_worker, to_item
from theater_protocol.messages import Ready, Start, Stop, ToWorker
from theater_worker.engine import new_engine


def test_ready_tells_what_was_started() -> None:
    """Ready repeats the component's hash and tells whether there is an init."""
    with WorkerProcess() as worker:
        start = start_frame("echo")
        ready = worker.start(start)
    assert ready == Ready(start.component_sha256, False, ready.sandbox_level)


def test_stop_finishes_what_was_delivered() -> None:
    """Deliveries before Stop are answered, then the worker exits 0."""
    with WorkerProcess() as worker:
        worker.start(start_frame("counter"))
        worker.send(*texts("a", "b", "c"), Stop())
        results = [worker.receive() for _ in range(3)]
        with pytest.raises(EOFError):
            worker.receive()
        assert worker.finish(0) == ""
    assert [result.delivery for result in results] == [1, 2, 3]  # type: ignore[union-attr]


@pytest.mark.parametrize("is_started", [False, True])
def test_the_end_of_the_pipe_is_the_end(is_started: bool) -> None:
    """Without a supervisor there is nothing to do: exit 0, silently."""
    with WorkerProcess() as worker:
        if is_started:
            worker.start(start_frame("echo"))
        assert worker.finish(0) == ""


def test_frames_cut_anywhere_are_put_together() -> None:
    """A frame that arrives byte by byte is a frame."""
    with WorkerProcess() as worker:
        worker.start(start_frame("echo"))
        for octet in encode_frame(to_item(deliver(1, "text", "whole"))):
            worker.send_bytes(bytes([octet]))
        result = worker.receive()
        assert result.replies[0].payload == "whole"  # type: ignore[union-attr]


PROTOCOL_ERRORS: dict[str, tuple[list[ToWorker], bytes, str]] = {
    "no Start": ([deliver(1, "connect")], b"", "the first frame is Deliver instead of Start"),
    "an empty frame": ([], bytes(4), "an empty frame"),
    "a huge frame": ([], b"\xff" * 4, "a frame of 4294967295 bytes is over the limit"),
    "no CBOR": ([], b"\0\0\0\1\xff", "not valid CBOR"),
    "an unknown tag": ([], b"\0\0\0\3\x81\x18\x63", "unknown frame tag 99"),
}


@pytest.mark.parametrize(
    ("frames", "octets", "message"), list(PROTOCOL_ERRORS.values()), ids=list(PROTOCOL_ERRORS)
)
def test_a_broken_first_frame_ends_the_worker(frames: list[ToWorker], octets: bytes, message: str) -> None:
    """One line says what was wrong, and the status is EX_PROTOCOL."""
    with WorkerProcess() as worker:
        worker.send(*frames)
        worker.send_bytes(octets)
        log = worker.finish(76)
    assert log.startswith(f"\x1eEthe supervisor broke the protocol: {message}")
    assert log.count("\n") == 1


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (lambda start: [start], "a second Start"),
        (lambda _: [Stop(), Stop()], "a frame after Stop"),
        (lambda _: [deliver(1, "init", "name")], "an init event for a component that does not export init"),
    ],
    ids=["a second Start", "a frame after Stop", "init without export"],
)
def test_a_frame_out_of_place_ends_the_worker(
    frames: Callable[[Start], list[ToWorker]], message: str
) -> None:
    """The protocol's order is checked too."""
    with WorkerProcess() as worker:
        start = start_frame("echo")
        worker.start(start)
        worker.send(*frames(start))
        assert worker.finish(76) == f"\x1eEthe supervisor broke the protocol: {message}\n"


def compiled_unchecked(actor: str, directory: Path) -> str:
    """Compile a test actor without checking it, as no compiler of ours would."""
    path = directory / "unchecked.cwasm"
    path.write_bytes(Component(new_engine(), build(actor).read_bytes()).serialize())
    return str(path)


@pytest.mark.parametrize(
    ("actor", "message"),
    [
        ("noexport", "the component does not export ntwk:theater/websocket-server (it exports nothing)"),
        ("badimport", "the component imports acme:shop/till ring, which is not provided"),
        (
            "wrongtype",
            "the component exports ntwk:theater/websocket-server handle-message as func(u32) -> u32",
        ),
    ],
)
def test_a_component_that_does_not_fit_is_refused_by_name(actor: str, message: str, tmp_path: Path) -> None:
    """What the compiler would have refused, the worker refuses as well."""
    with WorkerProcess() as worker:
        worker.send(replace(start_frame("echo"), compiled_path=compiled_unchecked(actor, tmp_path)))
        assert worker.finish(65).startswith(f"\x1eE{message}")


def test_a_missing_compiled_file_is_named() -> None:
    """66 (EX_NOINPUT) and the path."""
    with WorkerProcess() as worker:
        worker.send(replace(start_frame("echo"), compiled_path="/nowhere/at.cwasm"))
        log = worker.finish(66)
    assert log.startswith("\x1eEthe compiled component cannot be read:")
    assert "/nowhere/at.cwasm" in log


def test_a_file_that_is_not_compiled_code_is_named(tmp_path: Path) -> None:
    """65 (EX_DATAERR), the path and how to mend it."""
    path = tmp_path / "junk.cwasm"
    path.write_bytes(b"junk")
    with WorkerProcess() as worker:
        worker.send(replace(start_frame("echo"), compiled_path=str(path)))
        log = worker.finish(65)
    assert log.startswith(f"\x1eE{path} is not compiled code for this worker; compile the component again: ")


def test_a_memory_limit_below_the_components_need_is_named() -> None:
    """An instance that cannot even be made is an error of the start."""
    with WorkerProcess() as worker:
        worker.send(start_frame("echo", limits=replace(LIMITS, memory_bytes=65536)))
        log = worker.finish(65)
    assert "the component cannot be instantiated: memory minimum size of" in log


def test_the_wire_is_out_of_reach() -> None:
    """After claim_wire, stdin is empty and stdout is stderr; only the claimed descriptors reach the pipes."""
    program = (
        "import os, subprocess, sys\n"
        "from theater_worker.stdio import claim_wire\n"
        "read_fd, write_fd = claim_wire()\n"
        "print('from python', flush=True)\n"
        "os.write(1, b'from below\\n')\n"
        "subprocess.run(['sh', '-c', f'echo from a child; echo no >&{write_fd}'])\n"
        "os.write(write_fd, sys.stdin.buffer.read() + os.read(read_fd, 9))\n"
    )
    done = subprocess.run([sys.executable, "-Ic", program], input=b"frame", capture_output=True, check=True)
    assert done.stdout == b"frame"
    assert b"from python\nfrom below\nfrom a child\n" in done.stderr


def test_ctrl_c_is_the_supervisors_affair() -> None:
    """SIGINT, which a terminal sends to the whole group, does not disturb a worker."""
    with WorkerProcess() as worker:
        worker.start(start_frame("echo"))
        worker.process.send_signal(signal.SIGINT)
        assert worker.result(deliver(1, "text", "still here")).outcome == "ok"
        worker.stop()


def test_a_spinning_worker_does_not_outlive_its_parent() -> None:
    """When the parent is killed the worker ends, in mid-call and with its pipe still open."""
    worker_in, feed = os.pipe()
    read, worker_out = os.pipe()
    program = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-I', '-m', 'theater_worker'], stdin=0, stdout=1).wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-Ic", program], stdin=worker_in, stdout=worker_out)
    os.close(worker_in)
    os.close(worker_out)
    start = start_frame("probe", limits=replace(LIMITS, call_timeout_us=3_600_000_000))
    frames: list[ToWorker] = [start, *texts("quick", "spin")]
    os.write(feed, b"".join(encode_frame(to_item(frame)) for frame in frames))
    decoder = FrameDecoder()
    seen: list[object] = []
    # Ready and the first result: the second call is running, or about to.
    while len(seen) < 2:
        seen += all_from_worker(decoder.feed(os.read(read, 65536)))
    parent.kill()
    parent.wait()
    assert os.read(read, 1) == b""
    os.close(feed)
    os.close(read)


def test_a_result_nobody_reads_ends_the_worker() -> None:
    """A closed wire is a supervisor gone: EX_IOERR, no traceback."""
    with WorkerProcess() as worker:
        worker.start(start_frame("echo"))
        assert worker.process.stdout is not None
        worker.process.stdout.close()
        worker.send(deliver(1, "text", "anyone?"))
        assert worker.finish(74) == ""


def test_state_hashes_are_of_the_bytes() -> None:
    """A large state comes back with the hash of exactly its bytes."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        result = worker.result(deliver(1, "text", "state 20000"))
    assert result.state_hash == hashlib.sha256(b"x" * 20000).digest()
    assert result.update.state == b"x" * 20000  # type: ignore[union-attr]
