"""Results that break the canonical ABI: the shim says what a direct call would have said."""

import pytest

from tests.unit.worker.shim.malformed import BEYOND, KINDS, Area, Message, poke, words
from tests.unit.worker.shim.routes import NOT_UTF8
from theater_protocol.messages import Reply
from theater_worker.component import Ok, Stopped

LIST_BEYOND = "list pointer/length out of bounds of memory"
STRING_BEYOND = "string pointer/length out of bounds of memory"


@pytest.fixture(params=list(KINDS))
def area(request: pytest.FixtureRequest) -> Area:
    """An actor of each spelling."""
    return Area(request.param)


def test_a_well_formed_result_is_taken(area: Area) -> None:
    """The messages' bytes come back as they were written: the other tests change something about this."""
    messages = [Message("text", "é".encode()), Message("binary", None, b"\xff"), Message("close")]
    replies = (Reply("text", "é"), Reply("binary", b"\xff"), Reply("close", None))
    assert area.call(area.result(b"s", messages)) == Ok(b"s", replies)


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (2, "return pointer not aligned"),
        (BEYOND, "pointer out of bounds of memory"),
        (1 << 31, "pointer out of bounds of memory"),
    ],
)
def test_a_result_nowhere(area: Area, offset: int, reason: str) -> None:
    """The result's own address is checked."""
    offset = offset if offset < 4 else (offset - area.start) & 0xFFFFFFFC
    assert area.call(b"", offset) == Stopped("trap", reason)


def test_a_result_at_the_very_end_of_memory(area: Area) -> None:
    """What ends exactly where memory ends is inside; four bytes further it is not."""
    end = next(
        end
        for end in range(0x10000, 0x10000000, 0x10000)
        if isinstance(area.call(b"", end - 20 - area.start & 0xFFFFFFFF), Stopped)
    )
    assert isinstance(area.call(b"", end - 24 - area.start), Ok)


CASES = {
    "a result neither ok nor error": (0, 7, "discriminant 7 out of range [0..2)"),
    "a state neither some nor none": (1, 2, "discriminant 2 out of range [0..2)"),
    "a state nowhere": (2, BEYOND, LIST_BEYOND),
    "a state without end": (3, 0xFFFFFFFF, LIST_BEYOND),
    "messages nowhere": (4, BEYOND, LIST_BEYOND),
    "messages not aligned": (4, 2, "list pointer is not aligned"),
    "messages without end": (5, 0xFFFFFFFF, LIST_BEYOND),
    "messages of 4 GiB and a little": (5, (1 << 32) // 28 + 1, LIST_BEYOND),
}


@pytest.mark.parametrize(("word", "value", "reason"), list(CASES.values()), ids=list(CASES))
def test_a_malformed_result(area: Area, word: int, value: int, reason: str) -> None:
    """Discriminants, addresses, sizes and alignment of the result are checked."""
    assert area.call(poke(area.result(b"state", []), word, value)) == Stopped("trap", reason)


def test_only_a_discriminants_byte_counts(area: Area) -> None:
    """What lies beside it in memory is nobody's."""
    assert area.call(poke(area.result(b"state", []), 0, 0x700)) == Ok(b"state", ())


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        ((2, 0, 0), (0, 0, 0), "discriminant 2 out of range [0..2)"),
        ((1, BEYOND, 99), (0, 0, 0), STRING_BEYOND),
        ((1, BEYOND, 0), (0, 0, 0), STRING_BEYOND),
        ((1, 0, 0xFFFFFFFF), (0, 0, 0), STRING_BEYOND),
        ((0, 0, 0), (3, 0, 0), "discriminant 3 out of range [0..2)"),
        ((0, 0, 0), (1, BEYOND, 99), LIST_BEYOND),
    ],
)
def test_a_malformed_message(area: Area, text: tuple[int, ...], data: tuple[int, ...], reason: str) -> None:
    """Each field of each message is checked, here the second's."""
    good = area.message(0, (1, area.start, 3), (0, 0, 0), (0, 0))
    contents = words(0, 0, 0, 0, area.start + 24, 2) + good + area.message(1, text, data, (0, 0))
    assert area.call(contents, state=b"before") == Stopped("trap", reason)


def test_an_unknown_kind(area: Area) -> None:
    """A case that message-type does not have is named with the number of those it has."""
    contents = words(0, 0, 0, 0, area.start + 24, 1) + area.message(9, (0, 0, 0), (0, 0, 0), (0, 0))
    outcome = area.call(contents)
    assert isinstance(outcome, Stopped)
    assert outcome.detail in ("discriminant 9 out of range [0..6)", "discriminant 9 out of range [0..7)")


def test_an_absent_option_is_not_looked_at(area: Area) -> None:
    """Without a state, a text, data or another kind's string, whatever their words say is nobody's."""
    nowhere = (0, BEYOND, 99)
    contents = words(0, *nowhere, area.start + 24, 1)
    contents += area.message(0, nowhere, nowhere, (BEYOND, 99))
    assert area.call(contents) == Ok(None, (Reply("text", ""),))


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"a\xe2\x82", b"\xed\xa0\x80", b"\xa9"])
def test_text_that_is_not_utf8(area: Area, text: bytes) -> None:
    """Each text stands for itself: halves of a character in neighbouring texts do not make one."""
    for messages in ([Message("text", text)], [Message("text", b"\xc3"), Message("text", text, b"x")]):
        assert area.call(area.result(None, messages)) == Stopped("trap", NOT_UTF8)


def test_an_error_is_text(area: Area) -> None:
    """An error's string is checked like any other."""
    head = words(1, area.start + 12, 2)
    assert area.call(head + "é".encode()).detail == "é"  # type: ignore[union-attr]
    assert area.call(head + b"\xff\xff") == Stopped("trap", NOT_UTF8)
    assert area.call(words(1, BEYOND, 99)) == Stopped("trap", STRING_BEYOND)


def test_the_string_of_another_kind_is_text() -> None:
    """It never becomes a reply, but it is part of the result and checked with it."""
    area = Area("malformed_variant")
    kept = [Message("other", b"t", b"d", b"shout"), Message("text", b"after")]
    assert area.call(area.result(None, kept)) == Ok(None, (Reply("text", "after"),))
    for other in (b"\xff", b"\xc3"):
        broken = [Message("other", None, None, other), Message("text", b"\xa9")]
        assert area.call(area.result(None, broken)) == Stopped("trap", NOT_UTF8)
    contents = words(0, 0, 0, 0, area.start + 24, 1) + area.message(6, (0,) * 3, (0,) * 3, (BEYOND, 99))
    assert area.call(contents) == Stopped("trap", STRING_BEYOND)
