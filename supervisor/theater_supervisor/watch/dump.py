"""What the supervisor's tasks and threads are doing, for the log: names and lines of code, no values."""

import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Final

import trio

MAX_TASKS: Final = 500


def tasks() -> list[str]:
    """Return the tree of trio's tasks, one line each, with where each of them waits."""
    root = trio.lowlevel.current_root_task()
    lines = list(_walk(root, 0)) if root is not None else []
    more = len(lines) - MAX_TASKS
    return lines if more <= 0 else [*lines[:MAX_TASKS], f"… and {more} more"]


def threads() -> dict[str, list[str]]:
    """Return the stack of every thread, innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        names.get(ident, str(ident)): [_place(frame.filename, frame.lineno, frame.name) for frame in stack]
        for ident, stack in (
            (ident, traceback.extract_stack(frame)) for ident, frame in sys._current_frames().items()
        )
    }


def _walk(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    frames = [(frame.f_code, line) for frame, line in task.iter_await_frames()]
    stack = [_place(code.co_filename, line, code.co_name) for code, line in frames]
    yield f"{'  ' * depth}{task.name}: {' > '.join(stack)}"
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda one: one.name):
            yield from _walk(child, depth + 1)


def _place(file: str, line: int | None, function: str) -> str:
    return f"{function} ({'/'.join(file.rsplit('/', 2)[-2:])}:{line})"
