"""The two conditions that every section is measured in: a quiet machine, and one whose processors are wanted.

Only runs the neighbours; what is measured meanwhile, and what becomes of it, is for others.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final, Literal, get_args

Condition = Literal["quiet", "busy"]
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)
TITLES: Final[dict[Condition, str]] = {
    "quiet": "on a quiet machine",
    "busy": "beside one spinning process for each core",
}
_SPIN: Final = "while True: pass"


@contextlib.contextmanager
def neighbours(condition: Condition) -> Iterator[tuple[int, ...]]:
    """Keep every processor wanted until the block ends, and give the process ids; quiet, there are none.

    Each neighbour is in a session of its own, as another service would be: between sessions, and between
    control groups, the kernel shares out the processors.
    """
    with contextlib.ExitStack() as stack:
        pids = []
        for _ in range(len(os.sched_getaffinity(0)) if condition == "busy" else 0):
            spinner = subprocess.Popen([sys.executable, "-c", _SPIN], start_new_session=True)
            stack.callback(spinner.wait)
            stack.callback(spinner.kill)
            pids.append(spinner.pid)
        yield tuple(pids)
