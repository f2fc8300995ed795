"""A real supervisor that runs out of file descriptors, or would."""

import resource
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from tests.integration.running import PATIENCE_S, Running, ask, client, supervisor, write_manifest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of a running process are Linux's")


async def happened(running: Running, event: str) -> None:
    """Wait until the log has an event."""
    while not any(line["event"] == event for line in running.events()):
        await trio.sleep(0.02)


def test_a_supervisor_without_descriptors_goes_on(tmp_path: Path) -> None:
    """Who is connected is served; newcomers are as soon as there are descriptors again."""

    async def main() -> None:
        with trio.fail_after(2 * PATIENCE_S):
            async with supervisor(tmp_path) as running, client(running.urls["echo"]) as connection:
                assert await ask(connection, "before") == "before"
                pid, port = running.process.pid, urlsplit(running.urls["echo"]).port
                assert port is not None
                taken = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (taken + 2, hard))
                crowd = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(10)]
                await happened(running, "accept_failed")
                await happened(running, "status_not_written")
                assert await ask(connection, "meanwhile") == "meanwhile"
                for stream in crowd:
                    await stream.aclose()
                async with client(running.urls["echo"]) as newcomer:
                    assert await ask(newcomer, "after") == "after"

    write_manifest(tmp_path, "echo", "echo")
    trio.run(main)


def test_connections_that_can_not_all_be_open_are_refused_at_start(tmp_path: Path) -> None:
    """With what is needed, what is allowed, and how to allow it."""
    write_manifest(tmp_path, "echo", "echo", max_connections=5000)
    command = Path(sys.executable).with_name("theater-supervise")
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)); os.execv"
    done = subprocess.run(
        [sys.executable, "-c", f"{limited}(sys.argv[1], sys.argv[1:])", command, "manifests"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 78
    assert "file descriptors, and 512 are allowed: lower max_connections, or raise the limit" in done.stderr
