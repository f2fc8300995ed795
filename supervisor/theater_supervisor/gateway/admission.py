"""How many clients a handler takes on at a time. Pure: no sockets, no trio.

A slot is taken as soon as a handshake's route is known, before anything is awaited, so that handshakes under
way count and none of them can race another past the limit.
"""


class Slot:
    """One client's place. Free it once the client is gone; a second time does nothing."""

    def __init__(self, slots: "Slots") -> None:
        self._slots: Slots | None = slots

    def free(self) -> None:
        """Give the place back."""
        if self._slots is not None:
            self._slots.taken -= 1
            self._slots = None


class Slots:
    """The places of one handler; `taken` of `limit` are in use."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self) -> Slot | None:
        """Take a place, None when all are in use."""
        if self.taken >= self.limit:
            return None
        self.taken += 1
        return Slot(self)
