"""A disk that fails beneath a running actor: no reply without durability, and it goes on by itself."""

from itertools import count
from pathlib import Path

import pytest
import trio

from tests.faults.actor_rig import PATIENCE_S, Remembering, compiled, running_actor
from tests.faults.counts import FULL
from tests.faults.disk import CAUSES, FailingDisk
from theater_protocol.chain import decode
from theater_supervisor.actor.actor import Actor
from theater_supervisor.journal.reader import read
from theater_supervisor.journal.verify import verify

MESSAGES = 4
STEP = 1 if FULL else 9


async def talk(actor: Actor, client: Remembering) -> bool:
    """Send messages one by one; False when the actor ended the connection instead of answering."""
    connection = actor.connect(client)
    for number in range(MESSAGES):
        actor.receive(connection, "text", f"m{number}")
        answered = await answered_or_ended(client, number + 1)
        if not answered:
            break
    actor.disconnect(connection)
    return client.ended is None


async def answered_or_ended(client: Remembering, count: int) -> bool:
    """Wait for a reply or the end."""
    with trio.fail_after(PATIENCE_S):
        while len(client.replies) < count and client.ended is None:
            await client.changed.wait()
    return len(client.replies) >= count


async def welcome(actor: Actor) -> None:
    """Wait until the actor takes clients again."""
    with trio.fail_after(PATIENCE_S):
        while actor.retry_after_s is not None:
            await trio.sleep(0.02)


async def replies_in_chain(directory: Path) -> list[str]:
    """Every reply the chain holds, once it verifies."""

    def look() -> list[str]:
        assert verify(directory / "journal.db").fault is None
        with read(directory / "journal.db") as reader:
            bodies = [decode(body) for _, _, body in reader.rows()]
        return [str(reply.payload) for transition in bodies for reply in transition.replies]

    return await trio.to_thread.run_sync(look)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("error", CAUSES)
def test_no_reply_leaves_before_it_is_durable(tmp_path: Path, error: str) -> None:
    """For the n-th write or sync failing, n = 1, 2, 3 … until none does: what a client saw is in the chain.

    The failure is named in the actor's log, its connection is closed 1011, and once the disk works again the
    next client is served from the last committed state.
    """

    async def one_run(directory: Path, nth: int) -> bool:
        disk = FailingDisk()
        async with running_actor(directory, compiled("counter"), disk=disk) as actor:
            first, second = Remembering(), Remembering()
            await actor.wait_ready()
            disk.fail_at(nth, error, lasting=True)
            await talk(actor, first)
            failed = disk.failures > 0
            if failed:
                assert await first.is_ended() == 1011
                assert actor.retry_after_s is not None
                assert CAUSES[error] in (directory / "actor.log").read_text()
            seen = [str(reply.payload) for reply in first.replies]
            disk.heal()
            assert seen == (await replies_in_chain(directory))[: len(seen)]
            await welcome(actor)
            assert await talk(actor, second)
        recorded = await replies_in_chain(directory)
        assert [reply.split()[0] for reply in recorded] == [str(n) for n in range(1, len(recorded) + 1)]
        assert recorded[-MESSAGES:] == [str(reply.payload) for reply in second.replies]
        return failed

    async def main() -> None:
        for nth in count(1, STEP):
            directory = tmp_path / str(nth)
            directory.mkdir()
            if not await one_run(directory, nth):
                assert nth > 5
                return

    trio.run(main)


def test_other_actors_run_on(tmp_path: Path) -> None:
    """An actor whose disk is full stops alone."""

    async def main() -> None:
        disk = FailingDisk()
        broken_home, sound_home = tmp_path / "broken", tmp_path / "sound"
        broken_home.mkdir()
        sound_home.mkdir()
        spec = compiled("counter")
        async with (
            running_actor(sound_home, spec) as sound,
            running_actor(broken_home, spec, disk=disk) as broken,
        ):
            disk.fail_at(1, "ENOSPC", lasting=True)
            assert not await talk(broken, Remembering())
            assert await talk(sound, Remembering())
            assert broken.retry_after_s is not None
            disk.heal()
            await welcome(broken)
            assert await talk(broken, Remembering())

    trio.run(main)
