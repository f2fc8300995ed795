"""The command `theaterctl conns`: the open connections."""

import time
from pathlib import Path
from typing import Any, Final

import click

from theater_supervisor.ctl.answers import take
from theater_supervisor.ctl.arguments import with_json, with_wide
from theater_supervisor.ctl.client import ask
from theater_supervisor.ctl.completion import complete_served
from theater_supervisor.ctl.tables import Column, duration, print_json, print_table, size

_US_PER_S: Final = 1_000_000

_CONNS: Final = (
    Column("ID"),
    Column("FROM"),
    Column("OPEN", number=True, goes=1),
    Column("IN", number=True, goes=3),
    Column("OUT", number=True, goes=4),
    Column("BYTES IN", number=True, goes=5),
    Column("BYTES OUT", number=True, goes=6),
    Column("UNSENT", number=True, goes=2),
)


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_served)
@with_wide
@with_json
@click.pass_obj
def conns(var: Path, names: tuple[str, ...], wide: bool, as_json: bool) -> None:
    """List the open connections of the actors, all or those named.

    IN and OUT count messages, UNSENT is what waits because the client does not read. `theaterctl kick ID`
    closes one.
    """
    found = take(ask(var, "conns", names=names))
    if as_json:
        print_json(found)
    elif found:
        print_table(_CONNS, [_conns_row(connection) for connection in found], wide=wide)
    else:
        click.echo("no connection is open")


def _conns_row(connection: dict[str, Any]) -> list[str]:
    open_s = time.time() - connection["opened_at_us"] / _US_PER_S
    return [
        f"{connection['actor']}/{connection['connection']}",
        connection["remote"],
        duration(open_s),
        str(connection["messages_in"]),
        str(connection["messages_out"]),
        size(connection["bytes_in"]),
        size(connection["bytes_out"]),
        size(connection["waiting_bytes"]),
    ]
