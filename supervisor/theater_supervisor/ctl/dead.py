"""The command `theaterctl dead`: events that workers died on, to be looked at, given again, or put aside.

They stay in the chain and in the journal's quarantine for ever, as evidence; putting one aside is a note in a
file beside the journal.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from theater_protocol.chain import Transition, encode, hash_body
from theater_supervisor.ctl.answers import take
from theater_supervisor.ctl.arguments import with_actor, with_json, with_wide
from theater_supervisor.ctl.chain_json import transition_object
from theater_supervisor.ctl.chain_text import Layout
from theater_supervisor.ctl.client import ask
from theater_supervisor.ctl.tables import print_json, terminal_columns
from theater_supervisor.errors import SupervisorError, VarUnusable
from theater_supervisor.files import write_atomically
from theater_supervisor.journal.reader import quarantined

_NOT_DELIVERED: Final = 3
_RETRY_S: Final = 90.0
_ACTIONS: Final = ("list", "show", "retry", "drop")


class NotQuarantined(SupervisorError):
    """No event is quarantined there."""

    exit_status = 4


class PutAside:
    """The seqs of the quarantined events of an actor that need no more attention."""

    def __init__(self, data: Path) -> None:
        self._path = data / "put_aside.json"

    def read(self) -> frozenset[int]:
        """Return them; nothing when none was put aside yet."""
        try:
            return frozenset(int(seq) for seq in json.loads(self._path.read_text()))
        except FileNotFoundError:
            return frozenset()
        except (ValueError, TypeError):
            raise NotQuarantined(
                f"{self._path}: damaged: delete it, and every event is listed again"
            ) from None

    def add(self, seq: int) -> None:
        """Put one aside. Raises VarUnusable."""
        content = json.dumps(sorted(self.read() | {seq})).encode()
        try:
            write_atomically(self._path, content)
        except OSError as error:
            raise VarUnusable.of(error, self._path.parent) from error


@click.command()
@with_actor
@click.argument("action", type=click.Choice(_ACTIONS), default="list")
@click.argument("seqs", metavar="[SEQ]...", type=click.IntRange(min=0), nargs=-1)
@click.option("--all", "everything", is_flag=True, help="List those that were dropped, too.")
@with_wide
@with_json
@click.pass_obj
def dead(
    var: Path,
    actor: Path,
    action: str,
    seqs: tuple[int, ...],
    everything: bool,
    wide: bool,
    as_json: bool,
) -> None:
    """List, show, retry or drop the quarantined events of NAME: those that workers died on, again and again.

    \b
    theaterctl dead NAME             list them
    theaterctl dead NAME show SEQ    with their whole payload, as JSON
    theaterctl dead NAME retry SEQ   give them to the actor again
    theaterctl dead NAME drop SEQ    put them aside: they are not listed any more

    The connection of such an event is closed, so a retried one comes as a short visit of another client: a
    connection that sends it and leaves. Its replies go nowhere. One that the actor handles is put aside.
    Nothing is ever taken out of the chain.
    """
    if (action == "list") == bool(seqs):
        raise click.UsageError(
            "list takes no SEQ" if seqs else f"{action} needs a SEQ: `dead NAME` lists them"
        )
    aside = PutAside(actor)
    events = {event.seq: event for event in quarantined(actor / "journal.db")}
    for seq in seqs:
        if seq not in events:
            raise NotQuarantined(
                f"{actor.name}: no event is quarantined at seq {seq}: `theaterctl dead` lists them"
            )
    match action:
        case "list":
            listed = [event for seq, event in events.items() if everything or seq not in aside.read()]
            _list(listed, wide, as_json)
        case "show":
            for seq in seqs:
                print_json(transition_object(_hash(events[seq]), events[seq]))
        case "drop":
            for seq in seqs:
                aside.add(seq)
        case _:
            _retry(var, actor.name, seqs, aside, as_json)


def _list(events: list[Transition], wide: bool, as_json: bool) -> None:
    if as_json:
        print_json([transition_object(_hash(event), event) for event in events])
        return
    layout = Layout.within(None if wide else terminal_columns())
    click.echo(layout.heading if events else "nothing is quarantined")
    for event in events:
        click.echo(layout.line(_hash(event), event))


def _retry(var: Path, name: str, seqs: tuple[int, ...], aside: PutAside, as_json: bool) -> None:
    results = [take(ask(var, "retry", answer_s=_RETRY_S, name=name, seq=seq))[0] for seq in seqs]
    for result in results:
        if result["settled"] == "ok":
            aside.add(result["seq"])
    if as_json:
        print_json(results)
    else:
        for result in results:
            click.echo(_result_text(name, result))
    sys.exit(0 if all(result["settled"] == "ok" for result in results) else _NOT_DELIVERED)


def _result_text(name: str, result: dict[str, Any]) -> str:
    where = f"seq {result['seq']} as connection {name}/{result['connection']}"
    match result["settled"]:
        case "ok":
            replies = "1 reply" if result["replies"] == 1 else f"{result['replies']} replies"
            return f"{where}: handled, {replies}; put aside"
        case "failed":
            return f"{where}: failed again: `theaterctl logs {name}` says how"
        case _:
            return f"{where}: not settled yet: `theaterctl chain show {name}` will tell"


def _hash(event: Transition) -> bytes:
    return hash_body(encode(event))
