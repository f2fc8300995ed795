"""What is remembered and told of events that an actor failed on."""

import itertools

import pytest
import structlog
from structlog.testing import capture_logs

from theater_supervisor.actor import failures
from theater_supervisor.actor.failures import FAILURES_KEPT, Failure, Failures, last_line


def failure(seq: int) -> Failure:
    """A failed event."""
    return Failure(1_000_000 * seq, 1, "text", 7, seq, "err", "no such room", f"{seq:08x}")


def test_the_last_ones_are_kept_and_the_log_is_warned_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many fail: a few are remembered, all are counted, and one line in ten seconds says how many."""
    seconds = itertools.count(0, 0.5)
    monkeypatch.setattr(failures.time, "monotonic", lambda: next(seconds))
    with capture_logs() as told:
        seen = Failures(structlog.get_logger().bind(actor="chat"))
        for seq in range(50):
            seen.add(failure(seq))
    assert seen.count == 50
    assert [one.seq for one in seen.last] == list(range(50 - FAILURES_KEPT, 50))
    assert [(line["seq"], line["failed_since_last_told"]) for line in told] == [(0, 1), (20, 20), (40, 20)]
    assert told[0] == {
        "event": "event_failed",
        "log_level": "warning",
        "actor": "chat",
        "incarnation": 1,
        "kind": "text",
        "connection": 7,
        "seq": 0,
        "outcome": "err",
        "reason": "no such room",
        "error": "00000000",
        "failed_since_last_told": 1,
    }


@pytest.mark.parametrize(
    ("detail", "line"),
    [
        ("why", "why"),
        ("Traceback (most recent call last):\n  File 'a.py'\nKeyError: 'room'\n\n", "KeyError: 'room'"),
        ("", ""),
        (" \n ", ""),
        ("x" * 1000, "x" * 300),
    ],
    ids=["one", "traceback", "none", "blank", "long"],
)
def test_the_last_line_of_an_error_says_what_it_is(detail: str, line: str) -> None:
    """The ones before say where."""
    assert last_line(detail) == line


def test_an_event_is_named_by_its_connection() -> None:
    """Where it has one."""
    assert failure(1).where == "text of connection 7"
    assert Failure(0, 1, "init", 0, 1, "trap", "", "").where == "init"
