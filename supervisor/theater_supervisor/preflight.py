"""What can be found wrong in milliseconds, before anything is built or compiled: sources, ports, secrets.

Building and compiling take most of a minute; whoever made a typing error shall not wait for them. How each of
these is checked is the business of its room.
"""

from collections.abc import Sequence

import trio

from theater_supervisor.components.prepare import check_sources
from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.ports import Bound, Ports, bind_ports


async def preflight(
    manifests: Sequence[Manifest], known: Sequence[Problem] = (), bound: Bound | None = None
) -> Ports:
    """Read the sources and the secrets, and bind the ports that are not `bound` already.

    Raises ManifestError with all that is wrong, the problems `known` before too, and nothing bound then; and
    TooFewDescriptors.
    """
    problems, ports = list(known), Ports()
    try:
        ports = bind_ports(manifests, bound)
    except ManifestError as error:
        problems += error.problems
    try:
        problems += await trio.to_thread.run_sync(check_sources, manifests)
        if problems:
            raise ManifestError(sorted(problems, key=lambda problem: problem.file))
    except BaseException:
        ports.close()
        raise
    return ports
