"""A guest's response made fit for the wire: what each message means, and which are refused.

Pure. Sending is the supervisor's matter; what a guest's types look like is component.py's.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from theater_protocol.messages import EventKind, Reply

MAX_CONTROL_BYTES: Final = 125  # RFC 6455, section 5.5


class GuestMessage(NamedTuple):
    """One message as the guest gave it: message-type's case and both optional fields."""

    kind: str
    text: str | None
    data: bytes | None


def to_replies(event: EventKind, messages: Iterable[GuestMessage]) -> tuple[tuple[Reply, ...], list[str]]:
    """Turn the messages answered to `event` into replies, and say in one line each what was refused.

    A text without text is empty, a binary, ping or pong without data too: `misplaced` says so. Refused: kinds
    that are no reply, a ping or pong too long for a control frame, any reply to a close.
    """
    replies: list[Reply] = []
    refused: list[str] = []
    for message in messages:
        if event == "close":
            refused.append(f"A close event carries no reply; {message.kind} dropped")
            continue
        reply = _to_reply(message)
        if isinstance(reply, str):
            refused.append(reply)
        else:
            replies.append(reply)
    return tuple(replies), refused


def misplaced(messages: Iterable[GuestMessage]) -> str | None:
    """Say of the first message that is sent empty, because what it has is in the other field, which one."""
    for kind, text, data in messages:
        if kind == "text" and text is None and data:
            return f"A text reply is sent empty: its {len(data)} bytes are in `data`; put them in `text`"
        if kind in ("binary", "ping", "pong") and data is None and text:
            return (
                f"A {kind} reply is sent empty: its {len(text)} characters are in `text`; put them in `data`"
            )
    return None


def _to_reply(message: GuestMessage) -> Reply | str:
    match message.kind:
        case "text":
            return Reply("text", message.text or "")
        case "binary":
            return Reply("binary", message.data or b"")
        case "close":
            return Reply("close", None)
        case "ping" | "pong" as kind:
            data = message.data or b""
            if len(data) > MAX_CONTROL_BYTES:
                return f"A {kind} carries at most {MAX_CONTROL_BYTES} bytes; one of {len(data)} dropped"
            return Reply(kind, data)
        case other:
            return f"{other} cannot be a reply; dropped"
