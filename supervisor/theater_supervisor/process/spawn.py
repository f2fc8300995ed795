"""One worker process and its three pipes.

Spawns, signals and reaps; it knows nothing of frames or of what the worker does. Workers are forked from the
template where there is one (template.py), and else started afresh. Trio's process support is used without
PR_SET_PDEATHSIG: that follows the spawning thread, and trio's threads come and go.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence

import trio

from theater_supervisor.process.environment import bare_environment
from theater_supervisor.process.template import ForkedChild, Template, current_template

# Without -I a file of that name in the current directory would be run instead.
WORKER_COMMAND = (sys.executable, "-I", "-m", "theater_worker")
PIPE_BYTES = 256 * 1024
_REAP_TIMEOUT_S = 5.0
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class WorkerProcess:
    """A running worker: `stdin` and `stdout` carry the wire, `stderr` its log lines."""

    def __init__(
        self,
        process: trio.Process | ForkedChild,
        stdin: trio.lowlevel.FdStream,
        stdout: trio.lowlevel.FdStream,
        stderr: trio.abc.ReceiveStream,
    ) -> None:
        self.signalled = False  # by kill or terminate
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._process = process

    @property
    def pid(self) -> int:
        """The process id, which is the id of the worker's process group too."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, else the exit code or the negated number of the signal."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until the process has ended, reap it, and return its returncode."""
        return await self._process.wait()

    def kill(self) -> None:
        """Send SIGKILL to the worker's process group, unless it has been reaped."""
        if self._process.returncode is None:
            self.signalled = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def clear_group(self) -> None:
        """Kill what the worker left behind in its process group. Call once, right after it was reaped."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM to the worker, unless it has been reaped."""
        if self._process.returncode is None:
            self.signalled = True
            self._process.terminate()

    def close(self) -> None:
        """Give back what was needed to wait for it, once nobody does any more."""
        if isinstance(self._process, ForkedChild):
            self._process.close()


@contextlib.asynccontextmanager
async def spawn(
    command: Sequence[str] = WORKER_COMMAND, *, fresh: bool = False
) -> AsyncIterator[WorkerProcess]:
    """Start a worker and give it; leaving the block kills it if it still runs, and reaps it.

    A `fresh` one shares no addresses and no canary with others, and is slower to start. Raises OSError when
    the host cannot start a process.
    """
    template = current_template() if command == WORKER_COMMAND and not fresh else None
    worker = await _fork(template) if template else None
    worker = worker or await _start_afresh(command)
    try:
        enlarge_pipes((worker.stdin, worker.stdout), PIPE_BYTES)
        yield worker
    finally:
        worker.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _REAP_TIMEOUT_S):
            await worker.wait()
        for stream in (worker.stdin, worker.stdout, worker.stderr):
            await trio.aclose_forcefully(stream)
        worker.close()


async def _start_afresh(command: Sequence[str]) -> WorkerProcess:
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        cwd="/",
        env=bare_environment(),
    )
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert isinstance(stdin, trio.lowlevel.FdStream), "trio's pipes are descriptors"
    assert isinstance(stdout, trio.lowlevel.FdStream), "trio's pipes are descriptors"
    assert stderr is not None
    return WorkerProcess(process, stdin, stdout, stderr)


async def _fork(template: Template) -> WorkerProcess | None:
    """Have a worker forked; None when the template does not work."""
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        stdin_fd, stdin = _pipe(theirs, ours, read_end_is_theirs=True)
        stdout_fd, stdout = _pipe(theirs, ours, read_end_is_theirs=False)
        stderr_fd, stderr = _pipe(theirs, ours, read_end_is_theirs=False)
        child = await template.fork((stdin_fd, stdout_fd, stderr_fd))
        if child is None:
            return None
        ours.pop_all()
        return WorkerProcess(child, stdin, stdout, stderr)


def _pipe(
    theirs: contextlib.ExitStack, ours: contextlib.ExitStack, *, read_end_is_theirs: bool
) -> tuple[int, trio.lowlevel.FdStream]:
    """Make a pipe; both ends are closed with their stacks."""
    read_fd, write_fd = os.pipe()
    their_fd, our_fd = (read_fd, write_fd) if read_end_is_theirs else (write_fd, read_fd)
    theirs.callback(os.close, their_fd)
    stream = trio.lowlevel.FdStream(our_fd)
    ours.callback(stream.close)
    return their_fd, stream


def enlarge_pipes(streams: Iterable[trio.lowlevel.FdStream], octets: int) -> None:
    """Let pipes hold so much, where the system does."""
    if _F_SETPIPE_SZ is None:
        return
    for stream in streams:
        # The kernel may refuse beyond the user's allowance for pipes; the default size works too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(stream.fileno(), _F_SETPIPE_SZ, octets)
