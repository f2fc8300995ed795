"""Real workers that run native code of an attacker instead of their guest: one for each way out.

Usage: python escaping_worker.py START WALL NAME…: START is a file with a Start frame, WALL `both`, `seccomp`
or `landlock`. Each NAME gets a forked worker that is locked down by the production code, except
for the other wall. Prints `{NAME: {"level": …, "status": wait status, "said": …}}` as JSON.
"""

import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from theater_protocol.framing import FrameDecoder, encode_frame
from theater_protocol.items import all_from_worker, to_item
from theater_protocol.messages import Deliver, Ready, Reply, Result
from theater_worker import __main__ as worker
from theater_worker.component import ActorComponent, Ok
from theater_worker.sandbox import kernel, landlock, seccomp

PARENT = os.getpid()
BUFFER = ctypes.create_string_buffer(4096)
HERE = ctypes.create_string_buffer(os.fsencode(__file__))
NOWHERE = ctypes.create_string_buffer(b"/tmp/theater-escaped")
AT_FDCWD, O_CREAT = -100, 0o101
PAGE, READ, WRITE, EXEC, PRIVATE, SHARED, ANONYMOUS = 4096, 1, 2, 4, 2, 1, 32


@dataclass(frozen=True)
class Attempt:
    """One system call: its numbers (None where the architecture has none) and its arguments.

    Where the number alone decides, the arguments are such that a call that got through would do no harm.
    """

    x86_64: int | None
    aarch64: int | None
    arguments: tuple[object, ...] = ()
    by_landlock: int = 0  # from which ABI on Landlock alone refuses it as well, 0 for none

    @property
    def number(self) -> int | None:
        """The call's number on this machine."""
        return self.x86_64 if kernel.architecture() == "x86_64" else self.aarch64


def both(number: int, *arguments: object, by_landlock: int = 0) -> Attempt:
    """A call with one number everywhere, as all newer ones have."""
    return Attempt(number, number, arguments, by_landlock)


def address(family: int, port: int) -> object:
    """A socket address of 127.0.0.1."""
    raw = family.to_bytes(2, "little") + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    return ctypes.create_string_buffer(raw, 16)


SOCKET = (41, 198)
FAMILIES = {
    "unix": 1, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "can": 29, "bluetooth": 31, "alg": 38,
    "vsock": 40, "xdp": 44,
}  # fmt: skip

