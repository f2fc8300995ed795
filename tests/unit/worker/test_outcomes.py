"""What a call can come to, with the real worker and real components."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.worker import process
from tests.unit.worker.process import LIMITS, SEED, WorkerProcess, deliver, start_frame, texts
from theater_protocol.messages import Changed, EventKind, Payload, Reply, Result, Unchanged


@pytest.fixture(params=["shim", "public"], autouse=True)
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds for both routes across the boundary."""
    monkeypatch.setattr(process, "with_shim", request.param == "shim")


SHORT = replace(LIMITS, call_timeout_us=100_000)


def sha256(state: bytes) -> bytes:
    """Hash a state as results do."""
    return hashlib.sha256(state).digest()


@pytest.mark.parametrize("actor", ["echo", "echo_variant"])
@pytest.mark.parametrize(
    ("kind", "payload", "replies"),
    [
        ("connect", None, ()),
        ("text", "héllo\0", (Reply("text", "héllo\0"),)),
        ("text", "", (Reply("text", ""),)),
        ("binary", bytes(range(256)), (Reply("binary", bytes(range(256))),)),
        ("binary", b"", (Reply("binary", b""),)),
        ("ping", b"p", ()),
        ("pong", b"", ()),
        ("close", None, ()),
    ],
)
def test_both_shapes_take_every_event(
    actor: str, kind: EventKind, payload: Payload, replies: tuple[Reply, ...]
) -> None:
    """The enum and the older variant answer every kind of event alike and pass the state through."""
    with WorkerProcess() as worker:
        worker.start(start_frame(actor, state=b"\0kept\xff"))
        assert worker.result(deliver(7, kind, payload)) == Result(
            7, "ok", None, replies, sha256(b"\0kept\xff"), Unchanged()
        )


def test_state_is_carried_from_call_to_call() -> None:
    """A counter counts on from the state it was started with."""
    with WorkerProcess() as worker:
        worker.start(start_frame("counter", state=b"41"))
        first, second = (worker.result(event) for event in texts("a", "b"))
    assert first == Result(1, "ok", None, (Reply("text", "42 a"),), sha256(b"42"), Changed(b"42"))
    assert second == Result(2, "ok", None, (Reply("text", "43 b"),), sha256(b"43"), Changed(b"43"))


def test_a_state_can_be_dropped_and_made() -> None:
    """None and empty are two states."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe", state=b"x"))
        none, empty = (worker.result(event) for event in texts("none", "state 0"))
    assert (none.update, none.state_hash) == (Changed(None), None)
    assert (empty.update, empty.state_hash) == (Changed(b""), sha256(b""))


@pytest.mark.parametrize(
    ("command", "outcome", "detail"),
    [
        ("err not today", "err", "not today"),
        ("err ", "err", ""),
        ("trap", "trap", "wasm trap: wasm `unreachable` instruction executed"),
        ("grow", "trap", "wasm trap: wasm `unreachable` instruction executed"),
        ("hog 100", "trap", "wasm trap: wasm `unreachable` instruction executed"),
        ("recurse", "trap", "wasm trap: call stack exhausted"),
        ("badutf8", "trap", "a string of the guest is not UTF-8"),
        ("spin", "timeout", "no result within 0.1 s"),
    ],
)
def test_a_failed_call_leaves_the_state_and_the_next_call_works(
    command: str, outcome: str, detail: str
) -> None:
    """Whatever a guest does wrong, the state stays, nothing is sent, and the actor goes on."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe", state=b"before", limits=SHORT))
        failed, after = (worker.result(event) for event in texts(command, "still there"))
        log = worker.stop()
    assert failed == Result(1, outcome, detail, (), sha256(b"before"), Unchanged())  # type: ignore[arg-type]
    assert after == Result(2, "ok", None, (Reply("text", "still there"),), sha256(b"before"), Unchanged())
    assert ("wasm backtrace" in log) == (detail.startswith("wasm trap") and outcome == "trap")


