"""Both routes across the boundary come to the same, for whatever an actor is given and returns."""

import functools
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.components import build
from tests.faults.counts import repeats
from tests.unit.worker.shim.malformed import BEYOND, KINDS, Area, Message, poke, words
from tests.unit.worker.shim.routes import COMPILE_TIMEOUT_S, load, routes
from theater_protocol.messages import EventKind
from theater_worker.component import ActorComponent, Ok

MAX_RESULT_BYTES = 16000
area_of = functools.cache(Area)

# The actors are made on the first call, and answer in microseconds from then on.
thorough = settings(
    max_examples=repeats(2000), deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

octets = st.one_of(
    st.binary(max_size=70),
    st.binary(max_size=70).map(lambda data: bytes(byte & 127 for byte in data)),
    st.builds(lambda unit, count: unit * count, st.binary(min_size=1, max_size=3), st.integers(0, 5000)),
)
texts = st.one_of(st.text(max_size=40), st.text(min_size=1, max_size=3).map(lambda text: text * 1000))
states = st.none() | octets
kinds: st.SearchStrategy[EventKind] = st.sampled_from(["connect", "text", "binary", "ping", "pong", "close"])
commands = st.sampled_from(["none", "state 0", "state 70000", "err no", "replies", "many 3", "trap"])
events = st.tuples(kinds, st.none() | texts | commands, st.none() | octets)


@pytest.mark.parametrize("actor", ["probe", "echo", "echo_variant"])
@thorough
@given(first=states, course=st.lists(events, max_size=6))
def test_the_same_events_come_to_the_same(
    actor: str, first: bytes | None, course: list[tuple[EventKind, str | None, bytes | None]]
) -> None:
    """A course of events over a state, each with any text and data, traps and errors among them."""
    state = first
    for kind, text, data in course:
        outcome = routes(actor).call(state, kind, text, data)
        if isinstance(outcome, Ok):
            state = outcome.state


@pytest.mark.timeout(COMPILE_TIMEOUT_S)
@settings(thorough, max_examples=repeats(300))
@given(first=states, course=st.lists(st.tuples(kinds, texts), max_size=3))
def test_a_python_actor_too(first: bytes | None, course: list[tuple[EventKind, str]]) -> None:
    """componentize-py's code reads and writes the same memory in its own way."""
    state = first
    for kind, text in course:
        outcome = routes("stdout").call(state, kind, text, None)
        if isinstance(outcome, Ok):
            state = outcome.state


edits = st.tuples(st.integers(0, 13_000), st.integers(0, 13_000), st.none() | octets, st.booleans())


@functools.cache
def _malformed() -> ActorComponent:
    return load(build("malformed"), True)[1]


@thorough
@given(first=octets, course=st.lists(edits, max_size=5))
def test_a_large_state_survives_any_edits(
    first: bytes, course: list[tuple[int, int, bytes | None, bool]]
) -> None:
    """Each event replaces a piece of the state by another, or by one of the state itself, at any place."""
    area, state = area_of("malformed"), first * 3
    for begin, end, piece, reverse in course:
        changed = (state[:begin] + (state[end:] if piece is None else piece) + state[end:])[:13_000]
        changed = changed[::-1] if reverse else changed
        outcome = _malformed().call(0, state, "binary", None, words(0) + area.result(changed, []))
        assert outcome == Ok(changed, ())
        state = changed


def messages(actor: str) -> st.SearchStrategy[list[Message]]:
    """Messages as a guest may return them, most of them in UTF-8."""
    encoded = st.one_of(texts.map(str.encode), st.binary(max_size=4))
    message = st.builds(
        Message, st.sampled_from(KINDS[actor]), st.none() | encoded, st.none() | octets, encoded
    )
    return st.lists(message, max_size=4)


@pytest.mark.parametrize("actor", list(KINDS))
@thorough
@given(data=st.data())
def test_any_result_comes_to_the_same(actor: str, data: st.DataObject) -> None:
    """Any state and messages, and the same with some of its words changed at random."""
    area = Area(actor)
    result = area.result(
        data.draw(octets.filter(lambda state: len(state) < 2000)), data.draw(messages(actor))
    )
    result = result[:16000]
    count = len(result) // 4
    for _ in range(data.draw(st.integers(0, 2))):
        word = data.draw(st.integers(0, min(count - 1, 40)))
        (old,) = struct.unpack_from("<I", result, word * 4)
        values = st.sampled_from([0, 1, 2, 3, 255, 256, old + 1, old + 4, old - 1, BEYOND, 1 << 31])
        result = poke(result, word, data.draw(values))
    area.call(result, state=data.draw(states))
