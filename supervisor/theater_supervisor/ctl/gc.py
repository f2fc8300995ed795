"""The command `theaterctl gc`: remove components and compiled code that nothing needs."""

from pathlib import Path
from typing import Final

import click

from theater_supervisor.ctl.arguments import with_json
from theater_supervisor.ctl.tables import print_json
from theater_supervisor.journal import garbage
from theater_supervisor.journal.lock import acquire

_MIB: Final = 1024 * 1024


@click.command(short_help="Remove components and compiled code that nothing needs.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@with_json
@click.pass_obj
def gc(var: Path, dry_run: bool, as_json: bool) -> None:
    """Remove components that no kept transition was made with, and compiled code of those not in use.

    What is younger than an hour stays. A supervisor does the same at its start and at each reload; while one
    runs, only --dry-run works (else exit status 75).
    """
    if dry_run:
        found = garbage.find(var)
    else:
        with acquire(var, "theaterctl gc"):
            found = garbage.find(var)
            garbage.remove(found)
    size = sum(one.size for one in found)
    if as_json:
        print_json({"removed": not dry_run, "bytes": size, "files": [str(one.path) for one in found]})
        return
    for one in found:
        click.echo(f"{one.size / _MIB:8.1f} MiB  {one.path}")
    click.echo(f"{len(found)} files, {size / _MIB:.1f} MiB {'could be' if dry_run else 'were'} removed")
