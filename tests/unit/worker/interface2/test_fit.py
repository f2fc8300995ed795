"""What a component's types may lack, and what is told of those that do not fit."""

import pytest

from theater_worker.interface2.fit import misfits
from theater_worker.interface2.model import EFFECT, EVENT
from theater_worker.interface2.types import (
    Enum,
    List,
    Octets,
    Option,
    Record,
    Scalar,
    Text,
    Tuple,
    Type,
    Variant,
)

TEXT, U64, U32 = Text(), Scalar("u64"), Scalar("u32")
FRAME = Variant((("text", TEXT),))


def wrong(found: Type, expected: Type, *, incoming: bool) -> list[str]:
    """Say what does not fit."""
    return list(misfits(found, expected, "x", incoming=incoming))


@pytest.mark.parametrize(("ty", "incoming"), [(EVENT, True), (EFFECT, False)], ids=["event", "effect"])
def test_the_interface_fits_itself(ty: Type, incoming: bool) -> None:
    """In either direction nothing is wrong."""
    assert not wrong(ty, ty, incoming=incoming)
    assert not wrong(ty, ty, incoming=not incoming)


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (Variant((("message", Tuple((U64, TEXT, FRAME))),)), []),
        (Variant((("tomorrow", U32), ("timer", Tuple((TEXT, U64))))), []),
        (Variant((("timer", Tuple((TEXT, U32))),)), ["x timer: u32 instead of u64"]),
        (Variant((("timer", Tuple((TEXT,))),)), ["x timer: tuple<string> instead of tuple<string, u64>"]),
        (Variant((("configure", Record((("actor", TEXT),))),)), []),
        (Variant((("configure", Record((("later", Option(TEXT)),))),)), []),
        (Variant((("configure", Record((("later", TEXT),))),)), ["x configure.later: not known here"]),
        (
            Variant((("message", Tuple((U64, TEXT, Variant((("binary", TEXT),))))),)),
            ["x message binary: string instead of list<u8>"],
        ),
        (Octets(), [f"x: list<u8> instead of variant {{{', '.join(name for name, _ in EVENT.cases)}}}"]),
    ],
    ids=[
        "fewer cases",
        "an unknown case",
        "another number",
        "another tuple",
        "fewer fields",
        "an optional field",
        "a field that must be",
        "a frame of another kind",
        "no variant",
    ],
)
def test_events_may_have_less(found: Type, problems: list[str]) -> None:
    """Into the actor: what it lacks is not told it, what is not known here must be optional."""
    assert wrong(found, EVENT, incoming=True) == problems


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (Variant((("join", Tuple((U64, TEXT))),)), []),
        (Variant((("teleport", TEXT),)), ["x teleport: not known here"]),
        (Variant((("refuse", Record((("status", Scalar("u16")),))),)), []),
        (
            Variant((("refuse", Record((("status", Scalar("u16")), ("when", Option(U64))))),)),
            ["x refuse.when: not known here"],
        ),
        (Variant((("send", Record((("frame", FRAME),))),)), ["x send.to: missing"]),
    ],
    ids=["fewer cases", "an unknown case", "a default", "an unknown field", "no target"],
)
def test_effects_may_be_fewer_and_none_unknown(found: Type, problems: list[str]) -> None:
    """Out of the actor: nothing that would be dropped without a word."""
    assert wrong(found, EFFECT, incoming=False) == problems


def test_cases_of_an_enum_that_are_not_known_only_matter_on_the_way_out() -> None:
    """A closer that the host never says does no harm; a level that it has no word for does."""
    some, fewer = Enum(("a", "b")), Enum(("a",))
    assert not wrong(some, fewer, incoming=True)
    assert wrong(List(some), List(fewer), incoming=False) == ["x b: not known here"]
