"""Components of interface 2 in this process: events in, effects and a mirrored ledger out."""

from dataclasses import replace

import pytest

from tests.unit.worker.interface2.actors import load
from tests.unit.worker.process import LIMITS
from theater_protocol.errors import RemoteProtocolError
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
    ToRoom,
)
from theater_protocol.interface2.events import (
    Configure,
    Connect,
    Disconnect,
    Ending,
    Handshake,
    Identity,
    Message,
    Timer,
)
from theater_protocol.messages import Limits
from theater_worker.instances import Err, Stopped
from theater_worker.interface2.component import HandlerComponent, Ok2, Skipped

NOW = 1_700_000_000_000_000
GONE = Ending(1006, "", False, "client")


def connected(actor: str = "handler", **limits: Limits) -> HandlerComponent:
    """Make an instance that has one connection, 1."""
    component = load(actor, **limits)
    component.call(NOW, None, Connect(1, Handshake("/plain")))
    return component


def effects(component: HandlerComponent, text: str, connection: int = 1) -> tuple[Effect, ...]:
    """Say something and return what the actor asks for."""
    outcome = component.call(NOW, None, Message(connection, text))
    assert isinstance(outcome, Ok2), outcome
    return outcome.effects


def to_me(text: str) -> Send:
    """What an answer to connection 1 alone is."""
    return Send(ToConnection(1), text)


def test_a_handshake_tells_everything_and_is_answered() -> None:
    """Path, subprotocols and identity arrive; accept, join, attach and a greeting come back."""
    component = load("handler")
    handshake = Handshake(
        "/lobby",
        "a=1",
        (("user-agent", "x"),),
        ("chat.v2", "chat"),
        Identity("ann", '{"sub":"ann"}'),
        "192.0.2.1",
    )
    outcome = component.call(NOW, None, Connect(1, handshake))
    assert outcome == Ok2(
        None, (Accept("chat.v2"), Join(1, "lobby"), Attach(1, "ann"), Send(ToConnection(1), "hello 1"))
    )
    assert component.ledger.snapshot() == [1, [[1, "ann"]], [["lobby", [1]]], []]


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/refuse", Ok2(None, (Refuse(403, "not here"),))),
        ("/plain", Ok2(None, ())),
    ],
)
def test_a_handshake_may_be_refused_or_left_to_the_host(path: str, outcome: Ok2) -> None:
    """Only one that is not refused opens a connection."""
    component = load("handler")
    assert component.call(NOW, None, Connect(1, Handshake(path))) == outcome
    assert list(component.ledger.attachments) == ([1] if path == "/plain" else [])


def test_an_actor_that_traps_on_a_handshake_refuses_it() -> None:
    """The connection is not there, the id is used up, and the next handshake has a fresh instance."""
    component = load("handler")
    outcome = component.call(NOW, None, Connect(1, Handshake("/trap")))
    assert isinstance(outcome, Stopped)
    assert component.ledger.snapshot() == [1, [], [], []]
    component.replace_instance()
    assert isinstance(component.call(NOW, None, Connect(2, Handshake("/plain"))), Ok2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", (to_me("hello"),)),
        ("", (to_me(""),)),
        ("grüße 🎭", (to_me("grüße 🎭"),)),
        ("all x", (Send(EVERYONE, "x"),)),
        ("others x", (Send(EVERYONE, "x", (1,), True),)),
        ("room red x y", (Send(ToRoom("red"), "x y"),)),
        ("join red", (Join(1, "red"),)),
        ("leave red", (Leave(1, "red"),)),
        ("attach ann", (Attach(1, "ann"),)),
        ("timer t 5", (SetTimer("t", NOW + 5),)),
        ("every 1000", (SetTimer("tick", NOW + 1000, 1000),)),
        ("cancel t", (CancelTimer("t"),)),
        ("close 4000", (Close(ToConnection(1), 4000, "as you say"),)),
        ("many 3", (to_me("3"), to_me("2"), to_me("1"))),
    ],
)
def test_each_effect_comes_out_as_it_was_asked_for(text: str, expected: tuple[Effect, ...]) -> None:
    """Every case of the effects, with its fields."""
    assert effects(connected(), text) == expected


def test_binary_frames_pass_in_both_directions() -> None:
    """Bytes stay bytes."""
    outcome = connected().call(NOW, None, Message(1, b"\x00\xff"))
    assert outcome == Ok2(None, (Send(ToConnection(1), b"\x00\xff"),))


def test_state_is_kept_unless_it_is_replaced() -> None:
    """`keep` gives the very state back; `replace` the new one."""
    component = connected()
    state = b"before"
    kept = component.call(NOW, state, Message(1, "state"))
    assert kept == Ok2(b"before", (to_me("before"),))
    assert isinstance(kept, Ok2)
    assert kept.state is state
    assert component.call(NOW, state, Message(1, "set after")) == Ok2(b"after", ())
    assert component.call(NOW, None, Configure("chat", None, (("a", "b"),))) == Ok2(b"chat", ())


