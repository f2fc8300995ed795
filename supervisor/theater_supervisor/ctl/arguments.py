"""Arguments and options that several commands of theaterctl have, and how their values are read.

The commands are in modules of their own; nothing here prints or ends anything.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from theater_protocol.messages import HASH_BYTES
from theater_supervisor.ctl.completion import complete_kept
from theater_supervisor.names import choose

_Command = TypeVar("_Command", bound=Callable[..., None])


def with_actor(command: _Command) -> _Command:
    """Give a command the argument NAME, an actor that has kept something; `actor` is its data directory."""
    return click.argument("actor", metavar="NAME", callback=find_actor, shell_complete=complete_kept)(command)


def with_json(command: _Command) -> _Command:
    """Give a command the flag --json, `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def with_wide(command: _Command) -> _Command:
    """Give a command the flag --wide, `wide`."""
    words = "Show every column, whole, however narrow the terminal is."
    return click.option("--wide", is_flag=True, help=words)(command)


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
