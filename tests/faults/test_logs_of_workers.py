"""What workers write reaches their logs, however they end and however much it is."""

import contextlib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from tests.faults.actor_rig import running_actor
from tests.faults.counts import FULL, repeats
from theater_protocol.messages import Limits
from theater_supervisor.actor.actor import Actor
from theater_supervisor.actor.spec import ActorSpec
from theater_supervisor.manifest.tables import RestartPolicy

STARTS_AT_ONCE = 2
LINES = 20
LAST_WORDS = 'echo "last words of $$" >&2; kill -9 $$'
MANY_LINES = f"i=0; while [ $i -lt {LINES} ]; do echo line $i >&2; i=$((i+1)); done; kill -9 $$"
_LINE = re.compile(r"(\S+) small/(\d+) (\S) (.*)")


@dataclass
class Life:
    """One incarnation in a log."""

    spawned: str = ""
    ended: str = ""
    how: str = ""
    pid: str = ""
    texts: list[str] = field(default_factory=list)


def lives(log: Path) -> dict[int, Life]:
    """Read a log by incarnation; its last one may not have ended."""
    found: dict[int, Life] = defaultdict(Life)
    for line in log.read_text().splitlines():
        match = _LINE.fullmatch(line)
        assert match, line
        life = found[int(match[2])]
        if match[3] != "S":
            assert life.spawned
            assert not life.ended, "a line after its worker's exit was reported"
            life.texts.append(match[4])
        elif match[4].startswith("spawned pid "):
            life.spawned, life.pid = match[1], match[4].split()[-1]
        else:
            life.ended, life.how = match[1], match[4]
    return found


def shell(script: str) -> ActorSpec:
    """An actor whose worker is a shell script, and which is never held."""
    policy = RestartPolicy(intensity=10_000, backoff_initial_s=0, backoff_max_s=0)
    return ActorSpec("small", "-", bytes(32), Limits(1, 1), restart=policy, command=("/bin/sh", "-c", script))


async def exits(actor: Actor, count: int) -> None:
    """Wait until an actor has had so many workers."""
    while actor.lifecycle.exit_counts.total() < count:
        await trio.sleep(0.01)


@pytest.mark.campaign
def test_the_last_line_before_a_sigkill_is_there(tmp_path: Path) -> None:
    """Each worker writes a line and kills itself: the line is in the log, before the exit."""
    count = repeats(1000)

    async def main() -> None:
        with trio.fail_after(110):
            async with running_actor(tmp_path, shell(LAST_WORDS)) as actor:
                await exits(actor, count)

    trio.run(main)
    found = [life for life in lives(tmp_path / "actor.log").values() if life.ended]
    assert len(found) >= count
    for life in found:
        assert life.texts == [f"last words of {life.pid}"]
        assert life.how.startswith("exited SIGKILL after ")


@pytest.mark.campaign
def test_many_restarts_at_once_lose_no_line_and_make_no_spike(tmp_path: Path) -> None:
    """20 actors restart together again and again: every line is there, never more than a few start."""
    count = repeats(100)

    async def main() -> None:
        starts = trio.CapacityLimiter(STARTS_AT_ONCE)
        with trio.fail_after(1000 if FULL else 110):
            async with contextlib.AsyncExitStack() as stack:
                actors = []
                for number in range(20):
                    (tmp_path / str(number)).mkdir()
                    actors.append(
                        await stack.enter_async_context(
                            running_actor(tmp_path / str(number), shell(MANY_LINES), starts=starts)
                        )
                    )
                for actor in actors:
                    await exits(actor, count)

    trio.run(main)
    moments: list[tuple[str, int]] = []
    for number in range(20):
        ended = [life for life in lives(tmp_path / str(number) / "actor.log").values() if life.ended]
        assert len(ended) >= count
        for life in ended:
            assert life.texts == [f"line {line}" for line in range(LINES)]
            moments += [(life.spawned, 1), (life.ended, -1)]
    starting = most = 0
    for _, change in sorted(moments):
        starting += change
        most = max(most, starting)
    assert most <= STARTS_AT_ONCE


def test_a_flood_neither_blocks_its_worker_nor_fills_the_disk(tmp_path: Path) -> None:
    """30 MB at full speed: the worker ends by itself, the log stays small, every line is accounted for."""
    flood = f'yes "{"x" * 99}" | head -n 300000 >&2; echo done >&2; exit 3'

    async def main() -> None:
        with trio.fail_after(60):
            async with running_actor(tmp_path, shell(flood)) as actor:
                await exits(actor, 1)

    trio.run(main)
    log = (tmp_path / "actor.log").read_text().splitlines()
    own = [line.split(" ", 3) for line in log if " small/1 " in line]
    written = sum(stream == "E" for _, _, stream, _ in own)
    gaps = [int(text.split()[0]) for _, _, stream, text in own if stream == "S" and " suppressed: " in text]
    assert written + sum(gaps) == 300_001
    assert written * 150 < 8 * 1024 * 1024
    assert own[-1][3].startswith("exited 3 after ")


def test_what_a_worker_leaves_behind_holds_nothing_up(tmp_path: Path) -> None:
    """A child with the worker's stderr is killed with it: the exit is reported at once, its lines before."""
    script = 'sleep 1000 & echo "child $!" >&2; kill -9 $$'

    async def main() -> None:
        with trio.fail_after(30):
            async with running_actor(tmp_path, shell(script)) as actor:
                await exits(actor, 3)

    trio.run(main)
    for life in lives(tmp_path / "actor.log").values():
        child = int(life.texts[0].removeprefix("child "))
        stat = Path(f"/proc/{child}/stat")
        assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
