"""The command `theaterctl logs`: what actors and the supervisor wrote, across rotations, merged, followed."""

import datetime
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import click

from theater_supervisor.ctl.arguments import with_json
from theater_supervisor.ctl.completion import complete_log
from theater_supervisor.ctl.logfiles import Entry, follow, last, log_names, log_path, merged, since
from theater_supervisor.ctl.tables import painted, print_json
from theater_supervisor.names import choose
from theater_supervisor.terminal import escape

_DEFAULT_LINES: Final = 20
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN: Final = re.compile(r"(\d+)([smhd])")
_LINE: Final = re.compile(r"(\S+) ([^ /]+)/(\d+) (\w) (.*)", re.DOTALL)
_HEADS: Final = ("timestamp", "level", "event")
_LEVELS: Final = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black"}
_COLORS: Final = {"E": "red", "S": "cyan", "D": "bright_black", "L": "green"}


def _read_since(
    _context: click.Context, _param: click.Parameter, text: str | None
) -> datetime.datetime | None:
    if text is None:
        return None
    if span := _SPAN.fullmatch(text):
        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(
            seconds=int(span[1]) * _UNITS_S[span[2]]
        )
    try:
        return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a span, as 30s, 5m, 2h, 1d, nor a time") from None


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_log)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"The last N lines of each, {_DEFAULT_LINES} by default.",
)
@click.option(
    "--since",
    "begin",
    metavar="SPAN",
    callback=_read_since,
    help="From 30s, 5m, 2h, 1d ago or a time (ISO) on.",
)
@with_json
@click.pass_obj
def logs(
    var: Path,
    names: tuple[str, ...],
    following: bool,
    lines: int | None,
    begin: datetime.datetime | None,
    as_json: bool,
) -> None:
    """Show the logs of the actors, all or those named, merged by time. `supervisor` is the supervisor's own.

    On a terminal it is shown as people read it, elsewhere as it is in the file, one JSON object a line.
    The letter after actor/worker: E stderr, O stdout, L logged by the actor, S the supervisor, D debugging.
    Reads the files, rotated ones too, whether or not the supervisor runs.
    """
    known = log_names(var)
    chosen = choose(names, known, f" with a log in {var / 'log'}")
    if not names:
        chosen = [name for name in chosen if name != "supervisor"]
    paths = {name: log_path(var, name) for name in chosen}
    if begin is not None:
        past = [list(since(name, path, begin))[-lines if lines else 0 :] for name, path in paths.items()]
    else:
        past = [last(name, path, _DEFAULT_LINES if lines is None else lines) for name, path in paths.items()]
    for entry in merged(past):
        _show(entry, as_json)
    if following:
        _follow(paths, as_json)


def _follow(paths: dict[str, Path], as_json: bool) -> None:
    try:
        for entry in follow(paths):
            _show(entry, as_json)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


def _show(entry: Entry, as_json: bool) -> None:
    if as_json:
        print_json(_object(entry))
    elif sys.stdout.isatty() and (event := _event(entry)) is not None:
        click.echo("\n".join(event_lines(event)))
    elif line := _LINE.fullmatch(entry.text):
        at, actor, incarnation, stream, text = map(escape, line.groups())
        head = painted(f"{at} {actor}/{incarnation}", dim=True)
        click.echo(f"{head} {painted(f'{stream} {text}', fg=_COLORS.get(stream))}")
    else:
        click.echo(escape(entry.text))


def event_lines(event: dict[str, Any]) -> list[str]:
    """Show an event of the supervisor's log as people read it; a traceback has lines of its own."""
    fields = {key: value for key, value in event.items() if key not in _HEADS}
    traceback = str(fields.pop("exception", ""))
    at, level = str(event.get("timestamp", "-")), str(event.get("level", "-"))
    told = "  ".join(f"{escape(key)}={_value(value)}" for key, value in fields.items())
    head = painted(escape(f"{at:27}"), dim=True)
    words = painted(escape(f"{level:8}  {event.get('event', '-')}"), fg=_LEVELS.get(level))
    return [f"{head}  {words}  {told}".rstrip(), *(f"  {escape(line)}" for line in traceback.splitlines())]


def _value(value: object) -> str:
    if isinstance(value, str) and value and not set(value) & set(' ="'):
        return escape(value)
    return escape(json.dumps(value, ensure_ascii=False))


def _event(entry: Entry) -> dict[str, Any] | None:
    """Return the event that a line of the supervisor's log has, None for any other line."""
    if not entry.text.startswith("{"):
        return None
    try:
        event = json.loads(entry.text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _object(entry: Entry) -> dict[str, Any]:
    if (event := _event(entry)) is not None:
        return {"log": entry.log, **event}
    line = _LINE.fullmatch(entry.text)
    if line is None:
        return {"log": entry.log, "text": entry.text}
    at, actor, incarnation, stream, text = line.groups()
    return {"at": at, "actor": actor, "incarnation": int(incarnation), "stream": stream, "text": text}
