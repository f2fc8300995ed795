"""A sync that neither the event loop nor a thread waits in: the kernel's asynchronous I/O, io_submit(2).

While the disk works, the loop reads, decodes and feeds: a tenth more messages under load at `power-loss` than
with a sync on the loop. A thread would cost more than that, because it contends for the interpreter. And one
that the caller waits in without letting its processor fall asleep.
"""

import ctypes
import os
import platform
import sys
import time
from contextlib import suppress
from typing import Final, Self

import trio

# io_setup, io_destroy, io_getevents, io_submit; the C library has no functions for them.
_SYSTEM_CALLS: Final = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
_FDSYNC: Final = 3  # IOCB_CMD_FDSYNC
_NOTIFY: Final = 1  # IOCB_FLAG_RESFD
# struct aio_ring, which the kernel shows at the context's address: the words there, and two of them.
_RING_WORDS, _HEAD, _TAIL, _MAGIC = 8, 2, 3, 4
_RING_MAGIC: Final = 0xA10A10A1
_AWAKE_S: Final = 0.001
_ONE: Final = ctypes.c_long(1)
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
        self._plain = _Request(opcode=_FDSYNC)
        self._plains = (ctypes.POINTER(_Request) * 1)(ctypes.pointer(self._plain))
        words = (ctypes.c_uint32 * _RING_WORDS).from_address(self._context.value)
        self._ring = memoryview(words).cast("B").cast("I")

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
        if self._submit(fd, self._requests):
            await trio.lowlevel.wait_readable(self._notified_fd)
            os.eventfd_read(self._notified_fd)
            self._complete()

    def fdatasync_awake(self, fd: int) -> None:
        """Sync like os.fdatasync, and raise OSError like it, with the processor awake for a millisecond.

        One that falls asleep in a virtual machine takes 50 µs and more to be back, and so does whoever is to
        run on it next. It is left to others in each round: the kernel syncs on the same one.
        """
        self._plain.fd = fd
        if self._submit(fd, self._plains):
            until_s = time.perf_counter() + _AWAKE_S
            while self._is_under_way() and time.perf_counter() < until_s:
                os.sched_yield()
            self._complete()

    def _is_under_way(self) -> bool:
        # On a kernel whose ring is another, nothing seems to be: then the next call waits for it.
        return self._ring[_HEAD] == self._ring[_TAIL] and self._ring[_MAGIC] == _RING_MAGIC

    def _submit(self, fd: int, requests: "ctypes.Array[ctypes._Pointer[_Request]]") -> bool:
        """Ask the kernel; False where it refused and the sync was done here instead."""
        try:
            self._call(self._submit_call, self._context, _ONE, requests)
        except OSError:  # an older kernel without this request, or one short of memory
            os.fdatasync(fd)
            return False
        return True

    def _complete(self) -> None:
        """Wait for the end, and raise what the sync came to."""
        ended = False
        while not ended:
            with suppress(InterruptedError):  # by a signal, whose handler runs later
                self._call(self._events_call, self._context, _ONE, _ONE, ctypes.byref(self._completion), None)
                ended = True
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