FILES = {
    "open": Attempt(2, None, (HERE, 0), by_landlock=1),
    "openat": Attempt(257, 56, (AT_FDCWD, HERE, 0), by_landlock=1),
    "openat for writing": Attempt(257, 56, (AT_FDCWD, NOWHERE, O_CREAT, 0o600), by_landlock=1),
    "openat2": both(437, AT_FDCWD, HERE, ctypes.create_string_buffer(24), 24, by_landlock=1),
    "mkdirat": Attempt(258, 34, (AT_FDCWD, NOWHERE, 0o700), by_landlock=1),
    "symlinkat": Attempt(266, 36, (HERE, AT_FDCWD, NOWHERE), by_landlock=1),
    "mknodat": Attempt(259, 33, (AT_FDCWD, NOWHERE, 0o010600, 0), by_landlock=1),
    "open a directory": Attempt(257, 56, (AT_FDCWD, ctypes.create_string_buffer(b"/"), 0), by_landlock=1),
    "open_by_handle_at": Attempt(304, 265, (AT_FDCWD, 0, 0)),
    "newfstatat": Attempt(262, 79, (AT_FDCWD, HERE, BUFFER, 0)),
    "statx": Attempt(332, 291, (AT_FDCWD, HERE, 0, 0, BUFFER)),
    "readlinkat": Attempt(267, 78, (AT_FDCWD, HERE, BUFFER, 100)),
    "unlinkat": Attempt(263, 35, (AT_FDCWD, NOWHERE, 0)),
    "renameat2": Attempt(316, 276, (AT_FDCWD, NOWHERE, AT_FDCWD, NOWHERE, 0)),
    "linkat": Attempt(265, 37, (AT_FDCWD, NOWHERE, AT_FDCWD, NOWHERE, 0)),
    "fchmodat": Attempt(268, 53, (AT_FDCWD, NOWHERE, 0)),
    "truncate": Attempt(76, 45, (NOWHERE, 0)),
    "inotify_init1": Attempt(294, 26, (0,)),
    "fanotify_init": Attempt(300, 262, (0, 0)),
    "chdir": Attempt(80, 49, (NOWHERE,)),
    "chroot": Attempt(161, 51, (NOWHERE,)),
    "mount": Attempt(165, 40, (0, 0, 0, 0, 0)),
    "umount2": Attempt(166, 39, (0, 0)),
    "pivot_root": Attempt(155, 41, (0, 0)),
    "fsopen": both(430, 0, 0),
    "open_tree": both(428, AT_FDCWD, 0, 0),
    "memfd_create": Attempt(319, 279, (NOWHERE, 0)),
    "memfd_secret": both(447, 0),
}
NETWORK = {
    **{f"socket of {name}": Attempt(*SOCKET, (family, 1, 0)) for name, family in FAMILIES.items()},
    "socketpair": Attempt(53, 199, (1, 1, 0, BUFFER)),
    "connect": Attempt(42, 203, (1, BUFFER, 16)),
    "bind": Attempt(49, 200, (1, BUFFER, 16)),
    "sendmsg": Attempt(46, 211, (2, 0, 0)),
}
PROCESSES = {
    "fork": Attempt(57, None),
    "vfork": Attempt(58, None),
    "clone": Attempt(56, 220, (17, 0, 0, 0, 0)),
    "clone of a thread": Attempt(56, 220, (0x50F00, 0, 0, 0, 0)),
    "clone3": both(435, 0, 0),
    "execve": Attempt(59, 221, (NOWHERE, 0, 0)),
    "execveat": Attempt(322, 281, (AT_FDCWD, NOWHERE, 0, 0, 0)),
    "ptrace": Attempt(101, 117, (16, PARENT, 0, 0)),
    "process_vm_readv": Attempt(310, 270, (PARENT, 0, 0, 0, 0, 0)),
    "process_vm_writev": Attempt(311, 271, (PARENT, 0, 0, 0, 0, 0)),
    "process_madvise": both(440, -1, 0, 0, 0, 0),
    "pidfd_open": both(434, PARENT, 0),
    "pidfd_getfd": both(438, -1, 0, 0),
    "pidfd_send_signal": both(424, -1, 0, 0, 0),
    "kill of the parent": Attempt(62, 129, (PARENT, 0), by_landlock=6),
    "kill of the group": Attempt(62, 129, (0, 0)),
    "kill of everyone": Attempt(62, 129, (-1, 0)),
    "tkill": Attempt(200, 130, (PARENT, 0)),
    "tgkill of the parent": Attempt(234, 131, (PARENT, PARENT, 0), by_landlock=6),
    "rt_sigqueueinfo": Attempt(129, 138, (PARENT, 0, BUFFER)),
    "prlimit64": Attempt(302, 261, (PARENT, 7, 0, 0)),
    "setpriority": Attempt(141, 140, (0, 0, 0)),
    "sched_setaffinity": Attempt(203, 122, (0, 0, 0)),
    "setpgid": Attempt(109, 154, (0, PARENT)),
    "kcmp": Attempt(312, 272, (PARENT, PARENT, 0, 0, 0)),
}
PRIVILEGES = {
    "setuid": Attempt(105, 146, (0,)),
    "setresuid": Attempt(117, 147, (0, 0, 0)),
    "setgid": Attempt(106, 144, (0,)),
    "capset": Attempt(126, 91, (0, 0)),
    "prctl": Attempt(157, 167, (4, 1, 0, 0, 0)),
    "seccomp": Attempt(317, 277, (2, 0, 0)),
    "personality": Attempt(135, 92, (0x0400000,)),
    "arch_prctl": Attempt(158, None, (0x1003, BUFFER)),
    "unshare": Attempt(272, 97, (0x10000000,)),
    "setns": Attempt(308, 268, (-1, 0)),
    "keyctl": Attempt(250, 219, (0, -3, 0, 0, 0)),
    "add_key": Attempt(248, 217, (0, 0, 0, 0, 0)),
    "request_key": Attempt(249, 218, (0, 0, 0, 0)),
    "bpf": Attempt(321, 280, (0, 0, 0)),
    "perf_event_open": Attempt(298, 241, (0, 0, -1, -1, 0)),
    "userfaultfd": Attempt(323, 282, (0,)),
    "io_uring_setup": both(425, 8, 0),
    "io_uring_enter": both(426, -1, 0, 0, 0, 0, 0),
    "init_module": Attempt(175, 105, (0, 0, 0)),
    "kexec_load": Attempt(246, 104, (0, 0, 0, -1)),
    "reboot": Attempt(169, 142, (0, 0, 0, 0)),
    "clock_settime": Attempt(227, 112, (0, 0)),
    "syslog": Attempt(103, 116, (99, 0, 0)),
    "iopl": Attempt(172, None, (0,)),
}
MEMORY = {
    "mmap of code": Attempt(9, 222, (0, PAGE, READ | EXEC, PRIVATE | ANONYMOUS, -1, 0)),
    "mmap of writable code": Attempt(9, 222, (0, PAGE, READ | WRITE | EXEC, PRIVATE | ANONYMOUS, -1, 0)),
    "mmap of shared memory": Attempt(9, 222, (0, PAGE, READ | WRITE, SHARED | ANONYMOUS, -1, 0)),
    "mprotect to code": Attempt(10, 226, (0, PAGE, READ | EXEC)),
    "pkey_mprotect": Attempt(329, 288, (0, PAGE, READ | EXEC, -1)),
    "madvise that poisons": Attempt(28, 233, (0, 0, 100)),
    "shmget": Attempt(29, 194, (0, PAGE, 0o1600)),
    "mq_open": Attempt(240, 180, (0, 0, 0, 0)),
}
DESCRIPTORS = {
    "read of stdin": Attempt(0, 63, (0, BUFFER, 1)),
    "read of the component": Attempt(0, 63, (3, BUFFER, 1)),
    "write to a stranger": Attempt(1, 64, (5, BUFFER, 1)),
    "writev to the way in": Attempt(20, 66, (64, 0, 0)),
    "pread64": Attempt(17, 67, (64, BUFFER, 1, 0)),
    "ioctl": Attempt(16, 29, (2, 0x5401, BUFFER)),
    "fcntl": Attempt(72, 25, (64, 3, 0)),
    "dup": Attempt(32, 23, (64,)),
    "sendfile": Attempt(40, 71, (2, 3, 0, 1)),
    "splice": Attempt(275, 76, (64, 0, 2, 0, 1, 0)),
    "epoll_create1": Attempt(291, 20, (0,)),
    "eventfd2": Attempt(290, 19, (0, 0)),
}
X32 = {
    "execve by its x32 number": Attempt(0x40000000 | 520, None, (NOWHERE, 0, 0)),
    "open by its x32 number": Attempt(0x40000000 | 2, None, (HERE, 0)),
    "read by its x32 number": Attempt(0x40000000, None, (64, BUFFER, 0)),
    "an unknown number": both(100_000),
}
HARMLESS = {"getppid": Attempt(110, 173)}
ATTEMPTS: dict[str, Attempt] = {
    name: attempt
    for group in (FILES, NETWORK, PROCESSES, PRIVILEGES, MEMORY, DESCRIPTORS, X32)
    for name, attempt in group.items()
    if attempt.number is not None
}


