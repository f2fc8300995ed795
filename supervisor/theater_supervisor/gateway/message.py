"""Joining the pieces of a WebSocket message, within a size bound. Pure.

The bound counts bytes on the wire, so text counts as its UTF-8. Empty pieces cost nothing, and joining is
linear in the message's size however small the pieces are.
"""

from io import BytesIO, StringIO


class MessageTooBig(Exception):
    """A message grew over the bound."""


class MessageAssembler:
    """Takes the pieces of one message after another; all pieces of a message are of one type."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._pieces: BytesIO | StringIO | None = None

    def add(self, piece: str | bytes, finished: bool) -> str | bytes | None:
        """Return the whole message with its last piece, None before it.

        Raises MessageTooBig as soon as the pieces exceed the bound.
        """
        self._size_bytes += len(piece) if isinstance(piece, bytes) or piece.isascii() else len(piece.encode())
        if self._size_bytes > self._max_bytes:
            raise MessageTooBig
        if not finished:
            self._keep(piece)
            return None
        self._size_bytes = 0
        if self._pieces is None:
            return piece
        self._keep(piece)
        message = self._pieces.getvalue()
        self._pieces = None
        return message

    def _keep(self, piece: str | bytes) -> None:
        if self._pieces is None:
            self._pieces = StringIO() if isinstance(piece, str) else BytesIO()
        self._pieces.write(piece)  # type: ignore[arg-type]  # the pieces of a message are of one type
