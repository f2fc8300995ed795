"""What a connection has carried: plain numbers, counted where the frames pass and read when asked for.

Values only; adding up and showing them is done elsewhere.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Connections, and the messages and bytes they carried; bytes are those on the wire after the handshake.

    Messages are events from and replies to the client, control frames included that the actor sees or sends.
    """

    connections: int = 0
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.connections + other.connections,
            self.messages_in + other.messages_in,
            self.messages_out + other.messages_out,
            self.bytes_in + other.bytes_in,
            self.bytes_out + other.bytes_out,
        )
