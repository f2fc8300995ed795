"""What the host keeps for an actor of interface 2, as it follows from the chain alone.

The same ledger answers an actor's `view`, says who gets a committed effect, and lets a verifier check a chain
without the component. Pure: no clock, no disk. How it is kept is kept.py's.
"""

from collections.abc import Sequence
from typing import NamedTuple

from theater_protocol.interface2.effects import (
    Accept,
    Attach,
    CancelTimer,
    Close,
    Effect,
    Join,
    Leave,
    Refuse,
    Send,
    SetTimer,
    Target,
    ToConnection,
    ToConnections,
    ToEveryone,
    ToRoom,
)
from theater_protocol.interface2.events import Configure, Connect, Disconnect, Event, Message, Operator, Timer
from theater_protocol.interface2.kept import MAX_TIME_US, MIN_EVERY_US, Alarm, Kept
from theater_protocol.messages import LedgerLimits


class Misfit(Exception):
    """An event that cannot follow, or an effect that this event may not have. Nothing has changed."""


class OverLimit(Exception):
    """Effects that would have the host keep more than it may. Nothing has changed; it names the key."""


class Outgoing(NamedTuple):
    """What leaves once it is committed: an effect, and the connections that it is for, in ascending order."""

    connections: Sequence[int]
    effect: Accept | Refuse | Send | Close


