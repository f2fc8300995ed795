"""Making a component from an actor's Python source, with componentize-py in a process of its own.

A component is made when it is missing or was made of something else: sources.py has what it is made of now,
record.py what it was made of. Times of files say nothing here. Compiling the component for this machine is
compile.py's.
"""

import hashlib
import importlib.metadata
import importlib.resources
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import structlog
import trio

from theater_supervisor.components.record import BuiltFrom, append_record, read_record
from theater_supervisor.components.sources import Sources, installed_packages, read_sources
from theater_supervisor.process.environment import bare_environment

_SHOWN_LINES: Final = 12
_EXTRA: Final = "; extra =="
# componentize-py's own command, but for the traceback of its insides when an actor can't be built.
_COMPONENTIZE: Final = """
import sys, componentize_py
try:
    componentize_py.script()
except AssertionError as error:
    sys.exit(str(error).partition("Caused by:")[0])
"""
# componentize-py asks programs that it finds there where Python's packages are; it is told instead.
_NO_PROGRAMS: Final = "/nonexistent"

_log = structlog.get_logger()


class BuildFailed(Exception):
    """The component could not be made; the message says why and how to mend it, `key` where in [build]."""

    def __init__(self, message: str, key: str = "python") -> None:
        super().__init__(message)
        self.key = key


def wit_file() -> Path:
    """Return the interface that components are built for."""
    return Path(str(importlib.resources.files("theater_protocol"))) / "wit" / "theater.wit"


def made_of(sources: Sources, world: str) -> BuiltFrom:
    """Say what a component for a world of theater.wit would be built from now."""
    wit_sha256 = hashlib.sha256(wit_file().read_bytes()).digest()
    return BuiltFrom(hashlib.sha256(world.encode() + b"\0" + sources.sha256).digest(), wit_sha256)


def must_build(component: Path, source: Path, world: str) -> BuiltFrom | None:
    """Return what the component is to be built from, None when it stays as it is.

    Blocking. Without componentize-py one that may be right stays, with a warning. Raises BuildFailed when it
    is missing or made of other sources then, or when a source is no Python.
    """
    sources = read_sources(source)
    if sources.faults:
        raise BuildFailed("; ".join(map(str, sources.faults)))
    now, before = made_of(sources, world), None
    try:
        before = read_record(component)
    except FileNotFoundError:
        why = "is missing"
    except OSError as error:
        raise BuildFailed(f"{component} can't be read: {error.strerror}") from error
    else:
        if before == now:
            return None
        why = _difference(before, now)
    if _can_build():
        return now
    if why == "is missing" or (before and before.sources != now.sources):
        raise BuildFailed(f"{component} {why}, and componentize-py is missing ({_advice()})")
    _log.warning("component_not_rebuilt", component=component.name, reason=f"it {why}", advice=_advice())
    return None


def _difference(before: BuiltFrom | None, now: BuiltFrom) -> str:
    if before is None:
        return "does not say what it was built from"
    if before.sources != now.sources:
        return "was built from other sources"
    return "was built for another theater.wit"


async def build_component(
    source: Path, world: str, component: Path, built_from: BuiltFrom, timeout_s: float
) -> None:
    """Make `component` from `source` for a world of theater.wit, within `timeout_s`.

    The old component stays until the new one is whole. Raises BuildFailed.
    """
    _log.info("component_build_started", component=component.name, source=source.name)
    started = trio.current_time()
    unfinished = component.with_name(f".{component.name}.{os.getpid()}")
    try:
        component.parent.mkdir(parents=True, exist_ok=True)
        await _componentize(source, world, unfinished, timeout_s)
        append_record(unfinished, built_from)
        unfinished.replace(component)
    except OSError as error:
        raise BuildFailed(f"{component} can't be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    _log.info("component_built", component=component.name, took_s=round(trio.current_time() - started, 1))


def _can_build() -> bool:
    return importlib.util.find_spec("componentize_py") is not None


def _advice() -> str:
    """Say how to install componentize-py in the version that pyproject.toml names, beside this supervisor."""
    requirements = importlib.metadata.requires("theater-supervise") or []
    wanted = next(one for one in requirements if one.startswith("componentize-py"))
    return f"install it: {sys.executable} -m pip install '{wanted.partition(_EXTRA)[0]}'"


def _command(source: Path, world: str, output: Path) -> list[str]:
    paths = [part for path in (source.parent.absolute(), *installed_packages()) for part in ("-p", str(path))]
    # -I: a module beside the source must not shadow one that componentize-py itself needs.
    return [
        *(sys.executable, "-I", "-c", _COMPONENTIZE, "--wit-path", str(wit_file()), "--world", world),
        *("componentize", source.stem, *paths, "--output", str(output.absolute())),
    ]


async def _componentize(source: Path, world: str, output: Path, timeout_s: float) -> None:
    environment = bare_environment("TMPDIR") | {"RUST_BACKTRACE": "0", "PATH": _NO_PROGRAMS}
    with trio.move_on_after(timeout_s):
        done = await trio.run_process(
            _command(source, world, output),
            cwd=source.parent,
            env=environment,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            raise BuildFailed(f"componentize-py failed:\n{_last_lines(done.stdout)}")
        return
    raise BuildFailed(
        f"componentize-py was not done after {timeout_s:g} s (allow more, if the source is right)",
        "timeout_s",
    )


def _last_lines(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-_SHOWN_LINES:])
