"""`--check`: do all components build, compile and fit, can all ports be bound, are all secrets fine?

Whatever is taken for it is given back; nothing is started. manifest/ has the checks that only read.
"""

import os
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
    (await preflight(manifests, known)).close()


def make_private(var: Path) -> None:
    """Make the var directory, when missing, for this user alone; one that exists stays as it is.

    Raises VarUnusable.
    """
    if not _means_the_same_everywhere(var):
        what = "is not UTF-8, or not in this locale's encoding"
        raise VarUnusable(f"{var}: {what}, and journals could not be found there: name another --var")
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        (var / "cache").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise VarUnusable.of(error, var) from error


def _means_the_same_everywhere(var: Path) -> bool:
    """Say whether SQLite and the workers, to whom names are UTF-8, find this directory."""
    try:
        name = str(var.absolute())
        return name.encode() == os.fsencode(name)
    except UnicodeEncodeError:
        return False
    except OSError as error:  # the current directory has been removed
        raise VarUnusable.of(error, var) from error