class Ledger2(Kept):
    """Connections, rooms, attachments and timers after a prefix of a chain.

    `check` before the call, `apply` after it.
    """

    # What an event must satisfy, and what it and its effects change.

    def check(self, at_us: int, event: Event | Operator) -> str | None:
        """Say why this event cannot be the next one, None when it can."""
        match event:
            case Connect(connection, _):
                if connection <= self.last_connection:
                    return f"connect of connection {connection} after connection {self.last_connection}"
            case Message(connection, _) | Disconnect(connection, _):
                if connection not in self.attachments:
                    kind = "message" if isinstance(event, Message) else "disconnect"
                    return f"{kind} of connection {connection}, which is not open"
            case Timer(name, due_us):
                alarm = self.timers.get(name)
                if alarm is None or alarm.at_us != due_us:
                    return f"timer {name!r} was not set for {due_us}"
                if at_us < due_us:
                    return f"timer {name!r} is due at {due_us}, later than {at_us}"
            case Configure() | Operator():
                pass
        return None

    def apply(
        self,
        at_us: int,
        event: Event | Operator,
        effects: Sequence[Effect] | None,
        limits: LedgerLimits | None = None,
    ) -> list[Outgoing]:
        """Take an event and its effects, None where its outcome is not ok; return what leaves, in order.

        Raises Misfit for an event that `check` refuses and for effects that it may not have, OverLimit for
        effects that go beyond `limits`, if given. Then nothing has changed.
        """
        if wrong := self.check(at_us, event):
            raise Misfit(wrong)
        with self._all_or_none():
            outgoing = self._take_event(at_us, event, effects)
            for effect in effects or ():
                self._take_effect(effect, event, limits, outgoing)
        return outgoing

    def _take_event(
        self, at_us: int, event: Event | Operator, effects: Sequence[Effect] | None
    ) -> list[Outgoing]:
        match event:
            case Connect(connection, handshake):
                return self._open(connection, handshake.subprotocols, effects)
            case Disconnect(connection, _):
                for room in self.rooms_of(connection):
                    self._drop_member(room, connection)
                self._set_attachment(connection, None)
            case Timer(name, due_us):
                self._fire(name, due_us, at_us)
            case _:
                pass
        return []

    def _open(
        self, connection: int, offered: Sequence[str], effects: Sequence[Effect] | None
    ) -> list[Outgoing]:
        """Answer a handshake: refused when the actor failed or says so, else accepted."""
        self.last_connection = connection
        if effects is None:
            return []
        verdicts = [effect for effect in effects if isinstance(effect, (Accept, Refuse))]
        if len(verdicts) > 1:
            raise Misfit("accept and refuse, or one of them twice, in answer to one connect")
        verdict = verdicts[0] if verdicts else Accept()
        match verdict:
            case Accept(None):
                self._set_attachment(connection, "")
            case Accept(subprotocol):
                if subprotocol not in offered:
                    raise Misfit(f"accept with the subprotocol {subprotocol!r}, which was not offered")
                self._set_attachment(connection, "")
            case Refuse(status, _):
                if not 400 <= status <= 599:
                    raise Misfit(f"refuse with {status}, which is not 400 to 599")
        return [Outgoing((connection,), verdict)] if verdicts else []

    def _fire(self, name: str, due_us: int, at_us: int) -> None:
        """Take a timer off, or arm it for its next time after this moment."""
        every_us = self.timers[name].every_us
        if every_us is None:
            self._set_alarm(name, None)
        else:
            missed = (at_us - due_us) // every_us
            self._set_alarm(name, Alarm(due_us + every_us * (missed + 1), every_us))

    def _take_effect(
        self, effect: Effect, event: Event | Operator, limits: LedgerLimits | None, outgoing: list[Outgoing]
    ) -> None:
        match effect:
            case Send(to, _, without, _):
                outgoing.append(Outgoing(self.recipients(to, without, limits), effect))
            case Accept() | Refuse():
                if not isinstance(event, Connect):
                    raise Misfit("accept and refuse answer a connect")
            case Close(to, code, _):
                if code != 1000 and not 3000 <= code <= 4999:
                    raise Misfit(f"close with {code}, which is neither 1000 nor 3000 to 4999")
                outgoing.append(Outgoing(self.recipients(to, (), limits), effect))
            case Join(connection, room):
                self._join(connection, room, limits)
            case Leave(connection, room):
                if room in self._rooms_of.get(connection, ()):
                    self._drop_member(room, connection)
            case Attach(connection, attachment):
                self._attach(connection, attachment, limits)
            case SetTimer(name, at_us, every_us):
                self._set_timer(name, Alarm(at_us, every_us), limits)
            case CancelTimer(name):
                if name in self.timers:
                    self._set_alarm(name, None)

    def recipients(
        self, to: Target, without: Sequence[int] = (), limits: LedgerLimits | None = None
    ) -> Sequence[int]:
        """Return the open connections that a target is, in ascending order; each of them once."""
        ids: Sequence[int]
        match to:
            case ToConnection(connection):
                ids = (connection,) if connection in self.attachments else ()
            case ToConnections(connections):
                if limits and len(connections) > limits.max_targets:
                    raise OverLimit(
                        f"{len(connections)} targets of one effect: max_targets is {limits.max_targets}"
                    )
                ids = sorted({one for one in connections if one in self.attachments})
            case ToRoom(room):
                ids = tuple(self.rooms.get(room, ()))
            case ToEveryone():
                ids = tuple(self.attachments)
        if without:
            left_out = set(without)
            ids = [one for one in ids if one not in left_out]
        return ids

    def _join(self, connection: int, room: str, limits: LedgerLimits | None) -> None:
        if connection not in self.attachments or room in self._rooms_of.get(connection, ()):
            return
        if limits:
            _within(
                len(room.encode()),
                limits.max_room_name_bytes,
                "max_room_name_bytes",
                "bytes of a room's name",
            )
            if room not in self.rooms:
                _within(len(self.rooms) + 1, limits.max_rooms, "max_rooms", "rooms")
            members = len(self.rooms.get(room, ())) + 1
            _within(members, limits.max_room_members, "max_room_members", "members of one room")
        self._add_member(room, connection)

    def _attach(self, connection: int, attachment: str, limits: LedgerLimits | None) -> None:
        if connection not in self.attachments:
            return
        if limits:
            octets = len(attachment) if attachment.isascii() else len(attachment.encode())
            _within(octets, limits.max_attachment_bytes, "max_attachment_bytes", "bytes of an attachment")
        self._set_attachment(connection, attachment)

    def _set_timer(self, name: str, alarm: Alarm, limits: LedgerLimits | None) -> None:
        if alarm.every_us is not None and alarm.every_us < MIN_EVERY_US:
            raise Misfit(f"a timer every {alarm.every_us} µs: {MIN_EVERY_US} are the least")
        if not 0 <= alarm.at_us < MAX_TIME_US:
            raise Misfit(f"a timer for {alarm.at_us}, which is no time")
        if limits:
            _within(
                len(name.encode()),
                limits.max_timer_name_bytes,
                "max_timer_name_bytes",
                "bytes of a timer's name",
            )
            if name not in self.timers:
                _within(len(self.timers) + 1, limits.max_timers, "max_timers", "timers")
        self._set_alarm(name, alarm)


def _within(count: int, limit: int, key: str, what: str) -> None:
    if count > limit:
        raise OverLimit(f"{count} {what}: {key} is {limit}")
