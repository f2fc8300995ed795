"""What handle-message may return, written into memory by the canonical ABI's rules, for actor `malformed`.

Everything lies at an address of its own choice, so results can be as wrong as they like.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tests.unit.worker.shim.routes import routes
from theater_worker.component import Ok, Outcome

KINDS = {
    "malformed": ("text", "binary", "ping", "pong", "close", "connect"),
    "malformed_variant": ("text", "binary", "connect", "close", "ping", "pong", "other"),
}
BEYOND = 0xFFFFFFF0  # no memory is there


def words(*values: int) -> bytes:
    """Write 32-bit words."""
    return b"".join((value & 0xFFFFFFFF).to_bytes(4, "little") for value in values)


@dataclass(frozen=True)
class Message:
    """A message to write; `other` goes with the case of that name."""

    kind: str
    text: bytes | None = None
    data: bytes | None = None
    other: bytes = b""


class Area:
    """The memory of the actor that a test fills; `start` is its address."""

    def __init__(self, actor: str) -> None:
        self._actor = actor
        self._routes = routes(actor)
        asked = self._routes.call(None, "text", "where?")
        assert isinstance(asked, Ok)
        self.start = int(str(asked.replies[0].payload))

    def call(self, contents: bytes, offset: int = 0, state: bytes | None = None) -> Outcome:
        """Let the actor return a result at `offset` from the start of an area with these contents."""
        return self._routes.call(state, "binary", None, words(offset) + contents)

    def message(self, kind: int, text: Sequence[int], data: Sequence[int], other: Sequence[int]) -> bytes:
        """Write a message from its words."""
        if self._actor == "malformed_variant":
            return words(kind, *other, *data, *text)
        return words(kind, *text, *data)

    def result(self, state: bytes | None, messages: Sequence[Message]) -> bytes:
        """Write a whole result, the strings and bytes behind it, as it should be."""
        size = len(self.message(0, (0,) * 3, (0,) * 3, (0,) * 2))
        pool = bytearray()

        def octets(data: bytes) -> tuple[int, int]:
            address = self.start + 24 + size * len(messages) + len(pool)
            pool.extend(data)
            return address, len(data)

        def option(data: bytes | None) -> tuple[int, int, int]:
            return (0, 0, 0) if data is None else (1, *octets(data))

        head = words(0, *option(state), self.start + 24, len(messages))
        kinds = KINDS[self._actor]
        body = b"".join(
            self.message(
                kinds.index(message.kind), option(message.text), option(message.data), octets(message.other)
            )
            for message in messages
        )
        return head + body + bytes(pool)


def poke(contents: bytes, word: int, value: int) -> bytes:
    """Change one word."""
    changed = bytearray(contents)
    struct.pack_into("<I", changed, word * 4, value & 0xFFFFFFFF)
    return bytes(changed)
