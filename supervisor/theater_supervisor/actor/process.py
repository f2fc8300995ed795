"""One worker process and its three pipes.

Spawns, signals and reaps; it knows nothing of frames or of what the worker does. Trio's process support is
used without PR_SET_PDEATHSIG: that follows the spawning thread, and trio's threads come and go.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence

import trio

# Without -I a file of that name in the current directory would be run instead.
WORKER_COMMAND = (sys.executable, "-I", "-m", "theater_worker")
PIPE_BYTES = 256 * 1024
_REAP_TIMEOUT_S = 5.0
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class WorkerProcess:
    """A running worker: `stdin` and `stdout` carry the wire, `stderr` its log lines."""

    def __init__(self, process: trio.Process) -> None:
        if process.stderr is None:
            raise ValueError("a worker needs all three pipes")
        self.signalled = False  # by kill or terminate
        self._process = process
        self.stdin = _pipe(process.stdin)
        self.stdout = _pipe(process.stdout)
        self.stderr = process.stderr

    @property
    def pid(self) -> int:
        """The process id, which is the id of the worker's session and group too."""
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


@contextlib.asynccontextmanager
async def spawn(command: Sequence[str] = WORKER_COMMAND) -> AsyncIterator[WorkerProcess]:
    """Start a worker and give it; leaving the block kills it if it still runs, and reaps it.

    Raises OSError when the host cannot start a process.
    """
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
        env=_environment(),
    )
    worker = WorkerProcess(process)
    try:
        _enlarge_pipes(worker)
        yield worker
    finally:
        worker.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _REAP_TIMEOUT_S):
            await worker.wait()
        for stream in (worker.stdin, worker.stdout, worker.stderr):
            await trio.aclose_forcefully(stream)


def _pipe(stream: object) -> trio.lowlevel.FdStream:
    if not isinstance(stream, trio.lowlevel.FdStream):
        raise TypeError(f"a worker's wire must be a pipe, not {stream!r}")
    return stream


def _environment() -> dict[str, str]:
    # An interpreter outside the system's directories may need its library path to start at all.
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return {"LC_ALL": "C.UTF-8", **kept}


def _enlarge_pipes(worker: WorkerProcess) -> None:
    if _F_SETPIPE_SZ is None:
        return
    for stream in (worker.stdin, worker.stdout):
        # The kernel may refuse beyond the user's allowance for pipes; the default size works too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(stream.fileno(), _F_SETPIPE_SZ, PIPE_BYTES)
