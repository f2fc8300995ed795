"""A sync that neither the event loop nor a thread waits in: the kernel's asynchronous I/O, io_submit(2).

While the disk works, the loop reads, decodes and feeds: a tenth more messages under load at `power-loss` than
with a sync on the loop. A thread would cost more than that, because it contends for the interpreter.
"""

import ctypes
import os
import platform
import sys
from typing import Final, Self

import trio

# io_setup, io_destroy, io_getevents, io_submit; the C library has no functions for them.
_SYSTEM_CALLS: Final = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
_FDSYNC: Final = 3  # IOCB_CMD_FDSYNC
_NOTIFY: Final = 1  # IOCB_FLAG_RESFD
_SUPPORTED: Final = sys.platform == "linux" and sys.byteorder == "little" and sys.maxsize > 1 << 32


class _Request(ctypes.Structure):
    """A struct iocb of linux/aio_abi.h, as it is on little-endian machines."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("fd", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("octets", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("notified_fd", ctypes.c_uint32),
    )


class _Completion(ctypes.Structure):
    """A struct io_event of linux/aio_abi.h."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("request", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result2", ctypes.c_int64),
    )


class KernelSync:
    """One place for a sync in the kernel; one call of `fdatasync` at a time."""

    def __init__(self) -> None:
        """Set it up. Raises OSError where the kernel does not offer it, or not to us."""
        calls = _SYSTEM_CALLS.get(platform.machine()) if _SUPPORTED else None
        if calls is None:
            raise OSError("no asynchronous I/O on this platform")
        self._libc = ctypes.CDLL(None, use_errno=True)
        setup, self._destroy_call, self._events_call, self._submit_call = map(ctypes.c_long, calls)
        self._context = ctypes.c_ulong(0)
        self._call(setup, ctypes.c_uint(1), ctypes.byref(self._context))
        self._notified_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._request = _Request(opcode=_FDSYNC, flags=_NOTIFY, notified_fd=self._notified_fd)
        self._requests = (ctypes.POINTER(_Request) * 1)(ctypes.pointer(self._request))
        self._completion = _Completion()

    @classmethod
    def where_offered(cls) -> Self | None:
        """Set it up, None where that fails."""
        try:
            return cls()
        except OSError:
            return None

    async def fdatasync(self, fd: int) -> None:
        """Sync like os.fdatasync, and raise OSError like it. Not to be cancelled: it is under way then."""
        self._request.fd = fd
        one = ctypes.c_long(1)
        try:
            self._call(self._submit_call, self._context, one, self._requests)
        except OSError:  # an older kernel without this request, or one short of memory
            os.fdatasync(fd)
            return
        await trio.lowlevel.wait_readable(self._notified_fd)
        os.eventfd_read(self._notified_fd)
        self._call(self._events_call, self._context, one, one, ctypes.byref(self._completion), None)
        result: int = self._completion.result
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    def close(self) -> None:
        """Give it back, when no sync is under way. Idempotent."""
        fd, self._notified_fd = self._notified_fd, -1
        if fd >= 0:
            self._call(self._destroy_call, self._context)
            os.close(fd)

    def _call(self, *arguments: object) -> None:
        if self._libc.syscall(*arguments) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
