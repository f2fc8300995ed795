"""One actor of the running set, with what is kept for it: its log, its journal, the components it has run.

It opens and closes them and follows changes of the manifest. Which actors there are is roster.py's matter.
"""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import trio

from theater_supervisor.actor.actor import Actor
from theater_supervisor.actor.spec import ActorSpec, Deadlines
from theater_supervisor.errors import VarUnusable
from theater_supervisor.files import read_regular
from theater_supervisor.journal.store import Journal, JournalFailed, Retention
from theater_supervisor.logs.actor_log import ActorLog
from theater_supervisor.logs.budget import LogBudget
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.process.containment import Containment
from theater_supervisor.reload import Configured

_ANSWER_MARGIN_S: Final = 2.0
_JOURNAL_CLOSE_S: Final = 15.0
_MIB: Final = 1024 * 1024
_RSS_OVERHEAD_MIB: Final = 512

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all actors share: the var directory, the bound on starting workers, and what becomes of log lines.

    With `debug` the logs say more, `echo` gets every line of them too, and together they stay below `logs`.
    Workers get control groups in `cgroup`, where that is delegated.
    """

    var: Path
    starts: trio.CapacityLimiter
    debug: bool = False
    echo: Callable[[str], None] | None = None
    logs: LogBudget | None = None
    cgroup: Path | None = None


class Member:
    """An actor that is served, and how it is configured now."""

    def __init__(
        self,
        configured: Configured,
        actor: Actor,
        log: ActorLog,
        journal: Journal,
        cgroup: Path | None = None,
    ) -> None:
        self.configured = configured
        self.actor = actor
        self.log = log
        self.journal = journal
        self._cgroup = cgroup
        self.ended = trio.Event()
        self.scope = trio.CancelScope()

    async def keep(self, configured: Configured) -> None:
        """Keep what a change to `configured` needs. Raises VarUnusable."""
        data = self.journal.path.parent
        with _blaming(data):
            await trio.to_thread.run_sync(_keep_component, configured, data)

    async def change(self, configured: Configured) -> None:
        """Be as `configured` from now on; clients stay. What it needs has been kept."""
        manifest = configured.manifest
        await self.journal.change(manifest.journal.durability, _retention(manifest))
        self.configured = configured
        self.log.configure(manifest.log)
        self.actor.change(_spec(configured, self._cgroup))


@contextlib.asynccontextmanager
async def open_member(configured: Configured, surroundings: Surroundings) -> AsyncIterator[Member]:
    """Open what an actor needs, and close it again at the end.

    Raises VarUnusable and JournalRefused.
    """
    manifest, var = configured.manifest, surroundings.var
    data, logs = var / "data" / manifest.name, var / "log"
    with _blaming(var):
        for directory in (data.parent, data, logs):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = _open_log(manifest, logs, surroundings)
    with contextlib.closing(log):
        with _blaming(var):
            await trio.to_thread.run_sync(_keep_component, configured, data)
            initial_state = read_regular(manifest.init_state) if manifest.init_state else None
        journal = await _open_journal(configured, data, initial_state)
        try:
            spec = _spec(configured, surroundings.cgroup)
            actor = Actor(spec, journal, log, surroundings.starts)
            yield Member(configured, actor, log, journal, surroundings.cgroup)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _JOURNAL_CLOSE_S):
                await journal.aclose()


@contextlib.contextmanager
def _blaming(var: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VarUnusable.of(error, var) from error


def _open_log(manifest: Manifest, logs: Path, surroundings: Surroundings) -> ActorLog:
    path = logs / f"{manifest.name}.log"
    return ActorLog(
        path,
        manifest.name,
        debug=surroundings.debug,
        echo=surroundings.echo,
        config=manifest.log,
        budget=surroundings.logs,
    )


async def _open_journal(configured: Configured, data: Path, initial_state: bytes | None) -> Journal:
    manifest = configured.manifest
    try:
        journal = await Journal.open(
            data / "journal.db",
            actor=manifest.name,
            component_sha256=configured.compiled.component_sha256,
            initial_state=initial_state,
            durability=manifest.journal.durability,
            retention=_retention(manifest),
        )
    except JournalFailed as error:
        raise VarUnusable(str(error)) from error
    if journal.missing_bodies:
        _log.warning(
            "journal_bodies_missing",
            actor=manifest.name,
            files=journal.missing_bodies,
            advice="put them back from a backup; `theaterctl chain verify` names the first seq",
        )
    return journal


def _retention(manifest: Manifest) -> Retention:
    return Retention(manifest.journal.keep_events, manifest.journal.keep_days)


def _spec(configured: Configured, cgroup: Path | None) -> ActorSpec:
    manifest, compiled = configured.manifest, configured.compiled
    limits, restart = manifest.limits, manifest.restart
    return ActorSpec(
        manifest.name,
        str(compiled.path),
        compiled.component_sha256,
        limits.of_a_call(),
        Deadlines(
            start_s=restart.start_timeout_s,
            answer_s=limits.call_timeout_s + _ANSWER_MARGIN_S,
            stop_s=restart.stop_timeout_s,
        ),
        restart=restart,
        containment=Containment(
            manifest.sandbox.require,
            (limits.rss_mib or limits.memory_mib + _RSS_OVERHEAD_MIB) * _MIB,
            cgroup,
            manifest.sandbox.fresh,
        ),
    )


def _keep_component(configured: Configured, data: Path) -> None:
    """Keep the component beside the journal, so that what was recorded with it can be replayed."""
    kept = data / "components" / f"{configured.compiled.component_sha256.hex()}.wasm"
    if kept.exists():
        return
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}.tmp")
    shutil.copyfile(configured.manifest.component_path, unfinished)
    unfinished.rename(kept)
