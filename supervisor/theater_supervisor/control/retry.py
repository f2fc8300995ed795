"""Giving a quarantined event to its actor again.

Its connection is closed, and a chain has no events of closed connections. So it comes as a short visit of a
client that nobody sees: a connection of its own that sends the event and leaves. Replies are counted, and go
nowhere else.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import trio

from theater_protocol.chain import Transition
from theater_protocol.messages import Payload, Reply
from theater_supervisor.errors import SupervisorError
from theater_supervisor.exchange import MessageKind
from theater_supervisor.journal.reader import quarantined
from theater_supervisor.member import Member

_MESSAGES: Final = frozenset({"text", "binary", "ping", "pong"})
_SETTLE_S: Final = 60.0
_POLL_S: Final = 0.02


class RetryRefused(SupervisorError):
    """This event cannot be given to its actor again, or not now."""

    exit_status = 65  # EX_DATAERR


class Visitor:
    """A client that sends one message and leaves. Implements exchange.Client."""

    def __init__(self) -> None:
        self.replies = 0
        self.code: int | None = None

    def send(self, *results: Sequence[Reply]) -> None:
        """Count the replies."""
        self.replies += sum(map(len, results))

    def send_in_parts(self, replies: Sequence[Reply]) -> Iterator[None]:
        """Count the replies."""
        self.send(replies)
        yield

    def end(self, code: int, reason: str, error: str = "") -> None:  # noqa: ARG002 - for real clients
        """Remember the first code."""
        self.code = self.code or code


async def retry(member: Member, seq: int) -> dict[str, Any]:
    """Deliver the event quarantined at `seq` again, and wait until it is settled.

    Returns what came of it: `connection`, `replies`, and `settled`: ok, failed (the actor failed on it, as
    its log says), or pending when it took too long to wait for. Raises RetryRefused and JournalRefused.
    """
    found = await trio.to_thread.run_sync(quarantined, member.journal.path)
    transition = next((one for one in found if one.seq == seq), None)
    if transition is None:
        raise RetryRefused(f"no event is quarantined at seq {seq}: `theaterctl dead` lists them")
    return await _visit(member, transition)


async def _visit(member: Member, transition: Transition) -> dict[str, Any]:
    actor, visitor = member.actor, Visitor()
    if transition.kind not in _MESSAGES:
        raise RetryRefused(f"a {transition.kind} belongs to its connection, which is gone: only drop is left")
    if actor.retry_after_s is not None:
        raise RetryRefused(f"{actor.name} takes no clients now: it is {actor.lifecycle.state}")
    connection = actor.connect(visitor)
    actor.receive(connection, cast(MessageKind, transition.kind), cast(Payload, transition.input))
    settled = "pending"
    try:
        with trio.move_on_after(_SETTLE_S):
            while actor.pending(connection):  # noqa: ASYNC110 - it moves on its own
                await trio.sleep(_POLL_S)
            settled = "ok" if visitor.code in (None, 1000) else "failed"
    finally:
        actor.disconnect(connection)
    return {
        "seq": transition.seq,
        "connection": connection,
        "settled": settled,
        "replies": visitor.replies,
    }
