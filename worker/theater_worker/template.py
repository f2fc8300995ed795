"""`python -I -m theater_worker.template`: a process with everything imported, which forks workers.

Importing is nearly all of a worker's start, and most of its memory; forked workers skip the one and share the
other. There is no engine, no thread and nothing of an actor here. stdin is a Unix socket: each message brings
a worker's stdin, stdout and stderr as descriptors, the answer is `pid errno` in decimal digits. The worker
becomes a child of the template's parent, which must be a subreaper, prctl(2). Ends with the socket.
"""

import gc
import os
import signal
import socket
from typing import Final, Never

from theater_worker.__main__ import main
from theater_worker.errors import EX_SOFTWARE

_STANDARD_FDS: Final = 3


def serve(requests: socket.socket) -> None:
    """Fork a worker for each request, until there are no more."""
    while True:
        data, fds, _, _ = socket.recv_fds(requests, 1, _STANDARD_FDS)
        if not data:
            return
        try:
            pid, errno = _fork_away(fds), 0
        except OSError as exc:
            pid, errno = 0, exc.errno or 0
        for fd in fds:
            os.close(fd)
        requests.sendall(b"%d %d" % (pid, errno))


def _fork_away(fds: list[int]) -> int:
    """Fork a worker that is not this process's child any more when this returns; return its pid."""
    read_fd, write_fd = os.pipe()
    with open(read_fd, "rb") as report:  # noqa: PTH123 - a descriptor
        between = os.fork()
        if between == 0:
            _fork_worker(fds, write_fd)
        os.close(write_fd)
        os.waitpid(between, 0)
        pid, errno = map(int, report.read().split())
    if errno:
        raise OSError(errno, os.strerror(errno))
    return pid


def _fork_worker(fds: list[int], report_fd: int) -> Never:
    """Fork the worker, report its pid and end, so that it is orphaned."""
    try:
        try:
            pid, errno = os.fork(), 0
        except OSError as exc:
            pid, errno = -1, exc.errno or 0
        if pid == 0:
            _become_worker(fds)
        os.write(report_fd, b"%d %d" % (pid, errno))
    finally:
        os._exit(0)


def _become_worker(fds: list[int]) -> Never:
    status = EX_SOFTWARE
    try:
        os.setpgid(0, 0)
        for standard_fd, fd in enumerate(fds):
            os.dup2(fd, standard_fd)
        status = main()
    finally:
        os._exit(status)


if __name__ == "__main__":
    # Ctrl-C in a terminal is the supervisor's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    # A collection in a worker would write to every object's page, which then is shared no more.
    gc.freeze()
    serve(socket.socket(fileno=os.dup(0)))
