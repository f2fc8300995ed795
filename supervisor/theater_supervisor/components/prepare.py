"""Getting every actor's component ready to run, before anything is served: built, compiled and found to fit.

What is wrong with any of them is collected as problems of their manifests.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
import trio

from theater_supervisor.components.build import BuildFailed, build_component
from theater_supervisor.components.compile import Compiled, ComponentRefused, compile_component
from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.process.containment import check_sandbox

_log = structlog.get_logger()

_VAR_PARTS: Final = ("data", "log", "run")
_AT_ONCE: Final = os.cpu_count() or 1


async def prepare(manifests: Sequence[Manifest], cache_dir: Path) -> dict[str, Compiled]:
    """Build what has a [build] and is missing or old, then compile all components.

    Returns the compiled components by actor name. Raises ManifestError with the problems of all of them, and
    SandboxMissing when this machine cannot lock the workers in as required. Warns of files that others can
    change.
    """
    await check_sandbox(max((manifest.sandbox.require for manifest in manifests), default=0))
    _warn_of_writable(manifests, cache_dir.parent)
    compiled: dict[str, Compiled] = {}
    problems: list[Problem] = []
    limiter = trio.CapacityLimiter(_AT_ONCE)
    # A component that several actors share is built and compiled once.
    sharing: dict[Path, list[Manifest]] = {}
    for manifest in manifests:
        sharing.setdefault(manifest.component_path, []).append(manifest)

    async def prepare_component(users: list[Manifest]) -> None:
        async with limiter:
            try:
                result = await _prepare_one(users, cache_dir)
            except ManifestError as error:
                problems.extend(error.problems)
            else:
                compiled.update((manifest.name, result) for manifest in users)

    async with trio.open_nursery() as nursery:
        for users in sharing.values():
            nursery.start_soon(prepare_component, users)
    problems += (problem for manifest in manifests for problem in _unlike_pinned(manifest, compiled))
    if problems:
        raise ManifestError(sorted(problems, key=lambda problem: problem.file))
    return compiled


def _warn_of_writable(manifests: Sequence[Manifest], var: Path) -> None:
    places = {var, *(var / part for part in _VAR_PARTS)}
    places.update(place for manifest in manifests for place in _places(manifest))
    for path in sorted(filter(_is_writable_by_others, places)):
        _log.warning("writable_by_others", path=str(path))


def _places(manifest: Manifest) -> Iterator[Path]:
    """Yield the files that decide over the actor's code, and where they are."""
    sources = [manifest.build.python] if manifest.build else []
    for path in (manifest.file, manifest.component_path, *sources):
        yield from (path, path.parent)


def _is_writable_by_others(place: Path) -> bool:
    """Say whether every user of the machine can change it."""
    try:
        mode = place.stat().st_mode
    except OSError:
        return False
    # In a sticky directory, such as /tmp, only a file's owner can replace it.
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _unlike_pinned(manifest: Manifest, compiled: Mapping[str, Compiled]) -> Iterator[Problem]:
    found = compiled.get(manifest.name)
    if manifest.sha256 and found and found.component_sha256.hex() != manifest.sha256:
        what = f"{manifest.component_path} has another SHA-256: {found.component_sha256.hex()}"
        yield Problem(str(manifest.file), "sha256", what, "changed, or the manifest is out of date")


async def _prepare_one(users: list[Manifest], cache_dir: Path) -> Compiled:
    maker = next((manifest for manifest in users if manifest.build), users[0])
    file, component = str(maker.file), maker.component_path
    try:
        if maker.build:
            await build_component(maker.build.python, maker.build.world, component)
        return await compile_component(component, cache_dir)
    except BuildFailed as error:
        raise ManifestError([Problem(file, "build.python", str(error))]) from error
    except ComponentRefused as error:
        problems = [Problem(file, "component_path", f"{component} {what}") for what in error.problems]
        raise ManifestError(problems) from error
