"""What a var directory keeps that nothing needs any more: components without a transition, compiled code.

Which components are configured is the caller's knowledge. What is young stays, for it may be that of somebody
who is about to use it.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from theater_protocol.chain import Genesis, Instance, decode
from theater_protocol.errors import RemoteProtocolError
from theater_supervisor.journal.errors import JournalFailed, JournalRefused
from theater_supervisor.journal.reader import read

YOUNG_S: Final = 3600.0

_SHA256_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Garbage:
    """A file that is not needed, and its size."""

    path: Path
    size: int


def find(var: Path, configured: Collection[bytes] | None = None, young_s: float = YOUNG_S) -> list[Garbage]:
    """Find what can be removed; `configured` are the components in use, None: the newest of each actor.

    What cannot be read is left alone, and so is a cache that is shared, by a link.
    """
    oldest_s = time.time() - young_s
    found: list[Garbage] = []
    used = {sha256.hex() for sha256 in configured or ()}
    for data in (var / "data").glob("[a-z0-9]*/"):
        needed, newest = _components(data / "journal.db")
        if configured is None:
            used |= newest
        if needed is not None:
            found += _old(data / "components", needed | used, oldest_s)
    cache = var / "cache"
    return found if cache.is_symlink() else found + _old(cache, used, oldest_s)


def remove(garbage: Collection[Garbage]) -> None:
    """Remove it. Raises OSError."""
    for one in garbage:
        one.path.unlink(missing_ok=True)


def _components(journal: Path) -> tuple[set[str] | None, set[str]]:
    """Return which components kept transitions need, None when that is not known, and the newest."""
    try:
        with read(journal) as opened:
            needed = [_component(body) for body in opened.boundaries()]
    except (JournalFailed, JournalRefused, RemoteProtocolError, apsw.Error, OSError):
        return None, set()
    return {one for one in needed if one}, {one for one in needed[-1:] if one}


def _component(body: bytes) -> str | None:
    given = decode(body).input
    return given.component_sha256.hex() if isinstance(given, Genesis | Instance) else None


def _old(directory: Path, needed: Collection[str], oldest_s: float) -> list[Garbage]:
    """Return the files that are named for another component, none younger."""
    found: list[Garbage] = []
    for path in sorted(directory.glob("*")):
        sha256 = path.name.partition(".")[0]
        is_ours = len(sha256) == _SHA256_DIGITS and set(sha256) <= set("0123456789abcdef")
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if is_ours and sha256 not in needed and status.st_mtime < oldest_s:
            found.append(Garbage(path, status.st_size))
    return found
