"""The sandbox: what its filter lets pass, and what a started worker has given up."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandboxed import needs_level, probe
from tests.unit.worker.process import WorkerProcess, deliver, start_frame, texts
from theater_worker.sandbox import seccomp
from theater_worker.sandbox.kernel import Architecture
from theater_worker.sandbox.seccomp import Allowed, OneOf, Without

PID, READ_FD, WRITE_FDS = 4711, 64, (1, 2, 65)
TABLE = seccomp.allowed(READ_FD, WRITE_FDS, PID)
MACHINES: dict[Architecture, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
KILL, ALLOW = 0x80000000, 0x7FFF0000


def judge(machine: Architecture, number: int, arguments: tuple[int, ...], arch: int | None = None) -> int:
    """Run the filter over one system call, as the kernel would."""
    octets = number.to_bytes(4, "little") + (MACHINES[machine] if arch is None else arch).to_bytes(
        4, "little"
    )
    octets += bytes(8) + b"".join(argument.to_bytes(8, "little") for argument in arguments)
    program, at, loaded = seccomp.assemble(TABLE, machine), 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                loaded = int.from_bytes(octets[operand : operand + 4], "little")
            case 0x15:
                at += if_true if loaded == operand else if_false
            case 0x45:
                at += if_true if loaded & operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


def fitting(call: Allowed) -> list[tuple[int, ...]]:
    """Arguments that pass the call's checks: every permitted value once."""
    sets = [[0] * 6]
    for check in call.checks:
        if isinstance(check, OneOf):
            sets = [
                [*given[: check.argument], value, *given[check.argument + 1 :]]
                for given in sets
                for value in check.values
            ]
    return [tuple(given) for given in sets]


def number_of(call: Allowed, machine: Architecture) -> int:
    """The call's number on a machine."""
    return call.x86_64 if machine == "x86_64" else call.aarch64


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_lets_the_table_pass_and_nothing_else(machine: Architecture) -> None:
    """Of all numbers, those of the table are allowed; x32 numbers, unknown ones and all others kill."""
    allowed = {number_of(call, machine): call for call in TABLE}
    assert len(allowed) == len(TABLE)
    for number in (*range(600), *(0x40000000 | number for number in range(600)), 0xFFFFFFFF):
        call = allowed.get(number)
        for arguments in fitting(call) if call else [(0,) * 6]:
            assert judge(machine, number, arguments) == (ALLOW if call else KILL), number


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("call", [call for call in TABLE if call.checks], ids=lambda call: call.name)
def test_a_check_that_fails_kills(call: Allowed, machine: Architecture) -> None:
    """An allowed call with another argument than its table entry says is as bad as a forbidden one."""
    good = fitting(call)[0]
    for check in call.checks:
        bad = list(good)
        bad[check.argument] = check.bits if isinstance(check, Without) else 3
        assert judge(machine, number_of(call, machine), tuple(bad)) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architectures_calls_kill(machine: Architecture) -> None:
    """i386's `int 0x80` has numbers of its own, so the architecture is looked at first."""
    assert judge(machine, 0, (READ_FD, 0, 0, 0, 0, 0), arch=0x40000003) == KILL


def test_only_the_lower_half_of_a_descriptor_counts() -> None:
    """The kernel ignores the upper 32 bits of a descriptor, and so does the filter."""
    assert judge("x86_64", 0, (1 << 32 | READ_FD, 0, 0, 0, 0, 0)) == ALLOW


@needs_level(2)
def test_a_ready_worker_has_given_up_what_it_does_not_need() -> None:
    """Every thread is filtered, without privileges, with small limits; four descriptors and the component."""
    with WorkerProcess() as worker:
        ready = worker.start(start_frame("echo"))
        proc = Path("/proc") / str(worker.process.pid)
        tasks = [(task / "status").read_text() for task in (proc / "task").iterdir()]
        limits = (proc / "limits").read_text()
        descriptors = {path.name for path in (proc / "fd").iterdir()}
        oom_score = (proc / "oom_score_adj").read_text()
        directory = (proc / "cwd").readlink()
        worker.stop()
    assert ready.sandbox_level == 2
    assert len(tasks) == 2
    for line in ("Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Umask:\t0077"):
        assert all(line in status for status in tasks), line
    for name in ("Max core file size", "Max file size", "Max processes"):
        assert f"{name:<26}0" in limits
    assert descriptors - {"0", "1", "2", "64", "65"} <= {"3", "4"}
    assert oom_score.strip() == "800"
    assert str(directory) == "/"


@needs_level(2)
def test_everything_a_guest_does_works_locked() -> None:
    """Traps, time limits, growth, fresh instances, logs, failures of the worker's own: nothing is missed."""
    with WorkerProcess() as worker:
        worker.start(start_frame("probe"))
        commands = [
            "hello",
            "trap",
            "grow",
            "hog 40",
            "recurse",
            "state 200000",
            "badutf8",
            "many 3000",
            "log x",
        ]
        outcomes = [result.outcome for result in worker.results(texts(*commands))]
        assert outcomes == ["ok", "trap", "trap", "ok", "trap", "ok", "trap", "ok", "ok"]
        assert worker.result(deliver(100, "binary", bytes(100_000))).outcome == "ok"
        worker.stop()


def test_the_probe_says_what_holds() -> None:
    """One JSON object, whose level follows from its parts."""
    report = probe()
    assert set(report) == {"level", "seccomp", "landlock_abi", "architecture"}
    assert report["level"] == (2 if report["landlock_abi"] else 1) * int(report["seccomp"] is True)


ON_A_TERMINAL = """
import os, pty, sys
from theater_worker.sandbox import tidy_up

pid, _ = pty.fork()
if pid:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
if os.fork():  # a session's leader keeps its terminal; a worker never is one
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
os.close(os.open("/dev/tty", os.O_RDWR))
tidy_up()
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError:
    os._exit(42)
"""


def test_a_worker_gives_up_the_terminal_that_the_supervisor_was_started_from() -> None:
    """It is in the supervisor's session; nobody types into a terminal what an actor wants."""
    assert subprocess.run([sys.executable, "-c", ON_A_TERMINAL], timeout=60, check=False).returncode == 42
