"""What holds a worker from outside: what the machine offers, and what a worker may send."""

import os
import sys

import pytest
import trio

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import MAX_BATCH_BYTES, Changed, Limits, Reply, Result, Unchanged
from theater_supervisor.actor.transition import check_bounds
from theater_supervisor.errors import SandboxMissing
from theater_supervisor.process.containment import check_sandbox, probe_sandbox, resident_bytes

LIMITS = Limits(5_000_000, 1 << 28, max_state_bytes=100, max_replies=10, max_reply_bytes=100)
OLD_KERNEL = '{"level": 1, "seccomp": true, "landlock_abi": 0, "architecture": "x86_64"}'


def printing(text: str) -> tuple[str, ...]:
    """The command of a probe that prints this."""
    return (sys.executable, "-c", f"print({text!r})")


def test_too_low_a_level_is_refused_with_what_was_found() -> None:
    """77 (EX_NOPERM); the message says what there is, what is missing, and what to do."""
    with pytest.raises(SandboxMissing) as refused:
        trio.run(check_sandbox, 2, printing(OLD_KERNEL))
    assert refused.value.exit_status == 77
    assert str(refused.value) == (
        "[sandbox] require = 2, but this machine offers level 1 (seccomp works, Landlock is missing):"
        " use a Linux kernel from 5.13 on with Landlock among its LSMs, or require less"
    )


@pytest.mark.parametrize("required", [0, 1])
def test_a_level_that_is_reached_is_enough(required: int) -> None:
    """Equal is enough, and where nothing is required nothing is refused."""
    trio.run(check_sandbox, required, printing(OLD_KERNEL))


@pytest.mark.parametrize("output", ["", "Traceback", "{}", '{"level": "2"}'])
def test_a_probe_that_fails_has_found_nothing(output: str) -> None:
    """What cannot be shown to hold does not count."""
    assert trio.run(probe_sandbox, printing(output)).level == 0


def test_a_probe_that_cannot_be_started_has_found_nothing() -> None:
    """The same for a missing interpreter."""
    assert trio.run(probe_sandbox, ("/nowhere/python",)).level == 0


def test_resident_memory_is_read_from_proc() -> None:
    """This process has some; one that is gone has none to tell of."""
    used = resident_bytes(os.getpid())
    assert used is None or used > 1 << 20
    assert resident_bytes(1 << 30) is None


def ok(delivery: int, *replies: Reply, state: bytes | None = None) -> Result:
    """A result that is well-formed."""
    return Result(delivery, "ok", None, replies, None, Changed(state) if state else Unchanged())


WITHIN = {
    "a state at the limit": [ok(1, state=bytes(100))],
    "replies at the limits": [ok(1, *[Reply("binary", bytes(10))] * 10)],
    "a batch, and one result at the limit": [
        *(ok(number, *[Reply("close", None)] * 10) for number in range(1, 1300)),
        ok(1300, *[Reply("binary", bytes(10))] * 10),
    ],
}
BEYOND = {
    "a state": ([ok(1, state=bytes(101))], 1, "a state over the limit"),
    "more results than deliveries": ([ok(1), ok(2)], 1, "a result for no delivery"),
    "bytes": (
        [
            ok(number, *[Reply("binary", bytes(10))] * 10)
            for number in range(1, 2 * MAX_BATCH_BYTES // 100 + 3)
        ],
        MAX_BATCH_BYTES,
        "replies of 524400 bytes at once",
    ),
    "replies": (
        [ok(number, *[Reply("close", None)] * 10) for number in range(1, MAX_BATCH_BYTES // 40 + 3)],
        MAX_BATCH_BYTES,
        "replies of 0 bytes at once",
    ),
    "the bytes of one result": ([ok(1, Reply("binary", bytes(101)))], 1, "1 replies of 101 bytes to one"),
    "the replies of one result": ([ok(1, *[Reply("close", None)] * 11)], 1, "11 replies of 0 bytes to one"),
    "one result in a batch": (
        [ok(1), ok(2, *[Reply("close", None)] * 11), ok(3)],
        3,
        "11 replies of 0 bytes to one",
    ),
}


@pytest.mark.parametrize("results", WITHIN.values(), ids=WITHIN)
def test_what_honest_workers_send_is_taken(results: list[Result]) -> None:
    """Limits are inclusive, and a batch may be collected before the last result."""
    check_bounds(results, len(results), LIMITS)


@pytest.mark.parametrize(("results", "in_flight", "message"), BEYOND.values(), ids=BEYOND)
def test_what_no_honest_worker_sends_is_refused(results: list[Result], in_flight: int, message: str) -> None:
    """Whoever sends more has not kept the limits that it was started with."""
    with pytest.raises(RemoteProtocolError, match=message):
        check_bounds(results, in_flight, LIMITS)
