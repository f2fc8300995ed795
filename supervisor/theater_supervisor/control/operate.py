"""A supervisor as a process: signals come in, and its state goes out to whoever may know it.

It puts the parts of `ops` around a Supervisor: the control socket, the administration port, systemd, the
status file. What each of them says is theirs.
"""

import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
import trio

from theater_supervisor.app import Supervisor
from theater_supervisor.control.commands import Commands
from theater_supervisor.control.server import open_control
from theater_supervisor.errors import SupervisorError
from theater_supervisor.files import write_atomically
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.watch import dump, metrics, notify
from theater_supervisor.watch.admin import AdminPort, Page, bind_admin
from theater_supervisor.watch.notify import Notifier
from theater_supervisor.watch.pulse import Pulse
from theater_supervisor.watch.status import Observer, SupervisorStatus, to_object

STATUS_FILE: Final = Path("run/status.json")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Posts:
    """Where the process is heard: the administration port, and how its logs are opened again."""

    admin: tuple[str, int] | None
    reopen_log: Callable[[], None]


async def operate(supervisor: Supervisor, manifests: Sequence[Manifest], var: Path, posts: Posts) -> None:
    """Serve the manifests until SIGTERM or SIGINT; a second one waits for nothing.

    SIGHUP reloads, SIGUSR1 opens the logs again, SIGUSR2 logs the state, all tasks and threads. Raises
    SupervisorError as Supervisor.run does, and when the administration port can't be bound.
    """
    failures: list[SupervisorError] = []
    # Before anything else: a signal during a long start shall end it cleanly, too.
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(trio.open_signal_receiver(*_SIGNALS))
        notifier = stack.enter_context(contextlib.closing(Notifier(os.environ)))
        admin = await bind_admin(*posts.admin) if posts.admin else []
        process = _Process(supervisor, var, posts, notifier)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(AdminPort(process.page).serve, admin)
            nursery.start_soon(process.obey, signals)
            nursery.start_soon(process.attend)
            try:
                await supervisor.run(manifests)
            except SupervisorError as error:
                failures.append(error)
            nursery.cancel_scope.cancel()
    for failure in failures:
        raise failure


class _Process:
    def __init__(self, supervisor: Supervisor, var: Path, posts: Posts, notifier: Notifier) -> None:
        self._supervisor = supervisor
        self._var = var
        self._posts = posts
        self._notifier = notifier
        self._pulse = Pulse(supervisor)
        self._observer = Observer(supervisor, self._pulse)
        self._commands = Commands(supervisor, self._observer, self._tell_reload)

    # Signals.

    async def obey(self, signals: AsyncIterator[int]) -> None:
        """Do what signals ask for."""
        async with trio.open_nursery() as nursery:
            async for signum in signals:
                match signum:
                    case signal.SIGHUP:
                        nursery.start_soon(self._reload)
                    case signal.SIGUSR1:
                        self._reopen_logs()
                    case signal.SIGUSR2:
                        self._dump()
                    case _:
                        self._notifier.send(notify.stopping())
                        self._supervisor.stop(signal.Signals(signum).name)

    async def _reload(self) -> None:
        with contextlib.suppress(SupervisorError):  # it is in the log, which is where HUP is answered
            await self._commands.reload()

    def _reopen_logs(self) -> None:
        members = self._supervisor.roster.members if self._supervisor.serving.is_set() else {}
        for reopen in (self._posts.reopen_log, *(member.log.reopen for member in members.values())):
            try:
                reopen()
            except OSError as error:
                _log.error("log_not_reopened", file=error.filename, reason=error.strerror)
        _log.info("logs_reopened")

    def _dump(self) -> None:
        if self._supervisor.serving.is_set():
            _log.info("state_dumped", **to_object(self._observer.status()))
        _log.info("tasks_dumped", phase=self._supervisor.phase, tasks=dump.tasks(), threads=dump.threads())

    # Whoever wants to know.

    async def attend(self) -> None:
        """Answer on the control socket from early on; tell of every change once there is something to see."""
        await self._supervisor.locked.wait()
        async with open_control(self._var, self._commands.answer) as control, trio.open_nursery() as nursery:
            nursery.start_soon(control.serve)
            await self._supervisor.serving.wait()
            nursery.start_soon(self._pulse.run, self._tell)
            self._tell()
            self._notifier.send(notify.ready(_headline(self._observer.status())))

    def _tell(self) -> None:
        status = self._observer.status()
        content = json.dumps(to_object(status)).encode()
        try:
            write_atomically(self._var / STATUS_FILE, content)
        except OSError as error:
            _log.warning("status_not_written", reason=str(error))
        self._notifier.send(notify.status(_headline(status)))
        if self._notifier.watchdog.is_due(trio.current_time(), self._pulse.healthy):
            self._notifier.send(notify.WATCHDOG)

    def _tell_reload(self, begins: bool) -> None:
        if begins:
            self._notifier.send(notify.reloading(notify.monotonic_us()))
        else:
            self._notifier.send(notify.ready(_headline(self._observer.status())))

    def page(self, path: str) -> Page | None:
        """Return what the administration port shows at a path."""
        match path:
            case "/livez":
                late = f"the event loop is {self._pulse.lag_s:.1f} s late"
                return _verdict([] if self._pulse.healthy else [late])
            case "/readyz" | "/metrics" if not self._supervisor.serving.is_set():
                return _verdict([self._supervisor.phase])
            case "/readyz":
                return _verdict(_why_not_ready(self._observer.status()))
            case "/metrics":
                body = metrics.render(self._supervisor, self._observer)
                return Page(HTTPStatus.OK, body, metrics.CONTENT_TYPE)
            case _:
                return None


def _why_not_ready(status: SupervisorStatus) -> list[str]:
    reasons = [f"{actor.name} is {actor.state}" for actor in status.unready]
    return reasons if status.phase != "stopping" else ["stopping", *reasons]


def _verdict(reasons: list[str]) -> Page:
    if not reasons:
        return Page(HTTPStatus.OK, b"ok\n")
    return Page(HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{reason}\n" for reason in reasons).encode())


def _headline(status: SupervisorStatus) -> str:
    ready = sum(actor.ready for actor in status.actors)
    connections = sum(actor.connections for actor in status.actors)
    return f"{status.phase}: {ready} of {len(status.actors)} actors ready, {connections} connections"
