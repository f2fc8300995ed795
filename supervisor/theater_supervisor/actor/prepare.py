"""Getting every actor's component ready to run, before anything is served: built, compiled and found to fit.

What is wrong with any of them is collected as problems of their manifests.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import trio

from theater_supervisor.actor.build import BuildFailed, build_component
from theater_supervisor.actor.compile import Compiled, ComponentRefused, compile_component
from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.manifest import Manifest

_AT_ONCE: Final = os.cpu_count() or 1


async def prepare(manifests: Iterable[Manifest], cache_dir: Path) -> dict[str, Compiled]:
    """Build what has a [build] and is missing or old, then compile all components.

    Returns the compiled components by actor name. Raises ManifestError with the problems of all of them.
    """
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
    if problems:
        raise ManifestError(sorted(problems, key=lambda problem: problem.file))
    return compiled


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