def test_memory_within_the_limit_is_given() -> None:
    """The memory limit is the one of Start, not a smaller one."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        assert worker.result(deliver(1, "text", "hog 50")).outcome == "ok"


def test_replies_are_normalised_in_order_and_refusals_logged() -> None:
    """Missing payloads are empty, what cannot be a reply is skipped with a line, the rest keeps its order."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        result = worker.result(deliver(1, "text", "replies"))
        log = worker.stop()
    assert result.replies == (
        Reply("text", "one"),
        Reply("text", ""),
        Reply("binary", b""),
        Reply("binary", b"\0\xff"),
        Reply("ping", b"pi"),
        Reply("pong", b""),
        Reply("text", ""),
        Reply("close", None),
        Reply("text", "after close"),
    )
    assert log.split("\n") == [
        "\x1eEconnect cannot be a reply; dropped",
        "\x1eEA ping carries at most 125 bytes; one of 126 dropped",
        "",
    ]


def test_many_replies_arrive_whole() -> None:
    """A response may hold more messages than any buffer was made for."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        assert worker.result(deliver(1, "text", "many 500")).replies == (Reply("text", "one of many"),) * 500


@pytest.mark.parametrize("kind", ["ping", "pong"])
def test_control_events_bring_their_payload(kind: EventKind) -> None:
    """A ping's and a pong's bytes are the message's data."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        assert worker.result(deliver(1, kind, b"\x01\xfe")).replies == (Reply("text", f"{kind} 01fe"),)


def test_a_close_event_carries_no_reply() -> None:
    """What a guest answers to close is dropped with a line; the call counts."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        result = worker.result(deliver(1, "close"))
        log = worker.stop()
    assert (result.outcome, result.replies) == ("ok", ())
    assert log == "\x1eEA close event carries no reply; text dropped\n"


def test_init_makes_the_first_state() -> None:
    """The exported init is called with the actor's name, and its state is the next call's."""
    with WorkerProcess() as worker:
        assert worker.start(start_frame("init")).exports_init
        first = worker.result(deliver(1, "init", "goodness"))
        assert first == Result(1, "ok", None, (), sha256(b"goodness"), Changed(b"goodness"))
        assert worker.result(deliver(2, "text", "?")).replies == (Reply("text", "goodness"),)


def test_a_refused_init_is_an_err() -> None:
    """The error string of init is the detail, as with any event."""
    with WorkerProcess() as worker:
        worker.start(start_frame("init"))
        result = worker.result(deliver(1, "init", "badness"))
    assert result == Result(1, "err", "refusing to be called badness", (), None, Unchanged())


def test_runtime_log_is_a_line_of_its_own_stream() -> None:
    """What an actor logs is marked L, each of its lines."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        worker.result(deliver(1, "text", "log one\ntwo"))
        assert worker.stop() == "\x1eLone\n\x1eLtwo\n"


