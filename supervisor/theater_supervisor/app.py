"""Start-up and shutdown: from checked manifests to served actors and back.

It puts the rooms together, in order, and takes them apart in reverse. What each of them does is in the rooms.
"""

import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import structlog
import trio

from theater_protocol.messages import Limits
from theater_supervisor.actor.actor import Actor, ActorSpec
from theater_supervisor.actor.compile import Compiled
from theater_supervisor.actor.incarnation import Deadlines
from theater_supervisor.actor.logs import ActorLog
from theater_supervisor.actor.prepare import prepare
from theater_supervisor.errors import CriticalActorHeld, SupervisorError
from theater_supervisor.gateway.listener import Gateway
from theater_supervisor.gateway.routes import Route
from theater_supervisor.journal.lock import acquire
from theater_supervisor.journal.store import Journal, Retention
from theater_supervisor.manifest import Manifest
from theater_supervisor.ports import Ports, bind_ports

DRAIN_S = 5.0
STOP_S = 15.0

_ANSWER_MARGIN_S = 2.0
_MIB = 1024 * 1024

_log = structlog.get_logger()


class VarUnusable(SupervisorError):
    """A file that the supervisor keeps cannot be made."""

    exit_status = 73  # EX_CANTCREAT

    @classmethod
    def of(cls, error: OSError, var: Path) -> "VarUnusable":
        """Say which file below `var` it was."""
        return cls(f"{error.filename}: {error.strerror}: make {var} writable or name another --var")


async def serve(
    manifests: Sequence[Manifest],
    var: Path,
    *,
    debug: bool = False,
    echo: Callable[[str], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve the actors until SIGINT or SIGTERM; a second one skips the waiting.

    `echo` gets every line of the actors' logs, `announce` a line for each address that clients can use.
    Raises SupervisorError when something has to be mended before the supervisor can run.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(acquire(var))
        ports = await bind_ports(manifests)
        stack.push_async_callback(ports.aclose)
        compiled = await prepare(manifests, var / "cache")
        # However many workers are to be started at once, the host has them one for each core.
        starts = trio.CapacityLimiter(os.cpu_count() or 1)
        actors = {
            manifest.name: await stack.enter_async_context(
                _open_actor(manifest, compiled[manifest.name], var, starts, debug=debug, echo=echo)
            )
            for manifest in manifests
        }
        await _run(manifests, actors, ports, announce)


@contextlib.asynccontextmanager
async def _open_actor(
    manifest: Manifest,
    compiled: Compiled,
    var: Path,
    starts: trio.CapacityLimiter,
    *,
    debug: bool,
    echo: Callable[[str], None] | None,
) -> AsyncIterator[Actor]:
    data, logs = var / "data" / manifest.name, var / "log"
    try:
        for directory in (data, logs):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = ActorLog(logs / f"{manifest.name}.log", manifest.name, debug=debug, echo=echo)
        await trio.to_thread.run_sync(_keep_component, manifest.component_path, compiled, data)
        initial_state = manifest.init_state.read_bytes() if manifest.init_state else None
    except OSError as exc:
        raise VarUnusable.of(exc, var) from exc
    with contextlib.closing(log):
        journal = await Journal.open(
            data / "journal.db",
            actor=manifest.name,
            component_sha256=compiled.component_sha256,
            initial_state=initial_state,
            durability=manifest.journal.durability,
            retention=Retention(manifest.journal.keep_events, manifest.journal.keep_days),
        )
        try:
            yield Actor(_spec(manifest, compiled), journal, log, starts)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_S):
                await journal.aclose()


def _spec(manifest: Manifest, compiled: Compiled) -> ActorSpec:
    limits, restart = manifest.limits, manifest.restart
    return ActorSpec(
        manifest.name,
        str(compiled.path),
        compiled.component_sha256,
        Limits(round(limits.call_timeout_s * 1_000_000), limits.memory_mib * _MIB),
        Deadlines(
            start_s=restart.start_timeout_s,
            answer_s=limits.call_timeout_s + _ANSWER_MARGIN_S,
            stop_s=restart.stop_timeout_s,
        ),
        restart=restart,
    )


def _keep_component(component: Path, compiled: Compiled, data: Path) -> None:
    """Keep the component beside the journal, so that what was recorded with it can be replayed."""
    kept = data / "components" / f"{compiled.component_sha256.hex()}.wasm"
    if kept.exists():
        return
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}.tmp")
    shutil.copyfile(component, unfinished)
    unfinished.rename(kept)


async def _run(
    manifests: Sequence[Manifest],
    actors: Mapping[str, Actor],
    ports: Ports,
    announce: Callable[[str], None] | None,
) -> None:
    gateway = Gateway([route for manifest in manifests for route in _routes(manifest, actors, ports)])
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as actors_running:
                for actor in actors.values():
                    actors_running.start_soon(actor.run)
                await nursery.start(gateway.serve, ports.listeners)
                _announce(manifests, ports, announce)
                cause = await _cause_to_stop(signals, actors)
                _log.info("stopping", reason=str(cause))
                nursery.start_soon(_cancel_on_signal, signals, nursery.cancel_scope)
                await gateway.drain(grace_s=DRAIN_S)
                for actor in actors.values():
                    actor.stop()
                actors_running.cancel_scope.deadline = trio.current_time() + STOP_S
            nursery.cancel_scope.cancel()
    _log.info("stopped")
    if isinstance(cause, CriticalActorHeld):
        raise cause


async def _cause_to_stop(signals: AsyncIterator[int], actors: Mapping[str, Actor]) -> str | CriticalActorHeld:
    """Wait for a signal, or until a critical actor is held."""
    causes: list[str | CriticalActorHeld] = []

    async def signalled() -> None:
        causes.append(signal.Signals(await anext(signals)).name)
        nursery.cancel_scope.cancel()

    async def failed(actor: Actor) -> None:
        await actor.wait_failed()
        causes.append(CriticalActorHeld(f"the critical actor {actor.name} is held: it dies too often"))
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(signalled)
        for actor in actors.values():
            nursery.start_soon(failed, actor)
    return causes[0]


async def _cancel_on_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


def _routes(manifest: Manifest, actors: Mapping[str, Actor], ports: Ports) -> list[Route]:
    return [
        Route(
            *ports.places[manifest.name, index],
            handler.config.path,
            handler.config.max_connections,
            actors[manifest.name],
        )
        for index, handler in enumerate(manifest.handlers)
    ]


def _announce(manifests: Sequence[Manifest], ports: Ports, announce: Callable[[str], None] | None) -> None:
    for manifest in manifests:
        for index, handler in enumerate(manifest.handlers):
            host, port = ports.places[manifest.name, index]
            url = f"ws://{f'[{host}]' if ':' in host else host}:{port}{handler.config.path}"
            _log.info("listening", actor=manifest.name, url=url)
            if announce is not None:
                announce(f"{manifest.name} on {url}")
