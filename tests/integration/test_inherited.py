"""What a supervisor has from its parent, and when signals come: neither spoils it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.integration.running import PATIENCE_S, Running, ask, client, supervisor, write_manifest
from tests.integration.theaterctl import until_ready

COMMAND = str(Path(sys.executable).with_name("theater-supervise"))
# Sets what a child inherits, then becomes the rest of its arguments.
PARENT = """
import os, resource, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
os.umask(0o777)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_what_a_parent_ignores_and_blocks_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers start and are replaced; files can be read by their owner; HUP and TERM do their work."""
    write_manifest(tmp_path, "echo", "echo")
    script = tmp_path / "theater-supervise"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PARENT}' {COMMAND} \"$@\"\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # its neighbour is what is run

    async def main() -> None:
        async with supervisor(tmp_path) as running, client(running.urls["echo"]) as connection:
            assert await ask(connection, "one") == "one"
            await running.kill_worker("echo")
            assert await ask(connection, "two") == "two"
            running.process.send_signal(signal.SIGHUP)
            with trio.fail_after(PATIENCE_S):
                while not any(event["event"] == "reloaded" for event in running.events()):
                    await trio.sleep(0.02)
            assert (running.var / "log").stat().st_mode & 0o777 == 0o700
            assert (running.var / "data/echo/journal.db").stat().st_mode & 0o777 == 0o600
            assert await running.stop() == 0

    trio.run(main)


def test_many_hang_ups_are_one_and_a_stop_comes_first(tmp_path: Path) -> None:
    """Of a hundred before a stop few are begun, and none after it."""
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            await until_ready(running.var)
            for _ in range(100):
                running.process.send_signal(signal.SIGHUP)
                await trio.sleep(0.002)
            assert await running.stop() == 0
            names = [event["event"] for event in running.events()]
            assert names.count("reloaded") + names.count("reload_refused") < 50
            assert "reloaded" not in names[names.index("stopping") :]

    trio.run(main)


def test_removed_places_are_made_anew(tmp_path: Path) -> None:
    """As tmp cleaners do: theaterctl works again, a second supervisor is refused, logs go on."""
    write_manifest(tmp_path, "probe", "probe")

    async def anew(running: Running) -> None:
        with trio.fail_after(PATIENCE_S):
            names = ("run/control.sock", "run/supervisor.lock", "run/status.json")
            while not all((running.var / name).exists() for name in names):
                await trio.sleep(0.02)

    async def main() -> None:
        async with supervisor(tmp_path) as running, client(running.urls["probe"]) as connection:
            await until_ready(running.var)
            shutil.rmtree(running.var / "run")
            shutil.rmtree(running.var / "log")
            await anew(running)
            await connection.send_message("log still here")
            await running.logged("probe", "still here")
            await until_ready(running.var)
            second = await trio.run_process(
                [COMMAND, "--var", str(running.var), str(tmp_path / "manifests")],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
            assert second.returncode == 75
            assert f"pid {running.process.pid}, works on" in second.stderr.decode()
            assert await running.stop() == 0

    trio.run(main)


def stopped(tmp_path: Path, when: Callable[[int], bool], signum: int = signal.SIGTERM) -> tuple[int, str]:
    """Start a supervisor and signal it as soon as `when` says so of its pid; return its status and stderr."""
    process = subprocess.Popen(
        [COMMAND, "--var", str(tmp_path / "var"), str(tmp_path / "manifests")], stderr=subprocess.PIPE
    )
    with process:
        until_s = time.monotonic() + PATIENCE_S
        while not when(process.pid) and process.poll() is None and time.monotonic() < until_s:
            time.sleep(0.001)
        process.send_signal(signum)
        _, said = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said.decode()


def catches(pid: int) -> bool:
    """Say whether a process has a handler for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
    return bool(mask >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
@pytest.mark.parametrize("later_s", [0.0, 0.3], ids=["at once", "while importing"])
def test_a_stop_in_the_first_second_is_a_clean_stop(tmp_path: Path, signum: int, later_s: float) -> None:
    """From the first instruction that is ours: status 0, no traceback."""
    write_manifest(tmp_path, "echo", "echo")

    def begun(pid: int) -> bool:
        if not catches(pid):
            return False
        time.sleep(later_s)
        return True

    status, said = stopped(tmp_path, begun, signum)
    assert status == 0, said
    assert "Traceback" not in said
    assert (
        json.loads((tmp_path / "var/log/supervisor.log").read_text().splitlines()[-1])["event"] == "stopped"
    )


def test_a_var_that_is_no_text_is_named(tmp_path: Path) -> None:
    """Its name is escaped; nothing is made."""
    write_manifest(tmp_path, "echo", "echo")
    var = tmp_path / os.fsdecode(b"v\xffr")
    done = subprocess.run(
        [COMMAND, "--var", str(var), str(tmp_path / "manifests")], capture_output=True, check=False
    )
    assert done.returncode == 73
    assert rb"v\udcffr: is not UTF-8" in done.stderr
    assert not var.exists()


def test_manifests_and_components_with_any_name_are_served(tmp_path: Path) -> None:
    """Bytes that are no text do not matter in names that are only read."""
    directory = tmp_path / os.fsdecode(b"\xff")
    directory.mkdir()
    write_manifest(directory, "echo", "echo")
    manifest = directory / "manifests" / "echo.toml"
    manifest.rename(manifest.with_name(os.fsdecode(b"\xfe.toml")))
    moved = tmp_path / "plain"
    moved.mkdir()

    async def main() -> None:
        (moved / "manifests").symlink_to(directory / "manifests")
        async with supervisor(moved) as running, client(running.urls["echo"]) as connection:
            assert await ask(connection, "hello") == "hello"
            assert await running.stop() == 0

    trio.run(main)
