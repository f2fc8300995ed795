"""The command `theaterctl explain`: how an actor's workers ended, what failed, what comes next."""

import datetime
from pathlib import Path
from typing import Any, Final

import click

from theater_supervisor.ctl.answers import take
from theater_supervisor.ctl.arguments import with_json
from theater_supervisor.ctl.client import ask
from theater_supervisor.ctl.completion import complete_served
from theater_supervisor.ctl.tables import duration, painted, print_json
from theater_supervisor.terminal import escape_all

_US_PER_S: Final = 1_000_000


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_served)
@with_json
@click.pass_obj
def explain(var: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Say how the last workers of an actor ended: when, how, what they had in hand, and their last lines.

    Which events failed last without ending it: with their connection, their seq in the chain (`theaterctl
    chain show`), the last line of the error, and the id that the client was shown. And what happens next.
    `theaterctl logs` has the whole of every error.
    """
    actors = take(ask(var, "explain", names=names))
    if as_json:
        print_json(actors)
        return
    for actor in actors:
        for line in explanation(escape_all(actor)):
            click.echo(line)


def explanation(actor: dict[str, Any]) -> list[str]:
    """Tell an actor's story in lines; what is in it must be escaped."""
    lines = [painted(f"{actor['name']} is {actor['state']}", bold=True) + _aside(actor["note"])]
    if not actor["exits"]:
        lines.append("  none of its workers has ended since the supervisor was started")
    for record in actor["exits"]:
        lines += _exit_lines(actor["name"], record)
    if actor["failures"]:
        rate = f"{actor['errors_per_s']:g} a second now"
        lines.append(f"  {actor['errors']} events failed, {rate}; the last ones:")
        lines += [_failure_line(failure) for failure in actor["failures"]]
    lines.append(f"  now: {_what_next(actor)}")
    return lines


def _failure_line(failure: dict[str, Any]) -> str:
    whose = f" of connection {failure['connection']}" if failure["connection"] else ""
    told = f"; the client was shown [{failure['error']}]" if failure["error"] else ""
    what = f"{failure['kind']}{whose}, seq {failure['seq']}: {failure['outcome']}: {failure['reason']}"
    return f"    {_utc(failure['at_us'])}  {what}{told}"


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


def _aside(note: str) -> str:
    return f": {note}" if note else ""


def _utc(at_us: int) -> str:
    at = datetime.datetime.fromtimestamp(at_us / _US_PER_S, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
