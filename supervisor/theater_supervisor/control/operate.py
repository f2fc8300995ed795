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
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
import trio

from theater_supervisor import inherited
from theater_supervisor.app import Supervisor
from theater_supervisor.control.commands import Commands
from theater_supervisor.control.server import ControlSocket, open_control
from theater_supervisor.errors import SupervisorError
from theater_supervisor.files import write_atomically
from theater_supervisor.logs.queued_output import QueuedOutput
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.watch import dump, metrics, notify
from theater_supervisor.watch.admin import AdminPort, Page, bind_admin
from theater_supervisor.watch.notify import Notifier
from theater_supervisor.watch.pulse import Pulse
from theater_supervisor.watch.status import Observer, SupervisorStatus, to_object

STATUS_FILE: Final = Path("run/status.json")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Posts:
    """Where the process is heard: the administration port, its own log, opened again, and its streams."""

    admin: tuple[str, int] | None
    reopen_log: Callable[[], None]
    outputs: tuple[QueuedOutput, ...] = ()


async def operate(supervisor: Supervisor, manifests: Sequence[Manifest], var: Path, posts: Posts) -> None:
    """Serve the manifests until SIGTERM or SIGINT; a second one waits for nothing.

    SIGHUP reloads, SIGUSR1 opens the logs again, SIGUSR2 logs the state, all tasks and threads. Signals that
    were noted before (inherited.py) count. Raises SupervisorError as Supervisor.run does, and when the
    administration port can't be bound.
    """
    failures: list[SupervisorError] = []
    # Before anything else: a signal during a long start shall end it cleanly, too.
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(trio.open_signal_receiver(*inherited.SIGNALS))
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
        self._hang_up = trio.Event()
        self._failures: dict[str, str] = {}

    # Signals.

    async def obey(self, signals: AsyncIterator[int]) -> None:
        """Do what signals ask for."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reload_at_hang_ups)
            for signum in inherited.take_noted():
                self._obey(signum)
            async for signum in signals:
                self._obey(signum)

    def _obey(self, signum: int) -> None:
        match signum:
            case signal.SIGHUP:
                self._hang_up.set()
            case signal.SIGUSR1:
                self._reopen_logs()
            case signal.SIGUSR2:
                self._dump()
            case _:
                self._notifier.send(notify.stopping())
                self._supervisor.stop(signal.Signals(signum).name)

    async def _reload_at_hang_ups(self) -> None:
        """Reload at a hang-up; however many come meanwhile are one more."""
        await self._supervisor.serving.wait()
        while True:
            await self._hang_up.wait()
            self._hang_up = trio.Event()
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
            nursery.start_soon(self._pulse.run, partial(self._beat, control))
            self._tell()
            self._notifier.send(notify.ready(_headline(self._observer.status())))

    def _beat(self, control: ControlSocket) -> None:
        """Look after what others may have removed, then tell."""
        self._supervisor.renew_lock()
        self._try("control_socket_not_made", control.renew)
        self._tell()

    def _try(self, event: str, attempt: Callable[[], None]) -> None:
        """Attempt what is attempted again at the next beat; a failure is logged when it is another one."""
        try:
            attempt()
        except OSError as error:
            if self._failures.get(event) != str(error):
                _log.warning(event, reason=str(error))
            self._failures[event] = str(error)
        else:
            self._failures.pop(event, None)

    def _tell(self) -> None:
        status = self._observer.status()
        content = json.dumps(to_object(status)).encode()
        self._try("status_not_written", partial(write_atomically, self._var / STATUS_FILE, content))
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
                body = metrics.render(self._supervisor, self._observer, self._posts.outputs)
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
