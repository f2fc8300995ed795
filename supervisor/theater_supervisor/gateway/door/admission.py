"""How many clients are taken on at a time, in all and from one address. Pure: no sockets, no trio.

A slot is taken as soon as a handshake's route is known, before anything is awaited, so that handshakes under
way count and none of them can race another past the limit.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


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


class AddressCounts:
    """How many connections each client address has at one handler."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def take(self, address: str, limit: int | None) -> bool:
        """Count one more; return False, and count nothing, when there are `limit` already."""
        if limit is not None and self._counts[address] >= limit:
            return False
        self._counts[address] += 1
        return True

    def free(self, address: str) -> None:
        """Count one less."""
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]


class Waiting(Generic[T]):
    """Clients that wait for something, oldest first, bounded in all and per address.

    A good one is through in a moment, so beyond a bound it is the oldest one that has to make room.
    """

    def __init__(self, max_all: int, max_per_address: int) -> None:
        self._max_all = max_all
        self._max_per_address = max_per_address
        self._addresses: dict[T, str | None] = {}
        self._by_address: dict[str, dict[T, None]] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._addresses))

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, client: T, address: str | None) -> T | None:
        """Add a client; return the one that must make room for it, if any.

        One without an address, which a proxy brings, only counts in all.
        """
        same = self._by_address.setdefault(address, {}) if address is not None else {}
        oldest: T | None = None
        if len(same) >= self._max_per_address:
            oldest = next(iter(same))
        elif len(self._addresses) >= self._max_all:
            oldest = next(iter(self._addresses))
        self._addresses[client] = address
        same[client] = None
        if oldest is not None:
            self.remove(oldest)
        return oldest

    def remove(self, client: T) -> None:
        """Forget a client that waits no longer; a second time does nothing."""
        address = self._addresses.pop(client, None)
        if address is not None:
            same = self._by_address[address]
            del same[client]
            if not same:
                del self._by_address[address]
