"""What a real supervisor recorded, through kills, traps and time limits, replays bit for bit."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest
import trio

from tests.faults.counts import repeats
from tests.faults.replaying import PATIENCE_S, replayed
from tests.integration.running import Running, ask, client, close_code, supervisor, write_manifest
from theater_protocol.chain import Genesis, Instance, Transition
from theater_protocol.messages import Unchanged
from theater_supervisor.journal.contents import Entry, Origin
from theater_supervisor.journal.database import Database
from theater_supervisor.journal.reader import rows
from theater_supervisor.replay.replay import Verdict

CHAT = Path(__file__).parents[2] / "manifests" / "chat.py"
BUILT = Path(__file__).parents[2] / "build" / "components"
EVENTS = repeats(1000)
KILL_EVERY = 40
CALL_TIMEOUT_S = 0.2
RESTART = "[restart]\nintensity = 10000\nbackoff_max_s = 0.05"  # killed on purpose, and often
SEED = 20261122

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(2 * PATIENCE_S)]


def transitions(data: Path) -> list[Transition]:
    """Read a whole history."""
    return [transition for _, transition in rows(data / "journal.db")]


def assert_identical(data: Path, call_timeout_s: float = 5.0) -> Verdict:
    """Replay everything; every event and every instance must be in it."""
    history = transitions(data)
    instances = sum(one.kind == "instance" for one in history)
    verdict = replayed(data, call_timeout_s=call_timeout_s)
    assert verdict == Verdict(
        first_seq=1,
        last_seq=history[-1].seq,
        identical=len(history) - 1 - instances,
        instances=instances,
    )
    return verdict


async def talk(running: Running, actor: str, commands: Iterable[str]) -> None:
    """Give an actor text after text; after one that fails, which closes the connection, over a new one."""
    waiting = iter(commands)
    fails = ("spin", "trap", "err", "raise", "crash")
    sent = 0
    while (command := next(waiting, None)) is not None:
        async with client(running.urls[actor]) as connection:
            while command is not None and not command.startswith(fails):
                assert await ask(connection, command) is not None
                sent += 1
                if sent % KILL_EVERY == 0:
                    await running.kill_worker(actor)
                command = next(waiting, None)
            if command is not None:
                await connection.send_message(command)
                assert await close_code(connection) == 1011


def test_a_chat_replays(tmp_path: Path) -> None:
    """A thousand messages in a room, workers killed on the way: the same histories sent, the same state."""
    component = BUILT / "chat.wasm"
    write_manifest(tmp_path, "chat", component, f'[build]\npython = "{CHAT}"\n{RESTART}')
    message = '{{"username": "ann", "content": "message {0}", "timestamp": {0}}}'

    async def main() -> None:
        async with supervisor(tmp_path, "--log-level", "warning") as running:
            await talk(running, "chat", (message.format(number) for number in range(EVENTS)))
            assert await running.stop() == 0

    trio.run(main)
    verdict = assert_identical(tmp_path / "var" / "data" / "chat")
    assert verdict.identical > EVENTS
    assert verdict.instances > EVENTS // KILL_EVERY
    print(verdict)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of two actors: `stdout` looks at time and random numbers, `probe` runs into its limits.

    Workers are killed on the way, and the supervisor once, in the middle.
    """
    directory = tmp_path_factory.mktemp("recorded")
    write_manifest(directory, "stdout", "stdout", RESTART)
    write_manifest(directory, "probe", "probe", f"[limits]\ncall_timeout_s = {CALL_TIMEOUT_S}\n{RESTART}")
    chance = Random(SEED)
    looks = chance.choices(("time", "random", "hello", "raise", "crash"), (30, 30, 30, 5, 5), k=EVENTS)
    ends = chance.choices(("hello", "trap", "err no", "spin"), (80, 8, 8, 4), k=EVENTS)
    half = EVENTS // 2

    async def main() -> None:
        for part in (slice(half), slice(half, None)):
            async with (
                supervisor(directory, "--log-level", "warning") as running,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(talk, running, "stdout", looks[part])
                nursery.start_soon(talk, running, "probe", ends[part])
            # Leaving the block has killed the supervisor.
            assert running.process.returncode == -SIGKILL

    trio.run(main)
    return directory / "var" / "data"


def test_an_actor_that_uses_time_and_random_replays(recorded: Path) -> None:
    """Across errors, crashes, killed workers and a killed supervisor."""
    history = transitions(recorded / "stdout")
    assert {"ok", "err", "trap"} == {one.outcome for one in history}
    replies = {one.replies for one in history if one.input in ("time", "random")}
    assert len(replies) == sum(one.input in ("time", "random") and one.outcome == "ok" for one in history)
    print(assert_identical(recorded / "stdout"))


def test_traps_and_time_limits_replay(recorded: Path) -> None:
    """With the time limit that they were recorded with."""
    history = transitions(recorded / "probe")
    assert {"ok", "err", "trap", "timeout"} == {one.outcome for one in history}
    print(assert_identical(recorded / "probe", CALL_TIMEOUT_S))


def another_seed(transition: Transition) -> Transition:
    """Change an instance's seed."""
    assert isinstance(transition.input, Instance)
    return transition._replace(input=replace(transition.input, seed=bytes(32)))


def another_time(transition: Transition) -> Transition:
    """Change when an event came, by a microsecond."""
    return transition._replace(at_us=transition.at_us + 1)


@pytest.mark.parametrize(
    ("change", "kind", "given", "caught"),
    [
        pytest.param(another_seed, "instance", None, "random", id="seed"),
        pytest.param(another_time, "text", "time", "time", id="time"),
    ],
)
def test_time_and_seed_are_what_the_replay_goes_by(
    recorded: Path,
    tmp_path: Path,
    change: Callable[[Transition], Transition],
    kind: str,
    given: str | None,
    caught: str,
) -> None:
    """A history with another seed or time, its chain sound, is caught at the first event that shows it."""
    history = transitions(recorded / "stdout")
    changed = next(one.seq for one in history if one.kind == kind and given in (None, one.input))
    rewrite(history, tmp_path / "journal.db", changed, change)
    (tmp_path / "components").symlink_to(recorded / "stdout" / "components")
    verdict = replayed(tmp_path)
    first = next(one.seq for one in history if one.seq >= changed and one.input == caught)
    assert verdict.divergence is not None
    assert verdict.divergence.transition.seq == first
    assert verdict.divergence.aspects == ["replies"]


def rewrite(
    history: list[Transition], path: Path, seq: int, change: Callable[[Transition], Transition]
) -> None:
    """Write a history of an actor without state anew, one transition changed."""
    genesis, *rest = history
    assert isinstance(genesis.input, Genesis)
    database = Database(path)
    database.open(Origin(genesis.input.actor, genesis.input.component_sha256, None, genesis.at_us))
    made = [change(one) if one.seq == seq else one for one in rest]
    entries = [
        Entry(one.at_us, one.kind, one.connection, one.input, one.outcome, one.replies, one.state_hash)
        for one in made
    ]
    database.commit(entries, Unchanged())
    database.close()
