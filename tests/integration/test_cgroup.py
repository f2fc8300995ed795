"""Control groups for workers, by a kernel that keeps their limits."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.integration.running import ask, client, close_code, supervisor, write_manifest
from theater_supervisor.process.cgroup import own_group

LIMIT_MIB = 80


@pytest.fixture
def delegated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A group with the memory controller that supervisors are started in from here on."""
    mount = own_group("0::/\n", Path("/proc/self/mountinfo").read_text())
    group = (mount or Path("/nowhere")) / f"theater-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("there is no cgroup v2 tree that can be written")
    try:
        if "memory" not in (group / "cgroup.controllers").read_text().split():
            pytest.skip("the cgroup v2 tree has no memory controller to give")

        def enter() -> None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

        started_inside = partial(trio.lowlevel.open_process, preexec_fn=enter)
        monkeypatch.setattr(trio.lowlevel, "open_process", started_inside)
        yield group
    finally:
        # After a failure there may be groups in it, of processes that are about to end.
        with contextlib.suppress(OSError):
            group.rmdir()


def groups(delegated: Path) -> set[str]:
    """The groups that there are in it."""
    return {path.name for path in delegated.iterdir() if path.is_dir()}


def test_the_kernel_keeps_a_worker_s_limits(tmp_path: Path, delegated: Path) -> None:
    """Over memory.max only that worker is killed, and said to be; every group goes with its process."""
    limits = f"[limits]\nmemory_mib = 1024\nrss_mib = {LIMIT_MIB * 4 // 5}\ncall_timeout_s = 20"
    write_manifest(tmp_path, "hog", "probe", limits)
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running, client(running.urls["echo"]) as neighbour:
            pids = [await running.next_worker(actor) for actor in ("hog", "echo")]
            assert groups(delegated) == {"supervisor", "hog.1", "echo.1"}
            hog = delegated / "hog.1"
            assert (hog / "memory.max").read_text() == f"{LIMIT_MIB << 20}\n"
            assert (hog / "pids.max").read_text() == "32\n"
            assert (hog / "cgroup.procs").read_text().split() == [str(pids[0])]
            async with client(running.urls["hog"]) as connection:
                await connection.send_message("hog 300")
                assert await close_code(connection) == 1011
            assert await ask(neighbour, "still there") == "still there"
            assert running.worker_pids("echo") == [pids[1]]
            await running.stop()
            words = f"out of memory, of which its control group may have {LIMIT_MIB} MiB"
            assert words in running.log("hog")
        assert groups(delegated) == set()

    trio.run(main)
