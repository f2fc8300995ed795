"""Delivery window, journal and dying workers together, against a list: exactly once, in order, on disk."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from theater_protocol.chain import decode
from theater_protocol.messages import Changed, Deferred, Deliver, Reply, Result, StateUpdate, Unchanged
from theater_supervisor.actor.delivery import DeliveryWindow, WindowLimits
from theater_supervisor.actor.transition import committable, hash_state, to_batch
from theater_supervisor.journal.contents import Entry, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.reader import read
from theater_supervisor.journal.verify import verify

CONNECTION = 1


class CountingWorker:
    """What a worker does: counts texts from the state it was started with, and defers states in a batch."""

    def __init__(self, state: bytes | None) -> None:
        self.count = int(state or b"0")

    def answer(self, delivers: list[Deliver]) -> list[Result]:
        """The results of one write: the last one brings the state."""
        results = []
        for left, deliver in reversed(list(enumerate(reversed(delivers)))):
            self.count += deliver.kind == "text"
            state = str(self.count).encode()
            update: StateUpdate = Deferred() if left else Changed(state)
            replies = (Reply("text", f"{self.count} {deliver.payload}"),) if deliver.kind == "text" else ()
            results.append(Result(deliver.delivery, "ok", None, replies, hash_state(state), update))
        return results


class ExactlyOnceMachine(RuleBasedStateMachine):
    """Any course of events, answers in pieces, deaths of the worker and of the supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="exactly-once-"))
        self.offered: list[str] = []
        self.released: list[str] = []
        self.poisoned: list[str] = []
        self.lost: set[str] = set()
        self.database = Database(self.directory / "journal.db", "process-crash")
        self._start_supervisor()
        self.window.offer(CONNECTION, "connect", 0)

    def teardown(self) -> None:
        """Verify what is on disk, offline."""
        self.database.close()
        assert verify(self.directory / "journal.db").fault is None
        self.assert_chain_is_what_happened()
        shutil.rmtree(self.directory)

    def _start_supervisor(self) -> None:
        self.database = Database(self.directory / "journal.db", "process-crash")
        self.database.open(Origin("counter", bytes(32), None, 0))
        self.window = DeliveryWindow(WindowLimits(in_flight_events=5))
        self._start_worker()

    def _start_worker(self) -> None:
        self.worker = CountingWorker(self.database.contents.state)
        self.in_pipe: list[Deliver] = []
        self.pending: list[Result] = []

    @rule()
    def a_message_arrives(self) -> None:
        """A client sends a text; numbered so that order shows."""
        text = f"m{len(self.offered)}"
        self.offered.append(text)
        self.window.offer(CONNECTION, "text", 0, text)

    @rule()
    def deliveries_are_sent(self) -> None:
        """The worker gets what it may have."""
        self.in_pipe += self.window.take()

    @precondition(lambda self: self.in_pipe)
    @rule(data=st.data())
    def the_worker_answers(self, data: st.DataObject) -> None:
        """It writes results for some; any part of the write may have arrived."""
        count = data.draw(st.integers(1, len(self.in_pipe)))
        results = self.worker.answer(self.in_pipe[:count])
        del self.in_pipe[:count]
        self.pending += results
        self._commit(committable(self.pending))

    @precondition(lambda self: self.in_pipe)
    @rule(data=st.data(), blame=st.booleans())
    def the_worker_dies_while_writing(self, data: st.DataObject, blame: bool) -> None:
        """Some whole results arrived before it died; those that can be are committed, the rest goes again."""
        results = self.worker.answer(self.in_pipe)
        self.pending += results[: data.draw(st.integers(0, len(results)))]
        self._commit(committable(self.pending))
        poison = self.window.worker_lost(blame=blame)
        if poison is not None:
            self._quarantine(poison)
        self._start_worker()

    @rule()
    def the_supervisor_dies(self) -> None:
        """Everything in memory is gone; what was not committed is lost with its connection's window."""
        self.database.close()
        self.lost |= set(self.offered) - set(self.released) - set(self.poisoned)
        was_open = CONNECTION in self.database.contents.ledger.open
        self._start_supervisor()
        if not was_open:
            self.window.offer(CONNECTION, "connect", 0)

    def _commit(self, count: int) -> None:
        if not count:
            return
        results = self.pending[:count]
        delivers = self.window.claim(self.pending)[:count]
        batch = to_batch(delivers, results, self.database.contents.ledger.state_hash)
        self.database.commit(batch.entries, batch.update)
        self.window.settle(count)
        del self.pending[:count]
        self.released += [str(deliver.payload) for deliver in delivers if deliver.kind == "text"]

    def _quarantine(self, poison: Deliver) -> None:
        state_hash = self.database.contents.ledger.state_hash
        entry = Entry(0, poison.kind, poison.connection, poison.payload, "poison", (), state_hash)
        self.database.commit([entry], Unchanged())
        self.window.settle(1)
        if poison.kind == "text":
            self.poisoned.append(str(poison.payload))

    @invariant()
    def every_message_has_one_place(self) -> None:
        """Answered, quarantined, waiting, or lost with the supervisor: never two of them, never none."""
        waiting = set(self.offered) - set(self.released) - set(self.poisoned) - self.lost
        assert len(self.released) == len(set(self.released))
        assert not set(self.released) & set(self.poisoned)
        assert len(self.window) >= len(waiting)
        assert int(self.database.contents.state or b"0") == len(self.released)

    def assert_chain_is_what_happened(self) -> None:
        """The chain holds each answered message once, in the order of the answers, with its count."""
        with read(self.directory / "journal.db") as reader:
            transitions = [decode(body) for _, _, body in reader.rows()]
        texts = [transition for transition in transitions if transition.kind == "text"]
        done = [str(transition.input) for transition in texts if transition.outcome == "ok"]
        assert done == self.released == sorted(done, key=lambda text: int(text[1:]))
        replies = [str(reply.payload) for transition in texts for reply in transition.replies]
        assert replies == [f"{number} {text}" for number, text in enumerate(done, 1)]


TestExactlyOnce = ExactlyOnceMachine.TestCase
TestExactlyOnce.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
