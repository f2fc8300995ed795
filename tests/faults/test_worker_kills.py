"""Workers killed at random instants under load: nothing is lost, nothing is done twice, nobody is dropped."""

import random
from itertools import count
from pathlib import Path

import pytest
import trio
from trio_websocket import WebSocketConnection

from tests.faults.counts import FULL, repeats
from tests.integration.running import Running, client, supervisor, write_manifest
from theater_supervisor.journal.verify import verify

CLIENTS = 4
OUTSTANDING = 8
KILLS = repeats(1000)
SEED = 20261122
# So many deaths are no reason to hold the actor here.
RESTART = "[restart]\nintensity = 10000\nbackoff_max_s = 0.05"


class CountingClient:
    """Sends numbered messages, a few outstanding, and keeps every reply."""

    def __init__(self, name: str, connection: WebSocketConnection) -> None:
        self.name = name
        self.connection = connection
        self.sent = 0
        self.replies: list[str] = []
        self._slots = trio.Semaphore(OUTSTANDING)

    async def send(self, stop: trio.Event) -> None:
        """Send until told to stop."""
        while not stop.is_set():
            await self._slots.acquire()
            await self.connection.send_message(f"{self.name}-{self.sent}")
            self.sent += 1

    async def receive(self) -> None:
        """Collect replies until cancelled."""
        while True:
            reply = await self.connection.get_message()
            assert isinstance(reply, str)
            self.replies.append(reply)
            self._slots.release()

    async def all_answered(self) -> None:
        """Wait until every message has its reply."""
        with trio.fail_after(30):
            while len(self.replies) < self.sent:
                await trio.sleep(0.01)

    def check(self) -> set[int]:
        """Assert that every message was answered once and in order; return the counts in the replies."""
        counts, texts = zip(*(reply.split(" ", 1) for reply in self.replies), strict=True)
        numbers = [int(number) for number in counts]
        assert list(texts) == [f"{self.name}-{number}" for number in range(self.sent)]
        assert numbers == sorted(set(numbers))
        return set(numbers)


async def kill_repeatedly(running: Running, kills: int, stop: trio.Event) -> None:
    """kill -9 each worker at a random instant, from before it is ready until well under load."""
    chance = random.Random(SEED)
    for _ in range(kills):
        await trio.sleep(chance.uniform(0.1, 0.6))
        await running.kill_worker("counter")
    stop.set()


@pytest.mark.campaign
@pytest.mark.timeout(1800 if FULL else 240)
def test_random_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """0 messages lost, 0 doubled, 0 connections dropped; the chain verifies and its count is the clients'."""
    write_manifest(tmp_path, "counter", "counter", RESTART)

    async def main() -> None:
        async with supervisor(tmp_path, "--log-level", "warning") as running:
            url = running.urls["counter"]
            async with (
                client(url) as one,
                client(url) as two,
                client(url) as three,
                client(url) as four,
                trio.open_nursery() as nursery,
            ):
                clients = [CountingClient(f"c{n}", c) for n, c in zip(count(), (one, two, three, four))]
                stop = trio.Event()
                for each in clients:
                    nursery.start_soon(each.receive)
                async with trio.open_nursery() as senders:
                    for each in clients:
                        senders.start_soon(each.send, stop)
                    senders.start_soon(kill_repeatedly, running, KILLS, stop)
                for each in clients:
                    await each.all_answered()
                    assert each.connection.closed is None
                nursery.cancel_scope.cancel()
            assert await running.stop() == 0
        total = sum(each.sent for each in clients)
        assert set.union(*(each.check() for each in clients)) == set(range(1, total + 1))
        assert len(running.worker_pids("counter")) == KILLS + 1
        verdict = verify(tmp_path / "var" / "data" / "counter" / "journal.db")
        assert verdict.fault is None
        print(f"{KILLS} kills, {total} messages, {verdict}")

    trio.run(main)
