"""What one connection may use: sizes in bytes, deadlines in seconds.

Values only. Who enforces them: `handshake` (the head), `stream` (what waits to be sent), `connection` (the
messages and the closing), `listener` (the handshake's deadline).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection, the same for every route.

    `handshake_timeout_s` runs from the accept to the complete request head. `send_timeout_s` is how long one
    write of at most 256 KiB may take. `close_timeout_s` is how long the peer may take to answer our close
    frame; `linger_s` how long a finished connection, or a refused handshake, may take to be read.
    """

    max_head_bytes: int = 16 * 1024
    max_message_bytes: int = 1024 * 1024
    max_outbound_bytes: int = 8 * 1024 * 1024
    handshake_timeout_s: float = 10
    send_timeout_s: float = 30
    close_timeout_s: float = 5
    linger_s: float = 2
