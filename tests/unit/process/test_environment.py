"""What children see of the supervisor's environment, in which services are handed their secrets."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from theater_supervisor.components import build, compile
from theater_supervisor.components.build import BuildFailed
from theater_supervisor.components.compile import ComponentRefused
from theater_supervisor.components.record import BuiltFrom
from theater_supervisor.ctl import examination
from theater_supervisor.process.containment import probe_sandbox
from theater_supervisor.process.environment import bare_environment
from theater_supervisor.process.spawn import spawn
from theater_supervisor.process.template import Template

PATIENCE_S = 30.0


async def compile_one(child: Path, tmp_path: Path) -> None:
    """Have a component compiled by the child."""
    with pytest.raises(ComponentRefused):
        await compile.compile_component(tmp_path / "a.wasm", tmp_path)


async def build_one(child: Path, tmp_path: Path) -> None:
    """Have a component built by the child."""
    source, built_from = tmp_path / "a.py", BuiltFrom(bytes(32), bytes(32))
    with pytest.raises(BuildFailed):
        await build.build_component(source, "websocket-actor", tmp_path / "a.wasm", built_from, PATIENCE_S)


async def probe(child: Path, tmp_path: Path) -> None:
    """Have the sandbox probed by the child."""
    await probe_sandbox([str(child)])


async def examine(child: Path, tmp_path: Path) -> None:
    """Have `theaterctl doctor` start the child."""
    await trio.to_thread.run_sync(examination.check_worker, tmp_path)


async def start_worker(child: Path, tmp_path: Path) -> None:
    """Start the child as a worker."""
    async with spawn([str(child)]) as worker:
        await worker.wait()


async def start_template(child: Path, tmp_path: Path) -> None:
    """Start the child as the template."""
    template = Template([str(child)])
    await template.start()
    while not (tmp_path / "done").exists():
        await trio.sleep(0.01)
    await template.aclose()


@pytest.mark.parametrize(
    "start",
    [compile_one, build_one, probe, examine, start_worker, start_template],
    ids=lambda one: one.__name__,
)
def test_no_child_sees_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[Path, Path], Awaitable[None]]
) -> None:
    """A token in the environment is not in that of any process that is started."""
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\n: > {tmp_path}/done\nexit 1\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    monkeypatch.setenv("THEATER_TOKEN", "a-secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/needed")

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            await start(child, tmp_path)

    trio.run(main)
    seen = (tmp_path / "seen").read_text()
    assert "LD_LIBRARY_PATH=/opt/needed" in seen
    assert "a-secret" not in seen
    names = {line.partition("=")[0] for line in seen.splitlines()}
    # The shell sets these itself.
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} <= {*bare_environment("TMPDIR"), "PATH", "RUST_BACKTRACE"}


def test_an_interpreter_starts_with_it() -> None:
    """It is enough for this one, and for its encoding to be UTF-8."""
    code = "import os, sys; print(len(os.environ), sys.getfilesystemencoding())"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], env=bare_environment(), capture_output=True, text=True, check=True
    )
    count, encoding = done.stdout.split()
    assert (int(count) <= len(bare_environment()) + 1, encoding) == (True, "utf-8")
    with contextlib.suppress(KeyError):
        assert bare_environment("HOME")["HOME"] == os.environ["HOME"]
