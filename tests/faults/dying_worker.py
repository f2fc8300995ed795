"""A real worker that kills itself with SIGKILL at a chosen step, once for each file it is given.

Usage: python dying_worker.py STEP FILE…: while one of the files exists it is removed and the worker dies.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from theater_protocol.messages import ToWorker
from theater_worker import __main__ as worker
from theater_worker import loop
from theater_worker.component import ActorComponent


def armed() -> bool:
    """Whether this worker is to die: takes one of the files away."""
    for name in sys.argv[2:]:
        try:
            Path(name).unlink()
        except FileNotFoundError:
            continue
        return True
    return False


def die(*_: object) -> None:
    """End as nothing else does: at once."""
    # To its own thread: a locked worker cannot send a signal anywhere else.
    signal.raise_signal(signal.SIGKILL)


def before_reading() -> None:
    """Die after Ready, with deliveries in the pipe that were not read."""
    read_frames = loop._read_frames

    def reading(read_fd: int) -> Iterator[list[ToWorker]]:
        frames = read_frames(read_fd)
        yield next(frames)
        # Wait until there is something to lose, then leave the rest of it unread.
        os.read(read_fd, 1)
        die()

    loop._read_frames = reading


def mid_call() -> None:
    """Die while the actor runs."""
    ActorComponent.call = die  # type: ignore[assignment,method-assign]


def writing(share: float) -> Callable[[], None]:
    """Die after a part of the first results was written."""

    def patch() -> None:
        write_all = loop.write_all
        writes = itertools.count()

        def write(fd: int, data: bytes) -> None:
            if next(writes) == 0:
                write_all(fd, data)  # Ready
                return
            write_all(fd, data[: int(len(data) * share)])
            die()

        loop.write_all = write

    return patch


STEPS: dict[str, Callable[[], None]] = {
    "before reading": before_reading,
    "mid-call": mid_call,
    "before writing": writing(0.0),
    "half a result frame": writing(0.5),
    "all but one byte": writing(0.999),
    "after writing all of it": writing(1.0),
}

if __name__ == "__main__":
    if armed():
        STEPS[sys.argv[1]]()
    os._exit(worker.main())
