"""The sending side of a stream: a real socket whose peer reads, or doesn't."""

import socket
from collections.abc import Awaitable, Callable

import trio
import trio.testing

from theater_supervisor.gateway.connection.outbound import Outbound, SendBudget
from theater_supervisor.gateway.connection.stream import receive

PATIENCE_S = 10
MIB = 1024 * 1024


def with_outbound(
    scenario: Callable[[Outbound, trio.SocketStream, SendBudget], Awaitable[None]], max_bytes: int = 4 * MIB
) -> None:
    """Run a scenario with a sending side and its peer; nobody runs `write_all` but the scenario."""

    async def main() -> None:
        ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(one)) for one in socket.socketpair())
        budget = SendBudget(max_bytes)
        with trio.fail_after(PATIENCE_S):
            async with ours, theirs:
                await scenario(Outbound(ours, max_bytes, PATIENCE_S, budget, lambda: None), theirs, budget)

    trio.run(main)


def test_a_flush_writes_at_once_what_was_pushed() -> None:
    """No task is needed for what the socket takes; nothing is counted as held afterwards."""

    async def scenario(outbound: Outbound, peer: trio.SocketStream, budget: SendBudget) -> None:
        outbound.push(b"one ")
        outbound.push(b"two")
        assert outbound.held_bytes == budget.held_bytes == 7
        outbound.flush()
        assert outbound.held_bytes == budget.held_bytes == 0
        assert await receive(peer, 100) == b"one two"

    with_outbound(scenario)


def test_what_the_socket_does_not_take_is_left_to_the_task_in_order() -> None:
    """A flush beside a full socket loses and doubles nothing, and neither does one while the task writes."""

    async def scenario(outbound: Outbound, peer: trio.SocketStream, budget: SendBudget) -> None:
        pieces = [bytes([number]) * 50_000 for number in range(40)]
        for piece in pieces[:20]:
            outbound.push(piece)
            outbound.flush()
        assert outbound.held_bytes == budget.held_bytes > 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbound.write_all)
            await trio.testing.wait_all_tasks_blocked()
            for piece in pieces[20:]:
                outbound.push(piece)
                outbound.flush()
            outbound.finish(b"end")
            received = bytearray()
            while not received.endswith(b"end"):
                received += await receive(peer, MIB)
        assert bytes(received) == b"".join(pieces) + b"end"
        assert outbound.held_bytes == budget.held_bytes == 0

    with_outbound(scenario)


def test_what_has_begun_is_ended_before_the_last_bytes() -> None:
    """Discarding what waits never cuts off a frame of which a part is written."""

    async def scenario(outbound: Outbound, peer: trio.SocketStream, budget: SendBudget) -> None:
        pieces = [bytes([number]) * 60_001 for number in range(40)]
        for piece in pieces:
            outbound.push(piece)
            outbound.flush()
        assert budget.held_bytes % 60_001, "a part of a piece is to be written"
        outbound.finish(b"end", discard=True)
        received = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbound.write_all)
            while not received.endswith(b"end"):
                received += await receive(peer, MIB)
        whole = received.removesuffix(b"end")
        assert whole
        assert len(whole) < len(b"".join(pieces))
        assert whole == b"".join(pieces[: len(whole) // 60_001])
        assert outbound.held_bytes == budget.held_bytes == 0

    with_outbound(scenario)


def test_a_flush_to_a_peer_that_has_gone_leaves_it_to_the_task_to_say() -> None:
    """Flush never raises; the task does."""

    async def scenario(outbound: Outbound, peer: trio.SocketStream, budget: SendBudget) -> None:
        await peer.aclose()
        outbound.push(b"x")
        outbound.flush()
        broken = False
        try:
            await outbound.write_all()
        except trio.BrokenResourceError:
            broken = True
        assert broken
        outbound.close()
        assert budget.held_bytes == 0

    with_outbound(scenario)


def test_small_pieces_are_kept_together() -> None:
    """A thousand frames of two bytes take what they count, not an object each; order and bytes are theirs."""

    async def scenario(outbound: Outbound, peer: trio.SocketStream, budget: SendBudget) -> None:
        for number in range(1000):
            outbound.push(b"%03d" % number)
        assert outbound.held_bytes == budget.held_bytes == 3000
        assert len(outbound._queued) == 1
        outbound.flush()
        assert await receive(peer, 4000) == b"".join(b"%03d" % number for number in range(1000))

    with_outbound(scenario)


def test_those_go_who_hold_most_for_longest_until_the_bound_is_kept() -> None:
    """Also when nothing of theirs is queued behind anything else, and as many as it takes."""

    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(4)]
        streams = [trio.SocketStream(trio.socket.from_stdlib_socket(ours)) for ours, _ in pairs]
        budget = SendBudget(4 * MIB)
        evicted: list[int] = []

        def outbound(number: int) -> Outbound:
            def evict() -> None:
                evicted.append(number)
                held[number].close()

            return Outbound(streams[number], 4 * MIB, PATIENCE_S, budget, evict)

        held = [outbound(number) for number in range(4)]
        for number, size in enumerate((MIB, 2 * MIB, 1000)):
            held[number].push(bytes(size))
            held[number].flush()
        assert not evicted
        await trio.sleep(1000)
        held[3].push(bytes(3 * MIB))
        assert evicted == [1]
        held[3].push(bytes(MIB))
        assert evicted == [1, 0], "the one that has just come has not had its time"
        assert sum(one.held_bytes for one in held) == budget.held_bytes <= 4 * MIB
        for stream, (_, theirs) in zip(streams, pairs, strict=True):
            await stream.aclose()
            theirs.close()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_what_is_written_of_a_large_piece_is_counted_no_more() -> None:
    """The bytes that wait are what the other end has still to take, and no more memory than twice that."""

    async def scenario(outbound: Outbound, peer: trio.SocketStream, budget: SendBudget) -> None:
        outbound.push(bytes(3 * MIB))
        seen = {outbound.held_bytes}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbound.write_all)
            received = 0
            while received < 3 * MIB:
                received += len(await receive(peer, 64 * 1024))
                seen.add(budget.held_bytes)
            outbound.finish(b"")
        assert len(seen) > 3
        assert outbound.held_bytes == budget.held_bytes == 0

    with_outbound(scenario)
