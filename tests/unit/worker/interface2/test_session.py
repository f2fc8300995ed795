"""A real worker with a component of interface 2, spoken to through its pipes."""

import pytest

from tests.unit.worker.interface2.actors import start2
from tests.unit.worker.process import WorkerProcess, deliver, start_frame
from theater_protocol.interface2.effects import (
    EVERYONE,
    Accept,
    Attach,
    Effect,
    Join,
    Send,
    SetTimer,
    ToConnection,
)
from theater_protocol.interface2.events import Configure, Connect, Event, Handshake, Message, Timer
from theater_protocol.interface2.ledger import Ledger2
from theater_protocol.messages import UNCHANGED, Changed, Deferred, Deliver2, Ready, Result2, Start2, Stop

NOW = 1_700_000_000_000_000


def started(worker: WorkerProcess, start: Start2) -> Ready:
    """Send Start2 and wait for Ready."""
    worker.send(start)
    ready = worker.receive()
    assert isinstance(ready, Ready)
    return ready


def results(worker: WorkerProcess, *events: Event, first: int = 1) -> list[Result2]:
    """Send events in one write and wait for all of their results."""
    worker.send(*(Deliver2(first + index, NOW, event) for index, event in enumerate(events)))
    received = [worker.receive() for _ in events]
    assert all(isinstance(result, Result2) for result in received)
    return [result for result in received if isinstance(result, Result2)]


def test_events_are_answered_with_effects_and_the_ledger_s_digest() -> None:
    """A whole batch: what is asked for, the state, and what both sides believe after each event."""
    ledger = Ledger2()
    events = (
        Configure("chat"),
        Connect(1, Handshake("/red")),
        Message(1, "timer t 5"),
        Message(1, "set new"),
        Message(1, "all hi"),
    )
    with WorkerProcess() as worker:
        assert started(worker, start2("handler")).exports_init is False
        answers = results(worker, *events)
        worker.stop()
    expected: list[tuple[Effect, ...]] = [
        (),
        (Accept(None), Join(1, "red"), Attach(1, "guest"), Send(ToConnection(1), "hello 1")),
        (SetTimer("t", NOW + 5),),
        (),
        (Send(EVERYONE, "hi"),),
    ]
    assert [(answer.outcome, answer.effects) for answer in answers] == [("ok", one) for one in expected]
    for event, answer in zip(events, answers, strict=True):
        ledger.apply(NOW, event, answer.effects)
        assert answer.digest == ledger.digest
    assert isinstance(answers[0].update, Changed | Deferred)
    assert [answer.update for answer in answers if isinstance(answer.update, Changed)][-1] == Changed(b"new")
    assert answers[-1].update == UNCHANGED


def test_a_worker_goes_on_from_the_snapshot_it_is_given() -> None:
    """Rooms, attachments and timers of before are there; a timer that is not is skipped."""
    ledger = Ledger2(2, (1, 2))
    ledger.apply(NOW, Message(1, ""), (Join(1, "red"), Attach(2, "bob"), SetTimer("t", NOW)))
    with WorkerProcess() as worker:
        started(worker, start2("handler", ledger))
        told, skipped, fired = results(worker, Message(2, "members"), Timer("u", NOW), Timer("t", NOW))
        worker.stop()
    assert told.effects == (Send(ToConnection(2), "1: 2:bob "),)
    assert (skipped.outcome, skipped.detail, skipped.effects) == ("skipped", None, ())
    assert skipped.digest == told.digest
    assert fired.effects == (Send(EVERYONE, "t"),)


@pytest.mark.parametrize("command", ["trap", "spin"])
def test_a_stopped_instance_is_replaced_and_the_ledger_stays(command: str) -> None:
    """What was kept before is kept after; the next event has an instance of its own."""
    limits = start2("handler").start.limits
    short = type(limits)(100_000, limits.memory_bytes)
    with WorkerProcess() as worker:
        started(worker, start2("handler", Ledger2(1, (1,)), short))
        joined, stopped, after = results(
            worker, Message(1, "join red"), Message(1, command), Message(1, "rooms")
        )
        worker.stop()
    assert stopped.outcome == {"trap": "trap", "spin": "timeout"}[command]
    assert stopped.digest == joined.digest
    assert after.effects == (Send(ToConnection(1), "red "),)


@pytest.mark.parametrize(
    "wrong",
    [deliver(1, "text", "hi"), Deliver2(1, NOW, Message(1, "nobody")), start2("handler")],
    ids=["an event of version 1", "an event that cannot be", "a second start"],
)
def test_a_supervisor_that_breaks_the_rules_ends_the_worker(wrong: Deliver2) -> None:
    """Exit status 76, with the words in its log."""
    with WorkerProcess() as worker:
        started(worker, start2("handler"))
        worker.send(wrong, Stop())
        assert worker.finish(76)


def test_a_component_of_version_1_takes_no_events_of_interface_2() -> None:
    """The other way round it is the same."""
    with WorkerProcess() as worker:
        worker.start(start_frame("echo"))
        worker.send(Deliver2(1, NOW, Message(1, "hi")), Stop())
        assert "interface 2" in worker.finish(76)
