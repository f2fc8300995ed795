"""What is behind the supervisor's standard streams does not matter: it serves, reloads and stops."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from tests.integration.running import PATIENCE_S, ask, client, share_cache, write_manifest

TIME_LIMIT_S = 100
COMMAND = str(Path(sys.executable).with_name("theater-supervise"))


def full_pipe(stack: ExitStack) -> int:
    """Return a pipe's end that can't be written to, because nobody reads."""
    read_fd, write_fd = os.pipe()
    stack.callback(os.close, read_fd)
    stack.callback(os.close, write_fd)
    fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write_fd, False)
    try:
        while True:
            os.write(write_fd, bytes(1024))
    except BlockingIOError:
        os.set_blocking(write_fd, True)
    return write_fd


def broken_pipe(stack: ExitStack) -> int:
    """Return a pipe's end whose reader has gone."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    stack.callback(os.close, write_fd)
    return write_fd


def full_disk(stack: ExitStack) -> int:
    """Return a file that has no room."""
    fd = os.open("/dev/full", os.O_WRONLY)
    stack.callback(os.close, fd)
    return fd


STREAMS = {"not read": full_pipe, "reader gone": broken_pipe, "disk full": full_disk}


async def listening(var: Path, name: str) -> str:
    """Wait until an actor is served; return where."""
    log = var / "log" / "supervisor.log"
    with trio.fail_after(TIME_LIMIT_S):
        while True:
            for line in log.read_text().splitlines() if log.exists() else []:
                event = json.loads(line)
                if event["event"] == "listening" and event["actor"] == name:
                    return str(event["url"])
            await trio.sleep(0.05)


@pytest.mark.parametrize("stream", [*STREAMS, "missing"])
def test_clients_are_served_whatever_is_behind_the_streams(tmp_path: Path, stream: str) -> None:
    """An open connection stays through newcomers and an applied reload, and SIGTERM ends it all with 0."""
    write_manifest(tmp_path, "echo", "echo")
    var = tmp_path / "var"
    share_cache(var)

    async def main() -> None:
        with ExitStack() as stack:
            fd = STREAMS[stream](stack) if stream in STREAMS else None
            closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"] if stream == "missing" else []
            command = [*closed, COMMAND, "--var", str(var), str(tmp_path / "manifests")]
            process = await trio.lowlevel.open_process(command, stdout=fd, stderr=fd)
            stack.callback(process.kill)
            async with client(await listening(var, "echo")) as connection:
                assert await ask(connection, "before") == "before"
                write_manifest(tmp_path, "second", "echo")
                process.send_signal(signal.SIGHUP)
                async with client(await listening(var, "second")) as other:
                    assert await ask(other, "new") == "new"
                assert await ask(connection, "after") == "after"
                process.send_signal(signal.SIGTERM)
            with trio.fail_after(PATIENCE_S):
                assert await process.wait() == 0

    trio.run(main)


@pytest.mark.parametrize(
    ("arguments", "behind", "status"),
    [
        (["--check", "manifests"], ">/dev/full 2>/dev/full", 0),
        (["--check", "nothing"], ">&- 2>&-", 78),
        (["nothing"], ">/dev/full 2>/dev/full", 78),
        (["--help"], ">/dev/full", 74),
        (["--no-such"], "2>&-", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value).replace("/", " "),
)
def test_a_command_ends_with_its_status_whatever_is_behind_the_streams(
    tmp_path: Path, arguments: list[str], behind: str, status: int
) -> None:
    """Only help that can't be read has one of its own."""
    write_manifest(tmp_path, "echo", "echo")
    share_cache(tmp_path / "var")
    command = ["sh", "-c", f'exec "$@" {behind}', "sh", COMMAND, *arguments]
    done = subprocess.run(command, cwd=tmp_path, check=False, timeout=TIME_LIMIT_S)
    assert done.returncode == status


def test_what_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    """Also where that is ASCII, whatever a name is made of; the bytes of a name that are no text, too."""
    directory = tmp_path / "m\u00e4nner"
    directory.mkdir()
    (directory / os.fsdecode(b"\xff.toml")).write_text("name = 1")
    environment = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [COMMAND, "--check", str(directory)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        timeout=TIME_LIMIT_S,
    )
    assert done.returncode == 78
    assert b"Traceback" not in done.stderr
    assert re.search(rb"m\\udcc3\\udca4nner/\\udcff\.toml: name: ", done.stderr)
