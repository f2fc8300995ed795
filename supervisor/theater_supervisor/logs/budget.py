"""What all log files of a supervisor may take together on the disk.

Rotated files are removed, the oldest first, whoever they belong to; the files being written stay, and get
shorter when there are many of them.
"""

import contextlib
from pathlib import Path
from typing import Final

from theater_supervisor.logs.rotation import RotatingFile, is_rotated

_ROTATED: Final = "*.log.[0-9]*"
_CURRENT: Final = "*.log"
# A file grows to twice its limit at most; half of the whole is kept for what is rotated.
_RESERVE: Final = 2
_SHARES: Final = 2 * _RESERVE


class LogBudget:
    """Keeps the logs in `directory` below `total_bytes`, however many files are written there."""

    def __init__(self, directory: Path, total_bytes: int) -> None:
        self._directory = directory
        self._total_bytes = total_bytes
        self._files: dict[Path, RotatingFile] = {}

    def join(self, file: RotatingFile) -> None:
        """Take a file into the account."""
        self._files[file.path] = file
        self.make_room()

    def leave(self, file: RotatingFile) -> None:
        """Strike a file that is closed."""
        self._files.pop(file.path, None)

    def share_bytes(self) -> int:
        """Return how long one file may get before it is rotated."""
        return self._total_bytes // (_SHARES * max(1, len(self._files)))

    def make_room(self) -> None:
        """Remove the oldest rotated files, as many as are too much. One that can't be removed stays."""
        left_bytes = self._total_bytes - sum(_RESERVE * file.limit_bytes for file in self._files.values())
        for path in self._directory.glob(_CURRENT):
            if path not in self._files:
                left_bytes -= _size_and_age(path)[0]
        rotated = {path: _size_and_age(path) for path in self._directory.glob(_ROTATED) if is_rotated(path)}
        for path, (size, _) in sorted(rotated.items(), key=lambda item: -item[1][1]):
            left_bytes -= size
            if left_bytes < 0:
                with contextlib.suppress(OSError):
                    path.unlink()


def _size_and_age(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
