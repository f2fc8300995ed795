"""The log files of a running supervisor: what is in them, and what others may do to them meanwhile."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import trio

from tests.integration.running import Running, ask, client, supervisor, write_manifest

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
SECRET = "do-not-log-this-4711"

EMIT = """
import os, sys, structlog
from theater_supervisor.watch.eventlog import log_to_terminal
if len(sys.argv) > 1:
    status = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
log_to_terminal("debug")
for level in ("debug", "info", "warning", "error", "critical"):
    getattr(structlog.get_logger(), level)("worker_ended", actor="chat", reason="a\\nb")
"""


def test_the_logs_of_a_life(tmp_path: Path) -> None:
    """Every line has its form, the supervisor's are JSON; files that are taken away come back."""
    write_manifest(tmp_path, "counter", "counter")

    async def main() -> None:
        with trio.fail_after(60):
            async with supervisor(tmp_path) as running, client(running.urls["counter"]) as connection:
                assert await ask(connection, SECRET) == f"1 {SECRET}"
                await running.kill_worker("counter")
                assert await ask(connection, SECRET) == f"2 {SECRET}"
                check_forms(running)
                await check_files_come_back(running)
                assert await running.stop() == 0
                assert all(SECRET not in log.read_text() for log in (running.var / "log").iterdir())

    trio.run(main)


def check_forms(running: Running) -> None:
    """The actor's lines and the supervisor's events."""
    lines = running.log("counter").splitlines()
    assert all(re.fullmatch(rf"{STAMP} counter/[12] [EOLS] .*", line) for line in lines)
    assert re.fullmatch(rf"{STAMP} counter/1 S exited SIGKILL after \d\.\d s", lines[1])
    [ended] = [event for event in running.events() if event["event"] == "worker_ended"]
    first = running.worker_pids("counter")[0]
    assert ended.items() >= {"actor": "counter", "incarnation": 1, "pid": first, "exit": "signalled"}.items()
    assert ended.items() >= {"reason": "killed by SIGKILL", "next_try_s": 0.0, "level": "warning"}.items()


async def check_files_come_back(running: Running) -> None:
    """Removed, or moved aside and asked to be opened again: nothing is written to the old files."""
    logs = running.var / "log"
    (logs / "counter.log").unlink()
    (logs / "supervisor.log").rename(logs / "moved")
    size = (logs / "moved").stat().st_size
    running.process.send_signal(signal.SIGUSR1)
    while not (logs / "supervisor.log").exists():
        await trio.sleep(0.01)
    while not (logs / "supervisor.log").read_text().endswith("\n"):
        await trio.sleep(0.01)
    assert json.loads((logs / "supervisor.log").read_text().splitlines()[0])["event"] == "logs_reopened"
    assert (logs / "moved").stat().st_size == size
    pid = next(
        event["pid"]
        for event in map(json.loads, reversed((logs / "moved").read_text().splitlines()))
        if event["event"] == "worker_ready"
    )
    os.kill(pid, signal.SIGKILL)
    await running.logged("counter", "counter/3 S spawned pid ")
    assert "counter/2 S exited SIGKILL" in running.log("counter")


def test_events_on_stderr_have_priorities_for_journald_only() -> None:
    """<7> to <2> on every line when stderr is journald's; else the readable form with a time."""
    to_journald = subprocess.run([sys.executable, "-c", EMIT, "journald"], stderr=subprocess.PIPE, text=True)
    assert [line[:3] for line in to_journald.stderr.splitlines() if "worker_ended" in line] == [
        "<7>",
        "<6>",
        "<4>",
        "<3>",
        "<2>",
    ]
    assert all(re.match(r"<[2-7]>", line) for line in to_journald.stderr.splitlines())
    plain = subprocess.run([sys.executable, "-c", EMIT], stderr=subprocess.PIPE, text=True)
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} \[debug +\] worker_ended", plain.stderr)