def test_view_shows_the_mirror_as_of_the_beginning_of_the_event() -> None:
    """Members with attachments, rooms, counts and timers, from the effects of the events before."""
    component = connected()
    component.call(NOW, None, Connect(2, Handshake("/red")))
    effects(component, "join red")
    effects(component, "attach ann")
    effects(component, "timer t 5")
    assert effects(component, "who") == (to_me("ann"),)
    assert effects(component, "count") == (to_me("2"),)
    assert effects(component, "members") == (to_me("1:ann 2:guest "),)
    assert effects(component, "members red") == (to_me("1:ann 2:guest "),)
    assert effects(component, "members blue") == (to_me(""),)
    assert effects(component, "rooms") == (to_me("red "),)
    assert effects(component, "due t") == (to_me(str(NOW + 5)),)
    assert effects(component, "due u") == (to_me("never"),)


def test_a_disconnect_comes_with_the_attachment_and_ends_the_connection() -> None:
    """After it nothing is kept for it."""
    component = connected()
    effects(component, "attach ann")
    effects(component, "join red")
    outcome = component.call(NOW, None, Disconnect(1, GONE))
    assert outcome == Ok2(None, (Send(EVERYONE, "ann left"),))
    assert component.ledger.snapshot() == [1, [], [], []]


def test_a_timer_that_was_cancelled_meanwhile_is_skipped() -> None:
    """Deliveries are sent ahead: one that an event before it has undone is not called, and not an error."""
    component = connected()
    effects(component, "timer t 5")
    assert component.call(NOW + 5, None, Timer("t", NOW + 5)) == Ok2(None, (Send(EVERYONE, "t"),))
    effects(component, "timer t 5")
    effects(component, "cancel t")
    before = component.ledger.digest
    assert component.call(NOW + 5, None, Timer("t", NOW + 5)) == Skipped()
    assert component.ledger.digest == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("err why", Err("why")),
        ("close 1006", Err("close with 1006, which is neither 1000 nor 3000 to 4999")),
        ("every 10", Err("a timer every 10 µs: 1000 are the least")),
        ("join " + "x" * 300, Err("300 bytes of a room's name: max_room_name_bytes is 256")),
        ("many 4", Err("4 effects are over the limit of 3")),
        ("all " + "x" * 500, Err("effects of 541 bytes are over the limit of 500")),
        ("set " + "x" * 101, Err("a state of 101 bytes is over the limit of 100")),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_an_actor_may_not_is_an_error_with_its_words(text: str, expected: Err) -> None:
    """The event has no effect, nothing of the ledger changes, and the next one works."""
    component = connected(limits=replace(LIMITS, max_state_bytes=100, max_replies=3, max_reply_bytes=500))
    before = component.ledger.digest
    assert component.call(NOW, b"s", Message(1, text)) == expected
    assert component.ledger.digest == before
    assert component.call(NOW, b"s", Message(1, "hi")) == Ok2(b"s", (to_me("hi"),))


def test_a_call_that_takes_too_long_is_stopped() -> None:
    """As in version 1: the outcome is a timeout, and a fresh instance goes on with the same ledger."""
    component = connected(limits=replace(LIMITS, call_timeout_us=100_000))
    effects(component, "join red")
    outcome = component.call(NOW, None, Message(1, "spin"))
    assert outcome == Stopped("timeout", "no result within 0.1 s")
    component.replace_instance()
    assert effects(component, "rooms") == (to_me("red "),)


def test_an_actor_s_log_lines_say_their_level(capfd: pytest.CaptureFixture[str]) -> None:
    """`log` writes lines of the stream L."""
    effects(connected(), "log mind the gap")
    assert "\x1eLwarning: mind the gap\n" in capfd.readouterr().err


@pytest.mark.parametrize("event", [Message(2, "x"), Disconnect(2, GONE), Connect(1, Handshake("/"))], ids=str)
def test_an_event_that_cannot_be_the_next_one_is_the_supervisor_s_mistake(
    event: Message | Disconnect | Connect,
) -> None:
    """What the two believe differs; nothing is called."""
    with pytest.raises(RemoteProtocolError):
        connected().call(NOW, None, event)


def test_a_smaller_2_0_with_its_cases_in_another_order_is_bound_by_name() -> None:
    """What it lacks is left out, fields and cases; an optional field of a later 2.x is none."""
    component = load("handler_small")
    assert component.call(NOW, None, Connect(1, Handshake("/there", "a=1"))) == Ok2(None, (to_me("a=1"),))
    assert component.call(NOW, None, Connect(2, Handshake("/there"))) == Ok2(
        None, (Send(ToConnection(2), "/there"),)
    )
    assert component.call(NOW, b"s", Message(1, "hello")) == Ok2(b"s", (to_me("hello"),))


@pytest.mark.parametrize(
    "event",
    [Configure("chat"), Message(1, b"bytes"), Disconnect(1, GONE)],
    ids=lambda event: type(event).__name__,
)
def test_an_event_that_a_component_has_no_case_for_is_not_delivered(
    event: Configure | Message | Disconnect,
) -> None:
    """It is recorded with no effects, and the ledger takes it as ever."""
    component = connected("handler_small")
    assert component.call(NOW, b"s", event) == Ok2(b"s", ())
    assert (1 in component.ledger.attachments) == (not isinstance(event, Disconnect))
