"""Start-up, reload and shutdown: from checked manifests to served actors, to others, and back to none.

It puts the rooms together, in order, and takes them apart in reverse. What each of them does is in the rooms;
signals, commands and whatever else wants a change or a look is the business of `ops`.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, Literal

import structlog
import trio

from theater_supervisor.actor.busy_poll import busy_polling
from theater_supervisor.components.compile import Compiled
from theater_supervisor.components.prepare import prepare
from theater_supervisor.components.progress import Progress
from theater_supervisor.errors import SupervisorError, VarUnusable
from theater_supervisor.gateway.connection.heap import keep_buffers, keep_for_good
from theater_supervisor.gateway.door.listener import Gateway
from theater_supervisor.gateway.door.routes import Address, Route
from theater_supervisor.handlers import Place, access_rules, connection_limits
from theater_supervisor.journal import garbage
from theater_supervisor.journal.lock import Lock, LockHeld, acquire
from theater_supervisor.logs.budget import LogBudget
from theater_supervisor.manifest.model import Manifest, read_directory
from theater_supervisor.member import Surroundings
from theater_supervisor.ports import Bound, Ports, PortTaken
from theater_supervisor.preflight import preflight
from theater_supervisor.process.template import forking
from theater_supervisor.reload import Changes, Configured, compare
from theater_supervisor.roster import Roster

Phase = Literal["preparing", "serving", "reloading", "stopping"]

# One after the other they stay below the 25 s in which a stop is to be done.
DRAIN_S: Final = 6.0
CLOSE_S: Final = 5.0
STOP_S: Final = 8.0
HASTE_S: Final = 0.5

_log = structlog.get_logger()


class ReloadRefused(SupervisorError):
    """The supervisor is not serving, or not any more."""

    exit_status = 75  # EX_TEMPFAIL


class Supervisor:
    """The actors of a directory of manifests, served. `run` it once.

    `announce` gets a line for each address that clients can use. `progress` says how far components are while
    it prepares or reloads.
    """

    roster: Roster
    gateway: Gateway
    _lock: Lock

    def __init__(
        self,
        directory: Path,
        surroundings: Surroundings,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self.phase: Phase = "preparing"
        self.locked = trio.Event()
        self.serving = trio.Event()
        self.progress = Progress()
        self._directory = directory
        self._surroundings = surroundings
        self._announce = announce
        self._places: Mapping[Place, Address] = {}
        self._stopping = trio.Event()
        self._preparing = trio.CancelScope()
        self._patience = trio.CancelScope()
        self._reloading = trio.CancelScope()
        self._reload_lock = trio.Lock()
        self._failure: SupervisorError | None = None
        self._lock_failure = ""

    async def run(self, manifests: Sequence[Manifest]) -> None:
        """Serve until `stop`; `locked` is set with the lock of the var directory, `serving` with the ports.

        Raises SupervisorError when something has to be mended before the supervisor can run, and
        CriticalActorHeld after it has stopped because of one.
        """
        with acquire(self._surroundings.var) as self._lock, self._preparing, busy_polling():
            self.locked.set()
            with closing(await preflight(manifests)) as ports:
                async with forking():
                    compiled = await self._prepare(manifests)
                    async with trio.open_nursery() as actors:
                        self.roster = Roster(actors, self._surroundings, self._fail)
                        await self._open_and_serve(_configured(manifests, compiled, ports), ports)
        _log.info("stopped")
        if self._failure is not None:
            raise self._failure

    def stop(self, reason: str) -> None:
        """Stop gracefully; `run` returns. A second time waits for nothing any more."""
        _log.info("stopping", reason=reason, **({"in_haste": True} if self._stopping.is_set() else {}))
        if self._stopping.is_set():
            self._patience.cancel()
        if self.phase == "preparing":
            self._preparing.cancel()
        self._reloading.cancel()
        self._stopping.set()

    def renew_lock(self) -> None:
        """Look whether the locked places of the var directory are still there; lock anew what was removed.

        When another process has taken them, this supervisor stops.
        """
        try:
            for path in self._lock.renew():
                _log.error("removed_place_made_anew", path=str(path))
        except LockHeld as error:
            self._fail(error)
        except VarUnusable as error:
            if str(error) != self._lock_failure:
                _log.error("lock_not_renewed", reason=str(error))
            self._lock_failure = str(error)

    async def reload(self, *, dry_run: bool = False) -> Changes:
        """Read the manifests again and serve what they describe; with `dry_run` only say what would change.

        Everything is checked first: when it raises ManifestError, with all problems, or another
        SupervisorError, nothing has changed. Raises ReloadRefused when the supervisor is not serving.
        """
        async with self._reload_lock:
            if self.phase != "serving" or self._stopping.is_set():
                phase = "stopping" if self._stopping.is_set() else self.phase
                raise ReloadRefused(f"the supervisor is {phase}: nothing was reloaded")
            self.phase = "reloading"
            try:
                with trio.CancelScope() as self._reloading:
                    return await self._reload(dry_run=dry_run)
            finally:
                self.phase = "serving"
            raise ReloadRefused("the supervisor is stopping: the reload was given up")

    async def _prepare(self, manifests: Sequence[Manifest], *, build: bool = True) -> dict[str, Compiled]:
        return await prepare(manifests, self._surroundings.var / "cache", self.progress, build=build)

    # Serving and stopping.

    async def _open_and_serve(self, configured: Mapping[str, Configured], ports: Ports) -> None:
        try:
            await self.roster.add(configured)
        except SupervisorError as error:
            self._failure = error  # raised by `run`, not in the group that the nursery would make of it
            return
        try:
            ports.listen()
        except PortTaken as error:
            self._failure = error
            await self.roster.remove(tuple(self.roster.members), HASTE_S)
        else:
            self.roster.warn_of_orphans()
            await self._serve(ports)

    async def _serve(self, ports: Ports) -> None:
        self._places = ports.places
        routes = self._routes(self.roster.configured, ports)
        self.gateway = Gateway(routes, tls=ports.tls(), max_sockets=ports.max_sockets)
        async with trio.open_nursery() as nursery:
            await nursery.start(self.gateway.serve, ports.listeners)
            self.phase = "serving"
            self._say_where(self.roster.configured, ports.places)
            keep_for_good()
            keep_buffers()
            self.serving.set()
            nursery.start_soon(self._remove_garbage)
            await self._stopping.wait()
            async with self._reload_lock:
                self.phase = "stopping"
                await self._shut_down()

    async def _shut_down(self) -> None:
        """Finish what is in flight, say goodbye to the clients, tell the actors, end the workers."""
        self.gateway.refuse_newcomers()
        with self._patience:
            self.gateway.hush()
            with trio.move_on_after(DRAIN_S):
                await self.roster.drained()
            await self.gateway.drain(grace_s=CLOSE_S)
            await self.roster.remove(tuple(self.roster.members), STOP_S)
        # With the patience gone, clients still get their close frame and workers their end.
        await self.gateway.drain(grace_s=HASTE_S)
        await self.roster.remove(tuple(self.roster.members), HASTE_S)

    def _fail(self, failure: SupervisorError) -> None:
        if not self._stopping.is_set():
            self._failure = failure
            self.stop(str(failure))

    # Reloading.

    async def _reload(self, *, dry_run: bool) -> Changes:
        wanted, ports = await self._check(build=not dry_run)
        changes = compare(self.roster.configured, wanted)
        if dry_run:
            ports.close()
            return changes
        changed = {name: wanted[name] for name in changes.changed}
        try:
            await self.roster.keep(changed)
            ports.listen()
            await self.roster.add({name: wanted[name] for name in changes.added})
        except BaseException:
            ports.close()
            raise
        await self.roster.change(changed)
        await self._apply(changes, wanted, ports)
        self.roster.warn_of_orphans()
        await self._remove_garbage()
        return changes

    async def _check(self, *, build: bool) -> tuple[dict[str, Configured], Ports]:
        """Read, bind and compile all that is described now. Raises ManifestError.

        Without `build` no component is made; one that would be is TO_BE_BUILT.
        """
        manifests, problems = read_directory(self._directory)
        standing = [configured.manifest for configured in self.roster.configured.values()]
        ports = await preflight(manifests, problems, Bound.by(standing, self._places))
        try:
            compiled = await self._prepare(manifests, build=build)
        except BaseException:
            ports.close()
            raise
        return _configured(manifests, compiled, ports), ports

    async def _apply(self, changes: Changes, wanted: Mapping[str, Configured], ports: Ports) -> None:
        self.gateway.change(
            self._routes(wanted, ports), ports.listeners, ports.tls(), max_sockets=ports.max_sockets
        )
        self._places = ports.places
        await self.gateway.dismiss(changes.removed, "the actor was removed", grace_s=CLOSE_S)
        await self.roster.remove(changes.removed, STOP_S)
        new = (*changes.added, *(name for name, keys in changes.changed.items() if "handlers" in keys))
        self._say_where({name: wanted[name] for name in new}, ports.places)

    async def _remove_garbage(self) -> None:
        """Remove components and compiled code that nothing needs any more."""
        used = {configured.compiled.component_sha256 for configured in self.roster.configured.values()}
        work = partial(_remove_garbage, self._surroundings.var, used)
        await trio.to_thread.run_sync(work, abandon_on_cancel=True)

    # Routes.

    def _routes(self, configured: Mapping[str, Configured], ports: Ports) -> list[Route]:
        return [
            Route(
                *ports.places[name, index],
                handler.config.path,
                handler.config.max_connections,
                self.roster.members[name].actor,
                connection_limits(handler.config),
                access_rules(handler.config, ports.secrets.authenticators[name, index]),
            )
            for name, one in configured.items()
            for index, handler in enumerate(one.manifest.handlers)
        ]

    def _say_where(self, configured: Mapping[str, Configured], places: Mapping[Place, Address]) -> None:
        for name, one in configured.items():
            for index, handler in enumerate(one.manifest.handlers):
                host, port = places[name, index]
                scheme = "wss" if handler.config.tls else "ws"
                url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{handler.config.path}"
                _log.info("listening", actor=name, url=url)
                if self._announce is not None:
                    self._announce(f"{name} on {url}")


def _configured(
    manifests: Sequence[Manifest], compiled: Mapping[str, Compiled], ports: Ports
) -> dict[str, Configured]:
    secrets = ports.secrets.fingerprints
    return {one.name: Configured(one, compiled[one.name], secrets[one.name]) for one in manifests}


def _remove_garbage(var: Path, used: Collection[bytes]) -> None:
    try:
        found = garbage.find(var, used)
        garbage.remove(found)
    except OSError as error:
        _log.warning("garbage_not_removed", reason=str(error))
    else:
        if found:
            _log.info("garbage_removed", files=len(found), bytes=sum(one.size for one in found))


def new_surroundings(
    var: Path,
    *,
    debug: bool = False,
    echo: Callable[[str], None] | None = None,
    logs: LogBudget | None = None,
    cgroup: Path | None = None,
) -> Surroundings:
    """Return what all actors share: however many are started at once, the host has one for each core."""
    return Surroundings(var, trio.CapacityLimiter(os.cpu_count() or 1), debug, echo, logs, cgroup)
