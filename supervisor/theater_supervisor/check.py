"""`--check`: do all components build, compile and fit, can all ports be bound, are all secrets fine?

Whatever is taken for it is given back; nothing is started. manifest/ has the checks that only read.
"""

from collections.abc import Sequence
from pathlib import Path

from theater_supervisor.components.prepare import prepare
from theater_supervisor.errors import Problem, VarUnusable
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.preflight import preflight


async def check(manifests: Sequence[Manifest], known: Sequence[Problem], var: Path) -> None:
    """Find out what would keep these manifests from being served; what takes long last, if all else is right.

    Compiled components stay in the cache below `var`. Raises ManifestError with all problems that were found,
    those `known` before too, in the order of their files; and VarUnusable.
    """
    await check_quickly(manifests, known)
    make_private(var)
    await prepare(manifests, var / "cache")


async def check_quickly(manifests: Sequence[Manifest], known: Sequence[Problem]) -> None:
    """Find out what takes no time to find. Raises as `check` does, and makes nothing."""
    await (await preflight(manifests, known)).aclose()


def make_private(var: Path) -> None:
    """Make the var directory, when missing, for this user alone; one that exists stays as it is.

    Raises VarUnusable.
    """
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        (var / "cache").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise VarUnusable.of(error, var) from error
