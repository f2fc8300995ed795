"""The file descriptors that the manifests' connections and actors need, against what the process may open.

Running out of them would hit journals and workers too, so it is found out before anything is served.
"""

import resource
from collections.abc import Sequence
from typing import Final

from theater_supervisor.errors import SupervisorError
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.manifest.model import Manifest

_PER_ACTOR: Final = 32  # pipes of two workers, the journal's files, the log, the build
_OWN: Final = 64


class TooFewDescriptors(SupervisorError):
    """The hard limit is below what the manifests ask for."""

    exit_status = 78  # EX_CONFIG


def needed(manifests: Sequence[Manifest]) -> int:
    """Return how many descriptors are open when every handler is full."""
    handlers = [handler.config for manifest in manifests for handler in manifest.handlers]
    connections = sum(config.max_connections for config in handlers)
    pending = HandshakeLimits().max_pending
    return _OWN + _PER_ACTOR * len(manifests) + len(handlers) + connections + pending


def allow(count: int) -> None:
    """Raise this process's soft RLIMIT_NOFILE to `count` if it is lower.

    Raises TooFewDescriptors when the hard limit doesn't let it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise TooFewDescriptors(
            f"the manifests' max_connections need {count} file descriptors, and {hard} are allowed: "
            f"lower max_connections, or raise the limit (ulimit -Hn {count}, systemd: LimitNOFILE={count})"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
