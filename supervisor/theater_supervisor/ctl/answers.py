"""What theaterctl does with an answer: take its items, or end with its status and say why."""

import sys
from collections.abc import Callable
from typing import Any, Final

import click

from theater_supervisor.ctl.client import Reply
from theater_supervisor.ctl.tables import print_json
from theater_supervisor.terminal import escape_all, escape_lines

NOT_READY: Final = 3


def take(reply: Reply) -> list[dict[str, Any]]:
    """Return an answer's items. One that says that something could not be done ends the command."""
    if reply.status not in (0, NOT_READY) or (reply.status and reply.message):
        finish(reply, as_json=False, show=lambda item: click.echo(item.get("problem", item)))
    return reply.items


def finish(reply: Reply, *, as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    """Show every item, escaped; say what is wrong if anything is, and end with the answer's status."""
    if as_json:
        print_json({"items": reply.items, "status": reply.status, "message": reply.message})
    else:
        for item in reply.items:
            show(escape_all(item))
    if reply.message:
        click.echo(f"theaterctl: {escape_lines(reply.message)}", err=True)
    sys.exit(reply.status)
