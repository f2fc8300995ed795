"""The commands `theaterctl backup` and `theaterctl restore`: an actor's data, copied and put back."""

import sys
from pathlib import Path
from typing import Final

import click

from theater_supervisor.ctl import chain_json, chain_text
from theater_supervisor.ctl.arguments import read_hash, with_actor, with_json
from theater_supervisor.ctl.tables import print_json
from theater_supervisor.journal import backup as copying
from theater_supervisor.journal.lock import acquire
from theater_supervisor.journal.verify import Verdict, verify

_FOUND_WRONG: Final = 65  # EX_DATAERR


@click.command(short_help="Copy an actor's journal and components.")
@with_actor
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@with_json
def backup(actor: Path, directory: Path, as_json: bool) -> None:
    """Copy NAME's journal, its large events and its components to DIR, which must be new or empty.

    The actor may be running: the copy is of one moment, and whole whatever retention deletes meanwhile. It is
    verified; exit status 65 says that something is wrong, in the journal as in the copy.
    """
    _show(copying.back_up(actor, directory), directory, as_json)


@click.command(short_help="Put a backup back.")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--head", metavar="HASH", callback=read_hash, help="A head noted earlier; it must be in it.")
@with_json
@click.pass_obj
def restore(var: Path, directory: Path, head: bytes | None, as_json: bool) -> None:
    """Put the backup in DIR back as the data of the actor whose it is, and say its head.

    It is verified first, exit status 65 says that it was not restored. No supervisor may run on the var
    directory (75), and data that is there is never overwritten (73).
    """
    with acquire(var, "theaterctl restore"):
        found = verify(directory / copying.JOURNAL, head)
        if found.fault is not None:
            _show(found, directory, as_json)
        target = var / "data" / found.actor
        _show(copying.restore(directory, target, head), target, as_json)


def _show(verdict: Verdict, place: Path, as_json: bool) -> None:
    if as_json:
        print_json({"directory": str(place), **chain_json.verification_object(verdict)})
    else:
        click.echo(chain_text.verification(verdict))
        if verdict.fault is None:
            click.echo(f"in {place}")
    if verdict.fault is not None:
        sys.exit(_FOUND_WRONG)
