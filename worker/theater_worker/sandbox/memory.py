"""Memory that can be written and run: found in the process's own map, and taken away before it is locked.

ctypes keeps the code of callbacks, which wasmtime's Python interface has, in such a page (libffi's closures);
or maps it twice, once to write and once to run. Afterwards no callback can be made or given back, so the
process must not take its modules apart at its end. Linux only; source: proc_pid_maps(5).
"""

import ctypes
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAPS: Final = Path("/proc/self/maps")
_PROT_READ: Final = 1
_PROT_EXEC: Final = 4
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A line of the map.

    `file` is the device and inode of what is mapped, None for anonymous memory; `is_stack` is so for the
    process's stack and heap, which have to be written.
    """

    start: int
    end: int
    permissions: str
    file: str | None = None
    is_stack: bool = False

    @property
    def is_writable(self) -> bool:
        """Whether it can be written."""
        return self.permissions[1] == "w"

    @property
    def is_executable(self) -> bool:
        """Whether it can be run."""
        return self.permissions[2] == "x"

    @property
    def is_shared(self) -> bool:
        """Whether what is written shows in other mappings of the file."""
        return self.permissions[3] == "s"


def take_code_writing_away() -> bool:
    """Make all memory that can be run unwritable; return whether none is left.

    False too where the map can't be read, or the stack can be run: that of threads to come could be, too.
    Call it when all callbacks have been made.
    """
    try:
        for mapping in dangerous(_mappings()):
            if not mapping.is_stack:
                _protect(mapping, _PROT_READ | (_PROT_EXEC if mapping.is_executable else 0))
        return not list(dangerous(_mappings()))
    except OSError:  # no Linux, or no /proc
        return False


def dangerous(mappings: Iterable[Mapping]) -> Iterator[Mapping]:
    """Yield what can be written and run, and what is written to be run elsewhere."""
    mappings = list(mappings)
    run = {mapping.file for mapping in mappings if mapping.is_executable and mapping.file}
    for mapping in mappings:
        if mapping.is_writable and (mapping.is_executable or (mapping.is_shared and mapping.file in run)):
            yield mapping


def parse(maps: str) -> Iterator[Mapping]:
    """Read the text of /proc/PID/maps."""
    for line in maps.splitlines():
        addresses, permissions, _offset, device, inode, *path = line.split(maxsplit=5)
        start, _, end = addresses.partition("-")
        file = None if inode == "0" else f"{device} {inode}"
        is_stack = bool(path) and path[0].startswith(("[stack", "[heap"))
        yield Mapping(int(start, 16), int(end, 16), permissions, file, is_stack)


def _mappings() -> Iterator[Mapping]:
    return parse(_MAPS.read_text(errors="surrogateescape"))


def _protect(mapping: Mapping, protection: int) -> None:
    size = mapping.end - mapping.start
    if _LIBC.mprotect(ctypes.c_void_p(mapping.start), ctypes.c_size_t(size), ctypes.c_int(protection)):
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
