"""One actor without a gateway: a real journal, real workers, clients that only remember.

For faults that need a worker or a disk that fails at a chosen step.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from tests.components import build
from tests.faults.disk import Disk
from theater_protocol.messages import Limits, Reply
from theater_supervisor.actor.actor import Actor
from theater_supervisor.actor.spec import ActorSpec
from theater_supervisor.journal.bodies import BodyFiles
from theater_supervisor.journal.log_file import LogFile
from theater_supervisor.journal.store import Journal
from theater_supervisor.logs.actor_log import ActorLog

PATIENCE_S = 30.0
_CACHE = Path(__file__).parents[2] / "build" / "cache"


@dataclass
class Remembering:
    """A Client that keeps what the actor did to it."""

    replies: list[Reply] = field(default_factory=list)
    ended: tuple[int, str] | None = None
    changed: trio.Event = field(default_factory=trio.Event)

    def send(self, *results: Sequence[Reply]) -> None:
        """Keep the replies."""
        self.replies += (reply for replies in results for reply in replies)
        self._notify()

    def send_in_parts(self, replies: Sequence[Reply]) -> Iterator[None]:
        """Remember the replies, one at each step."""
        for reply in replies:
            self.send([reply])
            yield

    def end(self, code: int, reason: str, error: str = "") -> None:
        """Keep the first code."""
        self.ended = self.ended or (code, reason)
        self._notify()

    async def has(self, count: int) -> list[str]:
        """Wait for `count` replies and return the texts of all."""
        with trio.fail_after(PATIENCE_S):
            while len(self.replies) < count:
                await self.changed.wait()
        return [str(reply.payload) for reply in self.replies]

    async def is_ended(self) -> int:
        """Wait until the actor ends the connection; return the code."""
        with trio.fail_after(PATIENCE_S):
            while self.ended is None:
                await self.changed.wait()
        return self.ended[0]

    def _notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


def compiled(component: str) -> ActorSpec:
    """Compile a test component; return the spec of an actor that runs it."""
    command = [sys.executable, "-I", "-m", "theater_worker.compile", str(_CACHE), str(build(component))]
    verdict = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    digest = bytes.fromhex(verdict["component_sha256"])
    return ActorSpec(component, verdict["compiled_path"], digest, Limits(5_000_000, 1 << 28))


async def open_journal(directory: Path, spec: ActorSpec, disk: Disk | None = None) -> Journal:
    """Open the actor's journal in `directory`."""
    return await Journal.open(
        directory / "journal.db",
        actor=spec.name,
        component_sha256=spec.component_sha256,
        initial_state=None,
        durability="power-loss",
        vfs=disk.vfs if disk else None,
        log_file=disk.log_file if disk else LogFile,
        bodies=disk.bodies if disk else BodyFiles,
    )


@contextlib.asynccontextmanager
async def running_actor(
    directory: Path,
    spec: ActorSpec,
    *,
    command: Sequence[str] | None = None,
    disk: Disk | None = None,
    starts: trio.CapacityLimiter | None = None,
) -> AsyncIterator[Actor]:
    """Run an actor until the block ends, then stop it gracefully."""
    spec = spec if command is None else replace(spec, command=command)
    journal = await open_journal(directory, spec, disk)
    log = ActorLog(directory / "actor.log", spec.name, debug=False, echo=None)
    actor = Actor(spec, journal, log, starts)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.run)
            yield actor
            actor.stop()
            nursery.cancel_scope.deadline = trio.current_time() + PATIENCE_S
    finally:
        log.close()
        await journal.aclose()
