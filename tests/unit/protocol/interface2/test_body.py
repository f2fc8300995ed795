"""Format 2 of a transition against its golden vectors, and what is no transition."""

from typing import Any

import pytest

from tests.unit.protocol.interface2.vectors import VECTORS, transition
from theater_protocol import cbor
from theater_protocol.errors import LocalProtocolError, RemoteProtocolError
from theater_protocol.interface2.body import Transition2, decode, encode
from theater_protocol.interface2.effects import EVERYONE, Send, ToConnection
from theater_protocol.interface2.events import Message, Operator, Timer

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[f"{v['seq']}-{v['kind']}" for v in VECTORS])


@each_vector
def test_a_transition_encodes_to_its_golden_bytes(vector: dict[str, Any]) -> None:
    """Fields to bytes."""
    assert encode(transition(vector)).hex() == vector["body"]


@each_vector
def test_golden_bytes_decode_to_their_transition(vector: dict[str, Any]) -> None:
    """Bytes to fields, with kind and connection as they are in the body."""
    read = decode(bytes.fromhex(vector["body"]))
    assert read == transition(vector)
    assert (type(read.event), read.kind, read.connection) == (
        type(transition(vector).event),
        vector["kind"],
        vector["connection"],
    )


@each_vector
def test_no_field_can_be_of_another_type(vector: dict[str, Any]) -> None:
    """Each element of a body in turn replaced by what it cannot be."""
    item = cbor.decode(bytes.fromhex(vector["body"]))
    assert isinstance(item, list)
    for place in range(len(item)):
        for wrong in (-1, 2.5, "no such word", b"no hash", [[["?"]]], {"a": 1}):
            if wrong == item[place] or (
                place == 6 and vector["kind"] == "message" and type(wrong) in (str, bytes)
            ):
                continue
            changed = [*item[:place], wrong, *item[place + 1 :]]
            with pytest.raises(RemoteProtocolError):
                decode(cbor.encode(changed))


def body(kind: str, connection: int, given: object, effects: object, outcome: str = "ok") -> bytes:
    """Encode a body of these fields."""
    return cbor.encode([2, 7, bytes(32), 1, kind, connection, given, outcome, effects, None])


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (body("message", 1, "a", [["send", [3], [], "a", False]]), "written as true"),
        (body("timer", 0, ["a", 1], [["send", [3], [], True, False]]), "where there is none"),
        (body("message", 0, "a", []), "does not go with kind"),
        (body("timer", 1, ["a", 1], []), "does not go with kind"),
        (body("message", 1, "a", [["join", 1, "r"]], "err"), "effects of message"),
        (body("instance", 0, [bytes(32), bytes(32)], [], "trap"), "cannot have outcome"),
        (body("operator", 0, ["send", "root"], [["join", 1, "r"]]), "does nothing else"),
        (body("operator", 0, ["rule", "root"], []), "unknown action"),
        (body("disconnect", 1, [70000, "", True, "client"], []), "16 bits"),
        (body("disconnect", 1, [1000, "", True, "nobody"], []), "malformed"),
        (body("message", 1, "a", [["send", [4], [], "b", False]]), "unknown target"),
        (body("message", 1, "a", [["send", [3], [], "b", 1]]), "unknown effect"),
        (body("message", 1, "a", [["set-timer", "t", 1, True]]), "every must be int"),
        (cbor.encode([2, 7, bytes(32), 1]), "array of 10"),
        (cbor.encode([1, 7, bytes(32), 1, "message", 1, "a", "ok", [], None]), "its format 2"),
        (b"\x8a\x18\x02" + body("message", 1, "a", [])[2:], "shortest form"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_is_no_transition_is_refused_with_its_reason(octets: bytes, why: str) -> None:
    """Every transition has one encoding only, and says nothing that its kind cannot."""
    with pytest.raises(RemoteProtocolError, match=why):
        decode(octets)


@pytest.mark.parametrize(
    "wrong",
    [
        Transition2(1, bytes(31), 1, Timer("a", 1), "ok", (), None),
        Transition2(-1, bytes(32), 1, Timer("a", 1), "ok", (), None),
        Transition2(1, bytes(32), 1, Timer("a", 1), "err", (Send(EVERYONE, "a"),), None),
        Transition2(1, bytes(32), 1, Operator("send", "root"), "trap", (), None),
        Transition2(1, bytes(32), 1, Message(1, "\ud800"), "ok", (), None),
    ],
    ids=["prev", "seq", "effects of an error", "an operator's trap", "text that is none"],
)
def test_what_would_not_be_read_is_not_written(wrong: Transition2) -> None:
    """The two directions agree; an error of ours is told as ours."""
    with pytest.raises(LocalProtocolError):
        encode(wrong)


def test_a_frame_that_is_the_input_s_own_takes_no_room() -> None:
    """A broadcast of 64 KiB to everyone has the text once in the body."""
    text = "x" * 65536
    one = Transition2(
        1, bytes(32), 1, Message(1, text), "ok", (Send(EVERYONE, text), Send(ToConnection(1), text)), None
    )
    octets = encode(one)
    assert len(octets) < len(text) + 200
    assert decode(octets) == one


def test_text_and_bytes_that_look_alike_are_not_each_other_s_own() -> None:
    """An empty text answered with no bytes is no echo."""
    one = Transition2(1, bytes(32), 1, Message(1, ""), "ok", (Send(EVERYONE, b""),), None)
    (sent,) = decode(encode(one)).effects
    assert isinstance(sent, Send)
    assert sent.frame == b""
    assert type(sent.frame) is bytes
