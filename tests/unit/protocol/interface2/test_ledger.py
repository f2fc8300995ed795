"""What follows from a chain of interface 2: connections, rooms, attachments and timers."""

import pytest

from tests.unit.protocol.interface2.vectors import VECTORS, transition
from theater_protocol.errors import RemoteProtocolError
from theater_protocol.interface2.body import Genesis2, Instance2
from theater_protocol.interface2.effects import (
    EVERYONE,
    Accept,
    Attach,
    CancelTimer,
    Close,
    Effect,
    Join,
    Leave,
    Refuse,
    Send,
    SetTimer,
    ToConnection,
    ToConnections,
    ToRoom,
)
from theater_protocol.interface2.events import (
    Connect,
    Disconnect,
    Ending,
    Event,
    Handshake,
    Message,
    Timer,
)
from theater_protocol.interface2.ledger import Ledger2, Misfit, Outgoing, OverLimit
from theater_protocol.messages import LedgerLimits

GONE = Ending(1006, "", False, "client")
DUE = 1_000_000


def opened(*connections: int) -> Ledger2:
    """Return a ledger with these connections open."""
    return Ledger2(max(connections), connections)


def hello(connection: int, *offered: str) -> Connect:
    """A handshake of this connection."""
    return Connect(connection, Handshake("/", subprotocols=offered))


def test_the_golden_chain_leaves_nothing_behind() -> None:
    """Every vector in order: what is kept at the end is what its events and effects say."""
    ledger = Ledger2()
    for vector in VECTORS:
        one = transition(vector)
        if not isinstance(one.event, Genesis2 | Instance2):
            ledger.apply(one.at_us, one.event, one.effects if one.outcome == "ok" else None)
    assert not ledger.attachments
    assert not ledger.rooms
    # Timed out, but armed again; "once" was cancelled.
    assert list(ledger.timers) == ["digest"]
    assert ledger.timers["digest"].at_us == VECTORS[11]["input"][1] + 60_000_000
    assert ledger.last_connection == 4


def test_a_handshake_is_accepted_unless_the_actor_refuses_or_fails() -> None:
    """Without a verdict nothing special leaves; a refused or failed one opens nothing and uses its id up."""
    ledger = Ledger2()
    assert ledger.apply(1, hello(1), ()) == []
    assert ledger.apply(2, hello(2, "a", "b"), (Accept("b"),)) == [Outgoing((2,), Accept("b"))]
    assert ledger.apply(3, hello(3), (Refuse(403, "no"),)) == [Outgoing((3,), Refuse(403, "no"))]
    assert ledger.apply(4, hello(4), None) == []
    assert list(ledger.attachments) == [1, 2]
    assert ledger.check(5, hello(4)) == "connect of connection 4 after connection 4"


