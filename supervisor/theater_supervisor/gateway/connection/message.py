"""Joining the fragments of a WebSocket message, within bounds of size and number. Pure.

The size bound counts bytes on the wire, so text counts as its UTF-8. Joining is linear in the message's size
however small the pieces are. A fragment is a frame of the message; a long one may come in several pieces.
"""

from io import BytesIO, StringIO


class MessageTooBig(Exception):
    """A message grew over the bound."""


class TooManyFragments(Exception):
    """A message has more fragments, or more empty ones, than a sender with good intent makes."""


class MessageAssembler:
    """Takes the pieces of one message after another; all pieces of a message are of one type."""

    def __init__(self, max_bytes: int, max_fragments: int, max_empty_fragments: int) -> None:
        self._max_bytes = max_bytes
        self._max_fragments = max_fragments
        self._max_empty_fragments = max_empty_fragments
        self._size_bytes = 0
        self._fragments = 0
        self._empty_fragments = 0
        self._pieces: BytesIO | StringIO | None = None

    def add(self, piece: str | bytes, finished: bool, *, frame_finished: bool = True) -> str | bytes | None:
        """Return the whole message with its last piece, None before it.

        Raises MessageTooBig as soon as the pieces exceed the bound, and TooManyFragments.
        """
        self._size_bytes += len(piece) if isinstance(piece, bytes) or piece.isascii() else len(piece.encode())
        if self._size_bytes > self._max_bytes:
            raise MessageTooBig
        if not finished:
            self._count(piece, frame_finished)
            self._keep(piece)
            return None
        self._size_bytes = 0
        if self._pieces is None:
            return piece
        self._keep(piece)
        message = self._pieces.getvalue()
        self._pieces = None
        self._fragments = self._empty_fragments = 0
        return message

    def clear(self) -> None:
        """Drop what has come of an unfinished message; none may follow."""
        self._pieces = None
        self._size_bytes = 0

    @property
    def held_bytes(self) -> int:
        """How much of an unfinished message has come."""
        return self._size_bytes

    def _count(self, piece: str | bytes, frame_finished: bool) -> None:
        self._fragments += frame_finished
        self._empty_fragments += frame_finished and not piece
        # A fragment within a character looks empty too, but its character's bytes make up for that.
        empty = self._empty_fragments - self._size_bytes
        if self._fragments > self._max_fragments or empty > self._max_empty_fragments:
            raise TooManyFragments

    def _keep(self, piece: str | bytes) -> None:
        if self._pieces is None:
            self._pieces = StringIO() if isinstance(piece, str) else BytesIO()
        self._pieces.write(piece)  # type: ignore[arg-type]  # the pieces of a message are of one type
