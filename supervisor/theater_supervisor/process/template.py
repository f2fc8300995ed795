"""The template: a process of the worker package with everything imported, which forks the workers.

A forked worker is ready in a tenth of the time of one that is started afresh, and has less than half of the
memory to itself. Where that is impossible (not Linux, an old kernel, a template that does not work) there is
none, and workers are started afresh. What workers are for is not known here; process.py asks for them.
"""

import array
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import structlog
import trio

from theater_supervisor.process.environment import bare_environment

TEMPLATE_COMMAND: Final = (sys.executable, "-I", "-m", "theater_worker.template")
_ANSWER_S: Final = 10.0  # the first answer comes after all imports
_REAP_TIMEOUT_S: Final = 5.0
_MAX_ANSWER_BYTES: Final = 64
_PR_SET_CHILD_SUBREAPER: Final = 36

_log = structlog.get_logger()


class ForkedChild:
    """A child of this process that the template has forked; as much of trio.Process as a worker needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._returncode: int | None = None
        self._waiting = trio.Lock()  # one task at a time can wait for a descriptor

    @property
    def returncode(self) -> int | None:
        """None while it runs, else the exit code or the negated number of the signal; asking reaps it."""
        if self._returncode is None:
            ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            if ended is not None:
                exited = ended.si_code == os.CLD_EXITED
                self._returncode = ended.si_status if exited else -ended.si_status
        return self._returncode

    async def wait(self) -> int:
        """Wait until it has ended, reap it, and return its returncode."""
        async with self._waiting:
            while (returncode := self.returncode) is None:
                await trio.lowlevel.wait_readable(self._pidfd)
        return returncode

    def terminate(self) -> None:
        """Send it SIGTERM, unless it has been reaped."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def close(self) -> None:
        """Give its descriptor back, once nobody waits any more."""
        os.close(self._pidfd)


class Template:
    """Forks workers on request. A process that fails is replaced, unless it never forked any."""

    def __init__(self, command: Sequence[str] = TEMPLATE_COMMAND) -> None:
        self._command = command
        self._lock = trio.Lock()
        self._running: tuple[trio.Process, trio.socket.SocketType] | None = None
        self._has_forked = False
        self._is_useless = False

    @property
    def pid(self) -> int | None:
        """The process id of the process that runs now, if one does."""
        return self._running[0].pid if self._running else None

    async def start(self) -> None:
        """Start the process, so that it is ready when the first worker is wanted. Raises OSError."""
        async with self._lock:
            await self._requests()

    async def fork(self, fds: Sequence[int]) -> ForkedChild | None:
        """Fork a worker with these descriptors as its stdin, stdout and stderr; None when that does not work.

        Raises OSError when the host cannot start a process.
        """
        async with self._lock:
            answer = None if self._is_useless else await self._ask(fds)
        if answer is None:
            return None
        pid, errno = answer
        if errno:
            raise OSError(errno, os.strerror(errno))
        return ForkedChild(pid)

    async def aclose(self) -> None:
        """End the process. Workers that it has forked stay."""
        running, self._running = self._running, None
        if running is not None:
            process, requests = running
            requests.close()
            process.kill()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _REAP_TIMEOUT_S):
                await process.wait()

    async def _ask(self, fds: Sequence[int]) -> tuple[int, int] | None:
        # Never left half-way: the answer would be taken for the next one's.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _ANSWER_S):
            try:
                requests = await self._requests()
                rights = array.array("i", fds).tobytes()
                with _adopting():
                    await requests.sendmsg([b"w"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                    pid, errno = map(int, (await requests.recv(_MAX_ANSWER_BYTES)).split())
            except (OSError, ValueError):  # the process has ended, or is no template
                pass
            else:
                self._has_forked = True
                return pid, errno
        self._is_useless = not self._has_forked
        _log.warning("template_failed", pid=self.pid, will_be_replaced=self._has_forked)
        await self.aclose()
        return None

    async def _requests(self) -> trio.socket.SocketType:
        if self._running is None:
            with contextlib.ExitStack() as on_failure:
                mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                requests = on_failure.enter_context(trio.socket.from_stdlib_socket(mine))
                with theirs:
                    process = await trio.lowlevel.open_process(
                        self._command,
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        process_group=0,
                        cwd="/",
                        env=bare_environment(),
                    )
                on_failure.pop_all()
                self._running = process, requests
        return self._running[1]


_template: Final = trio.lowlevel.RunVar[Template | None]("template", None)


def current_template() -> Template | None:
    """Return the template that workers can be forked from, None when they are to be started afresh."""
    return _template.get()


@contextlib.asynccontextmanager
async def forking() -> AsyncIterator[None]:
    """Have this supervisor's workers forked from a template until the block ends, where that is possible."""
    if not _can_fork():
        yield
        return
    template = Template()
    try:
        with contextlib.suppress(OSError):  # whoever wants a worker is told
            await template.start()
        _template.set(template)
        yield
    finally:
        _template.set(None)
        await template.aclose()


def _can_fork() -> bool:
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of what descendants leave behind meanwhile, prctl(2)."""
    _set_subreaper(1)
    try:
        yield
    finally:
        # Nobody here would reap what builds and compilers leave behind.
        _set_subreaper(0)


def _set_subreaper(wanted: int) -> None:
    zero = ctypes.c_ulong(0)
    arguments = ctypes.c_int(_PR_SET_CHILD_SUBREAPER), ctypes.c_ulong(wanted), zero, zero, zero
    if ctypes.CDLL(None).prctl(*arguments):
        raise OSError("no subreaper")
