"""Which actor a request path leads to. Pure: no sockets, no trio.

A route's path is a base path: it stands for itself and everything below it, on segment boundaries, and the
longest base path wins. Paths are split at "/" first and each segment is percent-decoded once, as UTF-8, so
`/%63hat` is `/chat` but `%2F` never makes a new segment. Dot segments and empty segments are ordinary ones:
clients resolve them before they send (RFC 3986 section 5.2.4). A query string takes no part.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from theater_supervisor.exchange import Service
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.door.access import AccessRules

Address = tuple[str, int]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route:
    """A handler's way in: `service` answers below `path` on this address, to so many clients at a time.

    `access` says to whom, `limits` what each of them may use.
    """

    host: str
    port: int
    path: str
    max_connections: int
    service: Service
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    access: AccessRules = field(default_factory=AccessRules)

    @property
    def address(self) -> Address:
        """The (host, port) that it is at."""
        return self.host, self.port


class RoutingTable(Generic[T]):
    """The base paths of one address and what each of them leads to.

    Raises ValueError for a base path that doesn't start with "/", or that is there twice.
    """

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self._entries: dict[tuple[str, ...], T] = {}
        for path, destination in entries:
            base = _base_path(path)
            if base in self._entries:
                raise ValueError(f"path {path!r} is routed twice")
            self._entries[base] = destination
        self._depth = max(map(len, self._entries), default=0)

    def find(self, target: str) -> T | None:
        """Return what the longest base path above or at `target` leads to, None when there is none.

        `target` is a request target in origin form (`/path?query`).
        """
        segments = _segments(target.partition("?")[0], self._depth)
        for length in range(len(segments), -1, -1):
            if (found := self._entries.get(segments[:length])) is not None:
                return found
        return None


def _base_path(path: str) -> tuple[str, ...]:
    if not path.startswith("/"):
        raise ValueError(f"path {path!r} must start with '/'")
    return _segments(path.rstrip("/"), path.count("/"))


def _segments(path: str, depth: int) -> tuple[str, ...]:
    # No base path is deeper than `depth`, so neither is the work that a long path makes.
    return tuple(unquote(segment) for segment in path.split("/", depth + 1)[1 : depth + 1])