@pytest.mark.parametrize(
    ("event", "effects", "why"),
    [
        (hello(1), (), "connect of connection 1 after connection 2"),
        (Message(3, "a"), (), "message of connection 3, which is not open"),
        (Disconnect(3, GONE), (), "disconnect of connection 3, which is not open"),
        (Timer("t", DUE), (), "timer 't' was not set"),
        (Message(1, "a"), (Accept(None),), "answer a connect"),
        (hello(3), (Accept(None), Refuse(403, "")), "in answer to one connect"),
        (hello(3, "a"), (Accept("b"),), "was not offered"),
        (hello(3), (Refuse(200, ""),), "not 400 to 599"),
        (Message(1, "a"), (Close(EVERYONE, 1006, ""),), "neither 1000 nor 3000 to 4999"),
        (Message(1, "a"), (SetTimer("t", DUE, 0),), "are the least"),
        (Message(1, "a"), (SetTimer("t", 1 << 62),), "no time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_follow_is_told_and_changes_nothing(
    event: Event, effects: tuple[Effect, ...], why: str
) -> None:
    """An event out of place, or an effect that it may not have: effects before it are undone too."""
    ledger = opened(1, 2)
    before = ledger.digest
    with pytest.raises(Misfit, match=why):
        ledger.apply(9, event, (Join(1, "red"), Attach(2, "bob"), *effects))
    assert ledger.digest == before
    assert ledger.snapshot() == [2, [[1, ""], [2, ""]], [], []]


def test_who_gets_a_frame() -> None:
    """Each target, those left out, and ids that are gone or named twice; always in ascending order."""
    ledger = opened(1, 2, 3)
    ledger.apply(1, Message(1, ""), (Join(3, "red"), Join(1, "red")))
    effects = (
        Send(ToConnection(2), "a"),
        Send(ToConnection(9), "b"),
        Send(ToConnections((3, 9, 1, 3)), "c"),
        Send(ToRoom("red"), "d", without=(1,)),
        Send(ToRoom("blue"), "e"),
        Send(EVERYONE, "f", without=(2,)),
    )
    recipients = [list(one.connections) for one in ledger.apply(2, Message(1, ""), effects)]
    assert recipients == [[2], [], [1, 3], [3], [], [1, 3]]


def test_effects_see_those_before_them() -> None:
    """Done in the order of the list: who has just joined gets what is sent to the room after it."""
    ledger = opened(1)
    effects = (Join(2, "red"), Send(ToRoom("red"), "a"), Leave(2, "red"), Send(ToRoom("red"), "b"))
    assert [list(one.connections) for one in ledger.apply(1, hello(2), effects)] == [[2], []]
    assert "red" not in ledger.rooms


def test_a_connection_that_ends_has_left_its_rooms_before_the_effects() -> None:
    """Until then `view` names them; with the effects nobody who is gone is meant any more."""
    ledger = opened(1, 2)
    ledger.apply(1, Message(1, ""), (Join(1, "red"), Join(2, "red"), Join(1, "blue"), Attach(1, "ann")))
    assert ledger.rooms_of(1) == ["blue", "red"]
    (left,) = ledger.apply(
        2, Disconnect(1, GONE), (Send(ToRoom("red"), "gone"), Join(1, "red"), Attach(1, "x"))[:1]
    )
    assert list(left.connections) == [2]
    assert ledger.snapshot() == [2, [[2, ""]], [["red", [2]]], []]
    ledger.apply(3, Disconnect(2, GONE), (Join(2, "red"), Attach(2, "x"), Leave(2, "red")))
    assert ledger.snapshot() == [2, [], [], []]


def test_timers_come_in_the_order_of_their_times() -> None:
    """Those of one moment by name; a replaced or cancelled one comes at its new time or never."""
    ledger = opened(1)
    effects = (
        SetTimer("late", 30),
        SetTimer("b", 20),
        SetTimer("a", 20),
        SetTimer("moved", 5),
        SetTimer("moved", 25),
        SetTimer("never", 1),
        CancelTimer("never"),
    )
    ledger.apply(1, Message(1, ""), effects)
    assert ledger.due(19) is None
    seen = []
    while (event := ledger.due(40)) is not None:
        seen.append(event)
        ledger.apply(40, event, ())
    assert seen == [Timer("a", 20), Timer("b", 20), Timer("moved", 25), Timer("late", 30)]
    assert ledger.next_due_us() is None


@pytest.mark.parametrize(
    ("at_us", "next_us"),
    [(DUE, DUE + 1000), (DUE + 999, DUE + 1000), (DUE + 1000, DUE + 2000), (DUE + 5500, DUE + 6000)],
    ids=["on time", "a little late", "one missed", "five missed"],
)
@pytest.mark.parametrize("failed", [False, True], ids=["ok", "failed"])
def test_a_repeating_timer_is_armed_for_its_next_time(at_us: int, next_us: int, failed: bool) -> None:
    """What was missed is not made up for, and an actor that fails does not lose it."""
    ledger = opened(1)
    ledger.apply(1, Message(1, ""), (SetTimer("tick", DUE, 1000),))
    ledger.apply(at_us, Timer("tick", DUE), None if failed else ())
    assert ledger.timer("tick") == next_us
    assert ledger.due(next_us) == Timer("tick", next_us)


def test_a_timer_is_not_before_its_time() -> None:
    """A chain in which one fired early is wrong."""
    ledger = opened(1)
    ledger.apply(1, Message(1, ""), (SetTimer("t", DUE),))
    assert ledger.check(DUE - 1, Timer("t", DUE)) == f"timer 't' is due at {DUE}, later than {DUE - 1}"
    assert ledger.check(DUE, Timer("t", DUE + 1)) == f"timer 't' was not set for {DUE + 1}"


def test_a_timer_set_with_every_event_does_not_fill_the_memory() -> None:
    """A heartbeat that moves one timer ten thousand times keeps one."""
    ledger = opened(1)
    for at_us in range(10_000):
        ledger.apply(at_us, Message(1, ""), (SetTimer("idle", DUE + at_us),))
    assert len(ledger._heap) <= 66
    assert ledger.due(2 * DUE) == Timer("idle", DUE + 9_999)


LIMITS = LedgerLimits(
    max_rooms=2,
    max_room_name_bytes=4,
    max_room_members=2,
    max_timers=1,
    max_timer_name_bytes=4,
    max_attachment_bytes=4,
    max_targets=2,
)


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ((Join(1, "a"), Join(1, "b"), Join(1, "c")), "3 rooms: max_rooms is 2"),
        ((Join(1, "äöü"),), "6 bytes of a room's name: max_room_name_bytes is 4"),
        ((Join(1, "a"), Join(2, "a"), Join(3, "a")), "3 members of one room: max_room_members is 2"),
        ((SetTimer("a", 1), SetTimer("b", 1)), "2 timers: max_timers is 1"),
        ((SetTimer("aaaaa", 1),), "5 bytes of a timer's name: max_timer_name_bytes is 4"),
        ((Attach(1, "äöü"),), "6 bytes of an attachment: max_attachment_bytes is 4"),
        ((Send(ToConnections((1, 2, 3)), ""),), "3 targets of one effect: max_targets is 2"),
    ],
    ids=lambda value: value.rpartition(" ")[0] if isinstance(value, str) else "",
)
def test_each_limit_names_its_key_and_undoes_the_event(effects: tuple[Effect, ...], why: str) -> None:
    """All or none: what came before the effect too many has not happened either."""
    ledger = opened(1, 2, 3)
    before = ledger.digest
    with pytest.raises(OverLimit, match=why):
        ledger.apply(1, Message(1, ""), (Join(2, "z"), Leave(2, "z"), *effects), LIMITS)
    assert ledger.digest == before
    assert ledger.snapshot() == [3, [[1, ""], [2, ""], [3, ""]], [], []]


