"""The commands of theaterctl that look at a running supervisor: status, conns and explain."""

import datetime
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from theater_supervisor.ctl.answers import take
from theater_supervisor.ctl.arguments import with_json
from theater_supervisor.ctl.client import ask
from theater_supervisor.ctl.tables import (
    Column,
    as_rich,
    console,
    duration,
    grouped,
    print_json,
    print_table,
    size,
)

_WATCH_S: Final = 1.0
_US_PER_S: Final = 1_000_000

_STATUS: Final = (
    Column("NAME"),
    Column("STATE"),
    Column("PID", number=True),
    Column("UPTIME", number=True),
    Column("RESTARTS", number=True),
    Column("CONNS", number=True),
    Column("IN/s", number=True),
    Column("OUT/s", number=True),
    Column("P99 ms", number=True),
    Column("RSS", number=True),
    Column("SANDBOX", number=True),
    Column("QUEUE", number=True),
    Column("SEQ", number=True),
    Column("HEAD"),
    Column("NOTE"),
)
_CONNS: Final = (
    Column("ID"),
    Column("FROM"),
    Column("OPEN", number=True),
    Column("IN", number=True),
    Column("OUT", number=True),
    Column("BYTES IN", number=True),
    Column("BYTES OUT", number=True),
    Column("UNSENT", number=True),
)


