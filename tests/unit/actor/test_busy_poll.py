"""When the event loop looks instead of sleeping: on a clock of its own, then in trio's real loop."""

import os
from dataclasses import dataclass, field
from itertools import cycle, islice

import pytest
import trio

from theater_supervisor.actor.busy_poll import (
    LONE_EVENTS,
    LONGEST_LOOK_S,
    LOOK_S,
    BusyPoll,
    WaitPredictor,
    busy_polling,
    current_busy_poll,
)

STEP_S = 1e-6
WAKE_UP_S = 50e-6
WORKER, OTHER = object(), object()


def foretold(pattern: str) -> str:
    """Return what is foretold of waits, S or L, once they have gone on as the pattern says for a while."""
    predictor = WaitPredictor()
    said = ""
    for wait in islice(cycle(pattern), 40 * len(pattern)):
        said += "S" if predictor.is_short() else "L"
        predictor.learn(was_short=wait == "S")
    return said[-len(pattern) :]


@pytest.mark.parametrize("pattern", ["S", "L", "SL", "SSL", "SLL"])
def test_waits_that_repeat_are_foretold(pattern: str) -> None:
    """Always short, always long, or in turns: after some time each wait is foretold as it comes."""
    assert foretold(pattern) == pattern


def test_a_client_that_slows_down_is_noticed() -> None:
    """After waits that were short, long ones are foretold when a few have come."""
    predictor = WaitPredictor()
    for _ in range(50):
        predictor.learn(was_short=True)
    assert predictor.is_short()
    for _ in range(8):
        predictor.learn(was_short=False)
    assert not predictor.is_short()


@dataclass
class Loop:
    """Trio's loop from the outside: something comes `comes_s` after a wait begins, a look takes STEP_S."""

    comes_s: float = 5 * STEP_S
    now_s: float = 0.0
    looks: int = 0
    due_s: float = 0.0
    poll: BusyPoll = field(init=False)

    def __post_init__(self) -> None:
        self.poll = BusyPoll(self._is_ready, lambda: self.now_s)

    def wait(self, timeout_s: float = 10.0) -> int:
        """Wait for what comes, or the time that it may take; return how often it looked."""
        begun_s, self.looks = self.now_s, 0
        self.due_s = begun_s + self.comes_s
        self.poll.before_io_wait(timeout_s)
        ends_s = min(self.due_s, begun_s + timeout_s)
        if self.now_s < ends_s:
            self.now_s = ends_s + WAKE_UP_S
        self.poll.after_io_wait(timeout_s)
        return self.looks

    def converse(self, messages: int) -> None:
        """Give the worker one event after the other, each when the answer to the one before has come."""
        for _ in range(messages):
            self.poll.note(WORKER, alone=True)
            self.wait()

    def _is_ready(self) -> bool:
        self.looks += 1
        self.now_s += STEP_S
        return self.now_s >= self.due_s


def test_it_looks_once_a_worker_gets_one_event_at_a_time() -> None:
    """After a number of them and of short waits it looks, and only until what it waits for has come."""
    loop = Loop()
    loop.converse(LONE_EVENTS)
    assert loop.looks == 0
    loop.converse(10)
    assert 0 < loop.looks <= 6


def test_a_look_has_an_end() -> None:
    """When nothing comes it sleeps after LOOK_S, or before a deadline of trio's; soon it looks no more."""
    loop = Loop()
    loop.converse(2 * LONE_EVENTS)
    loop.comes_s = 1.0
    assert loop.wait(timeout_s=50 * STEP_S) <= 51
    assert 0 < loop.wait() <= LOOK_S / STEP_S + 1
    assert [loop.wait() for _ in range(20)][-1] == 0


def test_a_client_that_asks_now_and_then_costs_one_look_a_message() -> None:
    """The worker's answers are looked for, the client's next message is not."""
    loop = Loop()
    loop.converse(2 * LONE_EVENTS)
    for _ in range(40):
        loop.poll.note(WORKER, alone=True)
        loop.comes_s = 5 * STEP_S
        answer = loop.wait()
        loop.comes_s = 0.01
        question = loop.wait()
    assert answer > 0
    assert question == 0


def test_it_looks_for_as_long_as_what_comes_lately_took() -> None:
    """On a slow machine a worker's turn takes longer than at first is looked for."""
    loop, found = Loop(comes_s=2 * LOOK_S), 0
    for _ in range(200):
        loop.converse(1)
        found += LOOK_S / STEP_S < loop.looks <= 2 * LOOK_S / STEP_S + 1
    assert found > 100


def test_what_takes_too_long_is_slept_through() -> None:
    """There a wake-up is a small part, and a look would cost a processor."""
    loop = Loop(comes_s=1.1 * LONGEST_LOOK_S)
    loop.converse(200)
    assert loop.looks == 0


def test_beside_neighbours_that_take_the_processor_it_sleeps() -> None:
    """Who has looked is set aside afterwards: messages take longer with looking, so it is left off."""
    loop, looked = Loop(), 0
    for number in range(2000):
        loop.poll.note(WORKER, alone=True)
        if loop.wait() and number >= 1000:
            looked += 1
        loop.now_s += 0.001 if loop.looks else 0
    assert 0 < looked < 200


@pytest.mark.parametrize(
    ("worker", "alone", "timeout_s"),
    [(WORKER, False, 10.0), (OTHER, True, 10.0), (WORKER, True, 0.0)],
    ids=["more events at once", "another worker", "a task is due"],
)
def test_it_does_not_look_while_there_is_more_to_do(worker: object, alone: bool, timeout_s: float) -> None:
    """Others need the processor then."""
    loop = Loop()
    loop.converse(2 * LONE_EVENTS)
    loop.poll.note(worker, alone=alone)
    assert loop.wait(timeout_s) == 0


def test_trios_own_loop_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run of trio what comes ends a look: the loop's descriptor is found in the trio there is."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    messages = 3 * LONE_EVENTS

    async def main() -> list[int]:
        (there, back), seen = (os.pipe(), os.pipe()), list[int]()

        def answer() -> None:
            while data := os.read(there[0], 1):
                os.write(back[1], data)

        with trio.fail_after(10), busy_polling():
            poll = current_busy_poll()
            assert poll is not None, "trio keeps it elsewhere now"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, answer)
                for number in range(messages):
                    poll.note(WORKER, alone=True)
                    os.write(there[1], bytes([number]))
                    await trio.lowlevel.wait_readable(back[0])
                    seen += os.read(back[0], 1)
                os.close(there[1])
        assert current_busy_poll() is None
        for fd in (there[0], *back):
            os.close(fd)
        return seen

    assert trio.run(main) == list(range(messages))


def test_with_one_processor_it_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the worker could do nothing meanwhile."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})

    async def main() -> None:
        with busy_polling():
            assert current_busy_poll() is None

    trio.run(main)
