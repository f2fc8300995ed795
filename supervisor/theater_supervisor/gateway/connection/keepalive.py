"""When to ping a silent client and when it is gone. Pure: it is told the time and answers what is due."""

import secrets
from dataclasses import dataclass
from typing import Final, Literal

_TAG_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Due:
    """What to do now, and when to ask again, in seconds from now."""

    action: Literal["ping", "gone", None]
    wait_s: float


class Keepalive:
    """One connection's pings: every `interval_s`, with an answer within `timeout_s`; 0 turns either off."""

    def __init__(self, interval_s: float, timeout_s: float, now_s: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._next_ping_s = now_s + interval_s
        self._gone_s: float | None = None
        # A pong is ours by this tag, which nobody guesses; all other pongs are the actor's.
        self._tag = secrets.token_bytes(_TAG_BYTES)
        self._count = 0

    def ask(self, now_s: float, *, heard: bool) -> Due:
        """Say what is due. `heard`: the client was heard, or was not listened to, since the last time."""
        if heard:
            self._gone_s = None
        if self._gone_s is not None and now_s >= self._gone_s:
            return Due("gone", 0)
        action: Literal["ping", None] = None
        if now_s >= self._next_ping_s:
            action = "ping"
            self._next_ping_s = now_s + self._interval_s
            if self._timeout_s and self._gone_s is None:
                self._gone_s = now_s + self._timeout_s
        until_s = self._next_ping_s if self._gone_s is None else min(self._next_ping_s, self._gone_s)
        return Due(action, max(0.0, until_s - now_s))

    def payload(self) -> bytes:
        """Return the payload of the next ping."""
        self._count += 1
        return self._tag + self._count.to_bytes(4)

    def is_answer(self, payload: bytes) -> bool:
        """Say whether a pong answers one of these pings, whichever."""
        return payload[:_TAG_BYTES] == self._tag