def escape(name: str) -> Callable[..., Ok]:
    """Make what replaces ActorComponent.call: the attempt, and as a reply how the kernel answered."""
    attempt = {**ATTEMPTS, **HARMLESS}[name]

    def call(*_: object) -> Ok:
        assert attempt.number is not None
        try:
            said = f"done: {kernel.syscall(attempt.number, *attempt.arguments)}"
        except OSError as exc:
            said = errno.errorcode.get(exc.errno or 0, str(exc.errno))
        return Ok(None, (Reply("text", said),))

    return call


def run(name: str, start: bytes) -> dict[str, object]:
    """Fork a worker, let it try, and report its end."""
    frames = start + encode_frame(to_item(Deliver(1, 1, "connect", 0, None)))
    to_worker, from_pipe = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(to_worker[0], 0)
        os.dup2(from_pipe[1], 1)
        ActorComponent.call = escape(name)  # type: ignore[method-assign]
        os._exit(worker.main())
    os.close(to_worker[0])
    os.close(from_pipe[1])
    os.write(to_worker[1], frames)
    os.close(to_worker[1])
    decoder, seen = FrameDecoder(), []
    while data := os.read(from_pipe[0], 65536):
        seen += all_from_worker(decoder.feed(data))
    os.close(from_pipe[0])
    _, status = os.waitpid(pid, 0)
    levels = [frame.sandbox_level for frame in seen if isinstance(frame, Ready)]
    replies = [frame.replies[0].payload for frame in seen if isinstance(frame, Result)]
    return {"level": levels[0] if levels else None, "status": status, "said": replies[0] if replies else None}


def main(start_file: str, wall: str, *names: str) -> None:
    """Try all of them, one after the other."""
    if wall == "landlock":
        seccomp.install = lambda *_: False
    if wall == "seccomp":
        landlock.deny_all = lambda: False
    start = Path(start_file).read_bytes()
    print(json.dumps({name: run(name, start) for name in names}))


if __name__ == "__main__":
    main(*sys.argv[1:])
