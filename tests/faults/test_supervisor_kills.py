"""The supervisor killed at random instants under load: what a client was told is in the chain."""

import random
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from tests.faults.counts import FULL, repeats
from tests.integration.running import Running, client, supervisor, write_manifest
from theater_protocol.chain import Transition, decode
from theater_supervisor.journal.reader import read
from theater_supervisor.journal.verify import verify

KILLS = repeats(200)
CLIENTS = 5
SEED = 20261122


async def talk(url: str, name: str, seen: list[str]) -> None:
    """Send numbered messages, several outstanding, until the connection breaks; keep what came back."""
    try:
        async with client(url) as connection, trio.open_nursery() as nursery:

            async def receive() -> None:
                try:
                    while True:
                        reply = await connection.get_message()
                        assert isinstance(reply, str)
                        seen.append(reply)
                except ConnectionClosed:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(receive)
            for number in range(1_000_000):
                await connection.send_message(f"{name}-{number}")
                await trio.sleep(0.001)
    except* (ConnectionClosed, HandshakeError, OSError, trio.BrokenResourceError):
        pass  # this life is over


async def one_life(directory: Path, number: int, lasts_s: float, seen: list[str]) -> None:
    """Start, load, kill -9; assert that no worker is left after 2 s."""
    async with supervisor(directory, "--log-level", "warning") as running, trio.open_nursery() as nursery:
        for each in range(CLIENTS):
            nursery.start_soon(talk, running.urls["counter"], f"life{number}-client{each}", seen)
        await trio.sleep(lasts_s)
        running.process.kill()
        await running.process.wait()
        await no_worker_left(running)
        # What was on its way has arrived; a client whose handshake was cut off would wait for ever.
        nursery.cancel_scope.cancel()


async def no_worker_left(running: Running) -> None:
    """Every worker that ever was is gone within 2 s."""
    with trio.fail_after(2):
        for pid in running.worker_pids("counter")[-1:]:
            while is_worker(pid):
                await trio.sleep(0.02)


def is_worker(pid: int) -> bool:
    """Whether `pid` is a process of ours that still runs."""
    try:
        return b"theater_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def history(journal: Path) -> list[Transition]:
    """Every transition of the chain."""
    with read(journal) as reader:
        return [decode(body) for _, _, body in reader.rows()]


@pytest.mark.campaign
@pytest.mark.timeout(3600 if FULL else 240)
def test_every_reply_a_client_saw_is_in_the_chain(tmp_path: Path) -> None:
    """Replies seen are recorded, connects and closes match, counts never drift, whatever was killed."""
    write_manifest(tmp_path, "counter", "counter")
    journal = tmp_path / "var" / "data" / "counter" / "journal.db"
    chance = random.Random(SEED)
    seen: list[str] = []

    async def main() -> None:
        for number in range(KILLS):
            await one_life(tmp_path, number, chance.uniform(0.05, 1.0), seen)
            assert verify(journal).fault is None
        # A last life that ends cleanly closes what the kills left open.
        async with supervisor(tmp_path) as running:
            async with client(running.urls["counter"]) as connection:
                await connection.send_message("last")
                seen.append(str(await connection.get_message()))
            assert await running.stop() == 0

    trio.run(main)
    transitions = history(journal)
    recorded = [str(reply.payload) for transition in transitions for reply in transition.replies]
    assert len(recorded) == len(set(recorded))
    assert set(seen) <= set(recorded)
    assert [reply.split(" ")[0] for reply in recorded] == [str(n) for n in range(1, len(recorded) + 1)]
    assert_ledger_is_even(transitions)
    print(f"{KILLS} kills, {len(seen)} replies seen, {len(recorded)} recorded")


def assert_ledger_is_even(transitions: list[Transition]) -> None:
    """One connect and one close for every connection, in that order, and nothing outside of them."""
    opened: set[int] = set()
    closed: set[int] = set()
    for transition in transitions:
        match transition.kind:
            case "genesis" | "instance" | "init":
                continue
            case "connect":
                assert transition.connection not in opened
                opened.add(transition.connection)
            case "close":
                closed.add(transition.connection)
        assert transition.connection in opened
        assert transition.kind == "close" or transition.connection not in closed
    assert opened == closed
