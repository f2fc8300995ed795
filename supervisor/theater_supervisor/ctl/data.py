"""The commands `theaterctl state set` and `theaterctl purge`: an operator changes or removes an actor's data.

They hold the var directory's lock: no supervisor runs meanwhile, and none is started.
"""

import os
import shutil
from pathlib import Path
from typing import Final

import click

from theater_protocol.messages import Limits
from theater_supervisor.ctl.arguments import with_actor, with_json
from theater_supervisor.ctl.tables import print_json
from theater_supervisor.files import read_regular
from theater_supervisor.journal.lock import acquire
from theater_supervisor.journal.setting import set_state

_MAX_STATE_BYTES: Final = Limits(1, 1).max_state_bytes


@click.group()
def state() -> None:
    """Set an actor's state. `theaterctl chain state` gets it."""


@state.command("set", short_help="Put a file's bytes, or none, in the place of the state.")
@with_actor
@click.argument("file", metavar="FILE|none", type=click.Path(path_type=Path))
@with_json
@click.pass_obj
def set_(var: Path, actor: Path, file: Path, as_json: bool) -> None:
    """Put FILE's bytes in the place of NAME's state, or the state none; ./none is a file of that name.

    It is recorded in the chain, as a transition `state` with the bytes. The actor goes on from it at the next
    start. No supervisor may run on the var directory (exit status 75).
    """
    given = None if file == Path("none") and "/" not in os.fspath(file) else _read(file)
    with acquire(var, "theaterctl state set"):
        head = set_state(actor / "journal.db", given)
    if as_json:
        print_json({"actor": actor.name, "seq": head.seq, "hash": head.hash.hex()})
    else:
        size = "none" if given is None else f"{len(given)} bytes"
        click.echo(f"{actor.name}: the state is {size}, recorded as seq {head.seq}")


def _read(file: Path) -> bytes:
    content = read_regular(file)
    if len(content) > _MAX_STATE_BYTES:
        raise click.UsageError(f"{file} has {len(content)} bytes: a state has at most {_MAX_STATE_BYTES}")
    return content


@click.command(short_help="Remove an actor's data for good.")
@with_actor
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_json
@click.pass_obj
def purge(var: Path, actor: Path, yes: bool, as_json: bool) -> None:
    """Remove NAME's journal, with its state and its whole history, and its kept components, for good.

    Its logs stay. No supervisor may run on the var directory (exit status 75). `theaterctl backup` before it
    makes a copy.
    """
    with acquire(var, "theaterctl purge"):
        if not yes:
            click.confirm(f"remove {actor}, with its state and history, for good?", abort=True, err=True)
        leaving = actor.with_name(f".{actor.name}.{os.getpid()}")
        actor.rename(leaving)  # all of it or nothing, whatever happens from here on
        shutil.rmtree(leaving)
    if as_json:
        print_json({"actor": actor.name, "removed": str(actor)})
    else:
        click.echo(f"{actor.name}: removed {actor}")
