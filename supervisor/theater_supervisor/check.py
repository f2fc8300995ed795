"""The checks that touch the machine: do all components build, compile and fit, can all ports be bound?

Whatever is taken for it is given back; nothing is started. manifest.py has the checks that only read.
"""

from collections.abc import Sequence
from pathlib import Path

from theater_supervisor.components.prepare import prepare
from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.ports import bind_ports


async def check(manifests: Sequence[Manifest], cache_dir: Path) -> list[Problem]:
    """Find out what would keep these manifests from being served, in the order of their files.

    Compiled components stay in the cache.
    """
    problems: list[Problem] = []
    try:
        await (await bind_ports(manifests)).aclose()
    except ManifestError as error:
        problems += error.problems
    try:
        await prepare(manifests, cache_dir)
    except ManifestError as error:
        problems += error.problems
    return sorted(problems, key=lambda problem: problem.file)
