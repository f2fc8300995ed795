"""The supervisor as a process: its signals, what it tells systemd, and the files it leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from tests.integration.running import PATIENCE_S, Running, ask, client, supervisor, write_manifest
from tests.integration.theaterctl import until_ready

TIME_LIMIT_S = 100
SPINNING_BUILD = """
name = "slow"
component_path = "slow.wasm"
[build]
python = "slow.py"
[[handlers]]
type = "websocket-server"
config = { port = 0 }
"""


async def event(running: Running, name: str) -> dict[str, object]:
    """Wait until the supervisor has logged an event of that name; return it."""
    with trio.fail_after(PATIENCE_S):
        while not (found := [one for one in running.events() if one["event"] == name]):
            await trio.sleep(0.02)
    return found[-1]


def test_usr1_and_usr2(tmp_path: Path) -> None:
    """USR1: logs that were moved away are begun anew. USR2: state, tasks and threads are in the log."""
    write_manifest(tmp_path, "probe", "probe")

    async def main() -> None:
        async with supervisor(tmp_path) as running, client(running.urls["probe"]) as connection:
            await until_ready(running.var)
            logs = running.var / "log"
            for name in ("probe", "supervisor"):
                (logs / f"{name}.log").rename(logs / f"{name}.moved")
            running.process.send_signal(signal.SIGUSR1)
            with trio.fail_after(PATIENCE_S):
                while not (logs / "supervisor.log").exists():
                    await trio.sleep(0.02)
            await event(running, "logs_reopened")
            await connection.send_message("log secret-free")
            await running.logged("probe", "secret-free")
            running.process.send_signal(signal.SIGUSR2)
            state, tasks = await event(running, "state_dumped"), await event(running, "tasks_dumped")
            assert json.dumps(state).count('"name": "probe"') == 1
            assert any("Incarnation" in line for line in tasks["tasks"])  # type: ignore[attr-defined]
            assert any("MainThread" in name for name in tasks["threads"])  # type: ignore[attr-defined]
            assert await ask(connection, "still there") == "still there"
            assert await running.stop(signal.SIGINT) == 0

    trio.run(main)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_stop_while_components_are_built(tmp_path: Path, signum: signal.Signals) -> None:
    """Before anything is served a signal ends the start: status 0, no process left, no port, no socket."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "slow.toml").write_text(SPINNING_BUILD)
    (manifests / "slow.py").write_text("import time\ntime.sleep(600)\n")
    command = Path(sys.executable).with_name("theater-supervise")
    var = tmp_path / "var"
    process = subprocess.Popen(
        [command, "--var", str(var), "manifests"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            if "component_build_started" in line:
                break
        process.send_signal(signum)
        process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    assert not (var / "run" / "control.sock").exists()
    listed = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True)
    assert str(tmp_path) not in listed.stdout


def test_what_systemd_hears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY once it serves, WATCHDOG while the loop is healthy, RELOADING and READY, STOPPING."""
    write_manifest(tmp_path, "echo", "echo")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = f"\0theater-{os.getpid()}"
        manager.bind(address)
        manager.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{address[1:]}")
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        heard: list[str] = []

        async def until(wanted: str) -> None:
            while not heard or wanted not in heard[-1]:
                heard.append((await trio.to_thread.run_sync(manager.recv, 4096)).decode())

        async def main() -> None:
            with trio.fail_after(TIME_LIMIT_S):
                async with supervisor(tmp_path) as running:
                    await until("READY=1")
                    assert heard[-1].startswith("READY=1\nSTATUS=serving: ")
                    await until("WATCHDOG=1")
                    await until("STATUS=serving: 1 of 1 actors ready, 0 connections")
                    running.process.send_signal(signal.SIGHUP)
                    await until("RELOADING=1\nMONOTONIC_USEC=")
                    await until("READY=1")
                    running.process.terminate()
                    await until("STOPPING=1")
                    assert await running.process.wait() == 0

        trio.run(main)


def test_a_late_loop_is_seen(tmp_path: Path) -> None:
    """A supervisor that SIGSTOP held up says how late it was, and that it is not any more."""
    write_manifest(tmp_path, "echo", "echo")
    status = tmp_path / "var" / "run" / "status.json"

    async def main() -> None:
        with trio.fail_after(TIME_LIMIT_S):
            async with supervisor(tmp_path) as running:
                await until_ready(running.var)
                running.process.send_signal(signal.SIGSTOP)
                await trio.sleep(2.5)
                running.process.send_signal(signal.SIGCONT)
                while json.loads(status.read_text())["loop_lag_ms"] < 1000:
                    await trio.sleep(0.02)
                while json.loads(status.read_text())["loop_lag_ms"] > 1000:
                    await trio.sleep(0.02)

    trio.run(main)


def test_the_status_file_is_whole_at_any_moment(tmp_path: Path) -> None:
    """Read as fast as possible while it is written every second: always JSON, with what theaterctl says."""
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            await until_ready(running.var)
            status = running.var / "run" / "status.json"
            seen: set[int] = set()
            with trio.fail_after(TIME_LIMIT_S):
                while len(seen) < 3:
                    read = json.loads(status.read_bytes())
                    assert [actor["name"] for actor in read["actors"]] == ["echo"]
                    seen.add(read["at_us"])
                    await trio.lowlevel.checkpoint()
            assert sorted(path.name for path in (running.var / "run").iterdir()) == [
                "control.sock",
                "status.json",
                "supervisor.lock",
            ]

    trio.run(main)
