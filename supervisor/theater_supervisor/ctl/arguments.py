"""Arguments and options that several commands of theaterctl have, and how their values are read.

The commands are in modules of their own; nothing here prints or ends anything.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from theater_protocol.messages import HASH_BYTES
from theater_protocol.messages import Limits as CallLimits
from theater_supervisor.manifest.model import read_limits
from theater_supervisor.manifest.tables import Limits
from theater_supervisor.names import choose

_DEFAULTS: Final = Limits()

_Command = TypeVar("_Command", bound=Callable[..., None])


def with_actor(command: _Command) -> _Command:
    """Give a command the argument NAME, an actor that has kept something; `actor` is its data directory."""
    return click.argument("actor", metavar="NAME", callback=find_actor)(command)


def with_json(command: _Command) -> _Command:
    """Give a command the flag --json, `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


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


def find_actor(context: click.Context, _param: click.Parameter, name: str) -> Path:
    """Return the directory of an actor's data. Raises UnknownName, with what may have been meant."""
    var: Path = context.find_root().params["var"]
    data = var / "data"
    names = sorted(entry.name for entry in data.iterdir() if entry.is_dir()) if data.is_dir() else []
    (found,) = choose([name], names, f" in {data}")
    return data / found


def read_hash(_context: click.Context, _param: click.Parameter, text: str | None) -> bytes | None:
    """Read a hash in hex, as a click callback."""
    if text is None:
        return None
    try:
        hash_ = bytes.fromhex(text)
    except ValueError:
        hash_ = b""
    if len(hash_) != HASH_BYTES:
        raise click.BadParameter(f"{text!r} is not {2 * HASH_BYTES} hex digits, as `chain head` prints them")
    return hash_
