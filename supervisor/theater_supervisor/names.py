"""Choosing among names that a person typed: those that are there, or what was probably meant."""

import difflib
from collections.abc import Collection, Sequence

from theater_supervisor.errors import SupervisorError


class UnknownName(SupervisorError):
    """There is no such actor, or connection."""

    exit_status = 4


def choose(names: Sequence[str], known: Collection[str], where: str = "") -> list[str]:
    """Return these names without repetition, all that are known when none is given.

    Raises UnknownName for the first that is not known, with the nearest one; `where` says where it was looked
    for, as in " in var/data".
    """
    for name in names:
        if name not in known:
            raise UnknownName(f"no actor named {name!r}{_why(name, known, where)}")
    return list(dict.fromkeys(names)) or sorted(known)


def _why(name: str, known: Collection[str], where: str) -> str:
    if not known:
        return f": there is none{where}: name the supervisor's --var"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
    return f"{where}: {hint}"
