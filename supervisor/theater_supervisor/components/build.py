"""Making a component from an actor's Python source, with componentize-py in a process of its own.

A component is made when it is missing or older than what it is made of: its source, the modules beside the
source that it imports, and theater.wit. Compiling the component for this machine is compile.py's.
"""

import importlib.resources
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Final

import structlog
import trio

_BUILD_TIMEOUT_S: Final = 120.0
_SHOWN_LINES: Final = 12
# componentize-py's own command, but for the traceback of its insides when an actor can't be built.
_COMPONENTIZE: Final = """
import sys, componentize_py
try:
    componentize_py.script()
except AssertionError as error:
    sys.exit(str(error).partition("Caused by:")[0])
"""

_log = structlog.get_logger()


class BuildFailed(Exception):
    """The component could not be made; the message says why and how to mend it."""


async def build_component(source: Path, world: str, component: Path) -> None:
    """Make `component` from `source` for a world of theater.wit, unless it is newer than all it is made of.

    The old component stays until the new one is whole. Raises BuildFailed.
    """
    wit = Path(str(importlib.resources.files("theater_protocol"))) / "wit" / "theater.wit"
    if not is_stale(component, source, wit):
        return
    if importlib.util.find_spec("componentize_py") is None:
        raise BuildFailed('componentize-py is missing (install it: pip install "theater-supervise[build]")')
    _log.info("component_build_started", component=component.name, source=source.name)
    started = trio.current_time()
    unfinished = component.with_name(f".{component.name}.{os.getpid()}")
    try:
        component.parent.mkdir(parents=True, exist_ok=True)
        await _componentize(source, world, wit, unfinished)
        unfinished.replace(component)
    except OSError as error:
        raise BuildFailed(f"{component} can't be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    _log.info("component_built", component=component.name, took_s=round(trio.current_time() - started, 1))


def is_stale(component: Path, source: Path, wit: Path) -> bool:
    """Say whether a component is missing or older than its source, that source's neighbours or the WIT."""
    try:
        built_ns = component.stat().st_mtime_ns
    except OSError:
        return True
    return any(file.stat().st_mtime_ns > built_ns for file in (wit, source, *_imported_neighbours(source)))


def _imported_neighbours(source: Path) -> Iterator[Path]:
    finder = ModuleFinder(path=[str(source.parent)])
    try:
        finder.run_script(str(source))
    except SyntaxError:
        return  # the source was changed, or the build would have failed before
    files = (getattr(module, "__file__", None) for module in finder.modules.values())
    yield from (Path(file) for file in files if file)


def _command(source: Path, world: str, wit: Path, output: Path) -> list[str]:
    # -I: a module beside the source must not shadow one that componentize-py itself needs.
    return [
        *(sys.executable, "-I", "-c", _COMPONENTIZE, "--wit-path", str(wit), "--world", world),
        *("componentize", source.stem, "--output", str(output.absolute())),
    ]


async def _componentize(source: Path, world: str, wit: Path, output: Path) -> None:
    command = _command(source, world, wit, output)
    with trio.move_on_after(_BUILD_TIMEOUT_S):
        done = await trio.run_process(
            command,
            cwd=source.parent,
            env=os.environ | {"RUST_BACKTRACE": "0"},
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            raise BuildFailed(f"componentize-py failed:\n{_last_lines(done.stdout)}")
        return
    raise BuildFailed(f"componentize-py was not done after {_BUILD_TIMEOUT_S:g} s")


def _last_lines(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-_SHOWN_LINES:])
