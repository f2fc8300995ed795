"""What a process has from its parent, set to what this one relies on; and signals before anybody serves them.

The first of our code that runs: nothing is imported here that opens a file or starts a thread. What signals
mean once there is a supervisor is control/operate.py's.
"""

import os
import signal
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT})

_SHELLS_SIGNALLED: Final = 128
_OTHERS_WRITE: Final = 0o022
_OWNER: Final = 0o700

_noted: list[int] = []


def set_right() -> None:
    """Let children be waited for, no signal be blocked, and files be the owner's to use and to write.

    Children inherit all of it. A terminal does not stop who writes to it in the background.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask((os.umask(_OTHERS_WRITE) | _OTHERS_WRITE) & ~_OWNER)


def note_signals() -> None:
    """Note signals from now on, for who takes over; a second one that asks for a stop ends the process."""
    for signum in SIGNALS:
        signal.signal(signum, _note)


def take_noted() -> list[int]:
    """Return the signals that came and nobody has taken yet, in their order."""
    taken = _noted[:]
    del _noted[: len(taken)]
    return taken


def _note(signum: int, _frame: FrameType | None) -> None:
    if signum in STOPS and STOPS.intersection(_noted):
        os._exit(_SHELLS_SIGNALLED + signum)  # nothing is held yet that would have to be given back
    if signum not in _noted:
        _noted.append(signum)