def test_a_finished_result_does_not_wait_for_a_slow_call() -> None:
    """The replies before a spinning call leave while it spins."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe", limits=replace(LIMITS, call_timeout_us=500_000)))
        worker.send(*texts("quick", "spin"))
        assert [result.delivery for result in worker.receive_read()] == [1]
        assert [result.outcome for result in worker.receive_read()] == ["timeout"]


def _printed(worker: WorkerProcess, *commands: str) -> list[Result]:
    return [worker.result(event) for event in texts(*commands)]


def test_a_guest_sees_the_delivery_time_and_it_stands_still() -> None:
    """Wall and monotonic clock show at_us, in nanoseconds."""
    with WorkerProcess() as worker:
        worker.start(start_frame("stdout"))
        result = worker.result(deliver(1, "text", "time", at_us=1_234_567_890_123_456))
    assert result.replies == (Reply("text", "1234567890123456000 1234567890123456000"),)


def test_the_same_bytes_in_give_the_same_bytes_out() -> None:
    """Two workers with the same Start and deliveries write the same results, to the bit."""
    outputs = []
    for _ in range(2):
        with WorkerProcess() as worker:
            worker.start(start_frame("stdout", state=b"s"))
            outputs.append(_printed(worker, "random", "time", "env", "crash", "random", "raise", "open"))
    assert outputs[0] == outputs[1]
    assert [result.outcome for result in outputs[0]] == ["ok", "ok", "ok", "trap", "ok", "err", "trap"]


def test_another_seed_gives_other_random_numbers() -> None:
    """Random numbers come from the seed, and differ from draw to draw."""
    drawn = []
    for seed in (SEED, bytes(32)):
        with WorkerProcess() as worker:
            worker.start(start_frame("stdout", seed=seed))
            drawn += [result.replies for result in _printed(worker, "random", "random")]
    assert len(set(drawn)) == 4


@pytest.mark.parametrize("failures", [1, 2])
def test_a_fresh_instance_has_the_hash_of_the_seed_before(failures: int) -> None:
    """After each trap the instance is as one started with SHA-256 of the seed before."""
    seed = SEED
    for _ in range(failures):
        seed = sha256(seed)
    with WorkerProcess() as worker, WorkerProcess() as fresh:
        worker.start(start_frame("stdout"))
        fresh.start(start_frame("stdout", seed=seed))
        after = _printed(worker, *["crash"] * failures, "random")[-1]
        (expected,) = _printed(fresh, "random")
    assert after.replies == expected.replies


def test_a_guest_that_prints_a_megabyte_leaves_the_wire_alone() -> None:
    """Printed bytes become log lines up to the bound, the rest is counted, and the frames are whole."""
    with WorkerProcess() as worker:
        worker.start(start_frame("stdout"))
        results = _printed(worker, "print", "next")
        log = worker.stop()
    assert [result.replies for result in results] == [(Reply("text", "printed"),), (Reply("text", "next"),)]
    *lines, last, end = log.split("\n")
    assert lines == ["\x1eO" + "x" * 1023] * 256
    assert end == ""
    assert last == "\x1eE786432 bytes of output dropped: a call may print 262144 bytes"


def test_a_line_without_end_is_logged_with_its_call() -> None:
    """A partial line appears when the call is over, not with the next call's output."""
    with WorkerProcess() as worker:
        worker.start(start_frame("stdout"))
        _printed(worker, "partial", "partial")
        assert worker.stop() == "\x1eOno line end\n" * 2


def test_a_guest_traceback_is_in_the_log() -> None:
    """An exception in a Python guest is a trap whose traceback the operator can read."""
    with WorkerProcess() as worker:
        worker.start(start_frame("stdout"))
        assert worker.result(deliver(1, "text", "crash")).outcome == "trap"
        assert "\x1eEValueError: asked to crash\n" in worker.stop()


def _sum_of(results: list[Result], states: Callable[[int], bytes]) -> None:
    """Check that each state that was sent is the one of its delivery."""
    for result in results:
        assert result.state_hash == sha256(states(result.delivery))
        if isinstance(result.update, Changed):
            assert result.update.state == states(result.delivery)


def test_a_batch_ends_with_the_state() -> None:
    """However deliveries are grouped into writes, each write brings the state of its last result."""
    with WorkerProcess() as worker:
        worker.start(start_frame("counter"))
        worker.send(*texts(*["x"] * 50))
        received = 0
        while received < 50:
            results = worker.receive_read()
            received += len(results)
            _sum_of(results, lambda delivery: str(delivery).encode())
            assert isinstance(results[-1].update, Changed)
    assert received == 50


def test_a_reply_that_is_sent_empty_is_told_once_an_instance() -> None:
    """Its author has put what it has in the other field: it stays empty, and the log says which field."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        results = worker.results(texts("misplaced", "misplaced", "trap", "misplaced"))
        log = worker.stop()
    assert [result.replies for result in results if result.outcome == "ok"] == [(Reply("text", ""),)] * 3
    line = "\x1eEA text reply is sent empty: its 5 bytes are in `data`; put them in `text`\n"
    assert log.count(line) == 2
