"""The file descriptors that the manifests' connections and actors need, against what the process may open.

Running out of them would hit journals and workers too, so it is found out before anything is served, and what
these need is held back from clients.
"""

import resource
from collections.abc import Sequence
from typing import Final

from theater_supervisor.errors import SupervisorError
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.manifest.model import Manifest

_PER_ACTOR: Final = 32  # pipes of two workers, the journal's files, the log, the build
_OWN: Final = 128  # the logs, the control socket's conversations, the administration port's


class TooFewDescriptors(SupervisorError):
    """The hard limit is below what the manifests ask for."""

    exit_status = 78  # EX_CONFIG


def needed(manifests: Sequence[Manifest]) -> int:
    """Return how many descriptors are open when every handler is full, and as many as may wait besides."""
    connections = sum(handler.config.max_connections for one in manifests for handler in one.handlers)
    limits = HandshakeLimits()
    return _held_back(manifests) + connections + limits.max_pending + limits.max_lingering


def left_for_clients(allowed: int | None, manifests: Sequence[Manifest]) -> int | None:
    """Return how many descriptors clients may have of all that are `allowed`; None is any number."""
    return None if allowed is None else allowed - _held_back(manifests)


def allow(count: int) -> int | None:
    """Raise this process's soft RLIMIT_NOFILE to `count` if it is lower; return what it is, None for any.

    Raises TooFewDescriptors when the hard limit doesn't let it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    if soft >= count:
        return soft
    if hard != resource.RLIM_INFINITY and hard < count:
        raise TooFewDescriptors(
            f"the manifests' max_connections need {count} file descriptors, and {hard} are allowed: "
            f"lower max_connections, or raise the limit (ulimit -Hn {count}, systemd: LimitNOFILE={count})"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return count


def _held_back(manifests: Sequence[Manifest]) -> int:
    return _OWN + _PER_ACTOR * len(manifests) + sum(len(manifest.handlers) for manifest in manifests)
