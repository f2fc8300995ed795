"""What a ledger keeps: connections, attachments, rooms and timers, and what an actor's `view` shows of it.

Every change notes how it is undone and keeps the digest. What changes it, and may, is ledger.py's. Pure.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple, Self

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.fields import read_count, read_list, read_text
from theater_protocol.interface2.events import Timer

_DIGEST_MODULUS: Final = 1 << 256
MIN_EVERY_US: Final = 1000
MAX_TIME_US: Final = 1 << 62


class Alarm(NamedTuple):
    """When a timer is due, and after how long again."""

    at_us: int
    every_us: int | None


class Kept:
    """Connections, rooms, attachments and timers. `attachments` has every open connection in ascending order.

    `digest` is a hash over all of it that costs nothing to keep: two are the same when theirs are.
    """

    def __init__(self, last_connection: int = 0, open_connections: Iterable[int] = ()) -> None:
        self.last_connection = last_connection
        self.attachments: dict[int, str] = {}
        self.rooms: dict[str, list[int]] = {}
        self.timers: dict[str, Alarm] = {}
        self._rooms_of: dict[int, set[str]] = {}
        self._heap: list[tuple[int, str]] = []
        self._sum = 0
        self._undo: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        for connection in sorted(open_connections):
            self._set_attachment(connection, "")
        self._undo.clear()

    @property
    def digest(self) -> bytes:
        """32 bytes: SHA-256 over the sum, modulo 2^256, of the hashes of everything that is kept."""
        return sha256(b"%d %d" % (self.last_connection, self._sum)).digest()

    # What an actor's `view` shows.

    def members(self, room: str | None, after: int = 0, limit: int = 256) -> list[tuple[int, str]]:
        """Return at most `limit` connections above `after`, of a room or of all, with their attachments."""
        ids = list(self.attachments) if room is None else self.rooms.get(room, [])
        first = bisect_right(ids, after)
        return [(one, self.attachments[one]) for one in ids[first : first + limit]]

    def count(self, room: str | None) -> int:
        """Say how many connections there are, in a room or in all."""
        return len(self.attachments) if room is None else len(self.rooms.get(room, ()))

    def rooms_of(self, connection: int) -> list[str]:
        """Return the names of the rooms that a connection is in, sorted."""
        return sorted(self._rooms_of.get(connection, ()))

    def list_rooms(self, after: str = "", limit: int = 256) -> list[tuple[str, int]]:
        """Return at most `limit` rooms above `after`, sorted by name, with how many are in them."""
        names = sorted(name for name in self.rooms if name > after)
        return [(name, len(self.rooms[name])) for name in names[:limit]]

    def timer(self, name: str) -> int | None:
        """Say when a timer is due, None when there is none of that name."""
        alarm = self.timers.get(name)
        return None if alarm is None else alarm.at_us

    # Timers.

    def next_due_us(self) -> int | None:
        """Say when the next timer is due, None without timers."""
        heap, timers = self._heap, self.timers
        while heap:
            at_us, name = heap[0]
            alarm = timers.get(name)
            if alarm is not None and alarm.at_us == at_us:
                return at_us
            heappop(heap)
        return None

    def due(self, now_us: int) -> Timer | None:
        """Return the event of the timer that is due first, None when none is."""
        at_us = self.next_due_us()
        if at_us is None or at_us > now_us:
            return None
        return Timer(self._heap[0][1], at_us)

    # Whole, for a checkpoint and for a worker that starts.

    def snapshot(self) -> list[object]:
        """Return all that is kept as a CBOR item: [last connection, connections, rooms, timers], sorted."""
        return [
            self.last_connection,
            [[connection, attachment] for connection, attachment in self.attachments.items()],
            [[room, list(members)] for room, members in sorted(self.rooms.items())],
            [[name, alarm.at_us, alarm.every_us] for name, alarm in sorted(self.timers.items())],
        ]

    @classmethod
    def from_snapshot(cls, item: object) -> Self:
        """Read what `snapshot` returned. Raises RemoteProtocolError for anything else."""
        last, connections, rooms, timers = _read_fields(item, 4, "a ledger")
        kept = cls(read_count(last, "last connection"))
        for connection, attachment in _read_rows(connections, 2, "connections"):
            kept._set_attachment(read_count(connection, "connection"), read_text(attachment, "attachment"))
        for room, members in _read_rows(rooms, 2, "rooms"):
            for connection in read_list(members, "members"):
                kept._add_member(read_text(room, "room"), read_count(connection, "member"))
        for name, at_us, every_us in _read_rows(timers, 3, "timers"):
            every = None if every_us is None else read_count(every_us, "every")
            kept._set_alarm(read_text(name, "name"), Alarm(read_count(at_us, "at"), every))
        kept._undo.clear()
        if kept.snapshot() != item or not kept._is_sound():
            raise RemoteProtocolError(
                "a ledger that is none: out of order, or of connections that are not open"
            )
        return kept

    def _is_sound(self) -> bool:
        """Say whether nothing is kept that no effect can have made."""
        connections = all(0 < one <= self.last_connection for one in self.attachments)
        members = all(len(set(one)) == len(one) for one in self.rooms.values())
        times = all(
            at < MAX_TIME_US and (every is None or every >= MIN_EVERY_US)
            for at, every in self.timers.values()
        )
        return connections and members and times and self._rooms_of.keys() <= self.attachments.keys()

    # The only places where what is kept changes; each notes how to change it back.

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        last_connection, undo = self.last_connection, self._undo
        try:
            yield
        except BaseException:
            for change, arguments in reversed(undo.copy()):
                change(*arguments)
            self.last_connection = last_connection
            raise
        finally:
            undo.clear()

    def _set_attachment(self, connection: int, attachment: str | None) -> None:
        before = self.attachments.get(connection)
        self._undo.append((self._set_attachment, (connection, before)))
        if before is not None:
            self._sum = (self._sum - _hash("connection", connection, before)) % _DIGEST_MODULUS
        if attachment is None:
            del self.attachments[connection]
            return
        reopens = before is None and self.attachments and connection < next(reversed(self.attachments))
        self.attachments[connection] = attachment
        if reopens:
            self.attachments = dict(sorted(self.attachments.items()))
        self._sum = (self._sum + _hash("connection", connection, attachment)) % _DIGEST_MODULUS

    def _add_member(self, room: str, connection: int) -> None:
        self._undo.append((self._drop_member, (room, connection)))
        members = self.rooms.setdefault(room, [])
        if members and connection < members[-1]:
            insort(members, connection)
        else:
            members.append(connection)
        self._rooms_of.setdefault(connection, set()).add(room)
        self._sum = (self._sum + _hash("member", room, connection)) % _DIGEST_MODULUS

    def _drop_member(self, room: str, connection: int) -> None:
        self._undo.append((self._add_member, (room, connection)))
        members = self.rooms[room]
        del members[bisect_left(members, connection)]
        if not members:
            del self.rooms[room]
        rooms = self._rooms_of[connection]
        rooms.discard(room)
        if not rooms:
            del self._rooms_of[connection]
        self._sum = (self._sum - _hash("member", room, connection)) % _DIGEST_MODULUS

    def _set_alarm(self, name: str, alarm: Alarm | None) -> None:
        before = self.timers.pop(name, None)
        self._undo.append((self._set_alarm, (name, before)))
        if before is not None:
            self._sum = (self._sum - _hash("timer", name, before)) % _DIGEST_MODULUS
        if alarm is not None:
            self.timers[name] = alarm
            heappush(self._heap, (alarm.at_us, name))
            self._sum = (self._sum + _hash("timer", name, alarm)) % _DIGEST_MODULUS
        # What was replaced stays in the heap; a timer that is set anew with each event must not fill it.
        if len(self._heap) > 64 + 2 * len(self.timers):
            self._heap = [(one.at_us, name) for name, one in self.timers.items()]
            heapify(self._heap)


def _hash(*entry: object) -> int:
    return int.from_bytes(sha256(repr(entry).encode("utf-8", "surrogatepass")).digest(), "big")


def _read_fields(item: object, count: int, what: str) -> list[object]:
    fields = read_list(item, what)
    if len(fields) != count:
        raise RemoteProtocolError(f"{what} must be an array of {count}")
    return fields


def _read_rows(item: object, count: int, what: str) -> Iterator[list[object]]:
    for row in read_list(item, what):
        yield _read_fields(row, count, what)
