"""SIGTERM while clients press: everybody is told to go, and nothing that was acknowledged is lost."""

import random
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from tests.faults.counts import FULL, repeats
from tests.integration.running import (
    PATIENCE_S,
    Running,
    ask,
    client,
    close_code,
    supervisor,
    write_manifest,
)
from theater_protocol.chain import Transition, decode
from theater_supervisor.ctl.client import ask as ask_supervisor
from theater_supervisor.journal.reader import read
from theater_supervisor.journal.verify import verify

STOPS = repeats(50)
CLIENTS = 8
SEED = 20261122
GOING_AWAY = 1001
STOP_S = 25.0
SECOND_S = 8.0


async def press(url: str, name: str, seen: list[str], codes: list[int]) -> None:
    """Send numbered messages without waiting for replies; keep the replies and the code of the close."""
    async with client(url) as connection, trio.open_nursery() as nursery:

        async def receive() -> None:
            try:
                while True:
                    seen.append(str(await connection.get_message()))
            except ConnectionClosed as closed:
                codes.append(closed.reason.code if closed.reason else 1006)
                nursery.cancel_scope.cancel()

        nursery.start_soon(receive)
        try:
            for number in range(1_000_000):
                await connection.send_message(f"{name}-{number}")
                await trio.sleep(0.001)
        except (ConnectionClosed, trio.BrokenResourceError):
            await trio.sleep_forever()  # `receive` ends it


def answered(seen: list[str], number: int) -> set[str]:
    """Which clients of this life have had a reply, so are past their handshake."""
    names = {reply.split(" ")[1].rpartition("-")[0] for reply in seen}
    return {name for name in names if name.startswith(f"life{number}-")}


async def one_life(directory: Path, number: int, lasts_s: float, seen: list[str]) -> None:
    """Start, let clients press, send SIGTERM; assert how it ends for them and for the supervisor."""
    codes: list[int] = []
    async with supervisor(directory, "--log-level", "warning") as running, trio.open_nursery() as nursery:
        for each in range(CLIENTS):
            nursery.start_soon(press, running.urls["counter"], f"life{number}-client{each}", seen, codes)
        with trio.fail_after(30):
            while len(answered(seen, number)) < CLIENTS:
                await trio.sleep(0.01)
        await trio.sleep(lasts_s)
        with trio.fail_after(STOP_S):
            assert await running.stop() == 0
    assert codes == [GOING_AWAY] * CLIENTS


def history(journal: Path) -> list[Transition]:
    """Every transition of the chain."""
    with read(journal) as reader:
        return [decode(body) for _, _, body in reader.rows()]


@pytest.mark.campaign
@pytest.mark.timeout(1800 if FULL else 240)
def test_a_stop_under_load_tells_everybody_and_loses_nothing(tmp_path: Path) -> None:
    """Exit 0, 1001 for every client; the replies seen are those recorded; every connect has its close."""
    write_manifest(tmp_path, "counter", "counter")
    journal = tmp_path / "var" / "data" / "counter" / "journal.db"
    chance = random.Random(SEED)
    seen: list[str] = []

    async def main() -> None:
        for number in range(STOPS):
            await one_life(tmp_path, number, chance.uniform(0.05, 0.6), seen)
            assert verify(journal).fault is None
            with read(journal) as reader:
                assert reader.open_connections() == set()

    trio.run(main)
    transitions = history(journal)
    recorded = [str(reply.payload) for transition in transitions for reply in transition.replies]
    assert len(seen) == len(set(seen)) and len(recorded) == len(set(recorded))  # noqa: PT018 - one property
    # The output gate and the drain together: what was committed before the goodbye was also sent.
    assert set(seen) == set(recorded)
    connects = [one.connection for one in transitions if one.kind == "connect"]
    closes = [one.connection for one in transitions if one.kind == "close"]
    assert sorted(connects) == sorted(closes)
    assert len(connects) == STOPS * CLIENTS
    print(f"{STOPS} stops, {len(seen)} replies seen, {len(recorded)} recorded")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_second_signal_waits_for_nothing(tmp_path: Path, second: signal.Signals) -> None:
    """An actor that spins holds a first SIGTERM up, a second signal not; the client gets 1001 still."""
    write_manifest(tmp_path, "probe", "probe", "[limits]\ncall_timeout_s = 60")
    codes: list[int] = []

    async def main() -> None:
        async with (
            supervisor(tmp_path) as running,
            client(running.urls["probe"]) as connection,
            trio.open_nursery() as nursery,
        ):
            assert await ask(connection, "ready?") == "ready?"
            await connection.send_message("spin")
            nursery.start_soon(keep_code, connection, codes)
            running.process.terminate()
            await stopping(running)
            with trio.fail_after(SECOND_S):
                assert await running.stop(second) == 0

    trio.run(main)
    assert codes == [GOING_AWAY]


def listens(pid: int, port: int) -> bool:
    """Say whether a process listens on a port; another may have it by now."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    links = (str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir())
    return any(link.removeprefix("socket:[").removesuffix("]") in inodes for link in links)


def test_what_is_in_flight_is_answered_and_newcomers_are_refused(tmp_path: Path) -> None:
    """While an event keeps the actor busy a stop begins: who waits behind it still gets the reply."""
    write_manifest(tmp_path, "probe", "probe", "[limits]\ncall_timeout_s = 2")

    async def main() -> None:
        async with (
            supervisor(tmp_path) as running,
            client(running.urls["probe"]) as busy,
            client(running.urls["probe"]) as waiting,
        ):
            assert await ask(busy, "ready?") == "ready?"
            assert listens(running.process.pid, urlsplit(running.urls["probe"]).port or 0)
            await busy.send_message("spin")
            await queued(running, 1)  # two connections are in no order
            await waiting.send_message("last words")
            await queued(running, 2)
            running.process.terminate()
            await stopping(running)
            assert not listens(running.process.pid, urlsplit(running.urls["probe"]).port or 0)
            with trio.fail_after(PATIENCE_S):
                assert await waiting.get_message() == "last words"
            assert await close_code(waiting) == GOING_AWAY
            with trio.fail_after(STOP_S):
                assert await running.process.wait() == 0

    trio.run(main)


async def queued(running: Running, count: int) -> None:
    """Wait until so many events of the actor are not committed yet."""
    with trio.fail_after(PATIENCE_S):
        while ask_supervisor(running.var, "status").items[0]["actors"][0]["queue"] < count:
            await trio.sleep(0.01)


async def stopping(running: Running) -> None:
    """Wait until the supervisor has begun to stop."""
    with trio.fail_after(PATIENCE_S):
        while "stopping" not in [event["event"] for event in running.events()]:
            await trio.sleep(0.01)


async def keep_code(connection: WebSocketConnection, codes: list[int]) -> None:
    """Keep the code that the connection is closed with."""
    codes.append(await close_code(connection))
