"""What was agreed on before a connection is open: the door hands it in, the connection is served by it.

Values only; how a handshake comes to them is `door.handshake`'s and `door.entrances`'.
"""

from dataclasses import dataclass

from theater_supervisor.gateway.connection.deflate import Agreement


@dataclass(frozen=True, slots=True)
class Admitted:
    """What was agreed on with a client that may come in.

    `key` is the checked Sec-WebSocket-Key, `early` what came right after the head, `expires_in_s` how long
    the login holds.
    """

    key: bytes
    early: bytes
    subprotocol: str | None = None
    compression: Agreement | None = None
    expires_in_s: float | None = None
