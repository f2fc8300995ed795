"""Getting every actor's component ready to run, before anything is served: built, compiled and found to fit.

What is wrong with any of them is collected as problems of their manifests.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import trio

from theater_supervisor.components.build import BuildFailed, build_component, must_build
from theater_supervisor.components.compile import (
    COMPILE_TIMEOUT_S,
    Compiled,
    ComponentRefused,
    compile_component,
)
from theater_supervisor.components.progress import Progress
from theater_supervisor.components.sources import read_sources
from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.manifest.check import why_unreadable
from theater_supervisor.manifest.model import Build, Manifest
from theater_supervisor.process.containment import check_sandbox

_log = structlog.get_logger()

_VAR_PARTS: Final = ("data", "log", "run")
_AT_ONCE: Final = os.cpu_count() or 1
_PROGRESS_S: Final = 10.0

# Stands for a component that was not built because only a look was wanted; it is no other component's like.
TO_BE_BUILT: Final = Compiled(Path(), b"")


async def prepare(
    manifests: Sequence[Manifest], cache_dir: Path, progress: Progress | None = None, *, build: bool = True
) -> dict[str, Compiled]:
    """Build what has a [build] and is missing or was built from something else, then compile all components.

    Returns the compiled components by actor name; without `build`, TO_BE_BUILT for those that would be built.
    Raises ManifestError with the problems of all of them, and SandboxMissing when this machine cannot lock
    the workers in as required. Warns of files that others can change.
    """
    await check_sandbox(max((manifest.sandbox.require for manifest in manifests), default=0))
    _warn_of_writable(manifests, cache_dir.parent)
    # A component that several actors share is built and compiled once.
    sharing: dict[Path, list[Manifest]] = {}
    for manifest in manifests:
        sharing.setdefault(manifest.component_path, []).append(manifest)
    progress = progress or Progress()
    progress.begin((path, tuple(user.name for user in users)) for path, users in sharing.items())
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_log_progress, progress)
            compiled, problems = await _prepare_all(sharing, _Workshop(cache_dir, progress, build))
            nursery.cancel_scope.cancel()
    finally:
        progress.end()
    problems += (problem for manifest in manifests for problem in _unlike_pinned(manifest, compiled))
    if problems:
        raise ManifestError(sorted(problems, key=lambda problem: problem.file))
    return compiled


def check_sources(manifests: Sequence[Manifest]) -> list[Problem]:
    """Find out which sources are no Python, in milliseconds and before anything is built. Blocking."""
    return [
        Problem(str(manifest.file), "build.python", str(fault))
        for manifest in manifests
        if manifest.build and not why_unreadable(manifest.build.python)  # or the manifest's check says so
        for fault in read_sources(manifest.build.python).faults
    ]


async def _prepare_all(
    sharing: Mapping[Path, list[Manifest]], workshop: "_Workshop"
) -> tuple[dict[str, Compiled], list[Problem]]:
    compiled: dict[str, Compiled] = {}
    problems: list[Problem] = []
    limiter = trio.CapacityLimiter(_AT_ONCE)

    async def prepare_component(component: Path, users: list[Manifest]) -> None:
        async with limiter:
            try:
                result = await workshop.make(component, users)
            except ManifestError as error:
                workshop.progress.enter(component, "failed")
                problems.extend(error.problems)
            else:
                workshop.progress.enter(component, "done")
                compiled.update((manifest.name, result) for manifest in users)

    async with trio.open_nursery() as nursery:
        for component, users in sharing.items():
            nursery.start_soon(prepare_component, component, users)
    return compiled, problems


async def _log_progress(progress: Progress) -> None:
    while True:
        await trio.sleep(_PROGRESS_S)
        steps = progress.steps()
        done = sum(step.stage in ("done", "failed") for step in steps)
        for step in filter(lambda step: step.under_way and step.elapsed_s > _PROGRESS_S / 2, steps):
            _log.info(
                f"component_still_{step.stage}",
                component=step.component.name,
                elapsed_s=round(step.elapsed_s),
                at_most_s=step.at_most_s,
                done=f"{done} of {len(steps)}",
            )


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
    found = compiled.get(manifest.name, TO_BE_BUILT)
    if manifest.sha256 and found is not TO_BE_BUILT and found.component_sha256.hex() != manifest.sha256:
        what = f"{manifest.component_path} has another SHA-256: {found.component_sha256.hex()}"
        yield Problem(str(manifest.file), "sha256", what, "changed, or the manifest is out of date")


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Where components are made ready: the cache, who is told how far it is, and whether any may be built."""

    cache_dir: Path
    progress: Progress
    may_build: bool

    async def make(self, component: Path, users: list[Manifest]) -> Compiled:
        """Make one ready for the actors that share it. Raises ManifestError."""
        maker = next((manifest for manifest in users if manifest.build), users[0])
        file = str(maker.file)
        try:
            if maker.build and not await self._built(component, maker.build):
                return TO_BE_BUILT
            self.progress.enter(component, "compiling", COMPILE_TIMEOUT_S)
            return await compile_component(component, self.cache_dir)
        except BuildFailed as error:
            raise ManifestError([Problem(file, f"build.{error.key}", str(error))]) from error
        except ComponentRefused as error:
            problems = [Problem(file, "component_path", f"{component} {what}") for what in error.problems]
            raise ManifestError(problems) from error

    async def _built(self, component: Path, build: Build) -> bool:
        """Build the component unless it is as its sources are; False when that was not wanted."""
        built_from = await trio.to_thread.run_sync(must_build, component, build.python, build.world)
        if built_from is None:
            return True
        if self.may_build:
            self.progress.enter(component, "building", build.timeout_s)
            await build_component(build.python, build.world, component, built_from, build.timeout_s)
        return self.may_build
