"""The options of commands that run an actor's calls again: within which limits.

The limits are those of a manifest, which takes long to import: only commands that need them come here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from theater_protocol.messages import Limits as CallLimits
from theater_supervisor.manifest.model import read_limits
from theater_supervisor.manifest.tables import Limits

_DEFAULTS: Final = Limits()

_Command = TypeVar("_Command", bound=Callable[..., None])


def with_limits(command: _Command) -> _Command:
    """Give a command what to run calls with: `manifest`, and `call_timeout_s` and `memory_mib` in its place.

    `call_limits` makes the limits of them.
    """
    manifest = click.option(
        "--manifest",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Run with the limits in the actor's manifest, not with the default ones.",
    )
    call_timeout = click.option(
        "--call-timeout-s",
        type=click.FloatRange(min=0, min_open=True, max=3600),
        help=f"limits.call_timeout_s, if not the manifest's or {_DEFAULTS.call_timeout_s:g}.",
    )
    memory = click.option(
        "--memory-mib",
        type=click.IntRange(min=1, max=4096),
        help=f"limits.memory_mib, if not the manifest's or {_DEFAULTS.memory_mib}.",
    )
    return manifest(call_timeout(memory(command)))


def call_limits(
    actor: str, manifest: Path | None, call_timeout_s: float | None, memory_mib: int | None
) -> CallLimits:
    """Return the limits for calls of an actor. Raises ManifestError, and BadParameter for another's."""
    name, limits = read_limits(manifest) if manifest else (actor, _DEFAULTS)
    if name != actor:
        raise click.BadParameter(
            f"{manifest} is the manifest of {name}, not of {actor}", param_hint="--manifest"
        )
    given = {"call_timeout_s": call_timeout_s, "memory_mib": memory_mib}
    return limits.model_copy(update={key: value for key, value in given.items() if value}).of_a_call()
