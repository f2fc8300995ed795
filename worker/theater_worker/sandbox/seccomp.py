"""seccomp: the system calls a locked worker may still make; any other one kills the process.

ALLOWED is the whole policy: each call with its number on both architectures, and why it is needed. It was
found by tracing workers through traps, time limits, memory growth, fresh instances, and their end. A filter
is classic BPF over `struct seccomp_data`; source: seccomp(2), linux/seccomp.h, linux/filter.h.
"""

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from theater_worker.sandbox.kernel import Architecture, architecture, forbid_new_privileges, syscall


@dataclass(frozen=True, slots=True)
class OneOf:
    """The argument's lower 32 bits, all that the kernel reads of it, are one of these."""

    argument: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """The argument has none of these bits."""

    argument: int
    bits: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """A call that may be made if its arguments pass every check."""

    name: str
    x86_64: int
    aarch64: int
    why: str
    checks: tuple[OneOf | Without, ...] = ()


_MAP_SHARED: Final = 0x01
_PROT_EXEC: Final = 0x04
_MADV_DONTNEED: Final = 4
_MADV_FREE: Final = 8
_SIG_SETS: Final = "signals are masked while a thread ends or the process aborts"


def allowed(read_fd: int, write_fds: tuple[int, ...], pid: int) -> tuple[Allowed, ...]:
    """Return the calls that the worker `pid` needs, whose wire and log are these descriptors."""
    readable, writable = OneOf(0, (read_fd,)), OneOf(0, write_fds)
    no_code, own = Without(2, _PROT_EXEC), OneOf(0, (pid,))
    return (
        Allowed("read", 0, 63, "frames from the supervisor", (readable,)),
        Allowed("write", 1, 64, "results and log lines", (writable,)),
        Allowed("futex", 202, 98, "the interpreter's locks between the two threads"),
        Allowed("clock_nanosleep", 230, 115, "the time limit's thread waits"),
        Allowed("getppid", 110, 173, "the time limit's thread looks whether the supervisor is there"),
        Allowed(
            "mmap", 9, 222, "memory for guests and objects, never code", (no_code, Without(3, _MAP_SHARED))
        ),
        Allowed("mprotect", 10, 226, "memory.grow opens reserved pages, never as code", (no_code,)),
        Allowed("munmap", 11, 215, "memory is given back; an instance's end"),
        Allowed("mremap", 25, 216, "large objects grow and shrink in place"),
        Allowed("brk", 12, 214, "the C library's heap"),
        Allowed("madvise", 28, 233, "pages are given back", (OneOf(2, (_MADV_DONTNEED, _MADV_FREE)),)),
        Allowed("rt_sigreturn", 15, 139, "a trap's signal handler returns"),
        Allowed("sigaltstack", 131, 132, "wasmtime handles stack overflow on a stack of its own"),
        Allowed("rt_sigprocmask", 14, 135, _SIG_SETS),
        Allowed("rt_sigaction", 13, 134, "wasmtime hands faults outside of a guest back to the kernel"),
        Allowed("restart_syscall", 219, 128, "a wait goes on after SIGSTOP and SIGCONT"),
        Allowed("clock_gettime", 228, 113, "the clock, where the kernel's page does not show it"),
        Allowed("gettimeofday", 96, 169, "the clock, where the kernel's page does not show it"),
        Allowed("getrandom", 318, 278, "hash seeds of the runtime's tables"),
        Allowed("sched_yield", 24, 124, "locks that spin before they wait"),
        Allowed("close", 3, 57, "the compiled component's file at the end"),
        Allowed("getpid", 39, 172, "abort(3) names its own process"),
        Allowed("gettid", 186, 178, "abort(3) names its own thread"),
        Allowed("tgkill", 234, 131, "abort(3) ends this process, and reaches no other", (own,)),
        Allowed("writev", 20, 66, "the C library's last words before it aborts", (writable,)),
        Allowed("exit", 60, 93, "a thread ends"),
        Allowed("exit_group", 231, 94, "the process ends"),
    )


_AUDIT_ARCH: Final[dict[Architecture, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP: Final[dict[Architecture, int]] = {"x86_64": 317, "aarch64": 277}

_SET_MODE_FILTER: Final = 1
_FLAG_TSYNC: Final = 1
_KILL_PROCESS: Final = 0x80000000
_ALLOW: Final = 0x7FFF0000

_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def assemble(calls: Sequence[Allowed], machine: Architecture) -> list[Instruction]:
    """Return the filter: kill for another architecture and for every call that is not in `calls`.

    x32 calls on x86_64 have numbers of their own (bit 30), which are in no table.
    """
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for call in calls:
        body = [*_checks(call), (_RETURN, 0, 0, _ALLOW)]
        number = call.x86_64 if machine == "x86_64" else call.aarch64
        program += [(_JUMP_EQUAL, 0, len(body), number), *body]
    return [*program, (_RETURN, 0, 0, _KILL_PROCESS)]


def install(read_fd: int, write_fds: tuple[int, ...]) -> bool:
    """Hold every thread of this process to the allowed calls, for good; False where that is impossible."""
    machine = architecture()
    if machine is None:
        return False
    program = assemble(allowed(read_fd, write_fds, os.getpid()), machine)
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    try:
        forbid_new_privileges()
        # With TSYNC the result is the id of a thread that could not be held, which none may be.
        filter_ = ctypes.byref(_Program(len(program), packed))
        return syscall(_SECCOMP[machine], _SET_MODE_FILTER, _FLAG_TSYNC, filter_) == 0
    except OSError:
        return False


def _checks(call: Allowed) -> Iterator[Instruction]:
    for check in call.checks:
        # Little-endian: an argument's lower half comes first.
        yield (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * check.argument)
        match check:
            case OneOf(_, values):
                for left, value in zip(reversed(range(len(values))), values, strict=True):
                    yield (_JUMP_EQUAL, left + 1, 0, value)
            case Without(_, bits):
                yield (_JUMP_ANY_BIT, 0, 1, bits)
        yield (_RETURN, 0, 0, _KILL_PROCESS)
