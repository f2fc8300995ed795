"""The ledger of interface 2 against a model that keeps nothing but sets and looks at everything."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.counts import repeats
from theater_protocol.interface2.effects import (
    EVERYONE,
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
    ToEveryone,
    ToRoom,
)
from theater_protocol.interface2.events import Connect, Disconnect, Ending, Handshake, Message, Timer
from theater_protocol.interface2.ledger import Ledger2, OverLimit
from theater_protocol.messages import LedgerLimits

LIMITS = LedgerLimits(max_rooms=3, max_room_members=3, max_timers=3, max_attachment_bytes=2)
ids = st.integers(1, 12)
rooms = st.sampled_from(["red", "blue", "green", "grey"])
names = st.sampled_from("abcd")
times = st.integers(0, 50_000)
targets = st.one_of(
    st.builds(ToConnection, ids),
    st.builds(ToConnections, st.lists(ids, max_size=4).map(tuple)),
    st.builds(ToRoom, rooms),
    st.just(EVERYONE),
)
effects = st.lists(
    st.one_of(
        st.builds(Send, targets, st.just("x"), st.lists(ids, max_size=2).map(tuple), st.booleans()),
        st.builds(Close, targets, st.just(4000), st.just("")),
        st.builds(Join, ids, rooms),
        st.builds(Join, ids, rooms),
        st.builds(Leave, ids, rooms),
        st.builds(Attach, ids, st.text("ab", max_size=3)),
        st.builds(SetTimer, names, times, st.none() | st.integers(1000, 9000)),
        st.builds(CancelTimer, names),
    ),
    max_size=6,
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["connect", "refuse", "message", "disconnect", "timer"]),
        ids,
        st.integers(0, 3000),
        st.booleans(),
        effects,
    ),
    max_size=30,
)


@dataclass
class Model:
    """Sets of what is so; every question is answered by looking at all of them."""

    last: int = 0
    open: dict[int, str] = field(default_factory=dict)
    members: set[tuple[str, int]] = field(default_factory=set)
    timers: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def copy(self) -> "Model":
        """Another one, that can be thrown away."""
        return Model(self.last, dict(self.open), set(self.members), dict(self.timers))

    def recipients(self, to: Any, without: tuple[int, ...]) -> list[int]:  # noqa: ANN401 - any target
        """Who is meant, one by one."""
        match to:
            case ToConnection(connection):
                meant = {connection}
            case ToConnections(connections):
                meant = set(connections)
            case ToRoom(room):
                meant = {one for name, one in self.members if name == room}
            case ToEveryone():
                meant = set(self.open)
        return sorted((meant & self.open.keys()) - set(without))

    def do(self, effect: Effect) -> list[int] | None:
        """Do one effect; return who gets it, if it is one that leaves."""
        match effect:
            case Send(to, _, without, _):
                return self.recipients(to, without)
            case Close(to, _, _):
                return self.recipients(to, ())
            case Join(connection, room) if connection in self.open:
                self.members.add((room, connection))
            case Leave(connection, room):
                self.members.discard((room, connection))
            case Attach(connection, attachment) if connection in self.open:
                self.open[connection] = attachment
            case SetTimer(name, at_us, every_us):
                self.timers[name] = (at_us, every_us)
            case CancelTimer(name):
                self.timers.pop(name, None)
        return None

    def is_over(self) -> bool:
        """Say whether more is kept than the limits allow."""
        kept = {name for name, _ in self.members}
        return (
            len(kept) > 3
            or any(sum(name == room for name, _ in self.members) > 3 for room in kept)
            or len(self.timers) > 3
            or any(len(text) > 2 for text in self.open.values())
        )

    def fire(self, name: str, at_us: int) -> None:
        """Let a timer go, or wait for the first of its times that is still to come."""
        due_us, every_us = self.timers.pop(name)
        if every_us is not None:
            while due_us <= at_us:
                due_us += every_us
            self.timers[name] = (due_us, every_us)


def agree(ledger: Ledger2, model: Model) -> None:
    """The same connections, rooms and timers, whichever way they are asked for."""
    assert ledger.last_connection == model.last
    assert dict(ledger.members(None, 0, 99)) == model.open
    kept = {name for name, _ in model.members}
    assert dict(ledger.list_rooms("", 99)) == {
        room: sum(name == room for name, _ in model.members) for room in kept
    }
    for room in kept:
        assert [one for one, _ in ledger.members(room, 0, 99)] == sorted(
            c for name, c in model.members if name == room
        )
    for connection in model.open:
        assert ledger.rooms_of(connection) == sorted(name for name, c in model.members if c == connection)
    assert {name: tuple(alarm) for name, alarm in ledger.timers.items()} == model.timers
    assert ledger.next_due_us() == min((at for at, _ in model.timers.values()), default=None)
    assert ledger.digest == Ledger2.from_snapshot(ledger.snapshot()).digest


@pytest.mark.campaign
@given(steps)
@settings(max_examples=repeats(5000), deadline=None)
def test_the_ledger_is_what_its_events_make_of_it(
    history: list[tuple[str, int, int, bool, list[Effect]]],
) -> None:
    """In random order: who gets what, and what is kept, is the model's; over a limit nothing changes."""
    ledger, model, now_us = Ledger2(), Model(), 0
    for word, number, later_us, failed, wanted in history:
        now_us += later_us
        after = model.copy()
        event: Connect | Message | Disconnect | Timer
        match word:
            case "connect" | "refuse":
                after.last += 1
                event = Connect(after.last, Handshake("/"))
                if not failed and word == "connect":
                    after.open[after.last] = ""
            case "message" if number in model.open:
                event = Message(number, "x")
            case "disconnect" if number in model.open:
                event = Disconnect(number, Ending(1000, "", True, "client"))
                del after.open[number]
                after.members = {(room, one) for room, one in after.members if one != number}
            case "timer" if (due := ledger.due(now_us)) is not None:
                assert due.due_us == min(at for at, _ in model.timers.values())
                event = due
                after.fire(due.name, now_us)
            case _:
                continue
        refusal = [Refuse(403, "")] if word == "refuse" else []
        failing, before = None if failed else [*refusal, *wanted], ledger.digest
        expected, over = [], False
        for effect in wanted if failing else ():
            sent = after.do(effect)
            over = over or after.is_over()
            if sent is not None:
                expected.append(sent)
        try:
            outgoing = ledger.apply(now_us, event, failing, LIMITS)
        except OverLimit:
            assert over
            assert ledger.digest == before
            agree(ledger, model)
            continue
        assert not over
        assert [[*one.connections] for one in outgoing if not isinstance(one.effect, Refuse)] == expected
        model = after
        agree(ledger, model)
