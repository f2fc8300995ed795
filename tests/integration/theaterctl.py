"""Running `theaterctl` in tests: its own `main` in a thread of this process, which is quick."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from theater_supervisor.ctl.client import ask
from theater_supervisor.ctl.main import main

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit status, and what it wrote where."""

    status: int
    out: str
    err: str


async def run(var: Path, *arguments: str, status: int = 0) -> Done:
    """Run a command on a var directory; assert its exit status."""
    with trio.fail_after(PATIENCE_S):
        done = await trio.to_thread.run_sync(_run, ["--var", str(var), *arguments])
    assert done.status == status, done
    return done


async def output(var: Path, *arguments: str, status: int = 0) -> str:
    """Return what a command prints."""
    return (await run(var, *arguments, status=status)).out


async def objects(var: Path, *arguments: str, status: int = 0) -> Any:  # noqa: ANN401
    """Return what a command prints with --json: one JSON value."""
    return json.loads(await output(var, *arguments, "--json", status=status))


async def complaint(var: Path, *arguments: str, status: int) -> str:
    """Return what a command that fails says."""
    return (await run(var, *arguments, status=status)).err


async def actor(var: Path, name: str, status: int = 0) -> dict[str, Any]:
    """Return what `status` says of one actor."""
    (seen,) = (await objects(var, "status", name, status=status))["actors"]
    return dict(seen)


async def until_ready(var: Path) -> None:
    """Wait until the supervisor answers and every actor that should be is ready."""
    with trio.fail_after(PATIENCE_S):
        while not (var / "run" / "control.sock").exists() or ask(var, "status").status:
            await trio.sleep(0.02)


def _run(arguments: list[str]) -> Done:
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            status = ended.code
    return Done(status if isinstance(status, int) else 0, out.getvalue(), err.getvalue())
