"""What a handshake, and all that are under way, may use: counts, sizes in bytes, deadlines in seconds.

Values only. Who enforces them: `admission` (how many), `handshake` (the head), `attendant` (the deadlines).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HandshakeLimits:
    """Bounds of what is not a connection yet, for a whole gateway.

    `timeout_s` runs from the accept to the complete request head, TLS included. Beyond `max_pending`, or
    `max_pending_per_address`, the oldest handshake under way makes room; this machine's own clients and
    trusted proxies only count in all. `linger_s` is how long a refused client may take to read why; they, and
    those who have the end of a connection still to read, are `max_lingering` together, and beyond that the
    oldest is dropped.
    """

    max_head_bytes: int = 16 * 1024
    max_headers: int = 100
    timeout_s: float = 10
    linger_s: float = 2
    max_pending: int = 1024
    max_pending_per_address: int = 64
    max_lingering: int = 512
