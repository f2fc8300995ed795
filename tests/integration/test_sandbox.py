"""Guests and files that are not to be trusted, before a real supervisor."""

import hashlib
import os
import re
import signal
import subprocess
from pathlib import Path

import trio

from tests.components import build
from tests.integration.running import (
    PATIENCE_S,
    ask,
    client,
    close_code,
    share_cache,
    supervisor,
    write_manifest,
)
from tests.integration.test_check import problems, run
from tests.integration.theaterctl import actor, output
from tests.sandboxed import needs_level, probe

MAX_GROWTH_BYTES = 32 << 20
EXHAUSTING = ["spin", "recurse", "grow", "hog 300", "many 1000000", "state 20000000"]


def check(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `theater-supervise --check` with the components that were compiled before."""
    share_cache(directory / "var")
    return run(directory, "--check", *options, "manifests")


def pin(directory: Path, name: str, sha256: str) -> None:
    """Add a component's SHA-256 to a manifest."""
    path = directory / "manifests" / f"{name}.toml"
    path.write_text(f'sha256 = "{sha256}"\n{path.read_text()}')


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def test_exhaustion_stays_with_the_actor(tmp_path: Path) -> None:
    """Time, stack, memory, replies, state: each costs its own connection and nothing else."""
    write_manifest(tmp_path, "probe", "probe", "[limits]\ncall_timeout_s = 3\nmemory_mib = 256")
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running, client(running.urls["echo"]) as neighbour:
            assert await ask(neighbour, "before") == "before"
            before = peak_bytes(running.process.pid)
            for command in EXHAUSTING:
                async with client(running.urls["probe"]) as connection:
                    await connection.send_message(command)
                    assert await ask(neighbour, command) == command
                    assert await close_code(connection) == 1011
            async with client(running.urls["probe"]) as connection:
                assert await ask(connection, "still there") == "still there"
            assert peak_bytes(running.process.pid) - before < MAX_GROWTH_BYTES
            log = running.log("probe")
            (ready,) = [
                event["sandbox_level"]
                for event in running.events()
                if (event["event"], event.get("actor")) == ("worker_ready", "probe")
            ]
            assert ready == probe()["level"]
        assert "timeout on text of connection 1: no result within 3 s" in log
        assert "trap on text of connection 2: wasm trap: call stack exhausted" in log
        assert "err on text of connection 5: 1000000 replies are over the limit of 10000" in log
        assert "err on text of connection 6: a state of 20000000 bytes is over the limit of 16777216" in log

    trio.run(main)


def test_a_worker_that_breaks_out_waits_for_the_operator(tmp_path: Path) -> None:
    """It is a security event in the log; there is no second worker until the operator wants one."""
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            # What the kernel does to a locked worker that makes a forbidden call.
            os.kill(await running.next_worker("echo"), signal.SIGSYS)
            with trio.fail_after(PATIENCE_S):
                while "actor_held" not in {event["event"] for event in running.events()}:
                    await trio.sleep(0.02)
            seen = await actor(running.var, "echo", status=3)
            assert seen["state"] == "held"
            assert seen["note"].startswith("for the operator to look at; killed by SIGSYS")
            assert seen["next_try_s"] is None
            assert "nothing is tried; `theaterctl reset echo`" in await output(running.var, "explain", "echo")
            (event,) = [one for one in running.events() if one["event"] == "sandbox_violated"]
            assert (event["level"], event["actor"]) == ("critical", "echo")
            assert len(running.worker_pids("echo")) == 1
            await output(running.var, "reset", "echo")
            await running.next_worker("echo", after=1)
            async with client(running.urls["echo"]) as connection:
                assert await ask(connection, "back") == "back"

    trio.run(main)


@needs_level(2)
def test_a_required_level_that_is_there_is_enough(tmp_path: Path) -> None:
    """--check finds nothing wrong with require = 2 on a machine that has both walls."""
    write_manifest(tmp_path, "echo", "echo", "[sandbox]\nrequire = 2")
    assert check(tmp_path).returncode == 0


def test_a_pinned_component_is_served_and_another_refused(tmp_path: Path) -> None:
    """The right SHA-256 is fine; another is a problem of the manifest that says what was found."""
    found = hashlib.sha256(build("echo").read_bytes()).hexdigest()
    write_manifest(tmp_path, "echo", "echo")
    write_manifest(tmp_path, "other", "echo")
    pin(tmp_path, "echo", found)
    assert check(tmp_path).returncode == 0
    pin(tmp_path, "other", "0" * 64)
    done = check(tmp_path)
    assert done.returncode == 78
    assert problems(done) == [
        f"manifests/other.toml: sha256: {build('echo')} has another SHA-256: {found}"
        " (changed, or the manifest is out of date)"
    ]


def test_files_that_others_can_change_are_warned_about(tmp_path: Path) -> None:
    """Who can write a manifest, or replace a component, decides what runs."""
    component = tmp_path / "loose" / "echo.wasm"
    component.parent.mkdir()
    component.write_bytes(build("echo").read_bytes())
    write_manifest(tmp_path, "echo", component)
    assert "writable_by_others" not in check(tmp_path).stderr
    component.parent.chmod(0o777)
    (tmp_path / "manifests" / "echo.toml").chmod(0o666)
    (tmp_path / "var").chmod(0o777)
    warned = re.findall(r"writable_by_others +path=(\S+)", check(tmp_path).stderr)
    assert sorted(warned) == [str(component.parent), "manifests/echo.toml", "var"]


def test_the_var_directory_is_private(tmp_path: Path) -> None:
    """What is made of it is for the supervisor's user alone."""
    write_manifest(tmp_path, "core", "core")
    assert run(tmp_path, "--check", "manifests").returncode == 78
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
