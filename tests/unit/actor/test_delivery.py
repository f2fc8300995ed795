"""The delivery window: order, bounds, redelivery and blame."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.messages import Deliver, Result, Unchanged
from theater_supervisor.actor.delivery import DeliveryWindow, WindowLimits

SMALL = WindowLimits(actor_events=8, connection_events=3, in_flight_events=4)


def answer(deliver: Deliver) -> Result:
    """A good result."""
    return Result(deliver.delivery, "ok", None, (), None, Unchanged())


def window_of(*texts: str, limits: WindowLimits = SMALL) -> DeliveryWindow:
    """A window with these texts of connection 1."""
    window = DeliveryWindow(limits)
    for text in texts:
        window.offer(1, "text", 0, text)
    return window


def payloads(delivers: list[Deliver]) -> list[object]:
    """What the deliveries carry."""
    return [deliver.payload for deliver in delivers]


def test_deliveries_are_taken_once_and_in_order() -> None:
    """What was offered goes to the worker in that order, numbered upwards, up to the in-flight bound."""
    window = window_of(*"abcdef")
    taken = window.take()
    assert payloads(taken) == list("abcd")
    assert [deliver.delivery for deliver in taken] == [1, 2, 3, 4]
    assert not window.has_sendable()
    window.settle(len(window.claim([answer(deliver) for deliver in taken[:2]])))
    assert payloads(window.take()) == list("ef")


def test_a_connection_is_bounded_below_the_actor() -> None:
    """A flooder runs into its own bound while others still have room."""
    window = window_of(*"abc")
    assert not window.has_room(1)
    assert window.has_room(2)


def test_the_actor_is_bounded_over_all_connections() -> None:
    """When the actor's bound is reached nobody has room."""
    window = DeliveryWindow(SMALL)
    for connection in range(8):
        window.offer(connection, "connect", 0)
    assert not window.has_room(99)


def test_room_comes_back_with_a_settled_delivery() -> None:
    """Room is what is not committed yet, not what was sent."""
    window = window_of(*"abc")
    taken = window.take()
    assert not window.has_room(1)
    window.settle(len(window.claim([answer(taken[0])])))
    assert window.has_room(1)


@pytest.mark.parametrize("ids", [[2], [1, 3], [1, 1], [1, 2, 3, 4, 5]], ids=repr)
def test_results_for_other_deliveries_are_refused(ids: list[int]) -> None:
    """A worker answers what it was given, in order, or it broke the protocol."""
    window = window_of(*"abcde")
    window.take()
    with pytest.raises(RemoteProtocolError):
        window.claim([Result(number, "ok", None, (), None, Unchanged()) for number in ids])
    assert len(window) == 5


def test_a_death_gives_everything_back_in_order() -> None:
    """What was in flight is delivered again, the same numbers in the same order."""
    window = window_of(*"abc")
    before = window.take()
    assert window.worker_lost(blame=True) is None
    again = []
    while window.has_sendable():
        [deliver] = window.take()
        again.append(deliver)
        window.settle(len(window.claim([answer(deliver)])))
    assert again == before


def test_only_the_delivery_that_kills_is_blamed() -> None:
    """After a death suspects go one at a time, so an innocent neighbour is never quarantined."""
    window = window_of("innocent", "killer", "later")
    window.take()
    assert window.worker_lost(blame=True) is None
    [innocent] = window.take()
    window.settle(len(window.claim([answer(innocent)])))
    for _ in range(2):
        assert payloads(window.take()) == ["killer"]
        assert window.worker_lost(blame=True) is None
    assert payloads(window.take()) == ["killer"]
    poison = window.worker_lost(blame=True)
    assert poison is not None
    assert poison.payload == "killer"
    window.settle(1)
    assert payloads(window.take()) == ["later"]


def test_a_loss_without_blame_charges_nobody() -> None:
    """A stopped worker or one that was never ready had no delivery on its conscience."""
    window = window_of("a")
    for _ in range(10):
        window.take()
        assert window.worker_lost(blame=False) is None


def test_init_goes_first_alone_and_only_once() -> None:
    """The init call is put before waiting events, a second worker finds it there, and they wait for it."""
    window = window_of("a")
    window.offer_init("chat", 0)
    window.offer_init("chat", 0)
    assert [deliver.kind for deliver in window.take()] == ["init"]
    assert window.take() == []
    window.settle(1)
    assert [deliver.kind for deliver in window.take()] == ["text"]


class WindowMachine(RuleBasedStateMachine):
    """Any history of offers, sends, answers and deaths against a list of what is still owed."""

    def __init__(self) -> None:
        super().__init__()
        self.window = DeliveryWindow(SMALL)
        self.owed: list[str] = []
        self.with_worker: list[Deliver] = []
        self.done: list[object] = []
        self.quarantined: list[object] = []
        self.offered = 0

    @rule(connection=st.integers(1, 3))
    def offer(self, connection: int) -> None:
        """An event arrives, if there is room."""
        if self.window.has_room(connection):
            self.offered += 1
            text = str(self.offered)
            self.window.offer(connection, "text", 0, text)
            self.owed.append(text)

    @rule()
    def take(self) -> None:
        """The worker gets what it may have."""
        self.with_worker += self.window.take()

    @precondition(lambda self: self.with_worker)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """Some of the oldest are answered and committed."""
        count = data.draw(st.integers(1, len(self.with_worker)))
        claimed = self.window.claim([answer(deliver) for deliver in self.with_worker[:count]])
        self.done += payloads(claimed)
        del self.with_worker[:count], self.owed[:count]
        self.window.settle(count)

    @rule(blame=st.booleans())
    def die(self, blame: bool) -> None:
        """The worker ends with what it has."""
        self.with_worker = []
        poison = self.window.worker_lost(blame=blame)
        if poison is not None:
            assert poison.payload == self.owed[0]
            self.window.settle(1)
            self.quarantined.append(self.owed.pop(0))

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        """Every offered event is done, quarantined or owed, once, and in order."""
        assert sorted([*self.done, *self.quarantined, *self.owed], key=int) == [
            str(number) for number in range(1, self.offered + 1)
        ]
        assert self.done == sorted(self.done, key=int)
        assert len(self.window) == len(self.owed)
        assert [deliver.payload for deliver in self.with_worker] == self.owed[: len(self.with_worker)]
        assert len(self.with_worker) == self.window.in_flight <= SMALL.in_flight_events


TestWindowAgainstModel = WindowMachine.TestCase
TestWindowAgainstModel.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
