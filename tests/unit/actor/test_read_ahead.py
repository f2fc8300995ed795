"""Reading a worker's results while others are committed: nothing is lost, nothing is told too early."""

import os
from collections.abc import Awaitable, Callable

import pytest
import trio
from tests.unit.actor.test_link import RESULTS, with_link

from theater_protocol.errors import RemoteProtocolError
from theater_protocol.items import encode_frames
from theater_supervisor.actor.link import Link
from theater_supervisor.actor.read_ahead import ReadAhead

WIRE = encode_frames(RESULTS)


async def moments() -> None:
    """Work that lasts until what has been sent is read."""
    for _ in range(10):
        await trio.sleep(0.001)


async def fail() -> None:
    """Work that fails."""
    await moments()
    raise ValueError("no room")


def in_link(scenario: Callable[[Link, int], Awaitable[None]]) -> None:
    """Run a scenario that writes what a worker says."""

    async def run(link: Link, their_in: int, their_out: int) -> None:
        await scenario(link, their_out)
        os.close(their_in)

    with_link(run)


def test_what_comes_during_the_work_is_there_after_it() -> None:
    """And is told once: who asks again gets what comes next."""

    async def scenario(link: Link, their_out: int) -> None:
        ahead = ReadAhead(link)
        os.write(their_out, WIRE)
        await ahead.during(moments)
        assert await ahead.receive() == RESULTS
        os.write(their_out, WIRE)
        assert await ReadAhead(link).receive() == RESULTS
        os.close(their_out)
        assert await ReadAhead(link).receive() == []

    in_link(scenario)


def test_a_frame_that_comes_in_part_is_not_lost_when_the_work_ends() -> None:
    """What has been read of it stays in the link, and the rest makes it whole."""

    async def scenario(link: Link, their_out: int) -> None:
        ahead = ReadAhead(link)
        os.write(their_out, WIRE[:-7])
        await ahead.during(moments)
        os.write(their_out, WIRE[-7:])
        assert await ahead.receive() == RESULTS
        os.close(their_out)

    in_link(scenario)


def test_the_end_of_the_stream_is_told_after_the_work() -> None:
    """A worker that died meanwhile has its results committed before that is noticed."""

    async def scenario(link: Link, their_out: int) -> None:
        ahead = ReadAhead(link)
        os.close(their_out)
        await ahead.during(moments)
        assert await ahead.receive() == []

    in_link(scenario)


def test_a_broken_frame_is_told_after_the_work() -> None:
    """What came before it is committed; then the worker is to blame."""

    async def scenario(link: Link, their_out: int) -> None:
        ahead = ReadAhead(link)
        os.write(their_out, bytes(64))
        await ahead.during(moments)
        with pytest.raises(RemoteProtocolError, match="an empty frame"):
            await ahead.receive()
        os.close(their_out)

    in_link(scenario)


def test_work_that_fails_is_told_as_itself() -> None:
    """No group is made of it, and what was read meanwhile is there still."""

    async def scenario(link: Link, their_out: int) -> None:
        ahead = ReadAhead(link)
        os.write(their_out, WIRE)
        with pytest.raises(ValueError, match="no room"):
            await ahead.during(fail)
        assert await ahead.receive() == RESULTS
        os.close(their_out)

    in_link(scenario)
