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
    assert window.take() == []
    window.settle(len(window.claim([answer(deliver) for deliver in taken[:2]])))
    assert payloads(window.take()) == list("ef")


def test_a_connection_is_bounded_below_the_actor() -> None:
    """A flooder runs into its own bound while others still have room."""
    window = window_of(*"abc")
    assert not window.has_room(1, 1)
    assert window.has_room(2, 1)


def test_the_actor_is_bounded_over_all_connections() -> None:
    """When the actor's bound is reached there is only room for a connection's single small event."""
    window = DeliveryWindow(SMALL)
    for connection in range(8):
        window.offer(connection, "connect", 0)
    assert not window.has_room(1, 1)
    assert not window.has_room(99, SMALL.small_bytes + 1)
    assert window.has_room(99, SMALL.small_bytes)


def test_room_comes_back_with_a_settled_delivery() -> None:
    """Room is what is not committed yet, not what was sent."""
    window = window_of(*"abc")
    taken = window.take()
    assert not window.has_room(1, 1)
    window.settle(len(window.claim([answer(taken[0])])))
    assert window.has_room(1, 1)


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
    while taken := window.take():
        [deliver] = taken
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


ONE_BY_ONE = WindowLimits(in_flight_events=1)
KIB = 1024


def served(window: DeliveryWindow, count: int) -> list[tuple[int, object]]:
    """Serve so many deliveries one after another; return whose they were and what they carried."""
    order = []
    for _ in range(count):
        [deliver] = window.take()
        order.append((deliver.connection, deliver.payload))
        window.settle(1)
    return order


def flooded(*connections: int, limits: WindowLimits = ONE_BY_ONE) -> DeliveryWindow:
    """A window in which each of these has eight messages of 64 KiB, the first one of all with the worker."""
    window = DeliveryWindow(limits)
    for number in range(8):
        for connection in connections:
            window.offer(connection, "binary", 0, bytes([number]) * 64 * KIB)
    window.take()
    return window


def test_a_quiet_connection_passes_the_backlog_of_floods() -> None:
    """Its message goes next but one, however many others wait; and so does the one after its answer."""
    window = flooded(*range(1, 101))
    window.settle(1)
    for text in ("first", "second", "third"):
        window.offer(999, "text", 0, text)
        assert (999, text) in served(window, 2)


def test_a_quiet_connection_passes_floods_that_go_on() -> None:
    """However long they have been served and sent more: what comes of a quiet one goes next."""
    window = DeliveryWindow(ONE_BY_ONE)
    for connection in range(1, 101):
        for _ in range(1 + connection % 3):
            window.offer(connection, "binary", 0, bytes(64 * KIB))
    for _ in range(250):
        [deliver] = window.take()
        window.offer(deliver.connection, "binary", 0, bytes(64 * KIB))
        window.settle(1)
    for text in ("first", "second", "third"):
        window.take()
        window.offer(999, "text", 0, text)
        window.settle(1)
        assert served(window, 1) == [(999, text)]


def test_each_connection_stays_in_order_whatever_passes_it() -> None:
    """Floods and quiet ones: what is served of one connection is what it sent, in order."""
    window = flooded(1, 2, 3)
    window.settle(1)
    for number in range(20):
        window.offer(4, "text", 0, str(number))
    order = served(window, len(window))
    for connection in (1, 2, 3):
        numbers = [
            payload[0] for whose, payload in order if whose == connection and isinstance(payload, bytes)
        ]
        assert numbers == list(range(1 if connection == 1 else 0, 8))
    assert [payload for whose, payload in order if whose == 4] == [str(number) for number in range(20)]


def test_a_backlog_is_shared_by_bytes() -> None:
    """While one connection gets a message of 60 KiB through, another gets some of 12 KiB: none starves."""
    window = DeliveryWindow(ONE_BY_ONE)
    for _ in range(10):
        window.offer(1, "binary", 0, bytes(60 * KIB))
    for _ in range(60):
        window.offer(2, "binary", 0, bytes(12 * KIB))
    window.take()
    window.settle(1)
    first = [whose for whose, _ in served(window, 25)]
    assert first.count(1) == 5
    assert first.count(2) == 20


def test_a_stream_of_small_messages_does_not_starve_a_large_one() -> None:
    """A connection that always has another small one waiting is passed at last."""
    window = DeliveryWindow(ONE_BY_ONE)
    window.offer(1, "text", 0, "in flight")
    window.offer(1, "binary", 0, bytes(64 * KIB))
    window.offer(2, "text", 0, "small")
    window.take()
    for _ in range(40):
        window.settle(1)
        window.offer(2, "text", 0, "small")
        [deliver] = window.take()
        if deliver.payload == bytes(64 * KIB):
            return
    pytest.fail("64 KiB waited for forty small ones")