@click.command(short_help="Show how the actors are.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@with_json
@click.pass_obj
def status(var: Path, names: tuple[str, ...], watch: bool, as_json: bool) -> None:
    """Show how the actors are, all or those named.

    RESTARTS are those that count against the restart intensity now / all of this supervisor's life. IN/s,
    OUT/s and P99 are of the last ten seconds; P99 is from an event's arrival to its committed replies.
    SANDBOX is how far its worker is locked in: 2 by seccomp and Landlock, 1 by seccomp, 0 not at all. SEQ and
    HEAD are the newest transition of the actor's chain.

    \b
    Exit status: 0 everything that should be ready is, 3 something is not, 4 unknown name or no supervisor.
    """
    if watch:
        _watch(var, names, as_json)
    reply = ask(var, "status", names=names)
    (seen,) = take(reply)
    if as_json:
        print_json(seen)
    else:
        click.echo(_headline(seen))
        print_table(_STATUS, [_status_row(actor) for actor in seen["actors"]])
    sys.exit(reply.status)


@click.command(short_help="List an actor's connections.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@with_json
@click.pass_obj
def conns(var: Path, names: tuple[str, ...], as_json: bool) -> None:
    """List the open connections of the actors, all or those named.

    IN and OUT count messages, UNSENT is what waits because the client does not read. `theaterctl kick ID`
    closes one.
    """
    found = take(ask(var, "conns", names=names))
    if as_json:
        print_json(found)
    elif found:
        print_table(_CONNS, [_conns_row(connection) for connection in found])
    else:
        click.echo("no connection is open")


@click.command(short_help="Say how an actor's workers ended, and what happens next.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@with_json
@click.pass_obj
def explain(var: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Say how the last workers of an actor ended: when, how, what they had in hand, and their last lines.

    And what happens next. An event that failed without ending the worker is in the log (`theaterctl logs`)
    and in the chain (`theaterctl chain show`).
    """
    actors = take(ask(var, "explain", names=names))
    if as_json:
        print_json(actors)
        return
    for actor in actors:
        for line in explanation(actor):
            click.echo(line)


def explanation(actor: dict[str, Any]) -> list[str]:
    """Tell an actor's story in lines."""
    lines = [click.style(f"{actor['name']} is {actor['state']}", bold=True) + _aside(actor["note"])]
    if not actor["exits"]:
        lines.append("  none of its workers has ended since the supervisor was started")
    for record in actor["exits"]:
        lines += _exit_lines(actor["name"], record)
    lines.append(f"  now: {_what_next(actor)}")
    return lines


def _exit_lines(name: str, record: dict[str, Any]) -> list[str]:
    ready = "never ready" if record["ready_s"] is None else f"ready for {duration(record['ready_s'])}"
    pid = f", pid {record['pid']}" if record["pid"] is not None else ""
    lines = [
        f"  {_utc(record['at_us'])}  worker {name}/{record['incarnation']}{pid}: {record['how']}",
        f"    it had lived {duration(record['lived_s'])}, {ready}",
        f"    in hand: {record['in_hand'] or 'nothing'}",
    ]
    if record["lines"]:
        lines.append("    its last lines:")
        lines += [f"      {line}" for line in record["lines"]]
    lines.append(f"    then: {record['then']}")
    return lines


def _what_next(actor: dict[str, Any]) -> str:
    name = actor["name"]
    match actor["state"]:
        case "ready":
            return f"worker {name}/{actor['incarnation']} serves, since {duration(actor['uptime_s'])}"
        case "starting":
            return "a worker is being started"
        case "waiting":
            return f"the next worker is due in {duration(actor['next_try_s'])}; events are kept meanwhile"
        case "held" if actor["exits"] and actor["exits"][-1]["class"] == "sandbox_violated":
            return f"clients are refused, and nothing is tried; `theaterctl reset {name}` starts it afresh"
        case "held":
            due = "now" if actor["next_try_s"] is None else f"in {duration(actor['next_try_s'])}"
            return f"clients are refused; probed {due}; `theaterctl reset {name}` starts it afresh"
        case "ended":
            return f"there will be no next worker; `theaterctl start {name}` starts one"
        case "stopped":
            return f"the operator stopped it; `theaterctl start {name}` starts it"
        case _:
            return "it waits for its journal: is the disk full? see supervisor.log"


def _watch(var: Path, names: tuple[str, ...], as_json: bool) -> None:
    try:
        if as_json or not sys.stdout.isatty():
            _watch_plainly(var, names, as_json)
        with Live(console=console(), screen=True, auto_refresh=False) as live:
            while True:
                (seen,) = take(ask(var, "status", names=names))
                live.update(grouped(Text(_headline(seen)), _status_table(seen)), refresh=True)
                time.sleep(_WATCH_S)
    except KeyboardInterrupt:
        sys.exit(0)


def _watch_plainly(var: Path, names: tuple[str, ...], as_json: bool) -> None:
    while True:
        (seen,) = take(ask(var, "status", names=names))
        if as_json:
            print_json(seen)
        else:
            click.echo(_headline(seen))
            print_table(_STATUS, [_status_row(actor) for actor in seen["actors"]])
        sys.stdout.flush()
        time.sleep(_WATCH_S)


def _status_table(seen: dict[str, Any]) -> Table:
    return as_rich(_STATUS, [_status_row(actor) for actor in seen["actors"]])


def _headline(seen: dict[str, Any]) -> str:
    up_s = (seen["at_us"] - seen["started_at_us"]) / _US_PER_S
    return (
        f"theater-supervise {seen['version']} is {seen['phase']}, pid {seen['pid']}, up {duration(up_s)}, "
        f"RSS {size(seen['rss_bytes'])}, loop lag {seen['loop_lag_ms']:.1f} ms"
    )


def _status_row(actor: dict[str, Any]) -> list[str]:
    return [
        actor["name"],
        actor["state"],
        _or_dash(actor["pid"]),
        duration(actor["uptime_s"]),
        f"{actor['restarts_in_period']}/{actor['restarts']}",
        f"{actor['connections']}/{actor['max_connections']}",
        f"{actor['received_per_s']:.0f}",
        f"{actor['sent_per_s']:.0f}",
        _or_dash(actor["p99_ms"]),
        size(actor["rss_bytes"]),
        _or_dash(actor["sandbox_level"]),
        str(actor["queue"]),
        str(actor["seq"]),
        actor["head"][:8],
        actor["note"],
    ]


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


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _aside(note: str) -> str:
    return f": {note}" if note else ""


def _utc(at_us: int) -> str:
    at = datetime.datetime.fromtimestamp(at_us / _US_PER_S, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
