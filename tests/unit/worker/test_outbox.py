"""What results say of the state, write by write."""

import pytest

from theater_protocol.framing import FrameDecoder
from theater_protocol.items import all_from_worker
from theater_protocol.messages import (
    MAX_BATCH_BYTES,
    Changed,
    Deferred,
    Reply,
    Result,
    StateUpdate,
    Unchanged,
)
from theater_worker.component import Err, Ok, Outcome, Stopped
from theater_worker.outbox import Outbox


class Supervisor:
    """Takes writes as the supervisor does: knows the state after each of them."""

    def __init__(self, state: bytes | None) -> None:
        self.state = state
        self.writes: list[list[Result]] = []

    def write(self, data: bytes) -> None:
        """Take one write."""
        results = all_from_worker(FrameDecoder().feed(data))
        assert all(isinstance(result, Result) for result in results)
        self.writes.append(results)  # type: ignore[arg-type]
        for result in self.writes[-1]:
            if isinstance(result.update, Changed):
                self.state = result.update.state


A, B, C = (Ok(state, ()) for state in (b"a", b"b", b"c"))
NONE = Ok(None, ())
CASES: list[tuple[str, list[Outcome], list[StateUpdate]]] = [
    ("one unchanged", [A], [Unchanged()]),
    ("one changed", [B], [Changed(b"b")]),
    ("to none", [NONE], [Changed(None)]),
    ("the last carries", [B, C], [Deferred(), Changed(b"c")]),
    ("unchanged before a change", [A, A, B], [Unchanged(), Unchanged(), Changed(b"b")]),
    ("unchanged after a change", [B, B, B], [Changed(b"b"), Unchanged(), Unchanged()]),
    ("changed, same, changed", [B, B, C], [Deferred(), Deferred(), Changed(b"c")]),
    ("there and back", [B, A], [Deferred(), Unchanged()]),
    ("there, back, there", [B, A, B], [Deferred(), Deferred(), Changed(b"b")]),
    ("an err never carries", [B, Err("no")], [Changed(b"b"), Unchanged()]),
    ("a trap never carries", [B, Stopped("trap", "no")], [Changed(b"b"), Unchanged()]),
    ("an err in between", [B, Err("no"), C], [Deferred(), Deferred(), Changed(b"c")]),
    ("an err first", [Err("no"), B], [Unchanged(), Changed(b"b")]),
]


@pytest.mark.parametrize(
    ("outcomes", "updates"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_write_says_what_the_state_is(outcomes: list[Outcome], updates: list[StateUpdate]) -> None:
    """After a write the supervisor has the state of its last result, sent at most once."""
    supervisor = Supervisor(b"a")
    outbox = Outbox(b"a", supervisor.write)
    for delivery, outcome in enumerate(outcomes):
        outbox.add(delivery, outcome)
    outbox.flush()
    (results,) = supervisor.writes
    assert [result.update for result in results] == updates
    assert supervisor.state == outbox.state


def test_each_write_stands_for_itself() -> None:
    """What was sent in one write is unchanged in the next."""
    supervisor = Supervisor(None)
    outbox = Outbox(None, supervisor.write)
    for outcome in (B, B, A, Err("no")):
        outbox.add(1, outcome)
        outbox.flush()
    updates = [result.update for (result,) in supervisor.writes]
    assert updates == [Changed(b"b"), Unchanged(), Changed(b"a"), Unchanged()]


def test_nothing_is_written_when_nothing_waits() -> None:
    """An empty flush is no write."""
    supervisor = Supervisor(None)
    Outbox(None, supervisor.write).flush()
    assert supervisor.writes == []


def test_much_is_not_kept_waiting() -> None:
    """Replies beyond the bound flush by themselves."""
    supervisor = Supervisor(None)
    outbox = Outbox(None, supervisor.write)
    half = Ok(None, (Reply("binary", bytes(MAX_BATCH_BYTES // 2 + 1)),))
    outbox.add(1, half)
    assert supervisor.writes == []
    outbox.add(2, half)
    assert [result.delivery for result in supervisor.writes[0]] == [1, 2]
