"""Compiling a component for this machine, and finding out whether it is an actor, in a process of its own.

The process is the worker package's, since that is where wasmtime lives; it keeps what it compiled in a cache.
Only its verdict comes back here.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import trio
from pydantic import BaseModel, ConfigDict, ValidationError

from theater_supervisor.process.environment import bare_environment

COMPILE_TIMEOUT_S: Final = 900.0
_NOTICEABLE_S: Final = 1.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A component that fits: its compiled form's file in the cache, and the component's SHA-256."""

    path: Path
    component_sha256: bytes


class ComponentRefused(Exception):
    """The file is no component that can run here; `problems` says why, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Verdict(BaseModel):
    """The one line of JSON that theater_worker.compile prints."""

    model_config = ConfigDict(strict=True)

    component_sha256: str | None
    compiled_path: str | None
    problems: list[str]


async def compile_component(component: Path, cache_dir: Path) -> Compiled:
    """Compile a component into the cache, or find it there. Raises ComponentRefused."""
    command = [sys.executable, "-I", "-m", "theater_worker.compile", str(cache_dir), str(component)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show_progress, component.name)
        with trio.move_on_after(COMPILE_TIMEOUT_S) as deadline:
            done = await trio.run_process(
                command, env=bare_environment(), capture_stdout=True, capture_stderr=True, check=False
            )
        nursery.cancel_scope.cancel()
    if deadline.cancelled_caught:
        raise ComponentRefused([f"was not compiled within {COMPILE_TIMEOUT_S:g} s"])
    return _read_verdict(done.stdout, done.stderr, done.returncode)


async def _show_progress(name: str) -> None:
    await trio.sleep(_NOTICEABLE_S)
    _log.info("component_compile_started", component=name)


def _read_verdict(stdout: bytes, stderr: bytes, status: int) -> Compiled:
    try:
        verdict = _Verdict.model_validate_json(stdout)
    except ValidationError:
        last_words = stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise ComponentRefused([f"could not be compiled (status {status}): {last_words}"]) from None
    if verdict.problems or verdict.compiled_path is None or verdict.component_sha256 is None:
        raise ComponentRefused(verdict.problems or [f"could not be compiled (status {status})"])
    return Compiled(Path(verdict.compiled_path), bytes.fromhex(verdict.component_sha256))
