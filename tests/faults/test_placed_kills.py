"""Workers that die at a chosen step, and deliveries that kill: redelivery, order, quarantine."""

import sys
import time
from pathlib import Path

import pytest
import trio

from tests.faults.actor_rig import PATIENCE_S, Remembering, compiled, running_actor
from tests.faults.dying_worker import STEPS
from theater_protocol.chain import Transition, decode
from theater_supervisor.journal.reader import read
from theater_supervisor.journal.verify import verify

DYING_WORKER = Path(__file__).with_name("dying_worker.py")
SMALL_WORKER = Path(__file__).parents[1] / "integration" / "small_worker.py"
MESSAGES = 20


def dying(step: str, directory: Path, deaths: int) -> tuple[str, ...]:
    """The command of a worker that dies at `step`, as often as `deaths` says."""
    charges = [directory / f"death{number}" for number in range(deaths)]
    for charge in charges:
        charge.touch()
    return (sys.executable, str(DYING_WORKER), step, *map(str, charges))


def ends_meanwhile(pid: int) -> bool:
    """Whether a child ends while this thread does nothing else; nobody reaps it yet."""
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        if ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.01)
    return False


def transitions(directory: Path) -> list[Transition]:
    """The chain's transitions, after checking that it verifies."""
    assert verify(directory / "journal.db").fault is None
    with read(directory / "journal.db") as reader:
        return [decode(body) for _, _, body in reader.rows()]


@pytest.mark.parametrize("deaths", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_any_step_is_not_noticed(tmp_path: Path, step: str, deaths: int) -> None:
    """Wherever the worker dies, every message is answered once and in order, and is in the chain once."""

    async def main() -> None:
        client = Remembering()
        command = dying(step, tmp_path, deaths)
        async with running_actor(tmp_path, compiled("counter"), command=command) as actor:
            connection = actor.connect(client)
            for number in range(MESSAGES):
                actor.receive(connection, "text", f"m{number}")
            assert await client.has(MESSAGES) == [f"{n} m{n - 1}" for n in range(1, MESSAGES + 1)]
            actor.disconnect(connection)
        assert client.ended is None
        assert not list(tmp_path.glob("death*"))

    trio.run(main)
    texts = [transition for transition in transitions(tmp_path) if transition.kind == "text"]
    assert [transition.input for transition in texts] == [f"m{number}" for number in range(MESSAGES)]
    assert [transition.kind for transition in transitions(tmp_path)].count("close") == 1


def test_an_idle_worker_dies_on_an_event_before_the_event_loop_goes_on(tmp_path: Path) -> None:
    """It gets an event from its connection's own turn; that it dies of it within that turn loses nothing."""

    async def main() -> None:
        client = Remembering()
        charge = tmp_path / "charge"
        charge.touch()
        command = (sys.executable, str(SMALL_WORKER), "SIGKILL", str(charge))
        async with running_actor(tmp_path, compiled("counter"), command=command) as actor:
            connection = actor.connect(client)
            await actor.answered(connection)
            pid = actor.worker_pid
            assert pid is not None
            actor.receive(connection, "text", "first")
            actor.receive(connection, "text", "behind it")
            assert ends_meanwhile(pid)
            assert await client.has(2) == ["first", "behind it"]
            assert actor.incarnation == 2
            actor.disconnect(connection)

    trio.run(main)
    texts = [transition.input for transition in transitions(tmp_path) if transition.kind == "text"]
    assert texts == ["first", "behind it"]


def test_a_delivery_that_three_workers_die_on_is_quarantined(tmp_path: Path) -> None:
    """It is recorded as poison and its connection closed 1011; deliveries before and after it go on."""

    async def main() -> None:
        killer, other = Remembering(), Remembering()
        command = dying("mid-call", tmp_path, 3)
        async with running_actor(tmp_path, compiled("counter"), command=command) as actor:
            first, second = actor.connect(killer), actor.connect(other)
            actor.receive(second, "text", "hello")
            assert await other.has(1) == ["1 hello"]
            assert await killer.is_ended() == 1011
            actor.disconnect(first)
            actor.receive(second, "text", "again")
            assert await other.has(2) == ["1 hello", "2 again"]
            actor.disconnect(second)
        assert other.ended is None

    trio.run(main)
    poison = [transition for transition in transitions(tmp_path) if transition.outcome == "poison"]
    assert [(transition.kind, transition.connection) for transition in poison] == [("connect", 1)]
    with read(tmp_path / "journal.db") as reader:
        assert list(reader.quarantined()) == [poison[0].seq]
