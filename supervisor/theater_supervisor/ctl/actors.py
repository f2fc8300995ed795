"""The commands of theaterctl that change something: start, stop, restart, reset, reload, crash and kick."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from theater_supervisor.ctl.answers import finish
from theater_supervisor.ctl.arguments import with_json
from theater_supervisor.ctl.client import ANSWER_S, ask
from theater_supervisor.ctl.completion import complete_connection, complete_served
from theater_supervisor.ctl.tables import cut

_WAIT_S: Final = 60.0
_RELOAD_S: Final = 900.0
_SHOWN_CHARS: Final = 80

_Command = TypeVar("_Command", bound=Callable[..., None])


def _with_actors(command: _Command) -> _Command:
    command = click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_served)(command)
    command = click.option("--all", "everyone", is_flag=True, help="All actors.")(command)
    wait = click.option("--wait", is_flag=True, help=f"Return when it is done, or after {_WAIT_S:g} s.")
    return with_json(wait(command))


@click.command()
@_with_actors
@click.pass_obj
def start(var: Path, names: tuple[str, ...], everyone: bool, wait: bool, as_json: bool) -> None:
    """Start actors that were stopped, are held or have ended. Nothing is held against them any more.

    With --wait, exit status 3 says that they were not ready in time.
    """
    _change(var, "start", names, everyone, wait, as_json)


@click.command()
@_with_actors
@click.pass_obj
def stop(var: Path, names: tuple[str, ...], everyone: bool, wait: bool, as_json: bool) -> None:
    """Stop actors: their clients are closed with 1001, what is queued is handled, their workers end.

    Clients are refused with 503 until `start`, or until the supervisor is started again.
    """
    _change(var, "stop", names, everyone, wait, as_json)


@click.command()
@_with_actors
@click.pass_obj
def restart(var: Path, names: tuple[str, ...], everyone: bool, wait: bool, as_json: bool) -> None:
    """Give actors a new worker, once the old one has answered what it has in hand.

    Connections, state and what is queued stay. It does not count against the restart intensity.
    """
    _change(var, "restart", names, everyone, wait, as_json)


@click.command()
@_with_actors
@click.pass_obj
def reset(var: Path, names: tuple[str, ...], everyone: bool, wait: bool, as_json: bool) -> None:
    """Forget the deaths of actors' workers: the restart delays and the intensity begin anew.

    An actor that is held or waits is tried at once.
    """
    _change(var, "reset", names, everyone, wait, as_json)


@click.command()
@click.option("--dry-run", is_flag=True, help="Check everything and say what would change; change nothing.")
@with_json
@click.pass_obj
def reload(var: Path, dry_run: bool, as_json: bool) -> None:
    """Read the manifests again and serve what they describe now.

    So are tokens, keys and certificates. Everything is built, compiled and checked first; with any problem
    nothing changes (exit status 78). Actors that did not change are not touched. A changed one is told with
    every value before and after; it gets a new worker if its component or its limits are others, and its
    connections stay. The clients of one that is gone are closed with 1001 and told so.
    """
    reply = ask(var, "reload", answer_s=_RELOAD_S, dry_run=dry_run)
    finish(reply, as_json=as_json, show=lambda item: click.echo(_reload_text(item, dry_run)))


@click.command()
@click.argument("name", shell_complete=complete_served)
@with_json
@click.pass_obj
def crash(var: Path, name: str, as_json: bool) -> None:
    """Kill an actor's worker with SIGKILL, as a crash would: clients should notice nothing but a delay.

    It counts as a death for the restart policy.
    """
    reply = ask(var, "crash", name=name)
    finish(reply, as_json=as_json, show=lambda item: click.echo(f"{item['name']}: killed pid {item['pid']}"))


@click.command()
@click.argument(
    "connection",
    metavar="NAME/ID",
    callback=lambda _context, _param, text: _connection(text),
    shell_complete=complete_connection,
)
@with_json
@click.pass_obj
def kick(var: Path, connection: tuple[str, int], as_json: bool) -> None:
    """Close a connection with 1008; `theaterctl conns` lists their IDs, such as chat/17."""
    name, number = connection
    reply = ask(var, "kick", name=name, connection=number)
    finish(reply, as_json=as_json, show=lambda item: click.echo(_kicked_text(item)))


def _change(
    var: Path, command: str, names: tuple[str, ...], everyone: bool, wait: bool, as_json: bool
) -> None:
    if bool(names) == everyone:
        raise click.UsageError("name the actors, or say --all")
    wait_s = _WAIT_S if wait else 0.0
    reply = ask(var, command, answer_s=ANSWER_S + wait_s, names=names, all=everyone, wait_s=wait_s)
    finish(reply, as_json=as_json, show=lambda item: click.echo(f"{item['name']} is {item['state']}"))


def _connection(text: str) -> tuple[str, int]:
    name, _, number = text.partition("/")
    if not name or not number.isdecimal():
        raise click.BadParameter(f"{text!r} is not an ID, such as chat/17: `theaterctl conns` lists them")
    return name, int(number)


def _kicked_text(item: dict[str, Any]) -> str:
    return f"closed {item['actor']}/{item['connection']} from {item['remote']}"


def _reload_text(item: dict[str, Any], dry_run: bool) -> str:
    if "problem" in item:
        return str(item["problem"])
    lines = [f"+ {name}" for name in item["added"]] + [f"- {name}" for name in item["removed"]]
    for name, keys in item["changed"].items():
        lines += _changed_lines(name, keys, item["values"])
    lines += [f"= {name}" for name in item["unchanged"]]
    if not (item["added"] or item["removed"] or item["changed"]):
        lines.append("nothing changes" if dry_run else "nothing changed")
    return "\n".join(lines)


def _changed_lines(name: str, keys: list[str], values: dict[str, Any]) -> list[str]:
    lines = [f"~ {name} ({', '.join(keys)})"]
    for value in values.get(name, []):
        old, new = (cut(json.dumps(value[side], ensure_ascii=False), _SHOWN_CHARS) for side in ("old", "new"))
        lines.append(f"    {value['key']}: {old} → {new}")
    return lines
