"""Workers forked from the template: the supervisor's own children, locked in like those started afresh."""

import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.unit.worker.process import start_frame
from theater_protocol.messages import Ready, Start
from theater_supervisor.actor.link import Link
from theater_supervisor.process import spawn as process
from theater_supervisor.process import template
from theater_supervisor.process.spawn import WorkerProcess, spawn
from theater_supervisor.process.template import Template, current_template, forking

PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


@pytest.fixture(scope="module")
def start() -> Start:
    """The first frame for a worker."""
    return start_frame("echo")


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario that must not hang."""

    async def bounded() -> None:
        with trio.fail_after(PATIENCE_S):
            await scenario()

    trio.run(bounded)


async def ready(worker: WorkerProcess, start: Start) -> None:
    """Start the actor and wait until it is ready."""
    link = Link(worker.stdin, worker.stdout, start.limits)
    assert await link.send([start])
    assert isinstance((await link.receive())[0], Ready)


def circumstances(pid: int) -> Iterator[str]:
    """What holds a process, as the kernel says it."""
    proc = Path("/proc", str(pid))
    yield from re.findall(
        r"^(?:[UG]id|Groups|Umask|Sig|Cap|NoNew|Seccomp|Threads).*", proc.joinpath("status").read_text(), re.M
    )
    yield proc.joinpath("limits").read_text()
    yield proc.joinpath("oom_score_adj").read_text()
    yield f"leads its group: {os.getpgid(pid) == pid}"
    yield f"is in our session: {os.getsid(pid) == os.getsid(0)}"
    yield f"has no terminal: {proc.joinpath('stat').read_text().rpartition(')')[2].split()[4] == '0'}"
    if os.geteuid() == 0:  # an undumpable process's files are root's
        yield proc.joinpath("environ").read_text()
        yield str(proc.joinpath("cwd").readlink())
        yield from sorted(fd.name for fd in proc.joinpath("fd").iterdir())


def parent(pid: int) -> int:
    """The parent's process id."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_forked_worker_is_held_like_one_started_afresh(start: Start) -> None:
    """Privileges, filters, limits, signals, descriptors: nothing tells the two apart."""

    async def scenario() -> None:
        async with spawn() as afresh, forking(), spawn() as forked:
            await ready(afresh, start)
            await ready(forked, start)
            assert list(circumstances(forked.pid)) == list(circumstances(afresh.pid))
            running = current_template()
            assert running is not None
            assert parent(forked.pid) == os.getpid() != running.pid

    run(scenario)


def libraries(pid: int) -> str:
    """Where the process's first library lies."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(line.partition("-")[0] for line in maps if ".so" in line)


@pytest.mark.skipif(os.geteuid() != 0, reason="an undumpable process's files are root's")
def test_a_fresh_worker_lies_at_addresses_of_its_own(start: Start) -> None:
    """Forked ones lie where the template does; one that is wanted fresh is not forked from it."""

    async def scenario() -> None:
        async with forking(), spawn() as one, spawn() as other, spawn(fresh=True) as fresh:
            for worker in (one, other, fresh):
                await ready(worker, start)
            assert libraries(one.pid) == libraries(other.pid) != libraries(fresh.pid)

    run(scenario)


@pytest.mark.parametrize(
    ("end", "returncode"),
    [
        (lambda worker: os.kill(worker.pid, signal.SIGKILL), -signal.SIGKILL),
        (lambda worker: worker.kill(), -signal.SIGKILL),
        (lambda worker: worker.terminate(), -signal.SIGTERM),
    ],
    ids=["killed by another", "killed", "terminated"],
)
def test_a_forked_workers_end_is_known(
    start: Start, end: Callable[[WorkerProcess], None], returncode: int
) -> None:
    """Its exit status comes to whoever waits, and nothing of it is left."""

    async def scenario() -> None:
        async with forking(), spawn() as worker:
            await ready(worker, start)
            assert worker.returncode is None
            end(worker)
            assert await worker.wait() == worker.returncode == returncode
            with pytest.raises(ProcessLookupError):
                os.kill(worker.pid, 0)

    run(scenario)


def test_a_forked_worker_ends_with_its_pipe(start: Start) -> None:
    """Its exit status is its own, and the template's pipes do not keep it alive."""

    async def scenario() -> None:
        async with forking(), spawn() as worker:
            await ready(worker, start)
            await worker.stdin.aclose()
            assert await worker.wait() == 0

    run(scenario)


def test_a_dead_template_is_replaced(start: Start) -> None:
    """The worker that is wanted meanwhile is started afresh, the next one is forked again."""

    async def scenario() -> None:
        async with forking(), spawn() as first:
            running = current_template()
            assert running is not None
            assert running.pid is not None
            os.kill(running.pid, signal.SIGKILL)
            async with spawn() as second:
                assert running.pid is None
                async with spawn() as third:
                    assert running.pid is not None
                    for worker in (first, second, third):
                        await ready(worker, start)

    run(scenario)


@pytest.mark.parametrize(
    "program",
    ["", "import os; os.read(0, 1); os.write(0, b'nonsense')", "import os; os.read(0, 1); os.write(0, b'')"],
    ids=["ends", "talks nonsense", "says nothing"],
)
def test_a_template_that_never_worked_is_not_tried_again(
    start: Start, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers are started afresh then."""

    async def scenario() -> None:
        useless = Template((sys.executable, "-c", program))
        monkeypatch.setattr(process, "current_template", lambda: useless)
        for _ in range(2):
            async with spawn() as worker:
                assert useless.pid is None
                await ready(worker, start)

    run(scenario)


def test_without_pidfds_there_is_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old kernel, or a container that forbids them, costs speed only."""

    def refuse(pid: int) -> int:
        raise OSError

    async def scenario() -> None:
        monkeypatch.setattr(template.os, "pidfd_open", refuse)
        async with forking():
            assert current_template() is None

    run(scenario)
