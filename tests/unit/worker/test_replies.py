"""What becomes of a guest's messages."""

import pytest

from theater_protocol.messages import Reply
from theater_worker.replies import GuestMessage, misplaced, to_replies


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        (GuestMessage("text", "t", None), Reply("text", "t")),
        (GuestMessage("text", None, b"data"), Reply("text", "")),
        (GuestMessage("binary", None, b"d"), Reply("binary", b"d")),
        (GuestMessage("binary", "text", None), Reply("binary", b"")),
        (GuestMessage("ping", None, None), Reply("ping", b"")),
        (GuestMessage("pong", None, bytes(125)), Reply("pong", bytes(125))),
        (GuestMessage("close", "bye", b"bye"), Reply("close", None)),
    ],
)
def test_a_message_is_made_fit(message: GuestMessage, reply: Reply) -> None:
    """Each kind takes its own payload; a missing one is empty."""
    assert to_replies("text", [message]) == ((reply,), [])


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (GuestMessage("connect", None, None), "connect cannot be a reply; dropped"),
        (GuestMessage("other", None, None), "other cannot be a reply; dropped"),
        (GuestMessage("ping", None, bytes(126)), "A ping carries at most 125 bytes; one of 126 dropped"),
        (GuestMessage("pong", None, bytes(999)), "A pong carries at most 125 bytes; one of 999 dropped"),
    ],
)
def test_a_refused_message_is_named_and_the_others_stay(message: GuestMessage, line: str) -> None:
    """One message that cannot be sent takes no other with it."""
    good = GuestMessage("text", "good", None)
    assert to_replies("text", [good, message, good]) == ((Reply("text", "good"),) * 2, [line])


def test_a_close_event_has_no_replies() -> None:
    """Nobody is there to get them."""
    message = GuestMessage("text", "bye", None)
    assert to_replies("close", [message]) == ((), ["A close event carries no reply; text dropped"])


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            GuestMessage("text", None, b"data"),
            "A text reply is sent empty: its 4 bytes are in `data`; put them",
        ),
        (
            GuestMessage("binary", "text", None),
            "A binary reply is sent empty: its 4 characters are in `text`;",
        ),
        (
            GuestMessage("ping", "x", None),
            "A ping reply is sent empty: its 1 characters are in `text`; put them",
        ),
        (GuestMessage("text", "", b"data"), None),
        (GuestMessage("text", None, None), None),
        (GuestMessage("text", None, b""), None),
        (GuestMessage("binary", "text", b""), None),
        (GuestMessage("close", "bye", b"bye"), None),
    ],
)
def test_what_is_in_the_other_field_is_named(message: GuestMessage, line: str | None) -> None:
    """A reply that is sent empty though it has something says which field was meant."""
    said = misplaced([GuestMessage("text", "good", None), message])
    assert said is None if line is None else (said or "").startswith(line)