def test_what_view_shows_comes_in_pages() -> None:
    """Members by id, rooms by name; beyond the end there is nothing."""
    ledger = opened(*range(1, 8))
    effects = [Join(one, f"room {one % 3}") for one in range(1, 8)]
    ledger.apply(1, Message(1, ""), (*effects, Attach(4, "ann"), SetTimer("t", DUE)))
    assert ledger.members("room 1", 0, 2) == [(1, ""), (4, "ann")]
    assert ledger.members("room 1", 4, 2) == [(7, "")]
    assert ledger.members(None, 5, 9) == [(6, ""), (7, "")]
    assert ledger.members("nowhere") == []
    assert (ledger.count(None), ledger.count("room 1"), ledger.count("nowhere")) == (7, 3, 0)
    assert ledger.list_rooms("", 2) == [("room 0", 2), ("room 1", 3)]
    assert ledger.list_rooms("room 1", 2) == [("room 2", 2)]
    assert (ledger.timer("t"), ledger.timer("u")) == (DUE, None)


def test_a_snapshot_is_the_whole_ledger() -> None:
    """What is read back is the same, digest and next timer included."""
    ledger = opened(1, 2)
    ledger.apply(
        1, Message(1, ""), (Join(2, "red"), Attach(1, "ann"), SetTimer("t", DUE, 5000), SetTimer("u", 7))
    )
    again = Ledger2.from_snapshot(ledger.snapshot())
    assert again.digest == ledger.digest
    assert again.snapshot() == ledger.snapshot()
    assert again.due(DUE) == Timer("u", 7)


@pytest.mark.parametrize(
    "item",
    [
        None,
        [1, [], []],
        [1, [[1, None]], [], []],
        [0, [[1, ""]], [], []],
        [2, [[2, ""], [1, ""]], [], []],
        [1, [], [["red", [1]]], []],
        [1, [[1, ""]], [["red", []]], []],
        [1, [[1, ""]], [["red", [1, 1]]], []],
        [1, [], [], [["t", -1, None]]],
        [1, [], [], [["t", 1, 1]]],
        [1, [], [], [["t", 1, 0]]],
        [1, [], [], [["t", 1]]],
        [1, [], [], [["u", 1, None], ["t", 1, None]]],
    ],
    ids=str,
)
def test_what_is_no_snapshot_is_refused(item: object) -> None:
    """Whatever no ledger can have become."""
    with pytest.raises(RemoteProtocolError):
        Ledger2.from_snapshot(item)
