"""What an open connection, and all of them together, may use: counts, sizes in bytes, deadlines in seconds.

Values only. Who enforces them: `message` (what comes in), `rate` (how fast), `intake` (what is held),
`outbound` and `sender` (what waits to be sent, what is answered), `connection` (the rest). What a handshake
may use is in `door.limits`.
"""

from dataclasses import dataclass
from typing import Final

_MIB: Final = 1024 * 1024
SEND_BUDGET_BYTES: Final = 16 * _MIB
# However large replies may be, so many of them can be on their way out at a time.
SEND_BUDGET_REPLIES: Final = 2
RECEIVE_BUDGET_BYTES: Final = 16 * _MIB
# However large messages may be, so many of them can be on their way in at a time.
RECEIVE_BUDGET_MESSAGES: Final = 4


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How fast a client's frames are taken: so many a second, after a burst.

    Beyond it the socket is read more slowly; a client that keeps pressing for `patience_s` is closed.
    """

    messages_per_s: float
    burst: int
    patience_s: float = 10


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection.

    `max_fragments` counts the frames of one message, `max_empty_fragments` those of them without a payload.
    `max_held_events` and `max_held_bytes` are what may be read ahead while the actor has no room.
    `max_outbound_bytes` is what may wait to be sent when another reply is queued. `max_replies` and
    `max_reply_bytes` bound what one event may be answered with.

    A ping goes out every `ping_interval_s`, and the client is gone when nothing comes from it for
    `ping_timeout_s` after one; 0 turns either off. `send_timeout_s` is how long one write of at most 64 KiB
    may take. `close_timeout_s` is how long the peer may take to answer our close frame, and how long one that
    has closed may wait for the replies to what it sent, a dropped one for room too; `linger_s` how long a
    finished connection may take to be read. `closing_timeout_s` is how long any close of ours may take, from
    the decision until the peer has read what it gets: after it, the connection is reset.
    """

    max_message_bytes: int = _MIB
    max_empty_fragments: int = 256
    max_held_events: int = 64
    max_held_bytes: int = 64 * 1024
    max_outbound_bytes: int = 4 * _MIB
    max_replies: int = 1024
    max_reply_bytes: int = 16 * _MIB
    ping_interval_s: float = 20
    ping_timeout_s: float = 20
    send_timeout_s: float = 30
    close_timeout_s: float = 5
    linger_s: float = 2
    closing_timeout_s: float = 30
    rate_limit: RateLimit | None = None

    @property
    def max_fragments(self) -> int:
        """How many frames a message may have: enough for the largest one in fragments of 64 bytes."""
        return 1024 + self.max_message_bytes // 64
