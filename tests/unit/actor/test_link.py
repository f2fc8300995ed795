"""The wire's two pipes from the supervisor's side: real pipes, no process."""

import fcntl
import os
from collections.abc import Awaitable, Callable

import pytest
import trio

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.items import all_to_worker, encode_frames, to_item
from theater_protocol.messages import UNCHANGED, Deliver, Limits, Reply, Result
from theater_supervisor.actor.link import LARGE_PIPE_BYTES, Link
from theater_supervisor.process.spawn import PIPE_BYTES

PATIENCE_S = 10
RESULTS = [Result(number, "ok", None, (Reply("text", "hi"),), None, UNCHANGED) for number in range(1, 51)]


def with_link(scenario: Callable[[Link, int, int], Awaitable[None]]) -> None:
    """Run a scenario with a link and the worker's ends of its pipes, to read from and to write to."""

    async def main() -> None:
        (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
        send_stream, receive_stream = trio.lowlevel.FdStream(our_out), trio.lowlevel.FdStream(our_in)
        with trio.fail_after(PATIENCE_S):
            async with send_stream, receive_stream:
                await scenario(Link(send_stream, receive_stream, Limits(1, 1)), their_in, their_out)

    trio.run(main)


def test_results_come_in_the_order_sent_alone_or_in_batches() -> None:
    """A frame of its own and a batch in one frame are taken alike, also when a write ends within one."""

    async def scenario(link: Link, their_in: int, their_out: int) -> None:
        alone, rest = RESULTS[0], RESULTS[1:]
        data = encode_frame(to_item(alone)) + encode_frames(rest)
        assert len(FrameDecoder().feed(encode_frames(rest))) == 1
        os.write(their_out, data[:-5])
        assert await link.receive() == [alone]
        os.write(their_out, data[-5:])
        assert await link.receive() == rest
        os.close(their_out)
        assert await link.receive() == []
        os.close(their_in)

    with_link(scenario)


def test_what_a_full_pipe_does_not_take_goes_when_there_is_room() -> None:
    """More than a pipe holds is sent whole, in order, as the worker reads it."""
    delivers = [Deliver(number, 1, "text", 5, "x" * 50_000) for number in range(1, 41)]

    async def scenario(link: Link, their_in: int, their_out: int) -> None:
        decoder, seen = FrameDecoder(), list[object]()

        def read_all() -> None:
            while len(seen) < len(delivers):
                seen.extend(all_to_worker(decoder.feed(os.read(their_in, 65536))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, read_all)
            assert await link.send(delivers)
        assert seen == delivers
        os.close(their_in)
        assert not await link.send(delivers)
        os.close(their_out)

    with_link(scenario)


@pytest.mark.skipif(not hasattr(fcntl, "F_GETPIPE_SZ"), reason="pipes have one size here")
def test_the_first_large_event_makes_larger_pipes() -> None:
    """Both of them, once; for small events they stay as they are."""

    async def scenario(link: Link, their_in: int, their_out: int) -> None:
        sizes = [fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) for fd in (their_in, their_out)]
        link.post([Deliver(1, 1, "text", 0, "small")])
        assert [fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) for fd in (their_in, their_out)] == sizes
        link.post([Deliver(2, 1, "binary", 0, bytes(PIPE_BYTES))])
        assert [fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) for fd in (their_in, their_out)] == [LARGE_PIPE_BYTES] * 2
        os.close(their_in)
        os.close(their_out)

    with_link(scenario)


def test_what_is_posted_waits_behind_what_was_left_before() -> None:
    """A post does not wait for a full pipe: what is left, and what is posted then, is written in order."""
    delivers = [Deliver(number, 1, "text", 5, "x" * 150_000) for number in range(1, 5)]

    async def scenario(link: Link, their_in: int, their_out: int) -> None:
        decoder, seen = FrameDecoder(), list[object]()
        assert [link.post([deliver]) for deliver in delivers] == [False] * 4

        def read_all() -> None:
            while len(seen) < len(delivers):
                seen.extend(all_to_worker(decoder.feed(os.read(their_in, 65536))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, read_all)
            assert await link.drain()
        assert seen == delivers
        assert link.post([Deliver(5, 1, "text", 5, "at once")])
        assert all_to_worker(decoder.feed(os.read(their_in, 65536))) == [Deliver(5, 1, "text", 5, "at once")]
        os.close(their_in)
        assert not link.post(delivers)
        assert not await link.drain()
        os.close(their_out)

    with_link(scenario)


@pytest.mark.parametrize(
    "item",
    [[], [[]], [[[17]]], [to_item(RESULTS[0]), 5], [[to_item(RESULTS[0])]]],
    ids=["empty", "batch of nothing", "nested", "mixed", "batch of a batch"],
)
def test_a_batch_holds_frames_and_nothing_else(item: object) -> None:
    """What is no frame within a batch breaks the rules like what is no frame alone."""

    async def scenario(link: Link, their_in: int, their_out: int) -> None:
        os.write(their_out, encode_frame(item))
        with pytest.raises(RemoteProtocolError):
            await link.receive()
        os.close(their_in)
        os.close(their_out)

    with_link(scenario)


def test_many_items_are_decoded_while_others_have_turns() -> None:
    """What one read brings takes as many turns as it has thousands of items; it is the same, in order."""
    results = [
        Result(number, "ok", None, (Reply("text", ""),) * 10_000, None, UNCHANGED) for number in range(1, 4)
    ]

    async def scenario(link: Link, their_in: int, their_out: int) -> None:
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async def receive() -> None:
            received: list[object] = []
            while len(received) < len(results):
                before = turns
                received += await link.receive()
                assert turns - before >= 3
            assert received == results

        def write() -> None:
            data = memoryview(encode_frames(results))
            while data:
                data = data[os.write(their_out, data) :]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            nursery.start_soon(trio.to_thread.run_sync, write)
            await receive()
            nursery.cancel_scope.cancel()
        os.close(their_in)
        os.close(their_out)

    with_link(scenario)
