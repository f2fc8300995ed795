"""Errors that end the worker, each with its exit status (sysexits.h).

Nothing here is raised for one delivery: what a guest does in a call is an outcome, not an error.
A protocol error of the supervisor ends the worker with 76 (EX_PROTOCOL), a vanished supervisor with 74
(EX_IOERR); their classes are elsewhere.
"""

from typing import Final

EX_SOFTWARE: Final = 70
EX_IOERR: Final = 74
EX_PROTOCOL: Final = 76


class WorkerError(Exception):
    """The worker cannot go on; the message is one line for the operator."""

    exit_status = EX_SOFTWARE


class ComponentError(WorkerError):
    """The component cannot be loaded or instantiated, or does not fit the interface."""

    exit_status = 65  # EX_DATAERR


class UnreadableError(WorkerError):
    """The component's file or its compiled code cannot be read."""

    exit_status = 66  # EX_NOINPUT