def test_an_actor_is_never_told_an_earlier_time() -> None:
    """One that was overtaken gets the time of the one before it, and keeps it when it is delivered again."""
    window = DeliveryWindow(ONE_BY_ONE)
    window.offer(1, "text", 10, "with the worker")
    window.offer(2, "binary", 20, bytes(64 * KIB))
    window.take()
    window.settle(1)
    window.offer(3, "text", 30, "quick")
    assert [deliver.at_us for deliver in window.take()] == [30]
    window.settle(1)
    assert [deliver.at_us for deliver in window.take()] == [30]
    window.worker_lost(blame=True)
    assert [deliver.at_us for deliver in window.take()] == [30]


def test_what_was_in_flight_goes_before_all_that_waits() -> None:
    """After a death a quiet connection waits for the suspects, one at a time, in the same order."""
    window = flooded(1, 2, limits=WindowLimits(in_flight_events=4))
    window.worker_lost(blame=True)
    window.offer(3, "text", 0, "quick")
    assert [whose for whose, _ in served(window, 4)] == [1, 2, 1, 2]
    assert (3, "quick") in [(deliver.connection, deliver.payload) for deliver in window.take()]


class WindowMachine(RuleBasedStateMachine):
    """Any history of offers, sends, answers and deaths against what each connection is still owed."""

    def __init__(self) -> None:
        super().__init__()
        self.window = DeliveryWindow(SMALL)
        self.owed: dict[int, list[object]] = {1: [], 2: [], 3: []}
        self.again: list[Deliver] = []
        self.with_worker: list[Deliver] = []
        self.offered = 0

    @rule(connection=st.integers(1, 3), size=st.sampled_from([1, 20_000]))
    def offer(self, connection: int, size: int) -> None:
        """An event arrives, if there is room."""
        if self.window.has_room(connection, size):
            self.offered += 1
            text = f"{self.offered:0{size}}"
            self.window.offer(connection, "text", self.offered, text)
            self.owed[connection].append(text)

    @rule()
    def take(self) -> None:
        """The worker gets what it may have: first what an earlier one had."""
        taken = self.window.take()
        lost = min(len(self.again), len(taken))
        assert taken[:lost] == self.again[:lost]
        del self.again[:lost]
        self.with_worker += taken

    @precondition(lambda self: self.with_worker)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """Some of the oldest are answered and committed."""
        count = data.draw(st.integers(1, len(self.with_worker)))
        claimed = self.window.claim([answer(deliver) for deliver in self.with_worker[:count]])
        assert claimed == self.with_worker[:count]
        for deliver in claimed:
            assert self.owed[deliver.connection].pop(0) == deliver.payload
        del self.with_worker[:count]
        self.window.settle(count)

    @rule(blame=st.booleans())
    def die(self, blame: bool) -> None:
        """The worker ends with what it has."""
        self.again, self.with_worker = self.with_worker + self.again, []
        poison = self.window.worker_lost(blame=blame)
        if poison is not None:
            assert poison == self.again.pop(0)
            assert self.owed[poison.connection].pop(0) == poison.payload
            self.window.settle(1)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        """What is owed is in the window, once; what the worker has is the oldest of each connection."""
        assert len(self.window) == sum(map(len, self.owed.values()))
        assert len(self.with_worker) == self.window.in_flight <= SMALL.in_flight_events
        taken = self.with_worker + self.again
        for connection, owed in self.owed.items():
            mine = [deliver.payload for deliver in taken if deliver.connection == connection]
            assert mine == owed[: len(mine)]
            assert self.window.pending(connection) == len(owed)
        times = [deliver.at_us for deliver in taken]
        assert times == sorted(times)

    def teardown(self) -> None:
        """Everything that is owed comes out in the end."""
        for _ in range(1000):
            self.take()
            if not self.with_worker:
                break
            for deliver in self.with_worker:
                assert self.owed[deliver.connection].pop(0) == deliver.payload
            self.window.settle(len(self.with_worker))
            self.with_worker = []
        assert not any(self.owed.values())
        assert len(self.window) == 0


TestWindowAgainstModel = WindowMachine.TestCase
TestWindowAgainstModel.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


def test_of_large_events_one_is_handled_while_another_is_committed() -> None:
    """However large they are two are in flight, and no more; a suspect is alone all the same."""
    large = "x" * SMALL.in_flight_bytes
    window = window_of(large, large, "c")
    assert payloads(window.take()) == [large, large]
    assert window.take() == []
    window.settle(1)
    assert payloads(window.take()) == ["c"]
    window = window_of(large, large)
    window.take()
    window.worker_lost(blame=True)
    assert payloads(window.take()) == [large]
